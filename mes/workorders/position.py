"""Where a unit stands on its route."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import OuterRef, Subquery

from mes.errors import RuleViolation
from mes.products.models import Operation
from mes.products.services import operations_of
from mes.racks.models import Installation
from mes.racks.services import kinds_inside
from mes.serials.models import Unit
from mes.serials.services import require_here
from mes.workorders.models import OperationRun, OrderUnit, Rework, WorkOrder

RUNNING, COMPLETE = OperationRun.State.RUNNING, OperationRun.State.COMPLETE
DONE = {COMPLETE, OperationRun.State.SKIPPED}
OPTION, PART = "option:", "part:"


@dataclass(slots=True)
class Position:
    """Where a unit stands: its order, the operations it goes through, and the live run of each by its id.

    A unit in rework goes through the operations of its rework route, then returns to its own. ``route`` are
    all operations of that route, ``operations`` those that apply to this unit.
    """

    unit: Unit
    order_unit: OrderUnit
    rework: Rework | None
    route: tuple[Operation, ...]
    operations: tuple[Operation, ...]
    runs: dict[int, OperationRun]

    @property
    def order(self) -> WorkOrder:
        """Return the order that builds the unit."""
        return self.order_unit.work_order

    def state_of(self, operation: Operation) -> str:
        """Return running, complete, skipped, or waiting."""
        run = self.runs.get(operation.pk)
        return run.state if run else "waiting"

    def is_done(self, operation: Operation) -> bool:
        """Return whether an operation is complete or was skipped."""
        return self.state_of(operation) in DONE

    def before(self, operation: Operation) -> list[Operation]:
        """Return the operations that must be done first: those it names, else all of lower sequence."""
        if operation.after:
            return [each for each in self.route if each.code in operation.after]
        return [each for each in self.route if each.sequence < operation.sequence]

    def is_passed(self, operation: Operation) -> bool:
        """Return whether what follows an operation may start; one that does not apply is passed by itself."""
        if operation in self.operations:
            return self.is_done(operation)
        return all(self.is_passed(each) for each in self.before(operation))

    @property
    def open_operations(self) -> list[Operation]:
        """Return what may be done now: what is not done and has everything before it done."""
        left = [operation for operation in self.operations if not self.is_done(operation)]
        return [operation for operation in left if all(map(self.is_passed, self.before(operation)))]

    def at_hand(self, work_center: str) -> Operation | None:
        """Return the open operation of a work center, else the one that runs, else the first, if any."""
        return min(
            self.open_operations,
            key=lambda item: (item.work_center != work_center, self.state_of(item) != RUNNING),
            default=None,
        )

    @property
    def steps(self) -> tuple[int, int]:
        """Return how many operations are done, of how many."""
        return sum(map(self.is_done, self.operations)), len(self.operations)


def order_unit_of(unit: Unit) -> OrderUnit:
    """Return the row of the order that has a unit now. One query.

    Refuses with ``no_work_order``; a unit that left the factory as ``require_here``.
    """
    running = Rework.objects.filter(unit=OuterRef("unit"), state=Rework.State.RUNNING)
    rows = OrderUnit.objects.select_related("work_order__route", "route").filter(unit=unit)
    found = rows.annotate(rework_id=Subquery(running.values("pk"))).filter(closed_at__isnull=True).first()
    if found is None:
        require_here(unit)
        raise RuleViolation(
            "no_work_order",
            f"No order builds {unit.serial}.",
            rule="work belongs to an order",
            next_step="Scan a unit with a traveller of this line.",
            unit=str(unit.uid),
        )
    return found


def position_of(unit: Unit) -> Position:
    """Return where a unit stands. Refuses with ``no_work_order``. Two queries; a few more in rework."""
    order_unit = order_unit_of(unit)
    return _position(unit, order_unit, _rework(getattr(order_unit, "rework_id", None)))


def own_position_of(unit: Unit) -> Position:
    """Return where a unit stands on its own route, in rework too. Refuses with ``no_work_order``."""
    return _position(unit, order_unit_of(unit), None)


def positions_of(units: Iterable[Unit]) -> dict[int, Position]:
    """Return where each unit stands on its own route, by its id; those that no order has now are left out.

    Three queries; released routes are read once per process.
    """
    by_id = {unit.pk: unit for unit in units}
    rows = OrderUnit.objects.select_related("work_order__route", "route")
    order_units = {row.unit_id: row for row in rows.filter(unit__in=by_id, closed_at__isnull=True)}
    runs: dict[int, dict[int, OperationRun]] = {pk: {} for pk in order_units}
    for run in OperationRun.objects.filter(unit__in=order_units, superseded_at__isnull=True):
        runs[run.unit_id][run.operation_id] = run
    kinds: dict[int, set[str]] = {pk: set() for pk in order_units}
    inside = Installation.objects.live().filter(root__in=order_units)
    for root, kind in inside.values_list("root", "child__part_revision__part__kind").distinct():
        kinds[root].add(kind)
    return {
        pk: _bulk_position(by_id[pk], order_unit, runs[pk], kinds[pk])
        for pk, order_unit in order_units.items()
    }


def _bulk_position(
    unit: Unit, order_unit: OrderUnit, runs: dict[int, OperationRun], kinds: set[str]
) -> Position:
    route, options = operations_of(order_unit.route), order_unit.work_order.options
    operations = tuple(each for each in route if applies(each, options, kinds))
    return Position(unit, order_unit, None, route, operations, runs)


def _position(unit: Unit, order_unit: OrderUnit, rework: Rework | None) -> Position:
    route = operations_of(rework.route if rework else order_unit.route)
    runs = OperationRun.objects.filter(unit=unit, superseded_at__isnull=True)
    operations = applying(route, order_unit.work_order, unit)
    return Position(unit, order_unit, rework, route, operations, {run.operation_id: run for run in runs})


def _rework(pk: int | None) -> Rework | None:
    return Rework.objects.select_related("route", "nonconformance", "returns_to").get(pk=pk) if pk else None


def own_operations(position: Position) -> tuple[Operation, ...]:
    """Return the operations of the unit's own route that apply to it, also while it is in rework."""
    if position.rework is None:
        return position.operations
    return applying(operations_of(position.order_unit.route), position.order, position.unit)


