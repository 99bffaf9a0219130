"""Whether a run is sound, asked of its polls, gaps and attempts and of the simulator's own log.

It shares nothing with the code that judges. How a poll is matched with what the simulator served: the time
of a poll is our clock when the poll began, moved to the database's clock, between the claim of the tick and
its first request. The report that belongs to it is therefore the first one served at or after that time whose
values are the same: all that can tell, for a sensor reads in steps and may well read the same twice. A tick
that died, or was discarded, leaves reports that belong to no poll.
"""

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mes.burnin.models import BurnInAttempt, BurnInProfile, BurnInRun, Gap
from mes.burnin.telemetry import read_series
from mes.ledger.models import Event
from mes.ledger.services import events_of
from mes.testing.models import TestRun
from tests.burnin.builders import Bench
from tests.burnin.rig import read_log, time_of

SERIES = "HGX_GPU_0_TEMP_0"
REPORT = "HGX_PlatformEnvironmentMetrics_0"
TELLING = "HGX_GPU_?_*"
LONGEST_POLL = timedelta(seconds=10)
Values = dict[str, float | None]


@dataclass(frozen=True)
class KeptPoll:
    """A poll as it is kept, with what the simulator told in it; ``good`` when it may earn."""

    at: datetime
    value: float | None
    good: bool
    report: dict[str, Any]


def check_run(rig: Bench, log: Path, state: str = "passed") -> BurnInRun:
    """Assert one verdict, no sample twice, and no interval that is neither credited nor a gap."""
    run = BurnInRun.objects.get(pk=rig.run.pk)
    assert run.state == state, run.reasons
    assert TestRun.objects.filter(unit=rig.rack).count() == 1
    assert Event.objects.filter(kind=f"burn_in.{state}").count() == 1
    check_attempts(rig, log)
    return run


def check_attempts(rig: Bench, log: Path, profile: BurnInProfile | None = None) -> None:
    """Assert it of every tray of a run that no tick is working on, by the run's own profile or another."""
    run = BurnInRun.objects.get(pk=rig.run.pk)
    assert run.soak_started_at is not None
    ended = events_of(run).filter(kind="burn_in.stopping").values_list("at", flat=True).first()
    served = read_log(log)
    for attempt in run.attempts.select_related("unit"):
        polls = match(kept_polls(attempt), served[attempt.unit.serial])
        begun = [poll for poll in polls if poll.at >= run.soak_started_at]
        soaked = [poll for poll in begun if ended is None or poll.at < ended]
        _check_attempt(attempt, profile or run.profile, soaked)


def kept_polls(attempt: BurnInAttempt, pattern: str = TELLING) -> list[tuple[datetime, Values]]:
    """Return when a tray was polled, and the values of some series in each poll."""
    polls: dict[datetime, Values] = {}
    for series in read_series(attempt=attempt, pattern=pattern):
        assert len(series.points) < 500, "points stand for more than one poll each"
        for point in series.points:
            polls.setdefault(point.at, {})[series.name] = point.low
    return sorted(polls.items())


def match(
    kept: list[tuple[datetime, Values]], served: list[dict[str, Any]], report: str = REPORT
) -> list[KeptPoll]:
    """Return the polls with what was served in each; fails for a poll without a report of its own."""
    reports = [entry for entry in served if entry["what"] == "report" and entry["name"] == report]
    systems = [entry for entry in served if entry["what"] == "system"]
    used: set[int] = set()
    polls = []
    for at, values in kept:
        fitting = (
            number for number, entry in enumerate(reports) if number not in used and _is_of(entry, at, values)
        )
        number, value = next(fitting, None), values.get(SERIES)
        assert number is not None, f"the poll of {at} with {values} is of no report of its own"
        used.add(number)
        stress = next(entry["stress"] for entry in systems if time_of(entry) >= at)
        polls.append(KeptPoll(at, value, stress and value is not None, reports[number]))
    return polls


def _is_of(entry: dict[str, Any], at: datetime, values: Values) -> bool:
    if not at <= time_of(entry) <= at + LONGEST_POLL:
        return False
    sent = {} if entry["stale"] else entry["values"]
    return all(_is_same(sent.get(series), value) for series, value in values.items())


def _is_same(sent: float | None, value: float | None) -> bool:
    if sent is None or value is None:
        return sent is value
    return bool(struct.unpack("<f", struct.pack("<f", sent))[0] == pytest.approx(value, abs=1e-6))


def _check_attempt(attempt: BurnInAttempt, profile: BurnInProfile, polls: list[KeptPoll]) -> None:
    gaps = list(Gap.objects.filter(attempt=attempt).order_by("from_at"))
    for one, two in pairwise(gaps):
        assert one.to_at <= two.from_at, f"{one} and {two} overlap"
    good = [poll.at for poll in polls if poll.good]
    assert good[-1] == attempt.last_good_at
    assert attempt.credited_seconds == pytest.approx(_earned(profile, good, gaps), abs=1e-3)
    counted = [
        poll
        for poll in polls
        if poll.value is not None and poll.at > good[0] and not _is_paused(poll.at, gaps)
    ]
    assert attempt.statistics[SERIES]["count"] == len(counted)
    assert attempt.statistics[SERIES]["last"] == pytest.approx(counted[-1].value, rel=1e-6)


def _earned(profile: BurnInProfile, good: list[datetime], gaps: list[Gap]) -> float:
    """Return the credit of the time between good polls that no gap covers; each must be short enough."""
    total = 0.0
    for one, two in pairwise(good):
        if not any(gap.from_at <= one and two <= gap.to_at for gap in gaps):
            seconds = (two - one).total_seconds()
            assert seconds <= profile.max_gap_seconds, f"{one} to {two} is neither credited nor a gap"
            total += seconds * profile.time_scale
    return total


def _is_paused(at: datetime, gaps: list[Gap]) -> bool:
    return any(gap.from_at < at <= gap.to_at and "paused" in gap.reason for gap in gaps)
