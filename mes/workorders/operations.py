"""Work on a unit: its operations started, shared, skipped and completed; parts installed; tests reported."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.products.models import Operation, RetestRule
from mes.quality.services import open_for_failed_test
from mes.racks.models import Installation
from mes.racks.services import (
    configuration_digest,
    find_slot,
    find_slot_to_empty,
    lock_with_child,
    remove_unit,
    require_nothing_held_inside,
    require_out,
)
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_usable
from mes.stations.models import Station, Tool
from mes.stations.services import require_sign_on
from mes.testing.models import TestRun
from mes.testing.services import Result
from mes.workorders.children import require_right_children
from mes.workorders.deviations import place_child, record_judged_test
from mes.workorders.gates import (
    JOIN,
    REJOIN,
    Ask,
    Moment,
    pass_gates,
    require_order_running,
    require_running,
    require_turn,
    require_waiting,
    require_work_center,
)
from mes.workorders.models import GateRelease, Labor, OperationRun, OrderUnit, ToolUse
from mes.workorders.needs import tools_at
from mes.workorders.orders import note_finished, note_started
from mes.workorders.position import (
    COMPLETE,
    DONE,
    RUNNING,
    Position,
    find_operation,
    own_operations,
    position_of,
)
from mes.workorders.retests import opened_since
from mes.workorders.rework import filling_operation, finish_rework
from mes.workorders.slot_acts import act_on_install, check_removal
from mes.workorders.superseding import leave_something_to_do, supersede


@transaction.atomic
def start_operation(*, unit: Unit, sequence: int, station: Station, by: Actor) -> OperationRun:
    """Start an operation on a unit, if every gate of its start holds (see gates.py for the refusals)."""
    unit = lock_units(unit.pk)[unit.pk]
    position = position_of(unit)
    operation = find_operation(position, sequence, station.work_center)
    released = pass_gates(Ask(position, operation, by, station), Moment.START)
    run = _new_run(position, operation, by, state=RUNNING, station=station)
    Labor.objects.create(run=run, person=by.person, station=station)
    tools = tools_at(station, operation)
    _note_tools(run, tools, by)
    _move(position, run, "operation.started", by, released, tools=[tool.code for tool in tools])
    note_started(position.order_unit, by)
    return run


@transaction.atomic
def join_operation(*, unit: Unit, sequence: int, station: Station, by: Actor) -> OperationRun:
    """Take part in a running operation beside whoever started it; a second time changes nothing.

    Refuses as a start does where the person, the place or the qualification is wrong. Who takes part already
    was let in; no release is used up again.
    """
    unit = lock_units(unit.pk)[unit.pk]
    position = position_of(unit)
    operation = find_operation(position, sequence, station.work_center)
    taking_part = Labor.objects.filter(run=position.runs.get(operation.pk), person=by.person, ended_at=None)
    is_new = not taking_part.exists()
    released = pass_gates(Ask(position, operation, by, station), JOIN if is_new else REJOIN)
    run = position.runs[operation.pk]
    if is_new:
        Labor.objects.create(run=run, person=by.person, station=station)
        record(advance(unit, "operation.joined", by=by, payload={**_facts(run), **_used(released)}))
    return run


@transaction.atomic
def skip_operation(*, unit: Unit, sequence: int, reason: str, station: Station, by: Actor) -> OperationRun:
    """Leave an optional operation out, one that was just started too.

    Refuses with ``operation_not_optional`` and as a start does.
    """
    unit = lock_units(unit.pk)[unit.pk]
    position = position_of(unit)
    operation = find_operation(position, sequence, station.work_center)
    if not operation.optional:
        raise RuleViolation(
            "operation_not_optional",
            f"{operation} is not optional.",
            rule="only optional operations are skipped",
            release="Engineering, by a new version of the route.",
            next_step="Do the operation.",
        )
    _require_skippable(position, operation, station, by)
    running = position.runs.get(operation.pk)
    run = running or _new_run(position, operation, by, state=RUNNING, station=station)
    run.state, run.completed_at, run.completed_by = OperationRun.State.SKIPPED, timezone.now(), by.person
    run.skipped_because = reason
    run.save(update_fields=["state", "completed_at", "completed_by", "skipped_because"])
    run.labor.filter(ended_at__isnull=True).update(ended_at=run.completed_at)
    _move(position, run, "operation.skipped", by, reason=reason)
    return run


def _require_skippable(position: Position, operation: Operation, station: Station, by: Actor) -> None:
    require_sign_on(by)
    require_usable(position.unit)
    require_out(position.unit)
    require_order_running(position)
    require_work_center(operation, station.work_center)
    if position.state_of(operation) != RUNNING:
        require_waiting(position, operation)
    require_turn(position, operation)
    require_nothing_held_inside(position.unit)
    require_right_children(position, operation)


@transaction.atomic
def complete_operation(*, unit: Unit, sequence: int, station: Station, by: Actor) -> OperationRun:
    """Complete a running operation, if every gate of its completion holds.

    The last one of its own route finishes the unit, the last one of a rework route ends the rework.
    """
    unit = lock_units(unit.pk)[unit.pk]
    position = position_of(unit)
    operation = find_operation(position, sequence, station.work_center)
    released = pass_gates(Ask(position, operation, by, station), Moment.COMPLETE)
    run = position.runs[operation.pk]
    run.state, run.completed_at, run.completed_by = COMPLETE, timezone.now(), by.person
    run.save(update_fields=["state", "completed_at", "completed_by"])
    run.labor.filter(ended_at__isnull=True).update(ended_at=run.completed_at)
    _move(position, run, "operation.completed", by, released)
    return run


def _move(
    position: Position,
    run: OperationRun,
    kind: str,
    by: Actor,
    released: Iterable[GateRelease] = (),
    **facts: Any,
) -> None:
    """Record a move along the route; when nothing of it is left, the unit or its rework is finished."""
    position.runs[run.operation_id] = run
    is_last = not position.open_operations
    finished = is_last and position.rework is None
    payload = {**_facts(run), "finished": finished, **facts, **_used(released)}
    state = Unit.State.FINISHED if finished else Unit.State.IN_WORK
    record(advance(position.unit, kind, by=by, payload=payload, state=state))
    if finished:
        note_finished(position.order_unit, by)
    elif is_last:
        finish_rework(position, by)


def _used(released: Iterable[GateRelease]) -> dict[str, Any]:
    rows = [{"gate": row.gate, "release": row.pk, "by": row.released_by} for row in released]
    return {"releases": rows} if rows else {}


def _facts(run: OperationRun) -> dict[str, Any]:
    facts = {"sequence": run.operation.sequence, "operation": run.operation.code, "attempt": run.attempt}
    return {**facts, "rework": run.rework.nonconformance.number} if run.rework else facts


def _new_run(
    position: Position, operation: Operation, by: Actor, *, state: str, station: Station
) -> OperationRun:
    earlier = OperationRun.objects.filter(unit=position.unit, operation=operation)
    return OperationRun.objects.create(
        unit=position.unit,
        operation=operation,
        rework=position.rework,
        attempt=earlier.count() + 1,
        state=state,
        station=station,
        started_by=by.person,
    )


def _note_tools(run: OperationRun, tools: Iterable[Tool], by: Actor) -> None:
    ToolUse.objects.bulk_create(
        ToolUse(run=run, tool=tool, calibration_due_at=tool.calibration_due_at, used_by=by.person)
        for tool in tools
    )


@transaction.atomic
def install_child(*, unit: Unit, slot_name: str, child: Unit, station: Station, by: Actor) -> Installation:
    """Install a child into a slot of a unit, while the operation that fills the slot runs at this station.

    In rework any slot of the unit is filled, while an operation of the rework runs at this station. What the
    slot does not take is let pass by a deviation that covers it; ``deviation_of`` names it.
    """
    require_sign_on(by)
    slot = find_slot(revision=unit.part_revision, name=slot_name)
    units = lock_units(unit.pk, child.pk)
    position = position_of(units[unit.pk])
    operation = filling_operation(position, slot, station.work_center)
    require_work_center(operation, station.work_center)
    require_running(position, operation)
    installation, _ = place_child(
        order_unit=position.order_unit,
        unit=units[unit.pk],
        slot=slot,
        child=units[child.pk],
        operation=operation,
        by=by,
    )
    act_on_install(installation, by)
    return installation


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal did: the closed installation, and which operations must be repeated by which rules."""

    installation: Installation
    repeated: list[Operation]
    applied: list[RetestRule]
    filled_at: set[int]

    @property
    def rules(self) -> list[str]:
        """Return the names of the rules that applied."""
        return [rule.name for rule in self.applied]

    def because(self, operation: Operation) -> list[str]:
        """Return why an operation is repeated: the rules that name it, or that it fills the slot."""
        names = [rule.name for rule in self.applied if operation.sequence in rule.repeats]
        fills = [f"fills {self.installation.slot.name}"] if operation.sequence in self.filled_at else []
        return names or fills


