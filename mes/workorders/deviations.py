"""Deviations: exceptions for a unit or an order: named, signed, limited, used at the act that needs them."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, canonical_json, locked, record
from mes.people.services import Proof, sign
from mes.products.models import Limit, Operation, Part, PartRevision, Slot
from mes.products.services import Place, asks_of, layout_of, place_named
from mes.racks.models import Installation
from mes.racks.services import Misplaced, place_unit, takes
from mes.serials.models import Unit
from mes.serials.services import next_serials
from mes.stations.models import RoleAssignment
from mes.stations.services import require_role
from mes.testing.models import TestRun
from mes.testing.services import PASS, Allowance, Result, in_words, record_test_run
from mes.workorders.models import Deviation, DeviationUse, OrderUnit, WorkOrder

Role = RoleAssignment.Role
MEANING = "permit deviation"
CLOSED_ORDERS = {WorkOrder.State.COMPLETE, WorkOrder.State.CLOSED, WorkOrder.State.CANCELLED}
PERMITTED = {"budget_exceeded", "parts_incompatible"}
GONE = {Unit.State.FINISHED, Unit.State.SHIPPED, Unit.State.SCRAPPED}


@dataclass(frozen=True, slots=True)
class PartException:
    """In slots that take ``part``, ``instead`` is permitted too."""

    part: Part
    instead: PartRevision


@dataclass(frozen=True, slots=True)
class LimitException:
    """A measurement beyond ``limit`` is permitted from ``low`` to ``high``."""

    limit: Limit
    low: float | None
    high: float | None


@transaction.atomic
def open_deviation(
    *,
    target: Unit | WorkOrder,
    exception: PartException | LimitException,
    quantity: int,
    expires_at: datetime,
    reason: str,
    proof: Proof,
    by: Actor,
) -> Deviation:
    """Permit an exception for a unit or an order, signed by engineering or quality.

    Refuses with ``deviation_target_closed``, ``deviation_quantity``, ``deviation_expired``,
    ``deviation_not_released``, ``deviation_no_slot``, ``deviation_wrong_level``, ``deviation_bounds``,
    ``deviation_other_route``, ``role_missing`` or as the proof does.
    """
    signer = proof.require()
    _require_open(target)
    _require_terms(quantity, expires_at)
    _require_sensible(target, exception)
    role = require_role(person=signer.username, roles=[Role.ENGINEER, Role.QUALITY], site=target.site)
    deviation = Deviation(
        site=target.site,
        number=next_serials(prefix="DEV-", count=1)[0],
        reason=reason,
        quantity=quantity,
        expires_at=expires_at,
        **_fields(target, exception),
    )
    terms = _terms(deviation)
    digest = hashlib.sha256(canonical_json(terms).encode()).hexdigest()
    deviation.signature = sign(proof=proof, meaning=MEANING, reason=reason, subject=deviation, digest=digest)
    deviation.save()
    payload = {**terms, "signed_by": signer.username, "role": role}
    events = [advance(deviation, "deviation.opened", by=by, payload=payload)]
    about = locked(target)
    events.append(advance(about, f"{about._meta.model_name}.deviation_opened", by=by, payload=payload))
    record(*events)
    return deviation


def find_limit(*, target: Unit | WorkOrder, procedure: str, measurement: str) -> Limit | None:
    """Return the limit of a measurement on the route that a unit, or else an order, follows."""
    limits = Limit.objects.select_related("operation__route")
    if isinstance(target, WorkOrder):
        limits = limits.filter(operation__route=target.route_id)
    else:
        rows = target.order_units.filter(closed_at__isnull=True)
        limits = limits.filter(operation__route__in=rows.values_list("route"))
    found = limits.filter(procedure=procedure, measurement=measurement)
    return found.order_by("operation__sequence", "pk").first()


def _fields(target: Unit | WorkOrder, exception: PartException | LimitException) -> dict[str, Any]:
    whom = {"unit": target} if isinstance(target, Unit) else {"order": target}
    if isinstance(exception, PartException):
        kind = Deviation.Kind.PART
        return {**whom, "kind": kind, "part": exception.part, "instead": exception.instead}
    bounds = {"limit": exception.limit, "low": exception.low, "high": exception.high}
    return {**whom, "kind": Deviation.Kind.LIMIT, **bounds}


def _terms(deviation: Deviation) -> dict[str, Any]:
    limit = deviation.limit
    return {
        "number": deviation.number,
        "kind": deviation.kind,
        "order": deviation.order.number if deviation.order else None,
        "unit": str(deviation.unit.uid) if deviation.unit else None,
        "part": deviation.part.number if deviation.part else None,
        "instead": str(deviation.instead) if deviation.instead else None,
        "limit": f"{limit.procedure} {limit.measurement}" if limit else None,
        "low": deviation.low,
        "high": deviation.high,
        "quantity": deviation.quantity,
        "expires_at": deviation.expires_at,
        "reason": deviation.reason,
    }


def _refusal(code: str, detail: str, next_step: str) -> RuleViolation:
    return RuleViolation(
        code, detail, rule="a deviation permits one named, limited exception", next_step=next_step
    )


def _require_open(target: Unit | WorkOrder) -> None:
    closed = GONE if isinstance(target, Unit) else CLOSED_ORDERS
    if target.state in closed:
        raise _refusal(
            "deviation_target_closed",
            f"{target} is {target.state}; there is nothing left to permit.",
            "Name a unit or an order that is still worked on.",
        )


def _require_terms(quantity: int, expires_at: datetime) -> None:
    if quantity < 1:
        raise _refusal(
            "deviation_quantity", "It would permit nothing.", "Say how often it may be used, once or more."
        )
    if expires_at <= timezone.now():
        raise _refusal(
            "deviation_expired", "It would have expired before it began.", "Choose an end in the future."
        )


def _require_sensible(target: Unit | WorkOrder, exception: PartException | LimitException) -> None:
    if isinstance(exception, PartException):
        _require_part(target, exception)
    else:
        _require_bounds(exception)
        _require_route(target, exception.limit)


def _require_part(target: Unit | WorkOrder, exception: PartException) -> None:
    revision, instead = target.part_revision, exception.instead
    if not instead.is_released:
        raise _refusal(
            "deviation_not_released", f"{instead} is a draft.", "Ask engineering to release it first."
        )
    if not any(exception.part.pk in place.part_ids for place in layout_of(revision)):
        raise _refusal(
            "deviation_no_slot",
            f"No slot of {revision} takes {exception.part.number}.",
            "Name a part that its slots take.",
        )
    if instead.part.level >= revision.part.level:
        raise _refusal(
            "deviation_wrong_level",
            f"{instead} is of level {instead.part.level} and goes into nothing of level"
            f" {revision.part.level}.",
            "Name a part of a lower level.",
        )


def _require_bounds(exception: LimitException) -> None:
    low, high = exception.low, exception.high
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        raise _refusal(
            "deviation_bounds",
            f"From {low} to {high} is no range.",
            "Give a lowest or a highest value, or both in order.",
        )


def _require_route(target: Unit | WorkOrder, limit: Limit) -> None:
    if isinstance(target, WorkOrder):
        routes = {target.route_id, *target.order_units.values_list("route", flat=True)}
    else:
        rows = OrderUnit.objects.filter(unit=target, closed_at__isnull=True)
        routes = set(rows.values_list("route", flat=True))
    if limit.operation.route_id not in routes:
        raise _refusal(
            "deviation_other_route",
            f"{target} does not follow {limit.operation.route}, which sets this limit.",
            "Choose a limit of its own route.",
        )


@transaction.atomic
def revoke_deviation(*, deviation: Deviation, reason: str, by: Actor) -> Deviation:
    """End a deviation; what it let pass stays on record. Refuses with ``deviation_revoked``."""
    deviation = locked(deviation)
    if deviation.revoked_at is not None:
        raise _refusal("deviation_revoked", f"{deviation.number} was revoked before.", "Nothing to do.")
    ended = {"revoked_at": timezone.now(), "revoked_by": by.person}
    record(advance(deviation, "deviation.revoked", by=by, payload={"reason": reason}, **ended))
    return deviation


def place_child(
    *, order_unit: OrderUnit, unit: Unit, slot: Slot, child: Unit, operation: Operation, by: Actor
) -> tuple[Installation, Deviation | None]:
    """Install as ``place_unit`` does; a deviation that covers it lets pass what the slot does not take.

    So it does for what breaks a budget or a compatibility rule. The caller has locked the units in this
    transaction.
    """
    _require_built(child)
    place = place_named(unit.part_revision, slot.name)
    if place is None or takes(place, child.part_revision):
        try:
            return place_unit(parent=unit, slot=slot, child=child, by=by, operation=operation), None
        except RuleViolation as violation:
            if place is None or violation.code not in PERMITTED:
                raise
    covering = list(_covering(order_unit, place, child))
    deviation = next((each for each in covering if _claim(each)), None)
    permitted = {child.part_revision_id: deviation.number} if deviation else {}
    try:
        installation = place_unit(
            parent=unit, slot=slot, child=child, by=by, operation=operation, permitted=permitted
        )
    except RuleViolation as violation:
        if covering and deviation is None:
            violation.next_step = f"{_why_not(covering[-1])} {violation.next_step}"
        raise
    if deviation:
        _note_use(deviation, unit, by, installation=installation)
    return installation, deviation


def _require_built(child: Unit) -> None:
    """Refuse with ``unit_not_finished`` what a cancelled order put into stock before it was finished."""
    if child.state == Unit.State.IN_STOCK and OrderUnit.objects.filter(unit=child).exists():
        raise RuleViolation(
            "unit_not_finished",
            f"{child.serial} was returned to stock before it had finished its own route.",
            rule="only finished units are installed",
            next_step="Take another one.",
            unit=str(child.uid),
        )


def _covering(order_unit: OrderUnit, place: Place, child: Unit) -> QuerySet[Deviation]:
    rows = _of(order_unit).filter(part__in=place.part_ids, instead=child.part_revision_id)
    return rows.order_by("expires_at", "pk")


def _of(order_unit: OrderUnit) -> QuerySet[Deviation]:
    whom = Q(unit=order_unit.unit_id) | Q(order=order_unit.work_order_id)
    return Deviation.objects.filter(whom)


def _claim(deviation: Deviation) -> bool:
    """Count one use, if one is left; rivals wait for each other at this row."""
    live = Deviation.objects.filter(
        pk=deviation.pk, revoked_at__isnull=True, expires_at__gt=timezone.now(), used__lt=F("quantity")
    )
    return bool(live.update(used=F("used") + 1))


def _note_use(deviation: Deviation, unit: Unit, by: Actor, **act: Any) -> None:
    DeviationUse.objects.create(deviation=deviation, unit=unit, **act)
    deviation.refresh_from_db()
    payload = {"unit": str(unit.uid), "used": deviation.used, "of": deviation.quantity}
    for row in act.values():
        payload |= _told(row)
    record(advance(deviation, "deviation.used", by=by, payload=payload))


def _told(row: Installation | TestRun) -> dict[str, str]:
    if isinstance(row, TestRun):
        return {"test_run": str(row.uid), "procedure": row.procedure}
    return {"slot": row.slot.name, "child": str(row.child.uid)}


def _ended(deviation: Deviation) -> str:
    """Return in words why a deviation permits nothing more, or an empty text."""
    if deviation.revoked_at is not None:
        return "was revoked"
    if deviation.expires_at <= timezone.now():
        return "has expired"
    return "is used up" if deviation.used >= deviation.quantity else ""


def _why_not(deviation: Deviation) -> str:
    deviation.refresh_from_db()
    return f"{deviation.number} {_ended(deviation) or 'was taken by another'}: open a new deviation, or:"


def record_judged_test(
    *,
    unit: Unit,
    result: Result,
    configuration: str,
    by: Actor,
    operation: Operation | None = None,
) -> TestRun:
    """Keep a result as ``record_test_run`` does; deviations of the unit or its order may replace limits."""
    deviations = _of_limits(unit, result.procedure, operation) if operation else []
    run = record_test_run(
        unit=unit,
        result=result,
        configuration=configuration,
        by=by,
        operation=operation,
        allowances=_allowances(deviations),
    )
    if run.outcome == PASS:
        for deviation in deviations:
            if deviation.number in result.permitted_by and _claim(deviation):
                _note_use(deviation, unit, by, test_run=run)
    return run


def _of_limits(unit: Unit, procedure: str, operation: Operation) -> list[Deviation]:
    """Return the deviations of a test's limits, locked, so that none is used more often than permitted."""
    orders = OrderUnit.objects.filter(unit=unit, closed_at__isnull=True).values("work_order")
    rows = Deviation.objects.select_for_update(of=("self",)).filter(
        Q(unit=unit) | Q(order__in=orders), limit__operation=operation, limit__procedure=procedure
    )
    return list(rows.order_by("pk"))


