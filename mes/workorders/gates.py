"""Where a unit stands on its route, and the rules asked before an operation starts and completes."""

from collections.abc import Iterable
from dataclasses import dataclass

from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.products.models import Gate, Operation
from mes.products.services import Place, operations_of
from mes.racks.services import (
    configuration_digest,
    empty_places,
    require_nothing_held_inside,
    require_out,
)
from mes.serials.models import Unit
from mes.serials.services import require_usable
from mes.stations.services import require_sign_on
from mes.testing.services import PASS, live_outcomes
from mes.workorders.models import OperationRun, OrderUnit, WorkOrder

RUNNING, COMPLETE = OperationRun.State.RUNNING, OperationRun.State.COMPLETE


@dataclass(slots=True)
class Position:
    """Where a unit stands: its order, its route's operations, and the live run of each by operation id."""

    unit: Unit
    order: WorkOrder
    operations: tuple[Operation, ...]
    runs: dict[int, OperationRun]

    def state_of(self, operation: Operation) -> str:
        """Return running, complete, or waiting."""
        run = self.runs.get(operation.pk)
        return run.state if run else "waiting"

    @property
    def open_operations(self) -> list[Operation]:
        """Return what may be done now: the operations of the lowest sequence that is not complete."""
        left = [operation for operation in self.operations if self.state_of(operation) != COMPLETE]
        return [operation for operation in left if operation.sequence == left[0].sequence]

    def at_hand(self, work_center: str) -> Operation | None:
        """Return the open operation of a work center, else the one that runs, else the first, if any."""
        return min(
            self.open_operations,
            key=lambda item: (item.work_center != work_center, self.state_of(item) != RUNNING),
            default=None,
        )

    @property
    def steps(self) -> tuple[int, int]:
        """Return how many operations are complete, of how many."""
        done = sum(1 for operation in self.operations if self.state_of(operation) == COMPLETE)
        return done, len(self.operations)


def position_of(unit: Unit) -> Position:
    """Return where a unit stands. Refuses with ``no_work_order`` when no order builds it. Two queries."""
    ordered = OrderUnit.objects.select_related("work_order__route").filter(unit=unit).first()
    if ordered is None:
        raise RuleViolation(
            "no_work_order",
            f"No order builds {unit.serial}.",
            rule="work belongs to an order",
            next_step="Scan a unit with a traveller of this line.",
            unit=str(unit.uid),
        )
    order = ordered.work_order
    runs = OperationRun.objects.filter(unit=unit, superseded_at__isnull=True)
    return Position(unit, order, operations_of(order.route), {run.operation_id: run for run in runs})


def find_operation(position: Position, sequence: int, work_center: str) -> Operation:
    """Return the operation at a sequence, of parallel ones the work center's. Refuses ``no_operation``."""
    found = [operation for operation in position.operations if operation.sequence == sequence]
    fitting = [operation for operation in found if operation.work_center == work_center]
    if not found:
        raise RuleViolation(
            "no_operation",
            f"The route of {position.unit.serial} has no operation {sequence}.",
            rule="work follows the route",
            next_step="Check the sequence.",
        )
    return (fitting or found)[0]


def require_start(position: Position, operation: Operation, work_center: str, by: Actor) -> None:
    """Ask every rule that an operation must meet to start."""
    require_sign_on(by)
    require_usable(position.unit)
    require_out(position.unit)
    require_order_running(position)
    require_work_center(operation, work_center)
    _require_turn(position, operation)
    _require_gates(position.unit, operation, Gate.Moment.START)


def require_completion(position: Position, operation: Operation, work_center: str, by: Actor) -> None:
    """Ask every rule that a running operation must meet to be complete."""
    require_sign_on(by)
    require_usable(position.unit)
    require_work_center(operation, work_center)
    require_running(position, operation)
    _require_open(position, operation)
    require_nothing_held_inside(position.unit)
    _require_gates(position.unit, operation, Gate.Moment.COMPLETE)


