"""What was done to the units of a report: tests, burn-in, holds and replacements. One query a table.

``paths`` is where each unit sits, by primary key: slot names from the top down, "" for the reported unit.
"""

import math
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, cast

from django.db.models import Prefetch

from mes.burnin.models import BurnInAttempt, BurnInRun, Gap, ToolResult
from mes.quality.models import Hold
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.testing.models import Diagnosis, Measurement, TestRun

Paths = Mapping[int, str]
Row = dict[str, Any]

HOUR = 3600


def test_rows(paths: Paths) -> list[Row]:
    """Return every test run with its measurements and limits, superseded ones included, oldest first."""
    runs = (
        TestRun.objects.filter(unit__in=paths)
        .defer("details")
        .select_related("unit", "operation")
        .prefetch_related("measurements", "diagnoses")
    )
    return [_test_row(run, paths) for run in runs]


def _test_row(run: TestRun, paths: Paths) -> Row:
    return {
        **placed(run.unit, paths),
        "uid": run.uid,
        "procedure": run.procedure,
        "procedure_version": run.procedure_version,
        "operation": str(run.operation) if run.operation else "",
        "format": run.format,
        "status": run.status,
        "said": run.said,
        "outcome": run.outcome,
        "reasons": run.reasons,
        "truncated": run.truncated,
        "legacy": run.legacy,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "received_at": run.received_at,
        "station": run.station,
        "device": run.device,
        "person": run.person,
        "configuration": run.configuration,
        "superseded_at": run.superseded_at,
        "superseded_because": run.superseded_because,
        "measurements": [_measurement_row(measurement) for measurement in run.measurements.all()],
        "diagnoses": [_diagnosis_row(diagnosis) for diagnosis in run.diagnoses.all()],
    }


def _measurement_row(measurement: Measurement) -> Row:
    return {
        "step": measurement.step,
        "name": measurement.name,
        "component": measurement.component,
        "value": _number(measurement.value),
        "text": measurement.text,
        "unit": measurement.unit,
        "low": _number(measurement.low),
        "high": _number(measurement.high),
        "verdict": measurement.verdict,
        "count": measurement.count,
        "minimum": _number(measurement.minimum),
        "maximum": _number(measurement.maximum),
        "mean": _number(measurement.mean),
    }


def _number(value: float | None) -> float | str | None:
    """Return a value as JSON can hold it: infinity, which a tester may give as a limit, as text."""
    return value if value is None or math.isfinite(value) else str(value)


def _diagnosis_row(diagnosis: Diagnosis) -> Row:
    return {
        "step": diagnosis.step,
        "verdict": diagnosis.verdict,
        "type": diagnosis.type,
        "message": diagnosis.message,
        "component": diagnosis.component,
    }


def burn_in_rows(paths: Paths, tests: list[Row]) -> list[Row]:
    """Return every burn-in run with the soak of each tray and its gaps, oldest first. Hours are in h.

    A run is superseded when the one of ``tests`` that it ended in is.
    """
    verdicts = {(test["path"], test["procedure"], test["ended_at"]): test for test in tests}
    attempts = BurnInAttempt.objects.defer("statistics").select_related("slot", "unit")
    gaps = Prefetch("gaps", Gap.objects.order_by("from_at"))
    results = Prefetch("results", ToolResult.objects.select_related("test_run", "output"))
    runs = (
        BurnInRun.objects.filter(unit__in=paths)
        .select_related("unit", "profile")
        .prefetch_related(Prefetch("attempts", attempts.prefetch_related(gaps, results)))
    )
    rows = [_burn_in_row(run, paths) for run in runs.order_by("pk")]
    details = _burn_in_details(paths)
    for row in rows:
        row["comparison"] = details.get(str(row["uid"]), {}).get("outliers")
        test = verdicts.get((row["path"], row["procedure"], row["ended_at"]), {})
        row |= {name: test.get(name) for name in ("superseded_at", "superseded_because")}
    return rows


def _burn_in_details(paths: Paths) -> dict[str, Row]:
    """Return by uid of the run what its verdict keeps. One query."""
    tests = TestRun.objects.filter(unit__in=paths, format=TestRun.Format.BURN_IN)
    return {kept.get("burn_in_run", ""): kept for kept in tests.values_list("details", flat=True)}


