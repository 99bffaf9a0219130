"""What the statistics of one rack cost per tick: 27 trays of simulated sensors, soaked for 300 polls.

Run it against a migrated database; everything it writes is rolled back.

    DATABASE_URL=postgresql://... PYTHONPATH=. python benchmarks/burn_in_statistics.py

It prints how large they are, the time to note a poll of 27 trays, the time to write it as a tick does
(without the commit), and beside it the time in which the same database takes as many plain bytes. The WAL is
that of the whole server meanwhile.
"""

import json
import os
import statistics as stat
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

import yaml
from django.db import connection, transaction

from mes.burnin.judging import Statistics, find_medians, note_absences, note_samples
from mes.burnin.limits import Moment
from mes.burnin.models import BurnInAttempt, BurnInRun, SeriesLimit
from mes.burnin.redfish import Sample
from mes.burnin.tick import WRITTEN
from mes.simulators.bmc_physics import TrayPhysics
from mes.simulators.bmc_sensors import compute_sensors, switch_sensors
from tests.burnin.builders import make_profile, make_rack

PACK = Path(__file__).parents[1] / "fixtures/nvl72/burn_in.yaml"
POLLS, EVERY, ROUNDS = 300, 10.0, 20
TRAYS = ["compute_tray"] * 18 + ["switch_tray"] * 9
PROFILE = 4  # l11-72h 3 in the seed pack


def load_limits() -> dict[str, list[SeriesLimit]]:
    """Return the seed limits by kind of tray, unsaved."""
    rows = yaml.safe_load(PACK.read_text())["burn_in_profiles"][PROFILE]["limits"]
    limits: dict[str, list[SeriesLimit]] = {}
    for row in rows:
        limits.setdefault(row["unit_kind"], []).append(SeriesLimit(**row))
    return limits


def soak() -> tuple[list[Statistics], float]:
    """Return the statistics of every tray after the soak, and the median seconds to note one poll of all."""
    sensors = {"compute_tray": compute_sensors(), "switch_tray": switch_sensors()}
    trays = [
        TrayPhysics(sensors[kind], f"tray {at}", 1.0, 0.0, stressed=True) for at, kind in enumerate(TRAYS)
    ]
    limits, kept, took = load_limits(), [Statistics() for _ in TRAYS], []
    for poll in range(POLLS):
        at = 1_790_000_000.0 + EVERY * poll
        readings = [_read(tray, EVERY * poll) for tray in trays]
        began = time.perf_counter()
        medians = {
            kind: find_medians(
                [each for each, its in zip(readings, TRAYS, strict=True) if its == kind], limits[kind]
            )
            for kind in limits
        }
        for reading, kind, statistics in zip(readings, TRAYS, kept, strict=True):
            moment = Moment(at, EVERY, EVERY, 60, medians[kind])
            note_absences(statistics, reading.samples, limits[kind], moment)
            note_samples(statistics, reading.samples, limits[kind], moment, soaking=True)
        took.append(time.perf_counter() - began)
    return kept, stat.median(took)


def _read(tray: TrayPhysics, now: float) -> Any:
    tray.advance(now)
    at = datetime.now(UTC)
    units = {sensor.name: sensor.units for sensor in tray.sensors}
    samples = tuple(Sample(name, value, at, unit=units[name]) for name, value in tray.read([]).items())
    return SimpleNamespace(samples=samples, stress_active=True)


def measure_writes(kept: list[Statistics]) -> tuple[float, float, float]:
    """Return the median seconds of a tick's write and of as many plain bytes; and the kB of WAL a tick."""
    size = sum(len(json.dumps(statistics)) for statistics in kept)
    attempts = _attempts(kept)
    before, ticks, plain = _wal(), [], []
    for _ in range(ROUNDS):
        for attempt in attempts:
            attempt.statistics["round"] = {"last": time.perf_counter()}
        ticks.append(_timed(partial(BurnInAttempt.objects.bulk_update, attempts, WRITTEN)))
    written = (_wal() - before) / ROUNDS / 1000
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE plain_bytes (bytes text)")
        for _ in range(ROUNDS):
            insert = partial(cursor.execute, "INSERT INTO plain_bytes VALUES (%s)")
            plain.append(_timed(partial(insert, [os.urandom(size // 2).hex()])))
    return stat.median(ticks), stat.median(plain), written


def _attempts(kept: list[Statistics]) -> list[BurnInAttempt]:
    rack, units = make_rack(len(kept))
    run = BurnInRun.objects.create(
        unit=rack, profile=make_profile(rack.part_revision), started_by="benchmark"
    )
    slots = rack.part_revision.slots.all()
    return BurnInAttempt.objects.bulk_create(
        BurnInAttempt(run=run, slot=slot, unit=unit, statistics=statistics)
        for slot, unit, statistics in zip(slots, units, kept, strict=True)
    )


def _wal() -> float:
    if connection.vendor != "postgresql":
        return 0.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")
        return float(cursor.fetchone()[0])


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def main() -> None:
    """Print the figures."""
    kept, noting = soak()
    sizes = [len(json.dumps(statistics)) for statistics in kept]
    print(f"{connection.vendor}: {len(kept)} trays, {sum(map(len, kept))} series")
    print(f"JSON: {max(sizes) / 1000:.1f} kB the largest tray, {sum(sizes) / 1000:.0f} kB a rack")
    print(f"noting one poll of all trays: {noting * 1000:.0f} ms")
    with transaction.atomic():
        ticks, plain, written = measure_writes(kept)
        transaction.set_rollback(True)
    print(f"writing them: {ticks * 1000:.0f} ms, {written:.0f} kB of WAL")
    print(f"as many plain bytes: {plain * 1000:.0f} ms; ratio {ticks / plain:.1f}")


if __name__ == "__main__":
    main()
