"""The door of work orders: the only place that moves a unit along its route."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.products.models import FirmwareBaseline, Operation, PartRevision, RetestRule, Route, Slot
from mes.racks.models import Installation
from mes.racks.services import configuration_digest, find_slot, lock_with_child, place_unit, remove_unit
from mes.serials.models import Unit
from mes.serials.services import create_units, lock_units, next_serials
from mes.stations.models import Site, Station
from mes.stations.services import require_sign_on
from mes.testing.models import TestRun
from mes.testing.services import Result, record_test_run, supersede_tests
from mes.workorders.gates import (
    COMPLETE,
    RUNNING,
    Position,
    find_operation,
    position_of,
    require_completion,
    require_running,
    require_start,
    require_work_center,
)
from mes.workorders.guidance import SIGN_ON, TAKE_UP, next_step
from mes.workorders.models import OperationRun, OrderUnit, WorkOrder

__all__ = ["SIGN_ON", "TAKE_UP", "Position", "next_step", "position_of"]


@transaction.atomic
def create_order(
    *,
    site: Site,
    number: str,
    part_revision: PartRevision,
    route: Route,
    quantity: int,
    by: Actor,
    firmware_baseline: FirmwareBaseline | None = None,
    customer: str = "",
) -> WorkOrder:
    """Draft an order. Refuses with ``order_exists`` or ``wrong_route``."""
    if WorkOrder.objects.filter(number=number).exists():
        raise RuleViolation(
            "order_exists",
            f"There is an order {number} already.",
            rule="an order number is used once",
            next_step="Take another number.",
        )
    if route.part_id != part_revision.part_id:
        raise RuleViolation(
            "wrong_route",
            f"{route} is a route of another part than {part_revision.part.number}.",
            rule="a route belongs to its part",
            next_step="Choose a route of this part.",
        )
    order = WorkOrder.objects.create(
        site=site,
        number=number,
        part_revision=part_revision,
        route=route,
        quantity=quantity,
        firmware_baseline=firmware_baseline,
        customer=customer,
    )
    payload = {
        "number": number,
        "part": part_revision.part.number,
        "revision": part_revision.revision,
        "route": route.version,
        "quantity": quantity,
    }
    record(advance(order, "order.created", by=by, payload=payload))
    return order


@transaction.atomic
def release_order(*, order: WorkOrder, by: Actor) -> list[Unit]:
    """Release an order and create its units. Refuses with ``not_draft`` or ``definition_not_released``."""
    order = locked(order)
    if order.state != WorkOrder.State.DRAFT:
        raise RuleViolation(
            "not_draft",
            f"Order {order.number} is {order.state}.",
            rule="only a draft is released",
            next_step="Nothing to do.",
        )
    for definition in (order.part_revision, order.route, order.firmware_baseline):
        if definition is not None and not definition.is_released:
            raise RuleViolation(
                "definition_not_released",
                f"{definition} is a draft.",
                rule="an order builds to frozen definitions",
                release="Engineering releases the definition.",
                next_step="Ask engineering to release it.",
            )
    prefix = order.part_revision.part.serial_prefix or f"{order.part_revision.part.number}-"
    units = create_units(
        site=order.site,
        part_revision=order.part_revision,
        serials=next_serials(prefix=prefix, count=order.quantity),
        by=by,
        order=order.number,
    )
    OrderUnit.objects.bulk_create(OrderUnit(work_order=order, unit=unit) for unit in units)
    payload = {"units": [unit.serial for unit in units]}
    changes = {"state": WorkOrder.State.RELEASED, "released_at": timezone.now()}
    record(advance(order, "order.released", by=by, payload=payload, **changes))
    return units


@transaction.atomic
def start_operation(*, unit: Unit, sequence: int, station: Station, by: Actor) -> OperationRun:
    """Start an operation on a unit, if every gate of its start holds (see gates.py for the refusals)."""
    unit = lock_units(unit.pk)[unit.pk]
    position = position_of(unit)
    operation = find_operation(position, sequence, station.work_center)
    require_start(position, operation, station.work_center, by)
    run = OperationRun.objects.create(
        unit=unit,
        operation=operation,
        attempt=OperationRun.objects.filter(unit=unit, operation=operation).count() + 1,
        state=RUNNING,
        station=station,
        started_by=by.person,
    )
    payload = {"sequence": sequence, "operation": operation.code, "attempt": run.attempt}
    record(advance(unit, "operation.started", by=by, payload=payload, state=Unit.State.IN_WORK))
    return run


@transaction.atomic
def complete_operation(*, unit: Unit, sequence: int, station: Station, by: Actor) -> OperationRun:
    """Complete a running operation, if every gate of its completion holds; the last one finishes the unit."""
    unit = lock_units(unit.pk)[unit.pk]
    position = position_of(unit)
    operation = find_operation(position, sequence, station.work_center)
    require_completion(position, operation, station.work_center, by)
    run = position.runs[operation.pk]
    run.state, run.completed_at, run.completed_by = COMPLETE, timezone.now(), by.person
    run.save(update_fields=["state", "completed_at", "completed_by"])
    finished = not position.open_operations
    payload = {
        "sequence": sequence,
        "operation": operation.code,
        "attempt": run.attempt,
        "finished": finished,
    }
    state = Unit.State.FINISHED if finished else Unit.State.IN_WORK
    record(advance(unit, "operation.completed", by=by, payload=payload, state=state))
    if finished:
        _count_finished(position.order, by)
    return run


def _count_finished(order: WorkOrder, by: Actor) -> None:
    order = locked(order)
    done = order.finished + 1 == order.quantity
    state = WorkOrder.State.COMPLETE if done else order.state
    record(advance(order, "order.unit_finished", by=by, finished=order.finished + 1, state=state))


@transaction.atomic
def install_child(*, unit: Unit, slot_name: str, child: Unit, station: Station, by: Actor) -> Installation:
    """Install a child into a slot of a unit, while the operation that fills the slot runs at this station."""
    require_sign_on(by)
    slot = find_slot(revision=unit.part_revision, name=slot_name)
    units = lock_units(unit.pk, child.pk)
    position = position_of(units[unit.pk])
    operation = find_operation(position, slot.filled_at, station.work_center)
    require_work_center(operation, station.work_center)
    require_running(position, operation)
    return place_unit(parent=units[unit.pk], slot=slot, child=units[child.pk], by=by, operation=operation)


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal did: the closed installation, and which operations must be repeated by which rules."""

    installation: Installation
    repeated: list[Operation]
    rules: list[str]