def _burn_in_row(run: BurnInRun, paths: Paths) -> Row:
    profile = run.profile
    return {
        **placed(run.unit, paths),
        "uid": run.uid,
        "profile": profile.name,
        "profile_version": profile.version,
        "procedure": profile.procedure,
        "stressor": profile.stressor,
        "required_tools": profile.required_tools or {},
        "state": run.state,
        "reasons": run.reasons,
        "findings": run.findings,
        "near_misses": run.near_misses,
        "abort_reason": run.abort_reason,
        "required_hours": profile.required_hours,
        "credited_hours": _hours(run.credited_seconds),
        "time_scale": profile.time_scale,
        "time": say_time_scale(profile.time_scale),
        "started_by": run.started_by,
        "created_at": run.created_at,
        "soak_started_at": run.soak_started_at,
        "ended_at": run.ended_at,
        "energy": run.energy or None,
        "attempts": [_attempt_row(attempt) for attempt in run.attempts.all()],
    }


def _attempt_row(attempt: BurnInAttempt) -> Row:
    return {
        "slot": attempt.slot.name,
        "serial": attempt.unit.serial,
        "number": attempt.number,
        "state": attempt.state,
        "credited_hours": _hours(attempt.credited_seconds),
        "reasons": attempt.reasons,
        "results": [_result_row(result) for result in attempt.results.all()],
        "gaps": [
            {
                "from_at": gap.from_at,
                "to_at": gap.to_at,
                "seconds": (gap.to_at - gap.from_at).total_seconds(),
                "reason": gap.reason,
            }
            for gap in attempt.gaps.all()
        ],
    }


def _result_row(result: ToolResult) -> Row:
    """Return what a stress tool found; its values are in the test run, its output under its SHA-256."""
    return {
        "tool": result.tool,
        "name": result.name,
        "outcome": result.test_run.outcome,
        "reasons": result.test_run.reasons,
        "received_at": result.test_run.received_at,
        "test_run": result.test_run.uid,
        "output_sha256": result.output.sha256,
    }


def _hours(seconds: float) -> float:
    """Return hours to three places, rounded down: 71.9999 h are not 72 h."""
    return math.floor(seconds * 1000 / HOUR) / 1000


def say_time_scale(scale: float) -> str:
    """Return in words how real time was credited; ``scale`` is seconds credited per second."""
    if scale == 1:
        return "Soak time is real time: every hour credited lasted an hour."
    if scale < 1:
        return f"Soak time was credited at {scale:g} of the real time."
    return (
        f"TIME WAS ACCELERATED {scale:,g} times: every hour credited lasted {HOUR / scale:.3g} s. "
        "This demonstrates the procedure; it is no evidence of endurance."
    )


def hold_rows(paths: Paths) -> list[Row]:
    """Return every hold, released ones included, oldest first."""
    holds = Hold.objects.filter(unit__in=paths).select_related("unit").order_by("placed_at", "pk")
    return [
        {
            **placed(cast(Unit, hold.unit), paths),
            "reason": hold.reason,
            "placed_at": hold.placed_at,
            "placed_by": hold.placed_by,
            "released_at": hold.released_at,
            "released_by": hold.released_by,
            "release_reason": hold.release_reason,
        }
        for hold in holds
    ]


def replacement_rows(installations: list[Installation], paths: Paths) -> list[Row]:
    """Return what was taken out of the units, oldest removal first, and what sits in its place since.

    ``installations`` are all of those units, closed and live, in the order they were made.
    """
    followed_by: dict[tuple[int, int], Installation] = {}
    rows = []
    for installation in reversed(installations):
        place = (installation.parent_id, installation.slot_id)
        if installation.removed_at is not None:
            rows.append(_replacement_row(installation, followed_by.get(place), paths))
        followed_by[place] = installation
    return sorted(rows, key=itemgetter("removed_at"))


def _replacement_row(removed: Installation, following: Installation | None, paths: Paths) -> Row:
    child = removed.child
    return {
        "path": join_path(paths[removed.parent_id], removed.slot.name),
        "uid": child.uid,
        "serial": child.serial,
        "part": child.part_revision.part.number,
        "revision": child.part_revision.revision,
        "installed_at": removed.installed_at,
        "installed_by": removed.installed_by,
        "removed_at": removed.removed_at,
        "removed_by": removed.removed_by,
        "reason": removed.removal_reason,
        "replaced_by": following.child.serial if following else None,
    }


def join_path(path: str, slot: str) -> str:
    """Return the path of a slot in the unit at a path, e.g. ``U08/SC0/GPU1``."""
    return f"{path}/{slot}" if path else slot


def placed(unit: Unit, paths: Paths) -> Row:
    """Return where a unit of the report sits, and its serial."""
    return {"path": paths[unit.pk], "serial": unit.serial}