def _allowances(deviations: Iterable[Deviation]) -> dict[int, Allowance]:
    """Return what is permitted by limit; a live deviation goes before one that has ended."""
    allowances: dict[int, Allowance] = {}
    for each in sorted(deviations, key=lambda each: (not _ended(each), -each.pk)):
        allowance = Allowance(each.number, each.low, each.high, _ended(each))
        allowances[each.limit_id or 0] = allowance
    return allowances


def excused_children(
    units: Collection[int], at: datetime | None = None
) -> Mapping[int, dict[int, dict[int, str]]]:
    """Return, by unit and child, the parts whose slots a deviation let the child into, with its number.

    With a time, only by uses up to then. One query.
    """
    excused: dict[int, dict[int, dict[int, str]]] = {}
    uses = DeviationUse.objects.filter(unit__in=units, installation__isnull=False).order_by("pk")
    uses = uses.filter(used_at__lte=at) if at else uses
    columns = ("unit", "installation__child", "deviation__part", "deviation__number")
    for unit, child, part, number in uses.values_list(*columns):
        excused.setdefault(unit, {}).setdefault(child, {})[part] = number
    return excused


def is_excused(each: Misplaced, excused: Mapping[int, Mapping[int, str]]) -> bool:
    """Return whether a deviation of its unit let something into a slot that takes this part."""
    parts = excused.get(each.installation.child_id, {})
    return each.place is not None and bool(parts.keys() & each.place.part_ids)


def deviation_in_words(deviation: Deviation) -> str:
    """Return what a deviation permits, in words."""
    if deviation.limit is not None:
        limit = deviation.limit
        bounds = in_words(deviation.low, deviation.high)
        return f"{limit.measurement} of {limit.procedure} {bounds} {limit.unit}"
    return f"{deviation.instead} in slots that take {deviation.part}"


def deviation_of(installation: Installation) -> Deviation | None:
    """Return the deviation that let something into its slot, if it took one.

    No query for what fits in an assembly without budgets and rules.
    """
    revision = installation.parent.part_revision
    place = place_named(revision, installation.slot.name)
    if place is not None and takes(place, installation.child.part_revision) and not asks_of(revision):
        return None
    use = DeviationUse.objects.select_related("deviation").filter(installation=installation).first()
    return use.deviation if use else None
