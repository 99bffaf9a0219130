"""Pareto: what fails, or is retested, most; largest first, with shares that add up to one."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Count, Q, QuerySet

from mes.analysis.scope import By, Outcome, Scope, grouped_by
from mes.errors import RuleViolation
from mes.quality.models import Nonconformance, RepairRecord
from mes.testing.models import Diagnosis, Measurement


class Of(StrEnum):
    """What is counted: runs that failed, or runs that were no test at all."""

    FAILURES = "failures"
    RETESTS = "retests"
    ERRORS = "errors"


class Cause(StrEnum):
    """What a run itself says about the reason, what was found wrong, and what a repair replaced."""

    MEASUREMENT = "measurement"
    DIAGNOSIS = "diagnosis"
    COMPONENT = "component"
    SYMPTOM = "symptom"
    REPLACED_PART = "replaced_part"
    REPLACED_SUPPLIER = "replaced_supplier"


OUTCOMES = {Of.FAILURES: Outcome.FAIL, Of.RETESTS: Outcome.RETEST, Of.ERRORS: Outcome.ERROR}
REPLACED = {
    Cause.REPLACED_PART: {"part": "removed__part_revision__part__number"},
    Cause.REPLACED_SUPPLIER: {"supplier": "removed__supplier__code"},
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One group of a Pareto."""

    key: dict[str, Any]
    count: int
    share: float
    cumulative_share: float

    def flat(self) -> dict[str, Any]:
        """Return key and numbers as one row of a table."""
        numbers = asdict(self)
        return {**numbers.pop("key"), **numbers}


def pareto(scope: Scope, of: Of, by: By | Cause) -> list[Bar]:
    """Return the groups, largest first; 1 query (2 with shifts or components).

    A run that fails several measurements counts once for each of them, so counts by cause may add up to more
    than there are runs; shares are of what is counted here. Part and supplier are those of the unit that
    failed. ``symptom`` is that of the nonconformances that these runs led to.
    ``replaced_part`` and ``replaced_supplier`` are those of the unit that a repair took out because
    of one of these failures. Refuses with ``no_such_pareto`` replaced parts of anything but failures.
    """
    runs = scope.runs().filter(outcome=OUTCOMES[of])
    if isinstance(by, By):
        rows, columns = grouped_by(runs, by)
        return _bars(columns, rows.order_by().values_list(*columns.values()).annotate(n=Count("pk")))
    if by in REPLACED:
        return _replaced(runs, of, by)
    failing = Q(run__in=runs.order_by().values("pk"))
    measured = Measurement.objects.filter(failing, verdict=Measurement.Verdict.FAIL).order_by()
    said = Diagnosis.objects.filter(failing, type="FAIL").order_by()
    n = Count("run", distinct=True)
    if by is Cause.MEASUREMENT:
        return _bars({"measurement": ""}, measured.values_list("name").annotate(n=n))
    if by is Cause.DIAGNOSIS:
        return _bars({"diagnosis": ""}, said.values_list("verdict").annotate(n=n))
    if by is Cause.SYMPTOM:
        found = Nonconformance.objects.filter(test_run__in=runs.order_by().values("pk")).order_by()
        return _bars({"symptom": ""}, found.values_list("symptom").annotate(n=Count("pk")))
    named = {*measured.values_list("component", "run"), *said.values_list("component", "run")}
    counts: dict[str, int] = {}
    for component, _ in named:
        counts[component] = counts.get(component, 0) + 1
    return _bars({"component": ""}, counts.items())


def _replaced(runs: QuerySet[Any], of: Of, by: Cause) -> list[Bar]:
    if of is not Of.FAILURES:
        raise RuleViolation(
            "no_such_pareto",
            f"Parts are replaced because of failures, not because of {of}.",
            rule="a Pareto counts what is on record",
            next_step="Ask for of=failures, or group by something else.",
        )
    columns, ids = REPLACED[by], runs.order_by().values("pk")
    because = Q(failed_test__in=ids) | Q(failed_test__isnull=True, nonconformance__test_run__in=ids)
    repairs = RepairRecord.objects.filter(because, removed__isnull=False).order_by()
    return _bars(columns, repairs.values_list(*columns.values()).annotate(n=Count("pk")))


def _bars(columns: dict[str, str], counted: Iterable[tuple[Any, ...]]) -> list[Bar]:
    # Grouped by a constant, as by shift where a site has none, nothing is one row that counts 0.
    some = (row for row in counted if row[-1])
    rows = sorted(some, key=lambda row: (-row[-1], [str(value or "") for value in row[:-1]]))
    total, so_far, bars = sum(row[-1] for row in rows), 0, []
    for *key, count in rows:
        so_far += count
        bars.append(Bar(dict(zip(columns, key, strict=True)), count, count / total, so_far / total))
    return bars
