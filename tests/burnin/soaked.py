"""Runs as ticks would have left them, without any tick: polls, statistics and gaps written at once."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from mes.burnin.judging import note_samples
from mes.burnin.limits import Moment
from mes.burnin.models import BurnInAttempt, BurnInRun, SeriesLimit
from mes.burnin.redfish import Sample, TrayReading
from mes.burnin.services import set_bmc, start_run
from mes.burnin.telemetry import save_polls
from mes.serials.models import Unit
from tests.builders import TESTER
from tests.burnin.builders import make_profile, make_rack

POLL_SECONDS = 10
Signal = Callable[[int, str, int], float | None]  # of tray, series and poll
SERIES = {
    **{f"HGX_GPU_{number}_TEMP_0": "Cel" for number in range(4)},
    **{f"HGX_GPU_{number}_TEMP_1": "Cel" for number in range(4)},
    **{f"HGX_GPU_{number}_Power_0": "W" for number in range(4)},
}


def even(tray: int, series: str, poll: int) -> float:
    """Return a value that differs a little by tray, GPU and time."""
    wave = math.sin(poll / 9 + tray) + 0.3 * int(series[8])
    if "Power" in series:
        return 1180 + 12 * wave + 3 * tray
    return (24 if series.endswith("_1") else 61) + wave + 0.2 * tray


def make_run(
    trays: int = 2,
    *,
    polls: int = 60,
    signal: Signal = even,
    until: datetime | None = None,
    rack: tuple[Unit, list[Unit]] | None = None,
    **profile: Any,
) -> BurnInRun:
    """Return a soaking run of a rack whose trays answered every 10 s up to ``until``."""
    unit, units = rack or make_rack(trays)
    for child in units:
        set_bmc(unit=child, url="http://127.0.0.1:9", username="", password="", by=TESTER)
    facts = {"poll_seconds": POLL_SECONDS, "max_gap_seconds": 60, "time_scale": 1, "required_hours": 72}
    made = make_profile(unit.part_revision, **{**facts, **profile})
    run = start_run(unit=unit, profile=made, by=TESTER)
    soak(run, polls=polls, signal=signal, until=until or timezone.now())
    return run


def soak(run: BurnInRun, *, polls: int, until: datetime, signal: Signal = even) -> None:
    """Give every tray of a run its polls, statistics and credit."""
    begin = until - timedelta(seconds=POLL_SECONDS * polls)
    attempts = list(run.attempts.select_related("slot", "unit__part_revision__part"))
    limits = list(SeriesLimit.objects.filter(profile=run.profile))
    for number, attempt in enumerate(attempts):
        readings = [_reading(begin, number, poll, signal) for poll in range(1, polls + 1)]
        save_polls([(attempt, reading) for reading in readings])
        for reading in readings:
            note_samples(attempt.statistics, reading.samples, limits, _moment(reading), soaking=True)
        attempt.state = BurnInAttempt.State.RUNNING
        attempt.credited_seconds, attempt.last_good_at = POLL_SECONDS * polls, until
        attempt.save()
    run.state, run.soak_started_at = BurnInRun.State.SOAKING, begin
    run.credited_seconds = POLL_SECONDS * polls
    run.save()


def _moment(reading: TrayReading) -> Moment:
    return Moment(at=reading.taken_at.timestamp(), elapsed=POLL_SECONDS)


def _reading(begin: datetime, tray: int, poll: int, signal: Signal) -> TrayReading:
    at = begin + timedelta(seconds=POLL_SECONDS * poll)
    return TrayReading(
        taken_at=at,
        samples=tuple(Sample(name, signal(tray, name, poll), at, unit=unit) for name, unit in SERIES.items()),
        leak=(),
        leak_detectors=2,
        boot_id="boot",
        serial="",
        slot_number=None,
        tray_index=None,
        health={},
        stress_active=True,
    )
