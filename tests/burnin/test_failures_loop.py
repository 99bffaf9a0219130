"""Burn-in by processes without any broker: stopped, killed, stalled, and two at once."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mes.burnin.models import Gap
from tests.burnin.builders import Bench, bench
from tests.burnin.rig import Programs, Soak, kill
from tests.burnin.soundness import check_attempts, check_run

pytestmark = pytest.mark.django_db(transaction=True)
# Three seconds of soak; a poll takes at most a second, a lease 1.2 s.
SHORT: dict[str, Any] = {
    "required_hours": 3 / 60,
    "poll_seconds": 0.2,
    "poll_timeout_seconds": 1,
    "max_gap_seconds": 1,
    "missed_polls": 50,
}
OVERTAKEN = "was overtaken and is discarded"


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    with Programs(tmp_path) as running:
        yield running


def test_a_rack_is_burned_in_without_any_broker(programs: Programs, tmp_path: Path) -> None:
    with bench(trays=3, log=tmp_path / "served", **SHORT) as rig:
        programs.loop()
        run = Soak(rig, programs).ends()
        assert rig.stressed() == [False, False, False]
    check_run(rig, tmp_path / "served")
    assert not Gap.objects.exists()
    assert run.lease_until is None


def test_told_to_stop_it_ends_the_tick_under_way_and_leaves_no_lease(
    programs: Programs, tmp_path: Path
) -> None:
    with bench(log=tmp_path / "served", **SHORT) as rig:
        soak = Soak(rig, programs)
        loop = programs.loop()
        soak.earns()
        soak.hang_in_a_tick(1, tmp_path / "served")
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(10) == 0
        run = soak.run
        assert (run.state, run.lease_until) == ("soaking", None)
        rig.fault(1, "none")
        programs.loop()
        soak.ends()
    check_run(rig, tmp_path / "served")


def test_killed_it_leaves_a_lease_that_ends_and_a_gap(programs: Programs, tmp_path: Path) -> None:
    with bench(log=tmp_path / "served", **SHORT) as rig:
        soak = Soak(rig, programs)
        loop = programs.loop(patches="short_lease")
        soak.earns()
        soak.hang_in_a_tick(1, tmp_path / "served", for_seconds=2)
        kill(loop)
        assert soak.run.lease_until is not None
        programs.loop(patches="short_lease")
        soak.ends()
    check_run(rig, tmp_path / "served")
    gaps = Gap.objects.filter(attempt__run=rig.run)
    assert {gap.attempt_id for gap in gaps} == {attempt.pk for attempt in rig.run.attempts.all()}


def test_two_loops_share_a_run_without_a_sample_twice(programs: Programs, tmp_path: Path) -> None:
    with bench(log=tmp_path / "served", **SHORT) as rig:
        loops = [programs.loop(), programs.loop()]
        Soak(rig, programs).ends()
        for loop in loops:
            loop.send_signal(signal.SIGINT)
        assert [loop.wait(10) for loop in loops] == [0, 0]
    check_run(rig, tmp_path / "served")


def stall_past_the_lease(programs: Programs, log: Path, patches: str) -> Bench:
    """Stop a process in its tick, let another take over and earn, and let the first one write."""
    with bench(log=log, **{**SHORT, "required_hours": 1, "poll_timeout_seconds": 2}) as rig:
        soak = Soak(rig, programs)
        stalled = programs.loop(patches=patches, workers=1)
        soak.earns()
        soak.hang_in_a_tick(1, log)
        time.sleep(0.8)  # for the other tray's answer, which the late tick is to write
        os.killpg(stalled.pid, signal.SIGSTOP)
        rig.fault(1, "none")
        other = programs.loop(patches="short_lease")
        epoch = soak.run.epoch
        soak.until(lambda run: run.epoch > epoch + 3)
        soak.earns()
        other.send_signal(signal.SIGTERM)
        assert other.wait(10) == 0
        os.killpg(stalled.pid, signal.SIGCONT)
        # Its late tick ends before it can stop.
        stalled.send_signal(signal.SIGTERM)
        assert stalled.wait(10) == 0
        return rig


def test_a_stalled_process_writes_nothing_after_its_lease(programs: Programs, tmp_path: Path) -> None:
    rig = stall_past_the_lease(programs, tmp_path / "served", "short_lease")
    assert OVERTAKEN in programs.logs()
    check_attempts(rig, tmp_path / "served")


def test_without_the_fence_the_stalled_process_spoils_the_run(programs: Programs, tmp_path: Path) -> None:
    rig = stall_past_the_lease(programs, tmp_path / "served", "short_lease,no_fence")
    assert OVERTAKEN not in programs.logs()
    with pytest.raises(AssertionError):
        check_attempts(rig, tmp_path / "served")
