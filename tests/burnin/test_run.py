"""Whole burn-ins over simulated BMCs on real sockets: what passes, what fails, and what never passes."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.burnin.intents import Kind, deliver_due
from mes.burnin.models import BurnInAttempt, BurnInRun, Gap, Poll
from mes.burnin.redfish import BmcAddress, RedfishClient
from mes.burnin.services import abort_run, pause_run, resume_run, start_run
from mes.burnin.tick import advance_run
from mes.burnin.transitions import decide
from mes.burnin.working import Tick
from mes.ledger.models import OutboxMessage
from mes.ledger.services import events_of
from mes.racks.services import configuration_digest
from mes.testing.models import TestRun
from mes.testing.services import live_outcomes
from tests.builders import TESTER
from tests.burnin.builders import LIMITS, PROCEDURE, Bench, bench

pytestmark = pytest.mark.django_db
Tray = BurnInAttempt.State


def intents(rig: Bench, kind: Kind) -> list[OutboxMessage]:
    return list(OutboxMessage.objects.filter(key__startswith=str(rig.run.uid), payload__kind=kind))


def test_a_good_rack_passes_with_one_verdict() -> None:
    with bench() as rig:
        run = rig.soak_to("passed")
        assert rig.stressed() == [False, False]
        assert [attempt.state for attempt in run.attempts.all()] == ["passed", "passed"]
    assert run.credited_seconds >= 3600
    assert min(attempt.credited_seconds for attempt in run.attempts.all()) == run.credited_seconds
    kinds = [event.kind.removeprefix("burn_in.") for event in events_of(run)]
    assert kinds == ["queued", "preparing", "starting", "soaking", "stopping", "judging", "passed"]
    test = TestRun.objects.get()
    assert (test.unit, test.outcome, test.status, test.format) == (rig.rack, "PASS", "COMPLETE", "burn_in")
    assert test.operation is not None and test.operation.sequence == 20
    built = configuration_digest(rig.rack)
    outcomes = live_outcomes(
        unit=rig.rack, procedures=[PROCEDURE], configuration=built, operation=test.operation
    )
    assert outcomes == {PROCEDURE: "PASS"}
    assert test.reasons == ["A demonstration: every second counted as 60."]
    measured = {(row.component, row.name): row for row in test.measurements.all()}
    energy = [name for component, name in measured if component == ""]
    assert energy and len(measured) == 2 * (1 + len(LIMITS)) + len(energy)
    hottest = measured["C1", "gpu temperature"]
    assert (hottest.high, hottest.unit, hottest.verdict) == (87, "Cel", "PASS")
    assert hottest.value == hottest.maximum and hottest.step.startswith("HGX_GPU_")
    assert measured["C2", "soaked hours"].value == pytest.approx(
        run.attempts.get(slot__name="C2").credited_seconds / 3600
    )


def test_every_poll_of_the_soak_is_kept_once_and_counted() -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        for _ in range(3):
            assert rig.tick()
        attempt = rig.attempt(0)
        soaked = Poll.objects.filter(attempt=attempt, taken_at__gt=rig.run.soak_started_at)
        statistics = attempt.statistics["HGX_GPU_0_TEMP_0"]
        # The poll that found the stress running begins the soak; those after it are counted.
        assert statistics["count"] == soaked.count() - 1 > 3
        assert statistics["min"] <= statistics["last"] <= statistics["max"]


def test_an_overheated_tray_fails_the_rack_and_says_why() -> None:
    with bench() as rig:
        rig.until_soaking()
        rig.fault(1, "overheat")
        run = rig.to_the_end()
        assert rig.stressed() == [False, False]
    assert run.state == "failed"
    assert (rig.attempt(0).state, rig.attempt(1).state) == (Tray.ABORTED, Tray.FAILED)
    reason = run.reasons[0]
    assert "HGX_GPU_0_TEMP_0 was 93" in reason and "C2" in reason and "at most 87 Cel" in reason
    test = TestRun.objects.get()
    assert (test.outcome, test.reasons[0]) == ("FAIL", reason)
    hottest = test.measurements.get(component="C2", name="gpu temperature")
    assert (
        (hottest.verdict, hottest.high) == ("FAIL", 87) and hottest.value is not None and hottest.value > 87
    )


def test_one_spike_is_forgiven() -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        rig.fault(0, "overheat")
        rig.tick()
        rig.fault(0, "none")
        rig.soak_to("passed")
    limits = rig.attempt(0).statistics["HGX_GPU_0_TEMP_0"]["limits"]["gpu temperature"]
    assert limits["violations"] == 1 and limits["over"] > 0
    assert TestRun.objects.get().measurements.get(name="gpu temperature").verdict == "PASS"


class Watch:
    """Waits in a thread for the stress of trays to end, and says when it did."""

    def __init__(self, rig: Bench, trays: list[int]) -> None:
        self.rig, self.trays, self.quiet_at = rig, trays, 0.0
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not self.quiet_at:
            stressed = self.rig.stressed()
            self.quiet_at = 0.0 if any(stressed[tray] for tray in self.trays) else time.monotonic()
            time.sleep(0.02)


@pytest.mark.parametrize("phase", ["starting", "soaking"])
def test_a_leak_stops_every_tray_within_3_s_even_past_a_hanging_one(phase: str) -> None:
    with bench(trays=3, poll_timeout_seconds=6) as rig:
        rig.until(phase)
        rig.fault(2, "hang")
        rig.fault(1, "leak")
        leaked_at = time.monotonic()
        watch = Watch(rig, [0, 1])
        rig.until("stopping")
        watch.thread.join()
        assert 0 < watch.quiet_at - leaked_at < 3
        assert len(intents(rig, Kind.STOP)) == 3
        assert rig.run.reasons == ["C2 leaks: Chassis_0_LeakDetector_0_ColdPlate."]


def test_a_stop_rack_limit_stops_all_trays_at_its_first_sample() -> None:
    stop = {**LIMITS[0], "high": 90, "violations": 1, "window": 1, "action": "stop_rack"}
    with bench(limits=(*LIMITS[1:], stop), poll_seconds=0.3) as rig:
        rig.until_soaking()
        rig.fault(0, "overheat")
        rig.tick()
        assert rig.run.state == "stopping"
        assert rig.stressed() == [False, False]


@pytest.mark.parametrize("fault", ["nan", "stale", "hang", "vanish", "garbage"])
def test_a_tray_without_good_data_turns_suspect_then_fails(fault: str) -> None:
    with bench(poll_timeout_seconds=1 if fault == "hang" else 5) as rig:
        rig.until_soaking()
        rig.fault(1, fault)
        rig.tick_while(lambda: rig.attempt(1).state == Tray.RUNNING)
        assert rig.attempt(1).state == Tray.SUSPECT
        credit = rig.attempt(1).credited_seconds
        rig.until("stopping")
        rig.overdue()
        run = rig.to_the_end()
    assert run.state == "failed"
    assert (rig.attempt(0).state, rig.attempt(1).state) == (Tray.ABORTED, Tray.FAILED)
    assert rig.attempt(1).credited_seconds == credit < 3600
    assert "C2 gave no good sample for" in run.reasons[0]
    assert Gap.objects.filter(attempt=rig.attempt(1)).count() == 1
    assert TestRun.objects.get().outcome == "FAIL"


def test_a_tray_that_comes_back_goes_on_with_a_gap() -> None:
    with bench(suspect_policy="hold") as rig:
        rig.until_soaking()
        rig.fault(1, "nan")
        rig.tick_while(lambda: rig.attempt(1).state == Tray.RUNNING)
        lost = rig.attempt(1)
        time.sleep(0.3)
        rig.tick()
        assert "C2 is suspect, a person must decide: no usable value of HGX_GPU_0_TEMP_0" in rig.run.waits_for
        assert rig.run.state == "soaking"
        rig.fault(1, "none")
        rig.tick()
        back = rig.attempt(1)
        assert (back.state, back.credited_seconds) == (Tray.RUNNING, lost.credited_seconds)
        gap = Gap.objects.get()
        assert (gap.from_at, gap.to_at) == (lost.last_good_at, back.last_good_at)
        assert gap.reason.startswith("no good sample: no usable value of HGX_GPU_0_TEMP_0")
        assert rig.run.waits_for == ""
        rig.soak_to("passed")
    assert rig.attempt(1).credited_seconds < rig.attempt(0).credited_seconds
    assert TestRun.objects.get().details["gaps"] == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("leak", "C2 leaks: Chassis_0_LeakDetector_0_ColdPlate."),
        ("wrong_serial", "reports serial OTHER-{0}, but {0} is installed"),
        ("wrong_slot", "slot number 3, but its slot has slot number 2"),
    ],
)
def test_a_wrong_tray_fails_before_anything_is_started(fault: str, words: str) -> None:
    with bench() as rig:
        rig.fault(1, fault)
        run = rig.to_the_end()
        assert rig.simulator.status(rig.trays[1].serial)["intents"] == []
    assert run.state == "failed"
    assert words.format(rig.trays[1].serial) in run.reasons[0]
    assert not OutboxMessage.objects.exists()
    assert TestRun.objects.get().outcome == "FAIL"


def test_a_reboot_fails_the_tray() -> None:
    with bench() as rig:
        rig.until_soaking()
        before = rig.attempt(0).boot_id
        rig.fault(0, "reboot")
        run = rig.to_the_end()
    assert run.state == "failed"
    assert "C1 rebooted" in run.reasons[0] and before in run.reasons[0]


def tell(rig: Bench, tray: int, kind: Kind) -> None:
    """Start or stop the stress of a tray behind the run's back."""

    async def send() -> None:
        address = BmcAddress(rig.simulator.url(rig.trays[tray].serial), "factory", "simulator")
        async with RedfishClient(address) as client:
            if kind == Kind.START:
                await client.start_stress("gpu-stress", "somebody else")
            else:
                await client.stop_stress("somebody else")

    asyncio.run(send())


