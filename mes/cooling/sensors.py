"""Record that every leak sensor of a unit was made to trip and to clear."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from mes.cooling.loop import SENSORS
from mes.cooling.models import CoolingPlan, LeakSensorExercise, SensorResult
from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.racks.models import Installation
from mes.racks.services import require_out
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_here
from mes.stations.services import require_sign_on
from mes.testing.models import Measurement, TestRun
from mes.testing.services import Result, measure
from mes.workorders.services import report_test

DETECTOR = "leak_detector"


@dataclass(frozen=True, slots=True)
class Trip:
    """What one sensor did: times in s from the stimulus, and from its end; None: it did not."""

    sensor: str
    stimulus: str
    tripped_s: float | None
    cleared_s: float | None


def expected_sensors(unit: Unit) -> dict[str, Unit | None]:
    """Return the leak sensors of a unit by name: its detectors by slot, and those that its part's plan names.

    Two queries.
    """
    placed = Installation.objects.live().filter(root=unit, child__part_revision__part__kind=DETECTOR)
    detectors: dict[str, Unit | None] = {
        row.slot.name: row.child for row in placed.select_related("slot", "child").order_by("slot__order")
    }
    plans = CoolingPlan.objects.filter(part=unit.part_revision.part_id, released_at__isnull=False)
    plan = plans.order_by("-released_at", "-pk").first()
    return {**detectors, **dict.fromkeys(plan.sensors if plan else [])}


@transaction.atomic
def record_sensor_exercise(*, unit: Unit, trips: list[Trip], by: Actor) -> LeakSensorExercise:
    """Keep an exercise of all leak sensors, judged by the limits of the route on their times.

    A sensor that did not trip, or did not clear, fails it. Refuses with ``sensor_unknown``,
    ``sensor_twice``, ``sensors_not_exercised`` (which names them), ``no_leak_sensors``, ``unit_closed``,
    ``device_not_signed_on``, or as ``require_here``.
    """
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    require_here(unit)
    require_out(unit)
    expected = expected_sensors(unit)
    _require_all(unit, trips, expected)
    now = timezone.now()
    faults = [f"{trip.sensor} {fault}." for trip in trips if (fault := _fault(trip))]
    result = Result(
        procedure=SENSORS,
        outcome=TestRun.Outcome.FAIL if faults else TestRun.Outcome.PASS,
        format=TestRun.Format.RECORD,
        reasons=faults,
        names_unjudged=True,
        ended_at=now,
        measurements=[row for trip in trips for row in _times(trip)],
        details={"sensors": list(expected)},
    )
    run = report_test(unit=unit, result=result, by=by)
    exercise = LeakSensorExercise.objects.create(unit=unit, test_run=run, done_at=now, done_by=by.person)
    SensorResult.objects.bulk_create(
        SensorResult(
            exercise=exercise,
            sensor=trip.sensor,
            detector=expected[trip.sensor],
            stimulus=trip.stimulus,
            tripped_s=trip.tripped_s,
            cleared_s=trip.cleared_s if trip.tripped_s is not None else None,
        )
        for trip in trips
    )
    return exercise


def _require_all(unit: Unit, trips: list[Trip], expected: Mapping[str, Unit | None]) -> None:
    if not expected:
        raise RuleViolation(
            "no_leak_sensors",
            f"{unit.serial} has no leak detector, and no plan names sensors of {unit.part_revision.part}.",
            rule="what is exercised is known",
            next_step="Install the leak detector, or let engineering release a cooling plan.",
        )
    names = [trip.sensor for trip in trips]
    if unknown := sorted(set(names) - expected.keys()):
        raise RuleViolation(
            "sensor_unknown",
            f"{unit.serial} has no leak sensor {', '.join(unknown)}; it has {', '.join(expected)}.",
            rule="what is exercised is known",
            next_step="Name the sensor as its slot or its BMC does.",
            expected=list(expected),
        )
    if len(set(names)) < len(names):
        raise RuleViolation(
            "sensor_twice",
            "A sensor is named twice.",
            rule="each sensor is exercised once in an exercise",
            next_step="Report each sensor once.",
        )
    if missing := [name for name in expected if name not in names]:
        raise RuleViolation(
            "sensors_not_exercised",
            f"Not exercised: {', '.join(missing)}.",
            rule="every leak sensor is seen to trip",
            next_step=f"Wet or short {missing[0]} too, and report all of them together.",
            missing=missing,
        )


def _fault(trip: Trip) -> str:
    if trip.tripped_s is None:
        return "did not trip"
    return "did not clear" if trip.cleared_s is None else ""


def _times(trip: Trip) -> list[Measurement]:
    rows = [
        measure("trip_time", "did not trip" if trip.tripped_s is None else trip.tripped_s, unit="s"),
        measure("clear_time", "did not clear" if trip.cleared_s is None else trip.cleared_s, unit="s"),
    ]
    for row in rows:
        row.component, row.step = trip.sensor, trip.stimulus
    return rows
