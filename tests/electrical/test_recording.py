"""Ground bond and insulation: instrument, calibration, points, limits, and what judges them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from mes.electrical.models import SafetyTest
from mes.electrical.services import Point, Readings, record_safety_test
from mes.errors import RuleViolation
from mes.serials.models import Unit
from mes.stations.models import Calibration
from mes.stations.services import retire_tool
from mes.testing.models import TestRun
from tests.builders import TESTER, make_assembly, make_route, make_unit, ordered_unit
from tests.electrical.builders import Bay, bond, high_voltage, insulation, make_instrument

pytestmark = pytest.mark.django_db


def record(bay: Bay, readings: Readings, instrument: str = "", unit: Unit | None = None) -> SafetyTest:
    code = instrument or bay.tool.code
    return record_safety_test(unit=unit or bay.unit, instrument=code, readings=readings, by=bay.by)


def refusal(bay: Bay, readings: Readings, instrument: str = "", unit: Unit | None = None) -> RuleViolation:
    with pytest.raises(RuleViolation) as refused:
        record(bay, readings, instrument, unit)
    assert not SafetyTest.objects.exists() and not TestRun.objects.exists()
    return refused.value


def test_a_ground_bond_keeps_points_instrument_and_certificate_and_passes_by_the_routes_limits() -> None:
    bay = Bay()
    test = record(bay, bond(front_door=0.04, frame=0.1))
    calibration = Calibration.objects.get()
    assert (test.tool, test.certificate, test.calibration_due_at) == (
        bay.tool,
        calibration.certificate,
        calibration.due_at,
    )
    assert [(each.name, each.value, each.unit) for each in test.points.all()] == [
        ("front door", 0.04, "Ohm"),
        ("frame", 0.1, "Ohm"),
    ]
    run = test.test_run
    assert (run.procedure, run.outcome, run.format) == ("ground_bond", "PASS", "record")
    assert run.operation is not None and run.operation.sequence == 20
    assert run.details["certificate"] == calibration.certificate
    judged = [(each.name, each.component, each.high) for each in run.measurements.all()]
    assert judged[:3] == [
        ("resistance", "front door", 0.1),
        ("resistance", "frame", 0.1),
        ("test_current", "", 30.0),
    ]


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        (bond(door=0.04, frame=0.11), "resistance is 0.11 Ohm; the limit is at most 0.1 Ohm."),
        (replace(bond(), current_a=5), "test_current is 5 A; the limit is at least 10 and at most 30 A."),
        (insulation(0.9), "resistance is 0.9 MOhm; the limit is at least 1 MOhm."),
        (
            replace(insulation(), voltage_v=250),
            "voltage is 250 V; the limit is at least 500 and at most 500 V.",
        ),
    ],
)
def test_what_is_beyond_a_limit_fails_and_says_which(readings: Readings, reason: str) -> None:
    run = record(Bay(), readings).test_run
    assert (run.outcome, run.reasons) == ("FAIL", [reason])


def test_the_instrument_must_be_known_fit_and_in_calibration() -> None:
    bay = Bay()
    overdue = make_instrument(due_in=timedelta(seconds=0) - timedelta(days=1))
    never, driver = make_instrument(due_in=None), make_instrument("torque_driver")
    hipot_only, retired = make_instrument("hipot_tester"), make_instrument()
    retire_tool(tool=retired, reason="broken", by=TESTER)
    refused = {
        "instrument_unknown": "NONE",
        "instrument_overdue": overdue.code,
        "instrument_uncalibrated": never.code,
        "tool_retired": retired.code,
    }
    for code, instrument in refused.items():
        assert refusal(bay, bond(), instrument).code == code
    for tool in (driver, hipot_only):
        assert refusal(bay, bond(), tool.code).code == "instrument_wrong_type"


def test_every_planned_point_is_measured_once_and_is_a_number_an_instrument_can_show() -> None:
    bay = Bay(bond_points=["front door", "frame"])
    missing = refusal(bay, bond(front_door=0.05))
    assert (missing.code, missing.facts["points"]) == ("point_missing", ["frame"])
    twice = replace(bond(front_door=0.05), points=[Point("frame", 0.1), Point("Frame ", 0.05)])
    assert refusal(bay, twice).code == "point_twice"
    for bad in (
        bond(front_door=-0.01, frame=0.01),
        bond(front_door=float("nan"), frame=0.01),
        replace(bond(front_door=0.01, frame=0.01), current_a=0),
        replace(bond(front_door=0.01, frame=0.01), duration_s=float("inf")),
        replace(insulation(), voltage_v=None),
    ):
        assert refusal(bay, bad).code == "reading_impossible"
    assert record(bay, bond(Front_Door=0.05, FRAME=0.05, extra=0.01)).test_run.outcome == "PASS"


def test_without_a_plan_at_least_one_point_is_measured() -> None:
    assert refusal(Bay(), replace(bond(), points=[])).code == "point_missing"


def test_a_test_that_no_route_limits_is_refused() -> None:
    bay = Bay()
    stray = make_unit(bay.rack)
    assert refusal(bay, bond(), unit=stray).code == "safety_test_not_planned"
    loose = make_assembly("rack", level=11, takes={})
    unit = ordered_unit(loose, make_route(loose, tests={20: "ground_bond"}, fills=()))
    found = refusal(bay, bond(), unit=unit)
    assert (found.code, found.facts["measurements"]) == (
        "safety_limit_missing",
        ["resistance", "test_current"],
    )


def test_a_hipot_is_not_recorded_without_a_session() -> None:
    bay = Bay()
    assert refusal(bay, high_voltage()).code == "hipot_needs_a_session"
    test = record(bay, bond())
    with pytest.raises(IntegrityError), transaction.atomic():
        SafetyTest.objects.filter(pk=test.pk).update(kind="hipot")
    with pytest.raises(IntegrityError), transaction.atomic():
        SafetyTest.objects.filter(pk=test.pk).update(current_a=None)
