"""What must be repeated: runs and tests that an act made untrue are superseded, never deleted."""

from django.utils import timezone

from mes.ledger.services import Actor, advance, record
from mes.products.models import Operation
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.testing.services import supersede_tests
from mes.workorders.carrying import equals_of
from mes.workorders.models import OperationRun
from mes.workorders.orders import note_reopened
from mes.workorders.position import PART, Position, position_of


def supersede(
    position: Position, operations: list[Operation], *, tests_of: list[Operation], because: str, by: Actor
) -> None:
    """Supersede the live runs of ``operations`` and the live tests of ``tests_of``; reopen a finished unit.

    The caller has locked the unit in this transaction.
    """
    unit = lock_units(position.unit.pk)[position.unit.pk]
    judged: list[Operation | int] = [*tests_of, *equals_of(unit, tests_of)]
    tests = supersede_tests(unit=unit, operations=judged, because=because)
    if not operations and not tests:
        return
    OperationRun.objects.filter(unit=unit, operation__in=operations, superseded_at__isnull=True).update(
        superseded_at=timezone.now(), superseded_because=because[:200]
    )
    payload = {"sequences": [item.sequence for item in operations], "tests": tests, "because": because}
    was_finished = unit.state == Unit.State.FINISHED
    record(advance(unit, "operations.superseded", by=by, payload=payload, state=Unit.State.IN_WORK))
    if was_finished:
        note_reopened(position.order_unit, by)


def leave_something_to_do(unit: Unit, *, because: str, by: Actor) -> list[Operation]:
    """Let the last operation be done again when what a unit waited for applies no more; return what is.

    A unit, or its rework, is finished by an act at the gates, never by itself. Asked only of routes with
    operations for parts. The caller has locked the unit.
    """
    position = position_of(lock_units(unit.pk)[unit.pk])
    is_conditional = any(operation.applies_when.startswith(PART) for operation in position.route)
    is_finished = position.unit.state == Unit.State.FINISHED
    if not is_conditional or is_finished or not position.operations or position.open_operations:
        return []
    last = position.operations[-1]
    supersede(position, [last], tests_of=[], because=because, by=by)
    return [last]
