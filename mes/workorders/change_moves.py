"""One unit moves to another revision and route: what is equal is carried over, the rest is done again."""

from collections.abc import Iterable

from django.db.models import Max
from django.utils import timezone

from mes.ledger.services import Actor, advance, record
from mes.products.models import Operation
from mes.racks.services import repoint_installations
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.testing.services import supersede_tests
from mes.workorders.carrying import equals_of
from mes.workorders.change_plans import Plan, Step, UnitPlan
from mes.workorders.models import CarriedOperation, ChangeMove, OperationRun, OrderUnit


def move_unit(*, plan: Plan, unit_plan: UnitPlan, by: Actor) -> ChangeMove:
    """Move a unit as planned. The caller has locked it in this transaction and checked the plan."""
    change = plan.change
    unit = lock_units(unit_plan.unit.pk)[unit_plan.unit.pk]
    move = ChangeMove.objects.create(
        change=change,
        order_unit=unit_plan.order_unit,
        from_revision=unit.part_revision,
        from_route=unit_plan.order_unit.route,
        remove=[each.slot.name for each in unit_plan.remove],
        repeat=[step.operation.sequence for step in unit_plan.repeat],
    )
    tests = _supersede(unit, unit_plan, change.number)
    _carry_runs(unit, unit_plan, f"moved by {change.number}")
    _carry_tests(move, unit, unit_plan)
    repoint_installations(parents={unit.pk: change.to_revision}, because=change.number, by=by)
    OrderUnit.objects.filter(pk=unit_plan.order_unit.pk).update(route=change.to_route)
    payload = {
        "change": change.number,
        "tests_superseded": tests,
        "to_revision": change.to_revision.revision,
        "to_route": change.to_route.version,
        **unit_plan.data(),
    }
    record(advance(unit, "unit.changed", by=by, payload=payload, part_revision=change.to_revision))
    return move


def _supersede(unit: Unit, plan: UnitPlan, number: str) -> int:
    """Supersede the runs that are repeated or dropped, and the tests of what is other work now."""
    for step in plan.repeat:
        because = f"{number}: {'; '.join(step.why) or 'started again on the new route'}"
        _close([step.run] if step.run else [], because)
    _close(plan.dropped, f"{number}: not on the new route")
    untrue = {step.old.pk for step in plan.steps if not step.is_equal}
    gone = set(plan.before.by_code) - {step.old.code for step in plan.steps}
    untrue |= {plan.before.by_code[code].pk for code in gone}
    return supersede_tests(unit=unit, operations=untrue | equals_of(unit, untrue), because=number)


def _close(runs: Iterable[OperationRun], because: str) -> None:
    OperationRun.objects.filter(pk__in=[run.pk for run in runs]).update(
        superseded_at=timezone.now(), superseded_because=because[:200]
    )


def _carry_runs(unit: Unit, plan: UnitPlan, because: str) -> None:
    """Let what was done and is equal count on the new route: same people, times and station."""
    carried = [(step.operation, step.run) for step in plan.carry if step.run and not _stays(step)]
    _close([run for _, run in carried], because)
    attempts = _attempts(unit, [operation for operation, _ in carried])
    OperationRun.objects.bulk_create(
        OperationRun(
            unit=unit,
            operation=operation,
            attempt=attempts.get(operation.pk, 0) + 1,
            state=run.state,
            station_id=run.station_id,
            started_at=run.started_at,
            started_by=run.started_by,
            completed_at=run.completed_at,
            completed_by=run.completed_by,
            skipped_because=run.skipped_because,
            carried_from=run,
        )
        for operation, run in carried
    )


def _stays(step: Step) -> bool:
    return step.operation.pk == step.old.pk


def _attempts(unit: Unit, operations: list[Operation]) -> dict[int, int]:
    rows = OperationRun.objects.filter(unit=unit, operation__in=operations).order_by()
    return dict(rows.values("operation").annotate(last=Max("attempt")).values_list("operation", "last"))


def _carry_tests(move: ChangeMove, unit: Unit, plan: UnitPlan) -> None:
    """Note which operations equal one of the old route, and those that one had equalled before."""
    same = {step.old.pk: step.operation.pk for step in plan.steps if step.is_equal and not _stays(step)}
    rows = CarriedOperation.objects.filter(unit=unit, to_operation__in=list(same))
    earlier = {row.from_operation_id: same[row.to_operation_id] for row in rows}
    CarriedOperation.objects.bulk_create(
        CarriedOperation(move=move, unit=unit, from_operation_id=old, to_operation_id=new)
        for old, new in (earlier | same).items()
        if old != new
    )
