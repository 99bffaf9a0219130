"""The door of testing: record runs, judge them by the limits of the route, ask whether a test has passed."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from mes.ledger.services import Actor, advance, record
from mes.products.models import Limit, Operation
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.testing.models import Diagnosis, Measurement, TestRun
from mes.testing.ocp import OcpMeasurement, OcpRun

PASS, FAIL = TestRun.Outcome.PASS, TestRun.Outcome.FAIL


@dataclass(slots=True)
class Result:
    """A test result as a tester reports it, before it is judged."""

    procedure: str
    outcome: str
    status: str = TestRun.Status.COMPLETE
    said: str = ""
    format: str = TestRun.Format.NATIVE
    procedure_version: str = ""
    reasons: list[str] = field(default_factory=list)
    truncated: bool = False
    legacy: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    measurements: list[Measurement] = field(default_factory=list)
    diagnoses: list[Diagnosis] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    permitted_by: set[str] = field(default_factory=set)
    names_unjudged: bool = False


@dataclass(frozen=True, slots=True)
class Allowance:
    """Other bounds that are permitted instead of a limit, by whose name; one that has ended says why."""

    name: str
    low: float | None
    high: float | None
    ended: str = ""


NO_ALLOWANCES: Mapping[int, Allowance] = {}


@transaction.atomic
def record_test_run(
    *,
    unit: Unit,
    result: Result,
    configuration: str,
    by: Actor,
    operation: Operation | None = None,
    allowances: Mapping[int, Allowance] = NO_ALLOWANCES,
) -> TestRun:
    """Keep a result with the unit's history, judged by the limits that ``operation`` sets for its procedure.

    A measurement outside its limits, or one the limits ask for that is missing or not a number, makes a PASS
    a FAIL; the reasons say which. ``configuration`` is the digest of what was installed when it was tested.
    ``allowances`` are what is permitted beyond limits, by their primary key; those that let a measurement
    pass are named in the reasons and in ``result.permitted_by``. With ``result.names_unjudged`` the reasons
    of a PASS name what no limit judged.
    """
    unit = lock_units(unit.pk)[unit.pk]
    if operation is not None:
        limits = Limit.objects.filter(operation=operation, procedure=result.procedure)
        _judge(result, limits, allowances)
    if result.names_unjudged and result.outcome == PASS:
        _name_unjudged(result)
    run = TestRun.objects.create(
        unit=unit,
        procedure=result.procedure,
        procedure_version=result.procedure_version,
        operation=operation,
        format=result.format,
        status=result.status,
        said=result.said,
        outcome=result.outcome,
        reasons=storable(result.reasons),
        truncated=result.truncated,
        legacy=result.legacy,
        started_at=result.started_at,
        ended_at=result.ended_at,
        station=by.station,
        device=by.device,
        person=by.person,
        configuration=configuration,
        details=storable(result.details),
    )
    for position, measurement in enumerate(result.measurements):
        measurement.run, measurement.position = run, position
    for diagnosis in result.diagnoses:
        diagnosis.run = run
    Measurement.objects.bulk_create(result.measurements)
    Diagnosis.objects.bulk_create(result.diagnoses)
    payload = {
        "test_run": str(run.uid),
        "procedure": run.procedure,
        "said": run.said,
        "outcome": run.outcome,
        "reasons": run.reasons,
        "configuration": run.configuration,
    }
    record(advance(unit, "unit.tested", by=by, payload=payload))
    return run


def live_outcomes(
    *,
    unit: Unit,
    procedures: Iterable[str],
    configuration: str,
    operation: Operation | None = None,
    equals: Collection[int] = (),
) -> Mapping[str, str]:
    """Return the outcome of the latest live run of each procedure on the unit as it is built now.

    A run on another ``configuration`` says nothing of this one; with ``operation``, only runs judged by the
    limits of that operation, or of those (primary keys) that ``equals`` names as the same, count.
    """
    runs = TestRun.objects.filter(
        unit=unit, procedure__in=set(procedures), configuration=configuration, superseded_at__isnull=True
    )
    if operation is not None:
        runs = runs.filter(operation__in={operation.pk, *equals})
    return dict(runs.order_by("id").values_list("procedure", "outcome"))


def outcomes_of(
    configurations: Mapping[int, str], at: datetime | None = None
) -> Mapping[int, dict[str, str]]:
    """Return the outcome of the latest live run of each procedure on units, each as it is built.

    ``configurations`` are the digests of what is, or was ``at`` a time, installed, by the unit's primary
    key. One query.
    """
    then = Q(received_at__lte=at) & (Q(superseded_at__isnull=True) | Q(superseded_at__gt=at))
    runs = TestRun.objects.filter(then if at else Q(superseded_at__isnull=True), unit__in=configurations)
    found: dict[int, dict[str, str]] = {}
    columns = ("unit", "procedure", "configuration", "outcome")
    for unit, procedure, configuration, outcome in runs.order_by("id").values_list(*columns):
        if configuration == configurations[unit]:
            found.setdefault(unit, {})[procedure] = outcome
    return found


def supersede_tests(*, unit: Unit, operations: Iterable[Operation | int], because: str) -> int:
    """Mark the live results of operations (or their primary keys) as no longer true; return how many.

    Records no event.
    """
    live = TestRun.objects.filter(unit=unit, operation__in=list(operations), superseded_at__isnull=True)
    return live.update(superseded_at=timezone.now(), superseded_because=because[:200])


def supersede_procedures(*, unit: Unit, procedures: Iterable[str], because: str) -> int:
    """Mark the live results of procedures on a unit as no longer true, whoever asked; return how many.

    For an act that makes them untrue by itself, as filling a loop does with its draining. Records no event.
    """
    live = TestRun.objects.filter(unit=unit, procedure__in=set(procedures), superseded_at__isnull=True)
    return live.update(superseded_at=timezone.now(), superseded_because=because[:200])


def measure(
    name: str, value: Any, *, unit: str = "", low: float | None = None, high: float | None = None
) -> Measurement:
    """Return a measurement judged by its own limits, bounds included; NaN and text never pass."""
    number = _finite(value)
    measurement = Measurement(
        name=name,
        value=number,
        text="" if number is not None else storable(str(value)[:1000]),
        unit=unit,
        low=low,
        high=high,
        count=1,
    )
    measurement.verdict = _verdict(measurement)
    return measurement


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _verdict(measurement: Measurement) -> str:
    low, high, value = measurement.low, measurement.high, measurement.value
    if low is None and high is None:
        return Measurement.Verdict.NONE
    within = value is not None and (low is None or value >= low) and (high is None or value <= high)
    return Measurement.Verdict.PASS if within else Measurement.Verdict.FAIL


def _judge(result: Result, limits: Iterable[Limit], allowances: Mapping[int, Allowance]) -> None:
    by_name: dict[str, list[Measurement]] = {}
    for measurement in result.measurements:
        by_name.setdefault(measurement.name, []).append(measurement)
    for limit in limits:
        measured = by_name.get(limit.measurement, [])
        if not measured:
            result.reasons.append(f"{limit.measurement} was not measured; {_limit_in_words(limit)}.")
            _demote(result)
        for measurement in measured:
            _apply(limit, measurement, result, allowances.get(limit.pk))
    if any(measurement.verdict == Measurement.Verdict.FAIL for measurement in result.measurements):
        _demote(result)


def _name_unjudged(result: Result) -> None:
    unjudged = [each.name for each in result.measurements if each.verdict == Measurement.Verdict.NONE]
    if unjudged:
        result.reasons.append(f"No limit judges {', '.join(dict.fromkeys(unjudged))}.")


def _apply(limit: Limit, measurement: Measurement, result: Result, allowance: Allowance | None) -> None:
    measurement.low, measurement.high = limit.low, limit.high
    if measurement.unit and measurement.unit != limit.unit:
        measurement.verdict = Measurement.Verdict.FAIL
        result.reasons.append(f"{limit.measurement} is in {measurement.unit}; the limit is in {limit.unit}.")
        return
    measurement.unit = limit.unit
    measurement.verdict = _verdict(measurement)
    if measurement.verdict == Measurement.Verdict.FAIL:
        found = measurement.text if measurement.value is None else f"{measurement.value:g}"
        said = f"{limit.measurement} is {found} {limit.unit}; {_limit_in_words(limit)}"
        result.reasons.append(f"{said}{_allow(allowance, measurement, result)}.")


def _allow(allowance: Allowance | None, measurement: Measurement, result: Result) -> str:
    """Judge a measurement that is beyond its limit by what is permitted instead; say so in words."""
    if allowance is None:
        return ""
    if allowance.ended:
        return f" ({allowance.name} {allowance.ended})"
    measurement.low, measurement.high = allowance.low, allowance.high
    measurement.verdict = _verdict(measurement)
    if measurement.verdict == Measurement.Verdict.PASS:
        result.permitted_by.add(allowance.name)
    return f", {allowance.name} permits {in_words(allowance.low, allowance.high)} {measurement.unit}"


def _limit_in_words(limit: Limit) -> str:
    return f"the limit is {in_words(limit.low, limit.high)} {limit.unit}"


def in_words(low: float | None, high: float | None) -> str:
    """Return bounds in words: at least 2 and at most 5."""
    parts = [f"at least {low:g}" if low is not None else "", f"at most {high:g}" if high is not None else ""]
    return " and ".join(part for part in parts if part)


def _demote(result: Result) -> None:
    if result.outcome == PASS:
        result.outcome = FAIL


def ocp_result(run: OcpRun, *, procedure: str | None) -> Result:
    """Return a run of OCP Test & Validation output as a result; ``procedure`` defaults to its own name."""
    return Result(
        procedure=procedure or storable(run.name[:60]),
        procedure_version=storable(run.version[:30]),
        outcome=run.outcome,
        status=run.status or TestRun.Status.ERROR,
        said=run.said or "",
        format=TestRun.Format.OCP,
        reasons=run.reasons,
        truncated=run.truncated,
        legacy=run.legacy,
        started_at=run.started_at,
        ended_at=run.ended_at,
        measurements=[_ocp_measurement(row) for row in run.measurements],
        diagnoses=[
            Diagnosis(
                step=storable(row.step[:120]),
                verdict=storable(row.verdict[:120]),
                type=row.type,
                message=storable(row.message),
                component=storable(row.hardware[:120]),
            )
            for row in run.diagnoses
        ],
        details={
            "command_line": run.command_line,
            "parameters": run.parameters,
            "dut": {"id": run.dut_id, "name": run.dut_name},
            "hardware": run.hardware,
            "software": run.software,
            "steps": [step._asdict() for step in run.steps],
            "errors": [asdict(error) for error in run.errors],
            "log_counts": run.log_counts,
            "files": run.files,
        },
    )


def _ocp_measurement(row: OcpMeasurement) -> Measurement:
    measurement = measure(
        storable(row.name[:120]), row.value, unit=storable(row.unit[:30]), low=row.low, high=row.high
    )
    measurement.step, measurement.component = storable(row.step[:120]), storable(row.hardware[:120])
    measurement.count, measurement.verdict = row.count, row.verdict
    measurement.minimum, measurement.maximum, measurement.mean = row.minimum, row.maximum, row.mean
    return measurement


def storable(value: Any) -> Any:
    """Return a reported value as every database keeps it: no NUL, no lone surrogate, no NaN or infinity."""
    if isinstance(value, str):
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value