def require_order_running(position: Position) -> None:
    """Refuse with ``order_not_released`` unless the order may be worked on."""
    if position.order.state != WorkOrder.State.RELEASED:
        raise RuleViolation(
            "order_not_released",
            f"Order {position.order.number} is {position.order.state}.",
            rule="work belongs to a released order",
            release="A supervisor releases the order.",
            next_step="Take a unit of a released order.",
        )


def require_work_center(operation: Operation, work_center: str) -> None:
    """Refuse with ``wrong_station`` where the operation is not done."""
    if operation.work_center != work_center:
        raise RuleViolation(
            "wrong_station",
            f"{operation} is done at {operation.work_center}, not at {work_center or 'no station'}.",
            rule="an operation is done at its work center",
            next_step=f"Take the unit to a station of {operation.work_center}.",
            work_center=operation.work_center,
        )


def require_running(position: Position, operation: Operation) -> None:
    """Refuse with ``operation_not_running`` unless the operation was started and is not complete."""
    if position.state_of(operation) != RUNNING:
        raise RuleViolation(
            "operation_not_running",
            f"{operation} of {position.unit.serial} is {position.state_of(operation)}.",
            rule="work is started before it is done",
            next_step="Scan the unit to start it."
            if operation in position.open_operations
            else _turn(position),
        )


def _require_turn(position: Position, operation: Operation) -> None:
    state = position.state_of(operation)
    if state != "waiting":
        raise RuleViolation(
            "operation_running" if state == RUNNING else "operation_complete",
            f"{operation} of {position.unit.serial} is {state} already.",
            rule="one live run per operation",
            next_step=_turn(position),
        )
    _require_open(position, operation)


def _require_open(position: Position, operation: Operation) -> None:
    if operation not in position.open_operations:
        raise RuleViolation(
            "operation_out_of_order",
            f"{operation} comes later: {_names(position.open_operations)} is not complete.",
            rule="operations follow their sequence",
            next_step=_turn(position),
            open_operations=[item.sequence for item in position.open_operations],
        )


def _require_gates(unit: Unit, operation: Operation, moment: str) -> None:
    gates = [gate for gate in operation.gates.all() if gate.moment == moment]
    procedures = [gate.procedure for gate in gates if gate.rule == Gate.Rule.TEST_PASSED]
    if any(gate.rule == Gate.Rule.SLOTS_FILLED for gate in gates):
        _require_slots(empty_places(unit=unit, filled_at=operation.sequence), operation)
    if procedures:
        _require_tests(unit, operation, procedures, moment)


def _require_slots(empty: Iterable[Place], operation: Operation) -> None:
    names = [place.slot.name for place in empty]
    if names:
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        raise RuleViolation(
            "slots_empty",
            f"{operation} leaves {len(names)} slots empty: {shown}.",
            rule=str(Gate.Rule.SLOTS_FILLED),
            next_step=f"Scan slot {names[0]} and the unit that goes there.",
            slots=names,
        )


def _require_tests(unit: Unit, operation: Operation, procedures: list[str], moment: str) -> None:
    judged_by = operation if moment == Gate.Moment.COMPLETE else None
    outcomes = live_outcomes(
        unit=unit, procedures=procedures, configuration=configuration_digest(unit), operation=judged_by
    )
    for procedure in procedures:
        outcome = outcomes.get(procedure)
        if outcome is None:
            raise RuleViolation(
                "test_missing",
                f"{operation} needs the test {procedure}; {unit.serial} was not tested as it is built now.",
                rule=str(Gate.Rule.TEST_PASSED),
                next_step=f"Run {procedure}.",
                procedure=procedure,
            )
        if outcome != PASS:
            raise RuleViolation(
                "test_failed",
                f"{operation} needs the test {procedure}; its last result on {unit.serial} is {outcome}.",
                rule=str(Gate.Rule.TEST_PASSED),
                next_step=f"Repair what failed and run {procedure} again.",
                procedure=procedure,
            )


def _turn(position: Position) -> str:
    turn = position.open_operations
    return f"Do {_names(turn)} at {turn[0].work_center}." if turn else "All operations are complete."


def _names(operations: list[Operation]) -> str:
    return " and ".join(str(operation) for operation in operations)
