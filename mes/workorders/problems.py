"""A problem that somebody finds while working on a unit."""

from collections.abc import Iterable

from mes.attachments.models import Attachment
from mes.ledger.services import Actor
from mes.products.models import Operation
from mes.quality.models import Nonconformance
from mes.quality.services import open_nonconformance
from mes.serials.models import Unit
from mes.testing.models import TestRun
from mes.workorders.models import OperationRun
from mes.workorders.position import RUNNING, find_operation, position_of


def report_problem(
    *,
    unit: Unit,
    symptom: str,
    source: Nonconformance.Source,
    by: Actor,
    work_center: str = "",
    sequence: int | None = None,
    description: str = "",
    location: str = "",
    test_run: TestRun | None = None,
    pictures: Iterable[Attachment] = (),
) -> Nonconformance:
    """Open a nonconformance at an operation of the unit's route, else at the one that runs on it.

    Refuses as ``open_nonconformance`` does, and with ``no_operation`` or ``no_work_order``.
    """
    return open_nonconformance(
        unit=unit,
        symptom=symptom,
        source=source,
        by=by,
        description=description,
        location=location,
        operation=_found_at(unit, sequence, work_center, test_run),
        test_run=test_run,
        pictures=pictures,
    )


def _found_at(unit: Unit, sequence: int | None, work_center: str, run: TestRun | None) -> Operation | None:
    if sequence is not None:
        return find_operation(position_of(unit), sequence, work_center)
    if run is not None:
        return run.operation
    runs = OperationRun.objects.filter(unit=unit, state=RUNNING, superseded_at__isnull=True)
    found = sorted(runs.select_related("operation"), key=lambda run: run.operation.work_center != work_center)
    return found[0].operation if found else None