@transaction.atomic
def remove_child(*, unit: Unit, slot_name: str, reason: str, by: Actor) -> Removal:
    """Take a child out of a slot; the route's retest rules say which operations must be repeated.

    The operation that fills the slot is always repeated, for the slot is filled nowhere else.
    """
    require_sign_on(by)
    slot = find_slot(revision=unit.part_revision, name=slot_name)
    unit = lock_with_child(parent=unit, slot=slot)
    position = position_of(unit)
    rules = list(RetestRule.objects.filter(route=position.order.route, slot_type=slot.type))
    sequences = {slot.filled_at, *(sequence for rule in rules for sequence in rule.repeats)}
    installation = remove_unit(parent=unit, slot=slot, reason=reason, by=by)
    named = [operation for operation in position.operations if operation.sequence in sequences]
    repeated = [operation for operation in named if _is_undone(position.state_of(operation), operation, slot)]
    names = [rule.name for rule in rules]
    because = f"{slot.name} opened: {', '.join(names) or reason}"
    _supersede(position, repeated, tests_of=named, because=because, by=by)
    return Removal(installation, repeated, names)


def _is_undone(state: str, operation: Operation, slot: Slot) -> bool:
    """Return whether opening a slot undoes an operation; the one that is filling the slot just goes on."""
    return state == COMPLETE or (state == RUNNING and operation.sequence != slot.filled_at)


def _supersede(
    position: Position, operations: list[Operation], *, tests_of: list[Operation], because: str, by: Actor
) -> None:
    unit = lock_units(position.unit.pk)[position.unit.pk]
    tests = supersede_tests(unit=unit, operations=tests_of, because=because)
    if not operations and not tests:
        return
    OperationRun.objects.filter(unit=unit, operation__in=operations, superseded_at__isnull=True).update(
        superseded_at=timezone.now(), superseded_because=because[:200]
    )
    payload = {"sequences": [item.sequence for item in operations], "tests": tests, "because": because}
    was_finished = unit.state == Unit.State.FINISHED
    record(advance(unit, "operations.superseded", by=by, payload=payload, state=Unit.State.IN_WORK))
    if was_finished:
        order = locked(position.order)
        released = WorkOrder.State.RELEASED
        record(advance(order, "order.unit_reopened", by=by, finished=order.finished - 1, state=released))


@transaction.atomic
def report_test(*, unit: Unit, result: Result, by: Actor) -> TestRun:
    """Keep a test result, judged by the limits of the operation of its route that asks for it."""
    unit = lock_units(unit.pk)[unit.pk]
    return record_test_run(
        unit=unit,
        result=result,
        configuration=configuration_digest(unit),
        by=by,
        operation=_asking_for(result.procedure, unit),
    )


def _asking_for(procedure: str, unit: Unit) -> Operation | None:
    ordered = OrderUnit.objects.select_related("work_order").filter(unit=unit).first()
    if ordered is None:
        return None
    live = OperationRun.objects.filter(unit=unit, operation=OuterRef("pk"), superseded_at__isnull=True)
    asking = Operation.objects.filter(route_id=ordered.work_order.route_id, gates__procedure=procedure)
    ranked = asking.annotate(
        running=Exists(live.filter(state=RUNNING)), complete=Exists(live.filter(state=COMPLETE))
    )
    return ranked.order_by("-running", "complete", "sequence").first()
