"""Releasing a gate: by role, with a reason and a signature, for few passes and a short time."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.people.services import Proof, digest_of, sign
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.stations.models import Station
from mes.stations.services import require_role
from mes.workorders.gates import Ask, GateState, Role, State, find_rule, list_gates
from mes.workorders.models import GateRelease
from mes.workorders.position import Position, find_operation, position_of, require_at_hand
from mes.workorders.releases import holds_of

MOST_PASSES = 3
LONGEST = timedelta(hours=24)
MEANING = "release of a gate"


@dataclass(frozen=True, slots=True)
class Gates:
    """Every gate of an operation on a unit."""

    unit: UUID
    serial: str
    order: str
    operation: int
    name: str
    state: str
    gates: list[GateState]


def gates_of(*, unit: Unit, by: Actor, sequence: int | None = None, station: Station | None = None) -> Gates:
    """Return the gates of an operation, of the one at hand without ``sequence``; nothing is used up.

    Without a station what depends on one is not asked. Refuses with ``no_work_order``, ``no_operation`` or
    ``route_complete``.
    """
    position = position_of(unit)
    work_center = station.work_center if station else ""
    if sequence is not None:
        operation = find_operation(position, sequence, work_center)
    else:
        operation = require_at_hand(position, work_center)
    return Gates(
        unit=unit.uid,
        serial=unit.serial,
        order=position.order.number,
        operation=operation.sequence,
        name=operation.name,
        state=position.state_of(operation),
        gates=list(list_gates(Ask(position, operation, by, station))),
    )


@transaction.atomic
def release_gate(
    *,
    unit: Unit,
    sequence: int,
    gate: str,
    reason: str,
    proof: Proof,
    by: Actor,
    station: Station | None = None,
    allowed: int = 1,
    lasts: timedelta = timedelta(hours=8),
) -> GateRelease:
    """Let a unit pass a gate that holds it, ``allowed`` times until ``lasts`` has gone by.

    The signer needs one of the gate's roles at the unit's site and is not the person at work. Refuses with
    ``unknown_gate``, ``gate_not_releasable``, ``gate_open``, ``release_too_wide``, ``role_missing``,
    ``own_work`` and as the proof does.
    """
    unit = lock_units(unit.pk)[unit.pk]
    position = position_of(unit)
    operation = find_operation(position, sequence, station.work_center if station else "")
    blocked = _blocked(gate, Ask(position, operation, by, station))
    _require_narrow(allowed, lasts)
    signer = proof.require()
    role = require_role(person=signer.username, roles=find_roles(gate), site=unit.site)
    signed: dict[str, Any] = {
        "unit": str(unit.uid),
        "operation": operation.code,
        "gate": gate,
        "reason": reason,
        "holds": blocked.detail,
        "allowed": allowed,
    }
    signature = sign(
        proof=proof,
        meaning=MEANING,
        reason=reason,
        subject=unit,
        digest=digest_of(signed),
        performers=_workers(position, operation.pk, by),
    )
    release = GateRelease.objects.create(
        unit=unit,
        operation=operation,
        gate=gate,
        holds=holds_of(blocked),
        role=role,
        reason=reason,
        signature=signature,
        allowed=allowed,
        released_by=signer.username,
        expires_at=timezone.now() + lasts,
    )
    payload = {**signed, "signature": str(signature.uid), "role": role, "expires_at": release.expires_at}
    record(advance(unit, "gate.released", by=by, payload=payload))
    return release


def find_roles(gate: str) -> tuple[Role, ...]:
    """Return the roles that may release a gate."""
    rule = find_rule(gate)
    return rule.releasable_by if rule else ()


def _blocked(gate: str, ask: Ask) -> RuleViolation:
    rule = find_rule(gate)
    if rule is None:
        raise RuleViolation(
            "unknown_gate",
            f"There is no gate {gate}.",
            rule="gates have names",
            next_step="Look at the list of gates of the operation.",
        )
    if not rule.releasable_by:
        raise RuleViolation(
            "gate_not_releasable",
            f"The gate {gate} is released by nobody.",
            rule="some rules must be met",
            next_step="Do what the gate asks for.",
        )
    blocked = (each for each in list_gates(ask) if each.gate == gate and each.state == State.BLOCKED)
    state = next(blocked, None)
    if state is None or state.violation is None:
        raise RuleViolation(
            "gate_open",
            f"The gate {gate} does not hold {ask.position.unit.serial} at {ask.operation}.",
            rule="a release is for a gate that holds",
            next_step="Nothing to release.",
        )
    return state.violation


def _require_narrow(allowed: int, lasts: timedelta) -> None:
    if not 1 <= allowed <= MOST_PASSES or not timedelta(0) < lasts <= LONGEST:
        raise RuleViolation(
            "release_too_wide",
            f"A release is for 1 to {MOST_PASSES} passes within {LONGEST.total_seconds() / 3600:g} h.",
            rule="a release is limited",
            next_step="Ask for less, or correct what the gate asks for.",
        )


def _workers(position: Position, operation_id: int, by: Actor) -> set[str]:
    """Return whose work is let pass: who works on the operation, and who is signed on at the device."""
    run = position.runs.get(operation_id)
    names: set[str] = set()
    if run is not None:
        names |= set(run.labor.values_list("person", flat=True))
        names |= set(run.values.values_list("recorded_by", flat=True))
        names |= set(run.consumable_uses.values_list("used_by", flat=True))
    return names | ({by.person} if by.device and by.person else set())
