"""Rework: a unit leaves its route for a rework route, and returns to the operation the board named."""

from django.db.models import Min, QuerySet
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.products.models import Operation, Route, Slot
from mes.products.services import Place, operations_of
from mes.quality.models import Disposition, Nonconformance
from mes.quality.services import close_nonconformance
from mes.racks.models import Installation
from mes.racks.services import empty_places, require_out
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_here
from mes.workorders.models import Rework
from mes.workorders.orders import note_reopened
from mes.workorders.position import RUNNING, Position, applying, find_operation, own_operations
from mes.workorders.superseding import leave_something_to_do, supersede

IN_REWORK = Nonconformance.State.REWORK


def require_rework(position: Position, route: Route | None, returns_to: Operation | None) -> None:
    """Refuse what cannot be reworked so: ``unit_closed``, ``wrong_route``, ``no_operation``, units gone."""
    require_here(position.unit)
    require_out(position.unit)
    if route is None or not _fits(position, route):
        raise RuleViolation(
            "wrong_route",
            f"{route or 'No route'} is no released rework route of {position.unit.part_revision.part}.",
            rule="rework follows a released rework route of the unit's part",
            release="Engineering releases rework routes.",
            next_step="Name a released rework route of this part.",
        )
    if returns_to not in own_operations(position):
        raise RuleViolation(
            "no_operation",
            f"{returns_to or 'No operation'} is no operation of the route of {position.unit.serial}.",
            rule="a rework returns to a named operation of the unit's own route",
            next_step=f"Name one of {', '.join(each.code for each in own_operations(position))}.",
        )


def _fits(position: Position, route: Route) -> bool:
    of_its_part = route.part_id == position.unit.part_revision.part_id
    if route.kind != Route.Kind.REWORK or not route.is_released or not of_its_part:
        return False
    return bool(applying(operations_of(route), position.order, position.unit))


def start_rework(position: Position, disposition: Disposition, by: Actor) -> Rework:
    """Send a unit to the rework route that the board named; the caller has locked it and asked the rules.

    Work that runs is superseded, to be started anew afterwards. A rework that runs already is abandoned:
    this one takes over what it was for. What an earlier rework did by the same route is superseded.
    """
    nonconformance, route = disposition.nonconformance, disposition.rework_route
    assert route is not None and disposition.returns_to is not None  # noqa: S101 - a constraint of the row
    running = Rework.objects.filter(unit=position.unit, state=Rework.State.RUNNING)
    running.update(state=Rework.State.ABANDONED, ended_at=timezone.now())
    again = operations_of(route)
    stopped = [operation for operation in again if operation.pk in position.runs]
    stopped += Operation.objects.filter(pk__in=_running(position)).exclude(pk__in=[op.pk for op in stopped])
    because = f"{disposition.kind} of {nonconformance.number}"
    supersede(position, stopped, tests_of=list(again), because=because, by=by)
    rework = Rework.objects.create(
        unit=position.unit, nonconformance=nonconformance, route=route, returns_to=disposition.returns_to
    )
    unit = lock_units(position.unit.pk)[position.unit.pk]
    was_finished = unit.state == Unit.State.FINISHED
    payload = {
        "nonconformance": nonconformance.number,
        "route": route.version,
        "returns_to": rework.returns_to.code,
    }
    record(advance(unit, "unit.rework_started", by=by, payload=payload, state=Unit.State.IN_WORK))
    if was_finished:
        note_reopened(position.order_unit, by)
    return rework


def _running(position: Position) -> list[int]:
    return [pk for pk, run in position.runs.items() if run.state == RUNNING]


def finish_rework(position: Position, by: Actor) -> None:
    """End the rework of a unit: it returns to its route, where the operation named is done again.

    Exactly that operation and its tests are superseded, and those that fill slots which the rework emptied
    and left empty. The nonconformances it was for are closed. The caller has locked the unit.
    """
    unit = position.unit
    ended = {"state": Rework.State.COMPLETE, "ended_at": timezone.now()}
    Rework.objects.filter(unit=unit, state=Rework.State.RUNNING).update(**ended)
    solved = list(Nonconformance.objects.filter(unit=unit, state=IN_REWORK).order_by("pk"))
    returns_to = list(Operation.objects.filter(pk__in=_reworks(unit).values("returns_to")))
    sequences = {place.slot.filled_at for place in places_emptied(unit)}
    refilled = [each for each in own_operations(position) if each.sequence in sequences]
    repeated = [each for each in {*returns_to, *refilled} if each.pk in position.runs]
    names = ", ".join(each.number for each in solved)
    repeated.sort(key=lambda each: (each.sequence, each.code))
    supersede(position, repeated, tests_of=returns_to, because=f"returned from rework of {names}", by=by)
    unit = lock_units(unit.pk)[unit.pk]
    payload = {
        "nonconformances": [each.number for each in solved],
        "returns_to": [each.code for each in returns_to],
    }
    record(advance(unit, "unit.rework_completed", by=by, payload=payload, state=Unit.State.IN_WORK))
    for nonconformance in solved:
        close_nonconformance(nonconformance=nonconformance, reason="rework complete", by=by)
    leave_something_to_do(unit, because=f"returned from rework of {names}", by=by)


def abandon_rework(unit: Unit, reason: str, by: Actor) -> None:
    """End the rework of a unit that is built no further, and close what it was for; the unit is locked."""
    running = Rework.objects.filter(unit=unit, state=Rework.State.RUNNING)
    running.update(state=Rework.State.ABANDONED, ended_at=timezone.now())
    for nonconformance in Nonconformance.objects.filter(unit=unit, state=IN_REWORK).order_by("pk"):
        close_nonconformance(nonconformance=nonconformance, reason=reason, by=by)


def _reworks(unit: Unit) -> QuerySet[Rework]:
    """Return the rework of a unit and those it took over."""
    return Rework.objects.filter(unit=unit, nonconformance__state=IN_REWORK)


def filling_operation(position: Position, slot: Slot, work_center: str) -> Operation:
    """Return the operation during which a slot is filled: its own; in rework the one at hand.

    Refuses with ``no_operation``.
    """
    if position.rework is None:
        return find_operation(position, slot.filled_at, work_center)
    at_hand = position.at_hand(work_center)
    return at_hand or find_operation(position, slot.filled_at, work_center)


def places_emptied(unit: Unit) -> list[Place]:
    """Return the slots that the rework of a unit has emptied and not filled again, in filling order."""
    since = _reworks(unit).aggregate(since=Min("started_at"))["since"]
    if since is None:
        return []
    removed = Installation.objects.filter(parent=unit, removed_at__gte=since)
    emptied = set(removed.values_list("slot", flat=True))
    return [place for place in empty_places(unit=unit) if place.slot.pk in emptied]


def places_to_fill(position: Position, operation: Operation) -> list[Place]:
    """Return the empty slots an operation is to fill: its own; in rework those that the rework emptied."""
    if position.rework is not None:
        return places_emptied(position.unit)
    return empty_places(unit=position.unit, filled_at=operation.sequence)