def test_a_tray_that_ends_its_stress_earns_nothing_and_fails() -> None:
    with bench() as rig:
        rig.until_soaking()
        tell(rig, 0, Kind.STOP)
        run = rig.to_the_end()
    assert run.state == "failed"
    assert "its stress is not running" in run.reasons[0]


def test_a_tray_that_never_starts_fails_after_the_start_time() -> None:
    with bench() as rig:
        rig.until("starting")
        rig.fault(1, "nan")
        rig.tick()
        assert rig.run.state == "starting" and "C2: no usable value of" in rig.run.waits_for
        rig.overdue()
        run = rig.to_the_end()
    assert run.state == "failed"
    assert "C2 did not start its stress within 60 s: no usable value of" in run.reasons[0]


def test_a_tray_that_cannot_be_told_to_stop_does_not_pass() -> None:
    with bench() as rig:
        rig.soak_to("stopping")
        rig.fault(1, "vanish")
        rig.tick()
        assert rig.run.state == "stopping" and "C2: unreachable" in rig.run.waits_for
        rig.overdue()
        run = rig.to_the_end()
    assert run.state == "failed"
    assert "C2 was not seen to end its stress: unreachable" in run.reasons[0]


def test_a_tray_that_starts_again_while_stopping_is_stopped_again() -> None:
    with bench() as rig:
        rig.soak_to("stopping")
        tell(rig, 0, Kind.START)
        rig.tick()
        assert rig.run.waits_for == "C1: its stress is still running"
        rig.until("passed")
        assert rig.stressed() == [False, False]
    assert len(intents(rig, Kind.STOP)) == 3


