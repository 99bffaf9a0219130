"""The words of scanning: a scan being worked on, and what is answered to it."""

from dataclasses import dataclass
from typing import Any

from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.people.services import Proof
from mes.products.models import Operation
from mes.serials.barcodes import Label
from mes.serials.models import Unit
from mes.stations.models import Device
from mes.workorders.guidance import SIGN_ON, TAKE_UP, next_step
from mes.workorders.models import WorkSession
from mes.workorders.position import Position, position_of
from mes.workorders.rework import places_to_fill

ACCEPTED, NEEDS_MORE, DUPLICATE = "accepted", "needs_more", "duplicate"
SOUNDS = {ACCEPTED: "accept", NEEDS_MORE: "accept", DUPLICATE: "tick"}


@dataclass(slots=True)
class Scan:
    """One scan being worked on: what was read, where, by whom, and what the device was doing."""

    label: Label
    device: Device
    session: WorkSession
    by: Actor
    proof: Proof | None = None


def current_unit(scan: Scan) -> Unit:
    """Return the unit that the device works on. Refuses with ``no_unit``."""
    if scan.session.unit is None:
        raise no_unit()
    return scan.session.unit


def no_unit() -> RuleViolation:
    """Return the refusal of work without a unit."""
    return RuleViolation(
        "no_unit",
        "No unit is being worked on at this device.",
        rule="work is done on a unit",
        next_step="Scan the serial of the unit you build first.",
    )


def answered(outcome: str, title: str, detail: str, session: WorkSession) -> dict[str, Any]:
    """Return what a scan is answered with: the outcome in words and sound, the unit, and what is next."""
    answer = {"outcome": outcome, "title": title, "detail": detail, "sound": SOUNDS[outcome]}
    return {**answer, **(_work(session.unit, session) if session.unit else _idle(session))}


def _idle(session: WorkSession) -> dict[str, Any]:
    return {"unit": None, "operation": None, "next": TAKE_UP if session.device.operator_id else SIGN_ON}


def _work(unit: Unit, session: WorkSession) -> dict[str, Any]:
    position, work_center = position_of(unit), session.device.station.work_center
    operation = position.at_hand(work_center)
    empty = places_to_fill(position, operation) if operation else []
    done, total = position.steps
    return {
        "unit": {
            "uid": str(unit.uid),
            "serial": unit.serial,
            "part": unit.part_revision.part.name,
            "order": position.order.number,
            "steps_done": done,
            "steps": total,
        },
        "operation": operation and _operation(operation, position),
        "next": next_step(position, operation, empty=empty, chosen=session.slot, work_center=work_center),
    }


def _operation(operation: Operation, position: Position) -> dict[str, Any]:
    return {
        "sequence": operation.sequence,
        "name": operation.name,
        "state": position.state_of(operation),
        "instruction": operation.instruction,
    }
