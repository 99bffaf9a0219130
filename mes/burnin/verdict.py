"""The end of a run: one test run on the rack, in the transaction of the final state."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mes.burnin.comparison import compare_run
from mes.burnin.energy import energy_of, flags_of, measure_energy
from mes.burnin.findings import Finding, Rule
from mes.burnin.limits import bounds, unit_of
from mes.burnin.models import BurnInAttempt, BurnInRun, Gap, SeriesLimit
from mes.burnin.near_misses import Worst, find_near_misses, find_worst
from mes.burnin.results import evidence_of
from mes.ledger.services import SYSTEM, advance, events_of, record
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

    A run that ends ABORTED though nobody aborted it lacks results of its tools: a set-up fault, RETEST.
    A limit of the route on what was measured may turn a PASSED run into a FAILED one.
    """
    outcome, status = OUTCOMES[state]
    energy = energy_of(run)
    if state == BurnInRun.State.ABORTED and not run.abort_reason:
        outcome = Outcome.RETEST
    superseded = _superseded(run)
    run.near_misses = find_near_misses(attempts, limits)
    reasons = [*run.reasons, *_reservations(run, attempts, superseded), *flags_of(energy)]
    test = record_judged_test(
        unit=run.unit,
        result=Result(
            procedure=run.profile.procedure,
            procedure_version=str(run.profile.version),
            outcome=outcome,
            status=status,
            format=TestRun.Format.BURN_IN,
            reasons=list(reasons),
            started_at=run.soak_started_at or run.created_at,
            ended_at=at,
            measurements=[
                *measure_attempts(attempts, limits, required=run.profile.required_hours),
                *measure_energy(energy),
            ],
            details={**_details(run, attempts, superseded), "energy": energy},
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
        "findings": [*run.findings, *_route_findings(run, test, known=reasons)],
        "near_misses": run.near_misses,
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
        text=_carried(attempt),
        verdict=Verdict.PASS if hours >= required else Verdict.FAIL,
    )


def _worst_value(attempt: BurnInAttempt, worst: Worst) -> Measurement:
    limit = worst.limit
    lacking = f"no sample; must be {bounds(limit)}" if worst.breached else "fewer than 3 trays to compare"
    kept = Verdict.PASS if worst.value is not None else Verdict.NONE
    return Measurement(
        name=limit.group,
        step=worst.series,
        component=attempt.slot.name,
        value=worst.value,
        text="" if worst.value is not None else lacking,
        unit=unit_of(limit),
        low=limit.low,
        high=limit.high,
        verdict=Verdict.FAIL if worst.breached else kept,
        count=worst.count,
        minimum=worst.minimum,
        maximum=worst.maximum,
        mean=worst.mean,
    )


def _carried(attempt: BurnInAttempt) -> str:
    hours = attempt.carried_seconds / 3600
    return f"{hours:.2f} h of it taken over ({attempt.soak_clock})" if hours else ""


def _route_findings(run: BurnInRun, test: TestRun, *, known: list[str]) -> list[dict[str, Any]]:
    """Return what the route's own limits added to the reasons."""
    added = [reason for reason in test.reasons if reason not in known]
    rule = [Finding(Rule.ROUTE, reason, test.ended_at, profile=str(run.profile)) for reason in added]
    return [finding.as_json() for finding in rule]


def _superseded(run: BurnInRun) -> list[BurnInAttempt]:
    """Return the attempts that a swap ended, by slot and number."""
    attempts = BurnInAttempt.objects.filter(run=run, state=BurnInAttempt.State.SUPERSEDED)
    return list(attempts.select_related("slot", "unit").defer("statistics"))


def _reservations(
    run: BurnInRun, attempts: list[BurnInAttempt], superseded: list[BurnInAttempt]
) -> list[str]:
    """Return what a reader of the verdict must know besides its reasons, in sentences."""
    scale, policy = run.profile.time_scale, run.profile.swap_policy
    demonstration = [f"A demonstration: every second counted as {scale:g}."] if scale != 1 else []
    swaps = [
        f"{old.slot.name} was swapped after {old.credited_seconds / 3600:.2f} h of {old.unit.serial}"
        f" (soak clock: {policy})."
        for old in superseded
    ]
    carried = [
        f"{attempt.slot.name} took over {attempt.carried_seconds / 3600:.2f} h (soak clock: {policy})."
        for attempt in attempts
        if attempt.carried_seconds
    ]
    return [*demonstration, *swaps, *carried]


def _details(
    run: BurnInRun, attempts: list[BurnInAttempt], superseded: list[BurnInAttempt]
) -> dict[str, Any]:
    return {
        "burn_in_run": str(run.uid),
        "profile": str(run.profile),
        "stressor": run.profile.stressor,
        "required_hours": run.profile.required_hours,
        "credited_hours": run.credited_hours,
        "time_scale": run.profile.time_scale,
        "abort_reason": run.abort_reason,
        "required_tools": run.profile.required_tools,
        "evidence": evidence_of(attempts),
        "gaps": Gap.objects.filter(attempt__in=attempts).count(),
        "findings": run.findings,
        "near_misses": run.near_misses,
        "retest_of": str(run.retest_of.uid) if run.retest_of else None,
        "soak_clock": run.profile.swap_policy,
        "phases": _phases(run),
        "trays": [_tray(attempt) for attempt in attempts],
        "superseded": [_tray(attempt) for attempt in superseded],
        "outliers": compare_run(run, attempts),
    }


def _phases(run: BurnInRun) -> list[dict[str, Any]]:
    """Return each phase that the run was in, with its hours by the profile, and from when to when it lasted.

    A phase that was gone back to is there again.
    """
    kinds = ["burn_in.phase", f"burn_in.{BurnInRun.State.STOPPING}", "burn_in.abort_asked"]
    found: list[dict[str, Any]] = []
    hours = {phase.name: phase.hours for phase in run.profile.phases.all()}
    for event in events_of(run).filter(kind__in=kinds) if hours else []:
        name = event.payload.get("phase", "")
        if found and found[-1]["name"] == name:
            continue
        at = event.at.isoformat()
        if found and found[-1]["ended_at"] is None:
            found[-1]["ended_at"] = at
        if name:
            found.append({"name": name, "hours": hours[name], "started_at": at, "ended_at": None})
    return found


def _tray(attempt: BurnInAttempt) -> dict[str, Any]:
    return {
        "slot": attempt.slot.name,
        "serial": attempt.unit.serial,
        "attempt": attempt.number,
        "state": attempt.state,
        "credited_hours": attempt.credited_seconds / 3600,
        "carried_hours": attempt.carried_seconds / 3600,
        "reasons": attempt.reasons,
        "findings": attempt.findings,
    }


def _operation(run: BurnInRun) -> Operation | None:
    """Return the operation of the rack's route that asks for this burn-in; retest rules work by it."""
    routes = OrderUnit.objects.filter(unit=run.unit_id, closed_at__isnull=True).values("route")
    gates = Gate.objects.filter(
        rule=Gate.Rule.TEST_PASSED, procedure=run.profile.procedure, operation__route__in=routes
    )
    first = gates.select_related("operation").order_by("operation__sequence", "moment").first()
    return first.operation if first else None