def test_a_start_that_was_not_delivered_is_never_sent_after_the_stop() -> None:
    with bench() as rig:
        rig.until("preparing")
        BurnInRun.objects.update(next_due_at=rig.run.created_at)
        assert advance_run(rig.run.pk) and len(intents(rig, Kind.START)) == 2
        rig.run = abort_run(run=rig.run, reason="wrong rack", by=TESTER)
        assert rig.to_the_end().state == "aborted"
        told = [key for tray in rig.trays for key in rig.simulator.status(tray.serial)["intents"]]
    assert len(told) == 2 and all(key.endswith(":stop") for key in told)
    assert {message.abandoned_at is None for message in intents(rig, Kind.START)} == {False}


def test_a_stop_is_repeated_under_its_key_until_it_arrives() -> None:
    with bench() as rig:
        rig.until_soaking()
        rig.fault(1, "vanish")
        rig.run = abort_run(run=rig.run, reason="wrong rack", by=TESTER)
        rig.tick()
        late = OutboxMessage.objects.get(key=f"{rig.run.uid}:C2:1:stop")
        assert late.delivered_at is None and late.tries == 1 and "unreachable" in late.last_error
        rig.fault(1, "none")
        OutboxMessage.objects.filter(pk=late.pk).update(due_at=rig.run.created_at)
        assert deliver_due() == 1
        assert rig.stressed() == [False, False]
        assert deliver_due() == 0


