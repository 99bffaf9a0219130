"""A whole soak of 72 simulated hours with faults, computed again from the simulator's own log.

In CI a few trays and seconds; ``benchmarks/burnin_72h.py`` runs the rack of 24 trays in about a minute.
"""

import json
import os
import signal
import time
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mes.burnin.models import BurnInAttempt, Gap
from tests.burnin.builders import LIMITS, bench
from tests.burnin.rig import Programs, Soak, kill, outages, read_log
from tests.burnin.soundness import KeptPoll, check_run, kept_polls, match

TRAYS = int(os.environ.get("BURNIN_72H_TRAYS", "6"))
SECONDS = float(os.environ.get("BURNIN_72H_SECONDS", "12"))
RESULT = os.environ.get("BURNIN_72H_RESULT", "")
HOURS = 72
POLL_SECONDS = SECONDS / 40
MAX_GAP_SECONDS = 2.5 * POLL_SECONDS
# Warm enough to be broken by an overheated tray, patient enough to let it pass.
WARM = {**LIMITS[0], "violations": 32, "window": 32}
HOST_REPORT, HOST_SERIES = "PlatformEnvironmentMetrics_0", "Chassis_0_*"
HUNG, SILENT, HOT = 1, 2, 3


@dataclass
class Computed:
    """What a tray should be credited with, from the log alone."""

    seconds: float = 0.0
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=dict)
    over: dict[str, float] = field(default_factory=dict)
    violations: dict[str, int] = field(default_factory=dict)


def compute(polls: list[KeptPoll], host: dict[datetime, dict[str, Any]], scale: float) -> Computed:
    """Count good time, gaps and values of the polls of one tray, the first of which begins its soak."""
    result = Computed()
    good = [poll.at for poll in polls if poll.good]
    for one, two in pairwise(good):
        if (two - one).total_seconds() <= MAX_GAP_SECONDS:
            result.seconds += (two - one).total_seconds() * scale
        else:
            result.gaps.append((one, two))
    for before, poll in pairwise(polls):
        stands_for = min((poll.at - before.at).total_seconds(), MAX_GAP_SECONDS)
        for name, value in {**poll.report["values"], **host[poll.at]["values"]}.items():
            if value is not None:
                note(result, name, value, stands_for)
    return result


def note(result: Computed, name: str, value: float, seconds: float) -> None:
    result.series.setdefault(name, []).append(value)
    if name.startswith("HGX_GPU_") and name.endswith("_TEMP_0") and value > WARM["high"]:
        result.over[name] = result.over.get(name, 0.0) + seconds
        result.violations[name] = result.violations.get(name, 0) + 1


def compare(attempt: BurnInAttempt, computed: Computed) -> None:
    assert attempt.credited_seconds == pytest.approx(computed.seconds, rel=1e-9)
    assert list(Gap.objects.filter(attempt=attempt).order_by("from_at").values_list("from_at", "to_at")) == (
        computed.gaps
    )
    assert attempt.statistics.keys() == computed.series.keys()
    for name, values in computed.series.items():
        entry = attempt.statistics[name]
        assert (entry["count"], entry["min"], entry["max"], entry["last"]) == (
            len(values),
            min(values),
            max(values),
            values[-1],
        ), name
        assert entry["sum"] / entry["count"] == pytest.approx(sum(values) / len(values), rel=1e-9)
    for name, count in computed.violations.items():
        kept = attempt.statistics[name]["limits"][WARM["group"]]
        assert kept["violations"] == count
        assert kept["over"] == pytest.approx(computed.over[name], rel=1e-9)


def soak_with_faults(soak: Soak, log: Path) -> None:
    """Let a tray hang, another read nothing, a third be too hot, and nobody poll for a while."""
    share = HOURS * 3600 / 8
    wait = MAX_GAP_SECONDS * 2
    loop = soak.programs.loop()
    soak.earns(share)
    soak.rig.fault(HUNG, "hang", for_seconds=wait)
    soak.earns(2 * share)
    soak.rig.fault(SILENT, "nan", for_seconds=wait)
    soak.rig.fault(HOT, "overheat", for_seconds=wait)
    soak.earns(4 * share)
    loop.send_signal(signal.SIGTERM)
    loop.wait(30)
    time.sleep(wait)
    loop = soak.programs.loop()
    soak.ends(6 * SECONDS + 60)
    kill(loop)
    assert outages(log) > 0


@pytest.mark.django_db(transaction=True)
def test_72_hours_are_credited_as_the_simulators_log_says(tmp_path: Path) -> None:
    log = tmp_path / "served"
    scale = HOURS * 3600 / SECONDS
    profile: dict[str, Any] = {
        "required_hours": HOURS,
        "time_scale": scale,
        "poll_seconds": POLL_SECONDS,
        "poll_timeout_seconds": max(1.0, POLL_SECONDS),
        "max_gap_seconds": MAX_GAP_SECONDS,
        "missed_polls": 3,
        "suspect_seconds": 600,
    }
    began = time.monotonic()
    with (
        Programs(tmp_path) as programs,
        bench(trays=TRAYS, log=log, limits=(WARM, LIMITS[2]), speed=scale / 60, **profile) as rig,
    ):
        soak_with_faults(Soak(rig, programs), log)
    took = time.monotonic() - began
    run = check_run(rig, log)
    assert run.credited_hours >= HOURS and run.soak_started_at is not None
    served = read_log(log)
    counts = {"polls": 0, "samples": 0, "gaps": 0, "violations": 0}
    for attempt in run.attempts.select_related("unit"):
        told = served[attempt.unit.serial]
        polls = [
            poll
            for poll in match(kept_polls(attempt), told)
            if run.soak_started_at <= poll.at <= (attempt.last_poll_at or poll.at)
        ]
        host = {poll.at: poll.report for poll in match(kept_polls(attempt, HOST_SERIES), told, HOST_REPORT)}
        computed = compute(polls, host, scale)
        compare(attempt, computed)
        counts["polls"] += len(polls)
        counts["samples"] += sum(len(values) for values in computed.series.values())
        counts["gaps"] += len(computed.gaps)
        counts["violations"] += sum(computed.violations.values())
    assert counts["gaps"] >= TRAYS + 2 and counts["violations"] > 0
    facts = {"trays": TRAYS, "seconds": round(took, 1), "credited_hours": run.credited_hours, **counts}
    if RESULT:
        Path(RESULT).write_text(json.dumps(facts))