@transaction.atomic
def remove_child(*, unit: Unit, slot_name: str, reason: str, by: Actor) -> Removal:
    """Take a child out of a slot; the route's retest rules say which operations must be repeated.

    The operation that fills the slot is always repeated, for the slot is filled nowhere else; except in
    rework, where it is repeated only if the rework leaves the slot empty (see ``finish_rework``). A slot that
    an engineering change took away is filled no more.
    """
    require_sign_on(by)
    slot = find_slot_to_empty(unit=unit, name=slot_name)
    unit = lock_with_child(parent=unit, slot=slot)
    check_removal(unit, slot)
    position = position_of(unit)
    rules = list(
        RetestRule.objects.filter(
            route=position.order_unit.route, trigger=RetestRule.Trigger.REMOVED, slot_type=slot.type
        )
    )
    is_filled_again = position.rework is None and slot.revision_id == unit.part_revision_id
    filled_at = {slot.filled_at} if is_filled_again else set[int]()
    sequences = filled_at | {sequence for rule in rules for sequence in rule.repeats}
    installation = remove_unit(parent=unit, slot=slot, reason=reason, by=by)
    named = [operation for operation in own_operations(position) if operation.sequence in sequences]
    repeated = [
        operation for operation in named if _is_undone(position.state_of(operation), operation, filled_at)
    ]
    removal = Removal(installation, repeated, rules, filled_at)
    because = f"{slot.name} opened: {', '.join(removal.rules) or reason}"
    supersede(position, repeated, tests_of=named, because=because, by=by)
    repeated += leave_something_to_do(unit, because=because, by=by)
    return removal


