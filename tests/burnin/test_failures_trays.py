"""What BMCs do wrong in a soak: each costs its tray a gap, or the rack its verdict, and nothing else."""

import time
from pathlib import Path
from typing import Any

import pytest

from mes.burnin import transitions
from mes.burnin.models import Gap
from mes.burnin.services import pause_run, resume_run
from mes.testing.models import TestRun
from tests.builders import TESTER
from tests.burnin.builders import bench
from tests.burnin.soundness import check_run

pytestmark = pytest.mark.django_db
SHORT: dict[str, Any] = {
    "required_hours": 1.5 / 60,
    "poll_seconds": 0.05,
    "poll_timeout_seconds": 0.6,
    "max_gap_seconds": 0.9,
    "missed_polls": 2,
    "suspect_seconds": 30,
}
# What is recorded of a tray whose BMC does this for a while.
PASSING = {
    "nan": "no good sample",
    "stale": "no good sample",
    "vanish": "missed polls: unreachable",
    "hang": "missed polls: timeout",
    "garbage": "missed polls: garbage",
}


def test_trays_that_come_back_have_a_gap_of_their_own_and_the_rack_passes(tmp_path: Path) -> None:
    log = tmp_path / "served"
    with bench(trays=len(PASSING) + 1, log=log, **SHORT) as rig:
        rig.until_soaking()
        for tray, fault in enumerate(PASSING):
            rig.fault(tray, fault, for_seconds=1.2)
        rig.to_the_end()
    check_run(rig, log)
    for tray, (fault, words) in enumerate(PASSING.items()):
        reasons = [gap.reason for gap in Gap.objects.filter(attempt=rig.attempt(tray))]
        assert any(words in reason for reason in reasons), (fault, reasons)
    healthy = rig.attempt(len(PASSING))
    assert healthy.state == "passed"
    assert healthy.credited_seconds >= max(rig.attempt(tray).credited_seconds for tray in range(len(PASSING)))


def test_another_serial_in_mid_soak_fails_the_rack_with_one_verdict(tmp_path: Path) -> None:
    with bench(log=tmp_path / "served", **SHORT) as rig:
        rig.until_soaking()
        rig.fault(1, "wrong_serial")
        run = rig.to_the_end()
        assert rig.stressed() == [False, False]
    assert (run.state, TestRun.objects.get().outcome) == ("failed", "FAIL")
    assert [attempt.state for attempt in run.attempts.all()] == ["aborted", "failed"]
    assert "C2 reports serial OTHER-" in run.reasons[0]


def test_were_missing_values_not_looked_for_the_nan_tray_would_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transitions, "find_missing", lambda *_, **__: [])
    log = tmp_path / "served"
    with bench(log=log, **SHORT) as rig:
        rig.until_soaking()
        rig.fault(1, "nan")
        rig.to_the_end()
    with pytest.raises(AssertionError):
        check_run(rig, log)


@pytest.mark.parametrize("keep_stress", [True, False])
def test_a_pause_is_a_gap_for_every_tray(keep_stress: bool, tmp_path: Path) -> None:
    log = tmp_path / "served"
    with bench(log=log, **SHORT) as rig:
        rig.until_soaking()
        pause_run(run=rig.run, reason="a hose is checked", by=TESTER, keep_stress=keep_stress)
        for _ in range(5):
            rig.tick()
        time.sleep(1)
        resume_run(run=rig.run, by=TESTER)
        rig.run.refresh_from_db()
        rig.to_the_end()
    check_run(rig, log)
    for attempt in rig.run.attempts.all():
        [pause] = [gap for gap in attempt.gaps.all() if "paused" in gap.reason]
        assert (pause.to_at - pause.from_at).total_seconds() >= 1