def applying(route: Iterable[Operation], order: WorkOrder, unit: Unit) -> tuple[Operation, ...]:
    """Return the operations of a route that apply to a unit of an order."""
    asks_for_parts = any(operation.applies_when.startswith(PART) for operation in route)
    kinds = kinds_inside(unit) if asks_for_parts else set()
    return tuple(operation for operation in route if applies(operation, order.options, kinds))


def applies(operation: Operation, options: list[str], kinds: set[str]) -> bool:
    """Return whether an operation applies to a unit of an order with these options that holds these kinds."""
    condition = operation.applies_when
    if condition.startswith(OPTION):
        return condition.removeprefix(OPTION) in options
    if condition.startswith(PART):
        return condition.removeprefix(PART) in kinds
    return True


def find_operation(position: Position, sequence: int, work_center: str) -> Operation:
    """Return the operation at a sequence, of parallel ones the work center's that is not done, if any.

    Refuses with ``no_operation``.
    """
    found = [operation for operation in position.operations if operation.sequence == sequence]
    fitting = [operation for operation in found if operation.work_center == work_center]
    if not found:
        raise RuleViolation(
            "no_operation",
            f"The route of {position.unit.serial} has no operation {sequence}.",
            rule="work follows the route",
            next_step="Check the sequence.",
        )
    candidates = fitting or found
    return next((operation for operation in candidates if not position.is_done(operation)), candidates[0])


def require_at_hand(position: Position, work_center: str) -> Operation:
    """Return the operation at hand, of another station if need be. Refuses with ``route_complete``."""
    operation = position.at_hand(work_center)
    if operation is None:
        raise RuleViolation(
            "route_complete",
            f"{position.unit.serial} has finished its route.",
            rule="operations follow their sequence",
            next_step="Install it, or take it to stock.",
        )
    return operation