@transaction.atomic
def replace_child(
    *, unit: Unit, slot_name: str, child: Unit, reason: str, station: Station, by: Actor
) -> tuple[Removal, Installation]:
    """Swap what is in a slot for ``child``: remove, start what fills the slot, install; all or nothing.

    In rework it is the operation of the rework at hand that fills the slot.
    """
    removal = remove_child(unit=unit, slot_name=slot_name, reason=reason, by=by)
    position = position_of(lock_units(unit.pk)[unit.pk])
    operation = filling_operation(position, removal.installation.slot, station.work_center)
    if position.state_of(operation) != RUNNING:
        start_operation(unit=unit, sequence=operation.sequence, station=station, by=by)
    return removal, install_child(unit=unit, slot_name=slot_name, child=child, station=station, by=by)


def _is_undone(state: str, operation: Operation, filled_at: set[int]) -> bool:
    """Return whether opening a slot undoes an operation; the one that is filling the slot just goes on."""
    return state == COMPLETE or (state == RUNNING and operation.sequence not in filled_at)


@transaction.atomic
def report_test(*, unit: Unit, result: Result, by: Actor) -> TestRun:
    """Keep a test result, judged by the limits of the operation of its route that asks for it.

    In rework an operation of the rework route is asked first. A FAIL opens a nonconformance by itself where
    the gate says so. What a tester measured before the unit was opened is kept as superseded.
    """
    unit = lock_units(unit.pk)[unit.pk]
    run = record_judged_test(
        unit=unit,
        result=result,
        configuration=configuration_digest(unit),
        by=by,
        operation=find_asking(unit=unit, procedure=result.procedure),
    )
    if not _is_outdated(run):
        open_for_failed_test(run, by)
    return run


def _is_outdated(run: TestRun) -> bool:
    """Return whether a tester's result is of a time before the unit was opened; supersede it if so."""
    if run.ended_at is None or run.format not in {TestRun.Format.NATIVE, TestRun.Format.OCP}:
        return False
    because = opened_since(unit=run.unit, procedure=run.procedure, since=run.ended_at)
    if because:
        run.superseded_at, run.superseded_because = timezone.now(), f"measured before {because}"[:200]
        run.save(update_fields=["superseded_at", "superseded_because"])
    return bool(because)


def find_asking(*, unit: Unit, procedure: str) -> Operation | None:
    """Return the operation that asks for a test of a unit and whose limits judge it, if an order has it."""
    if not OrderUnit.objects.filter(unit=unit, closed_at__isnull=True).exists():
        return None
    position = position_of(unit)
    applying = {*position.operations, *own_operations(position)}
    live = OperationRun.objects.filter(unit=unit, operation=OuterRef("pk"), superseded_at__isnull=True)
    asking = Operation.objects.filter(pk__in=[each.pk for each in applying], gates__procedure=procedure)
    ranked = asking.annotate(
        running=Exists(live.filter(state=RUNNING)), done=Exists(live.filter(state__in=DONE))
    )
    return ranked.order_by("-route__kind", "-running", "done", "sequence").first()
