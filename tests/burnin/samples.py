"""Readings of simulated trays, hours of them in a moment: the simulator's physics without its sockets."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from mes.burnin.models import BurnInAttempt, BurnInRun
from mes.burnin.redfish import Sample, TrayReading
from mes.burnin.telemetry import save_polls
from mes.simulators.bmc_physics import TrayPhysics
from mes.simulators.bmc_sensors import SensorSpec, compute_sensors
from tests.burnin.builders import make_profile, make_rack

BEGIN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
POLL = timedelta(seconds=10)


def soaked_run(trays: int = 1, *, ended: bool = False) -> BurnInRun:
    """Make a run with its attempts, which nobody ticks."""
    rack, units = make_rack(trays)
    profile = make_profile(rack.part_revision)
    run = BurnInRun.objects.create(unit=rack, profile=profile, started_by="tests", state="soaking")
    slots = rack.part_revision.slots.order_by("order")
    BurnInAttempt.objects.bulk_create(
        BurnInAttempt(run=run, slot=slot, unit=unit, statistics={"HGX_GPU_0_TEMP_0": {"unit": "Cel"}})
        for slot, unit in zip(slots, units, strict=True)
    )
    if ended:
        end(run)
    return run


def end(run: BurnInRun, at: datetime = BEGIN + timedelta(days=3)) -> None:
    BurnInRun.objects.filter(pk=run.pk).update(state="passed", ended_at=at)
    run.refresh_from_db()


def tray_reading(at: datetime, values: dict[str, float | None]) -> TrayReading:
    """Return what a poll of a tray gives; the unit is of no matter here."""
    samples = tuple(Sample(name, value, at, unit="Cel") for name, value in values.items())
    return TrayReading(
        taken_at=at,
        samples=samples,
        leak=(),
        leak_detectors=4,
        boot_id="1",
        serial="S",
        slot_number=1,
        tray_index=1,
        health={},
        stress_active=True,
    )


def physical_readings(
    seed: str,
    polls: int,
    *,
    begin: datetime = BEGIN,
    every: timedelta = POLL,
    sensors: tuple[SensorSpec, ...] = compute_sensors(),
) -> Iterator[TrayReading]:
    """Yield the polls of a tray whose stress has just begun, as a MetricReport carries them, with jitter."""
    physics = TrayPhysics(sensors, seed, speed=1.0, now=0.0)
    physics.stressed = True
    for number in range(polls):
        physics.advance(number * every.total_seconds())
        at = begin + number * every + timedelta(microseconds=(number * 7919) % 2000)
        values = {name: float(f"{value:.6f}") for name, value in physics.read(()).items()}
        yield tray_reading(at, {name: None if math.isnan(each) else each for name, each in values.items()})


def save_physics(run: BurnInRun, polls: int, *, begin: datetime = BEGIN) -> dict[int, list[TrayReading]]:
    """Save polls of every tray of a run and return them by attempt."""
    attempts = list(run.attempts.order_by("pk"))
    readings = {
        attempt.pk: list(physical_readings(str(attempt.number), polls, begin=begin)) for attempt in attempts
    }
    for attempt in attempts:
        save(attempt, readings[attempt.pk])
    return readings


def save(attempt: BurnInAttempt, readings: Sequence[TrayReading]) -> None:
    """Save readings that have the same series."""
    save_polls([(attempt, reading) for reading in readings])
