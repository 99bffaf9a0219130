"""The end of a run: one test run on the rack, in the transaction of the final state."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mes.burnin.energy import energy_of, flags_of, measure_energy
from mes.burnin.judging import Worst, bounds, find_worst
from mes.burnin.models import BurnInAttempt, BurnInRun, Gap, SeriesLimit
from mes.ledger.services import SYSTEM, advance, record
from mes.products.models import Gate, Operation
from mes.racks.services import configuration_digest
from mes.testing.models import Measurement, TestRun
from mes.testing.services import Result
from mes.workorders.models import OrderUnit
from mes.workorders.services import record_judged_test

Outcome, Status, Verdict = TestRun.Outcome, TestRun.Status, Measurement.Verdict

OUTCOMES = {
    BurnInRun.State.PASSED: (Outcome.PASS, Status.COMPLETE),
    BurnInRun.State.FAILED: (Outcome.FAIL, Status.COMPLETE),
    BurnInRun.State.ABORTED: (Outcome.ERROR, Status.ERROR),
}


def record_verdict(
    *,
    run: BurnInRun,
    attempts: list[BurnInAttempt],
    limits: Mapping[str, list[SeriesLimit]],
    state: BurnInRun.State,
    at: datetime,
) -> TestRun:
    """Write the run's verdict on the rack and put the run into its final state; call it behind the fence.

    A limit of the route on what was measured may turn a PASSED run into a FAILED one.
    """
    outcome, status = OUTCOMES[state]
    energy = energy_of(run)
    test = record_judged_test(
        unit=run.unit,
        result=Result(
            procedure=run.profile.procedure,
            procedure_version=str(run.profile.version),
            outcome=outcome,
            status=status,
            format=TestRun.Format.BURN_IN,
            reasons=[*run.reasons, *_reservations(run), *flags_of(energy)],
            started_at=run.soak_started_at or run.created_at,
            ended_at=at,
            measurements=[
                *measure_attempts(attempts, limits, required=run.profile.required_hours),
                *measure_energy(energy),
            ],
            details={**_details(run, attempts), "energy": energy},
        ),
        configuration=configuration_digest(run.unit),
        by=SYSTEM,
        operation=_operation(run),
    )
    final = BurnInRun.State.FAILED if test.outcome == Outcome.FAIL else state
    payload = {
        "test_run": str(test.uid),
        "outcome": test.outcome,
        "reasons": test.reasons,
        "credited_seconds": run.credited_seconds,
        "trays": {attempt.slot.name: attempt.state for attempt in attempts},
    }
    changes: dict[str, Any] = {
        "state": final,
        "state_since": at,
        "ended_at": at,
        "waits_for": "",
        "reasons": test.reasons,
        "energy": energy,
    }
    record(advance(run, f"burn_in.{final}", by=SYSTEM, payload=payload, **changes))
    return test


def measure_attempts(
    attempts: list[BurnInAttempt], limits: Mapping[str, list[SeriesLimit]], *, required: float
) -> list[Measurement]:
    """Return per tray its soaked hours, and per tray and limit group the worst value."""
    measurements = []
    for attempt in attempts:
        measurements.append(_hours(attempt, required))
        for limit in limits.get(attempt.unit.part_revision.part.kind, []):
            measurements.append(_worst_value(attempt, find_worst(attempt.statistics, limit)))
    return measurements


def _hours(attempt: BurnInAttempt, required: float) -> Measurement:
    hours = attempt.credited_seconds / 3600
    return Measurement(
        name="soaked hours",
        component=attempt.slot.name,
        value=hours,
        unit="h",
        low=required,
        verdict=Verdict.PASS if hours >= required else Verdict.FAIL,
    )


def _worst_value(attempt: BurnInAttempt, worst: Worst) -> Measurement:
    limit = worst.limit
    return Measurement(
        name=limit.group,
        step=worst.series,
        component=attempt.slot.name,
        value=worst.value,
        text="" if worst.value is not None else f"no sample; must be {bounds(limit)}",
        unit=limit.unit,
        low=limit.low,
        high=limit.high,
        verdict=Verdict.FAIL if worst.breached else Verdict.PASS,
        count=worst.count,
        minimum=worst.minimum,
        maximum=worst.maximum,
        mean=worst.mean,
    )


def _reservations(run: BurnInRun) -> list[str]:
    if run.profile.time_scale == 1:
        return []
    return [f"A demonstration: every second counted as {run.profile.time_scale:g}."]


def _details(run: BurnInRun, attempts: list[BurnInAttempt]) -> dict[str, Any]:
    return {
        "burn_in_run": str(run.uid),
        "profile": str(run.profile),
        "stressor": run.profile.stressor,
        "required_hours": run.profile.required_hours,
        "credited_hours": run.credited_hours,
        "time_scale": run.profile.time_scale,
        "abort_reason": run.abort_reason,
        "gaps": Gap.objects.filter(attempt__in=attempts).count(),
        "trays": [
            {
                "slot": attempt.slot.name,
                "serial": attempt.unit.serial,
                "attempt": attempt.number,
                "state": attempt.state,
                "credited_hours": attempt.credited_seconds / 3600,
                "reasons": attempt.reasons,
            }
            for attempt in attempts
        ],
    }


def _operation(run: BurnInRun) -> Operation | None:
    """Return the operation of the rack's route that asks for this burn-in; retest rules work by it."""
    routes = OrderUnit.objects.filter(unit=run.unit_id, closed_at__isnull=True).values("route")
    gates = Gate.objects.filter(
        rule=Gate.Rule.TEST_PASSED, procedure=run.profile.procedure, operation__route__in=routes
    )
    first = gates.select_related("operation").order_by("operation__sequence", "moment").first()
    return first.operation if first else None