def test_an_outage_of_ours_is_a_gap_and_earns_nothing() -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        before = rig.attempt(0)
        long_ago = timezone.now() - timedelta(seconds=100)
        BurnInAttempt.objects.update(last_good_at=long_ago, last_poll_at=long_ago)
        rig.tick()
        after = rig.attempt(0)
        assert after.credited_seconds == before.credited_seconds
        gap = Gap.objects.get()
        assert (gap.from_at, gap.to_at) == (long_ago, after.last_good_at)
        assert gap.reason == "our outage: nobody polled for 100 s"
        rig.tick()
        assert rig.attempt(0).credited_seconds > after.credited_seconds
        assert Gap.objects.count() == 1


@pytest.mark.parametrize("keep_stress", [True, False])
def test_a_pause_stops_the_clock_and_says_what_the_stress_does(keep_stress: bool) -> None:
    with bench() as rig:
        rig.until_soaking()
        rig.run = pause_run(run=rig.run, reason="filter change", by=TESTER, keep_stress=keep_stress)
        credit = rig.attempt(0).credited_seconds
        assert rig.tick() and rig.run.state == "paused"
        assert rig.attempt(0).credited_seconds == credit
        assert rig.stressed() == [keep_stress, keep_stress]
        assert "filter change" in rig.run.waits_for
        rig.run = resume_run(run=rig.run, by=TESTER)
        rig.until("soaking")
        resumed = rig.attempt(0)
        assert (resumed.state, resumed.credited_seconds) == (Tray.RUNNING, credit)
        gap = Gap.objects.get(attempt=resumed)
        assert (gap.reason, gap.to_at) == ("paused: filter change", resumed.last_good_at)
        rig.soak_to("passed")
    assert len(intents(rig, Kind.START)) == (2 if keep_stress else 4)
    assert not OutboxMessage.objects.filter(delivered_at__isnull=True).exists()


@pytest.mark.parametrize("state", ["queued", "preparing", "starting", "soaking", "paused"])
def test_an_abort_stops_the_trays_and_is_no_verdict(state: str) -> None:
    with bench() as rig:
        if state == "paused":
            rig.until_soaking()
            rig.run = pause_run(run=rig.run, reason="lunch", by=TESTER, keep_stress=True)
        else:
            rig.until(state)
        rig.run = abort_run(run=rig.run, reason="coolant alarm in the hall", by=TESTER)
        run = rig.to_the_end()
        assert rig.stressed() == [False, False]
    assert (run.state, run.abort_reason) == ("aborted", "coolant alarm in the hall")
    assert {attempt.state for attempt in run.attempts.all()} == {"aborted"}
    test = TestRun.objects.get()
    assert (test.outcome, test.status) == ("ERROR", "ERROR")
    assert test.reasons[0] == "Aborted by tester: coolant alarm in the hall"
    assert start_run(unit=rig.rack, profile=rig.profile, by=TESTER).state == "queued"


def test_a_pause_discards_the_tick_that_is_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench() as rig:
        rig.until_soaking()
        polls = Poll.objects.count()

        def decide_too_late(working: Tick) -> None:
            pause_run(run=rig.run, reason="door open", by=TESTER, keep_stress=True)
            decide(working)

        monkeypatch.setattr("mes.burnin.tick.decide", decide_too_late)
        assert not rig.tick()
        assert (rig.run.state, Poll.objects.count()) == ("paused", polls)


def statements(trays: int) -> int:
    with bench(trays=trays) as rig:
        rig.until_soaking()
        BurnInRun.objects.update(next_due_at=rig.run.created_at)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert advance_run(rig.run.pk)
        assert Poll.objects.filter(attempt__run=rig.run).count() % trays == 0
        return len(captured)


def test_a_tick_takes_as_many_statements_for_one_tray_as_for_four() -> None:
    assert statements(1) == statements(4)


def test_the_history_of_a_run_verifies() -> None:
    with bench() as rig:
        rig.until_soaking()
        rig.run = pause_run(run=rig.run, reason="shift change", by=TESTER, keep_stress=False)
        rig.run = resume_run(run=rig.run, by=TESTER)
        rig.until("soaking")
        run = rig.soak_to("passed")
    assert [event.seq for event in events_of(run)] == list(range(1, run.version + 1))
