"""A paused run earns nothing, but its trays are looked at for what endangers the rack."""

import pytest

from mes.burnin.models import BurnInAttempt
from mes.burnin.services import pause_run, resume_run
from mes.testing.models import TestRun
from tests.builders import TESTER
from tests.burnin.builders import LIMITS, Bench, bench

pytestmark = pytest.mark.django_db
STOP = {**LIMITS[0], "high": 90, "violations": 1, "window": 1, "action": "stop_rack"}


def paused(rig: Bench, *, keep_stress: bool) -> None:
    rig.until_soaking()
    rig.run = pause_run(run=rig.run, reason="filter change", by=TESTER, keep_stress=keep_stress)


@pytest.mark.parametrize("keep_stress", [True, False])
def test_a_leak_ends_a_paused_run_and_every_stress(keep_stress: bool) -> None:
    with bench() as rig:
        paused(rig, keep_stress=keep_stress)
        rig.tick()
        assert rig.stressed() == [keep_stress, keep_stress]
        rig.fault(1, "leak")
        rig.tick()
        assert (rig.run.state, rig.stressed()) == ("stopping", [False, False])
        assert rig.to_the_end().state == "failed"
    assert TestRun.objects.get().reasons[0] == "C2 leaks: Chassis_0_LeakDetector_0_ColdPlate."


def test_over_temperature_ends_a_paused_run_whose_stress_goes_on() -> None:
    with bench(limits=(*LIMITS[1:], STOP)) as rig:
        paused(rig, keep_stress=True)
        rig.fault(0, "overheat")
        rig.tick()
        assert (rig.run.state, rig.stressed()) == ("stopping", [False, False])
        assert "HGX_GPU_0_TEMP_0 was 93" in rig.run.reasons[0]


@pytest.mark.parametrize("fault", ["vanish", "overheat", "wrong_serial"])
def test_nothing_else_ends_a_paused_run_and_nothing_is_credited(fault: str) -> None:
    with bench() as rig:
        paused(rig, keep_stress=True)
        before = [rig.attempt(tray).credited_seconds for tray in (0, 1)]
        rig.fault(1, fault)
        for _ in range(5):
            rig.tick()
        assert (rig.run.state, rig.run.reasons) == ("paused", [])
        assert rig.run.waits_for == "paused, stress kept on: filter change"
        assert [rig.attempt(tray).credited_seconds for tray in (0, 1)] == before
        assert {each.state for each in rig.run.attempts.all()} == {BurnInAttempt.State.STARTING}


def test_a_tray_that_was_taken_out_of_a_paused_rack_is_asked_no_more() -> None:
    with bench() as rig:
        paused(rig, keep_stress=False)
        rig.exchange()
        rig.simulator.set_fault(rig.spare.serial, "leak")
        rig.tick()
        assert rig.run.state == "paused"


def test_a_resumed_tray_is_known_again_before_its_stress_starts() -> None:
    with bench() as rig:
        paused(rig, keep_stress=False)
        rig.tick()
        rig.fault(1, "wrong_serial")
        rig.run = resume_run(run=rig.run, by=TESTER)
        rig.tick()
        assert rig.run.state == "stopping"
        assert "reports serial OTHER-" in rig.run.reasons[0]
        assert rig.to_the_end().state == "failed"
        keys = rig.simulator.status(rig.trays[1].serial)["intents"]
        assert [key for key in keys if ":start" in key] == [f"{rig.run.uid}:C2:1:start"]
