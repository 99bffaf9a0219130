"""Leak tests: computed from the curve, judged by the route, refused by name."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from mes.cooling.models import CoolingPlan, LeakTest
from mes.cooling.services import (
    Trip,
    expected_sensors,
    make_curve,
    record_leak_test,
    record_sensor_exercise,
    unpack_curve,
)
from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.products.models import Limit
from mes.serials.models import Unit
from mes.stations.services import Role, retire_tool
from mes.workorders.services import LimitException, open_deviation
from tests.builders import TESTER, make_site, make_unit, release
from tests.cooling.builders import LIMITS, Rack, line, make_leak_tester
from tests.workorders.recipes import make_signer, proof_by

pytestmark = pytest.mark.django_db


def refusal_of(act: Callable[[], object]) -> str:
    with pytest.raises(RuleViolation) as refused:
        act()
    assert refused.value.next_step and refused.value.rule
    return refused.value.code


@pytest.fixture
def rack(db: None) -> Rack:
    return Rack()


def measured(test: LeakTest, name: str) -> Any:
    return test.test_run.measurements.get(name=name)


def test_a_tight_rack_passes_by_the_limit_of_its_route(rack: Rack) -> None:
    test = rack.leak_test(0.3, said="PASS", claimed=0.3, volume_l=60)
    assert (test.test_run.outcome, test.scope, test.findings) == ("PASS", "rack_leak", [])
    assert test.computed == pytest.approx(0.3)
    row = measured(test, "pressure_decay")
    assert (row.high, row.unit, row.verdict) == (0.5, "mbar", "PASS")
    assert test.test_run.operation == rack.route.operations.get(sequence=80)
    assert measured(test, "leak_rate").value == pytest.approx(0.3 * 60 / 300)
    assert test.calibration and test.calibration.certificate == f"CERT-{rack.tester.code}"
    test.refresh_from_db()
    assert unpack_curve(bytes(test.curve), test.samples) == line(0.3)


def test_a_leaking_rack_fails_whatever_its_tester_says(rack: Rack) -> None:
    test = rack.leak_test(4.0, said="PASS")
    assert test.test_run.outcome == "FAIL"
    assert test.test_run.said == "PASS"
    assert "pressure_decay is 4 mbar; the limit is at most 0.5 mbar." in test.test_run.reasons


@pytest.mark.parametrize("claimed", [0.0, 5.0])
def test_a_claim_that_contradicts_its_curve_does_not_pass(claimed: float) -> None:
    rack = Rack(limits=[*LIMITS[1:], (80, "rack_leak", "pressure_decay", "mbar", None, 10)])
    test = rack.leak_test(2.0, said="PASS", claimed=claimed)
    assert (test.test_run.outcome, test.findings) == ("FAIL", ["claim_contradicts_curve"])
    assert test.test_run.reasons == [
        f"The tester claims {claimed:g} mbar; its curve says 2 mbar (2 before compensation)."
    ]


def test_a_tester_that_said_fail_is_believed(rack: Rack) -> None:
    test = rack.leak_test(0.1, said="FAIL")
    assert (test.test_run.outcome, test.findings) == ("FAIL", ["tester_said_fail"])


def test_cooling_gas_is_no_leak_and_warming_gas_hides_none(rack: Rack) -> None:
    # 3000 mbar that cool by 1 K over 370 s lose 10.2 mbar in all, and are tight
    times = list(range(0, 370, 5))
    cel = [20 - time / 365 for time in times]
    tight = make_curve(times, [3000 * (value + 273.15) / 293.15 for value in cel], cel)
    test = rack.leak_test(curve=tight)
    assert test.uncompensated == pytest.approx(3000 / 293.15 * 300 / 365, rel=1e-3)
    assert test.computed == pytest.approx(0.0, abs=1e-6)
    assert test.test_run.outcome == "PASS"
    # 8.2 mbar are lost from gas that warms by 0.82 K in the window: the gauge stands still
    still = make_curve(times, [3000.0] * len(times), [20 + time / 365 for time in times])
    test = rack.leak_test(curve=still, claimed=0.0)
    assert test.uncompensated == pytest.approx(0.0, abs=1e-6)
    assert test.computed == pytest.approx(8.4, rel=0.01)
    assert test.test_run.outcome == "FAIL"
    assert measured(test, "temperature_change").value == pytest.approx(300 / 365)


def test_ambient_temperature_at_start_and_end_will_do(rack: Rack) -> None:
    test = rack.leak_test(0.0, curve=line(0.0, seconds=365), ambient_start_cel=20, ambient_end_cel=22)
    # 2 K over 360 s are 1.667 K in the window, of 293.483 K at its start
    assert test.computed == pytest.approx(3000 * 1.6667 / 295.15, rel=0.01)
    assert test.test_run.outcome == "FAIL"


def test_a_pressure_that_rises_is_a_fault_of_the_set_up(rack: Rack) -> None:
    test = rack.leak_test(-5.0)
    assert (test.test_run.outcome, test.findings) == ("RETEST", ["pressure_rose"])


def test_liquid_is_not_compensated(rack: Rack) -> None:
    curve = line(0.1, drift_k=5)
    test = rack.leak_test(medium="water", curve=curve)
    assert test.computed == test.uncompensated == pytest.approx(0.1)


def test_vacuum_decay_is_what_the_pressure_rises_by() -> None:
    rack = Rack(limits=[*LIMITS[1:], (80, "rack_leak", "vacuum_decay", "mbar", None, 0.5)])
    vacuum: dict[str, Any] = {"method": "vacuum_decay", "medium": "dry_air", "test_pressure_mbar": 5.0}
    tight = rack.leak_test(curve=line(-0.2, start=4.8), **vacuum)
    assert tight.computed == pytest.approx(0.2) and tight.test_run.outcome == "PASS"
    leaking = rack.leak_test(curve=line(-0.9, start=4.8), **vacuum)
    assert leaking.computed == pytest.approx(0.9) and leaking.test_run.outcome == "FAIL"
    pumping = rack.leak_test(curve=line(0.9, start=4.8), **vacuum)
    assert (pumping.test_run.outcome, pumping.findings) == ("RETEST", ["pressure_fell"])
    too_high = rack.report(curve=line(0, start=50), **vacuum)
    assert refusal_of(lambda: record_leak_test(unit=rack.unit, report=too_high, by=TESTER)) == (
        "pressure_not_reached"
    )


def test_helium_is_judged_by_its_highest_leak_rate() -> None:
    rack = Rack(limits=[*LIMITS[1:], (80, "rack_leak", "helium_leak_rate", "mbar.L/s", None, 1e-5)])
    times = list(range(0, 370, 5))
    helium: dict[str, Any] = {"method": "helium", "medium": "helium", "ambient_start_cel": None}
    tight = rack.leak_test(curve=make_curve(times, [2e-6] * len(times)), claimed=2e-6, **helium)
    assert (tight.computed, tight.value_unit, tight.test_run.outcome) == (2e-6, "mbar.L/s", "PASS")
    spike = [5e-5 if time == 200 else 2e-6 for time in times]
    leaking = rack.leak_test(curve=make_curve(times, spike), said="PASS", claimed=2e-6, **helium)
    assert leaking.test_run.outcome == "FAIL"
    assert leaking.findings == ["claim_contradicts_curve"]


def test_the_route_says_by_which_method(rack: Rack) -> None:
    times = list(range(0, 370, 5))
    test = rack.leak_test(method="helium", medium="helium", curve=make_curve(times, [1e-9] * len(times)))
    assert test.test_run.outcome == "FAIL"
    assert "pressure_decay was not measured; the limit is at most 0.5 mbar." in test.test_run.reasons


def test_a_deviation_replaces_the_limit(rack: Rack) -> None:
    engineer = make_signer(Role.ENGINEER)
    open_deviation(
        target=rack.unit,
        exception=LimitException(Limit.objects.get(procedure="rack_leak"), None, 5.0),
        quantity=1,
        expires_at=timezone.now() + timedelta(days=1),
        reason="gauge of lower class",
        proof=proof_by(engineer),
        by=TESTER,
    )
    assert rack.leak_test(2.0).test_run.outcome == "PASS"
    assert rack.leak_test(2.0).test_run.outcome == "FAIL", "it was for one"


REFUSED: dict[str, dict[str, Any]] = {
    "wrong_scope": {"scope": "tray_leak"},
    "wrong_medium": {"method": "helium", "medium": "nitrogen"},
    "ambient_pressure_missing": {"pressure_reference": "gauge"},
    "temperature_missing": {"ambient_start_cel": None},
    "curve_incomplete": {"curve": line(0.1, seconds=300)},
    "pressure_not_reached": {"curve": line(0.1, start=2000)},
}


@pytest.mark.parametrize("code", REFUSED)
def test_refused(rack: Rack, code: str) -> None:
    assert refusal_of(lambda: rack.leak_test(**REFUSED[code])) == code
    assert not LeakTest.objects.exists()


def test_instruments_that_may_not_be_used(rack: Rack) -> None:
    overdue, driver = make_leak_tester(due_in_days=-1), make_leak_tester(type="torque_driver")
    elsewhere, retired = make_leak_tester(make_site("S2")), make_leak_tester()
    retire_tool(tool=retired, reason="broken", by=TESTER)
    retired.refresh_from_db()
    codes = [
        refusal_of(lambda tool=tool: rack.leak_test(instrument=tool))  # type: ignore[misc]
        for tool in (overdue, driver, elsewhere, retired)
    ]
    assert codes == ["tool_overdue", "wrong_instrument", "wrong_site", "tool_retired"]


def test_nothing_passes_that_no_limit_judges() -> None:
    rack = Rack(limits=LIMITS[1:])
    assert refusal_of(lambda: rack.leak_test(0.0)) == "leak_limit_missing"
    assert rack.leak_test(0.0, said="FAIL").test_run.outcome == "FAIL"


def test_nothing_passes_whose_noise_hides_what_the_limit_asks_for(rack: Rack) -> None:
    calm = line(0.1)
    shaken = [value + 5 * (-1) ** number for number, value in enumerate(calm.values)]
    noisy = make_curve(calm.times, shaken)
    assert refusal_of(lambda: rack.leak_test(curve=noisy)) == "curve_noisy"
    assert rack.leak_test(curve=noisy, said="FAIL").test_run.outcome == "FAIL"


def test_what_is_installed_is_not_tested_by_itself(rack: Rack) -> None:
    manifold, report = rack.child("SUPPLY"), rack.report()
    closed = refusal_of(lambda: record_leak_test(unit=manifold, report=report, by=TESTER))
    Unit.objects.filter(pk=rack.unit.pk).update(state=Unit.State.SHIPPED)
    assert (closed, refusal_of(rack.leak_test)) == ("unit_closed", "unit_shipped")


def test_gas_in_a_filled_loop_says_nothing(rack: Rack) -> None:
    rack.filled()
    assert refusal_of(rack.leak_test) == "loop_filled"
    assert rack.leak_test(medium="coolant").test_run.outcome == "PASS"


def test_the_database_keeps_what_a_test_is(rack: Rack) -> None:
    test = rack.leak_test()
    for change in ({"measure_s": 0}, {"method": "helium"}, {"pressure_reference": "gauge"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            LeakTest.objects.filter(pk=test.pk).update(**change)


def exercise(rack: Rack, *trips: Trip, by: Actor = TESTER) -> Callable[[], object]:
    return lambda: record_sensor_exercise(unit=rack.unit, trips=list(trips), by=by)


def test_sensors_trip_and_clear_in_time(rack: Rack) -> None:
    assert rack.exercise().test_run.outcome == "PASS"
    slow = rack.exercise(tripped_s=12.0)
    assert slow.test_run.reasons == ["trip_time is 12 s; the limit is at most 10 s."]
    silent = rack.exercise(tripped_s=None, cleared_s=None)
    assert silent.test_run.outcome == "FAIL" and "LEAK did not trip." in silent.test_run.reasons
    stuck = rack.exercise(cleared_s=None)
    assert "LEAK did not clear." in stuck.test_run.reasons
    assert stuck.results.get().detector == rack.child("LEAK")


def test_every_sensor_is_exercised(rack: Rack) -> None:
    plan = CoolingPlan.objects.create(
        part=rack.unit.part_revision.part, version="1", sensors=["ColdPlate", "Manifold"]
    )
    assert list(expected_sensors(rack.unit)) == ["LEAK"], "a draft expects nothing"
    release(plan)
    assert list(expected_sensors(rack.unit)) == ["LEAK", "ColdPlate", "Manifold"]
    trips = [Trip(name, "shorted", 1.0, 5.0) for name in ("LEAK", "ColdPlate", "Manifold")]
    assert refusal_of(exercise(rack, *trips[:2])) == "sensors_not_exercised"
    assert refusal_of(exercise(rack, *trips, Trip("Pump", "wetted", 1, 1))) == "sensor_unknown"
    assert refusal_of(exercise(rack, *trips, trips[0])) == "sensor_twice"
    assert refusal_of(exercise(rack, *trips, by=Actor(device="x"))) == "device_not_signed_on"
    exercise(rack, *trips)()


def test_a_unit_without_sensors_has_none_to_exercise(rack: Rack) -> None:
    tray = make_unit(rack.tray)
    assert (
        refusal_of(lambda: record_sensor_exercise(unit=tray, trips=[Trip("A", "wetted", 1, 1)], by=TESTER))
        == "no_leak_sensors"
    )
