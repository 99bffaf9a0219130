"""Samples at rest: packed without losing a bit, and read alike wherever they lie."""

import math
import struct
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mes.burnin import stretches, telemetry
from mes.burnin.blocks import (
    pack_block,
    pack_statistics,
    pack_times,
    unpack_block,
    unpack_statistics,
    unpack_times,
)
from mes.burnin.compaction import compact_due, compact_run
from mes.burnin.models import BurnInAttempt, BurnInRun, Poll, PollWindow, SeriesBlock
from mes.burnin.redfish import TrayReading
from mes.burnin.telemetry import Series, SeriesStatistics, read_series, read_statistics
from tests.builders import supervisor_client
from tests.burnin.samples import BEGIN, physical_readings, save, save_physics, soaked_run, tray_reading

GPU = "HGX_GPU_0_TEMP_0"
WINDOW = timedelta(minutes=10)


def float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def values_of(readings: list[TrayReading], name: str) -> list[tuple[datetime, float | None]]:
    """Return the values of a series as they come back, for they are kept as float32."""
    found = [
        (reading.taken_at, {each.series: each for each in reading.samples}[name]) for reading in readings
    ]
    return [(at, None if sample.value is None else float32(sample.value)) for at, sample in found]


def expected(readings: list[TrayReading], name: str, since: datetime, until: datetime) -> dict[str, Any]:
    """Return the statistics of a series computed plainly from the readings."""
    inside = [value for at, value in values_of(readings, name) if since <= at <= until and value is not None]
    return {
        "count": len(inside),
        "minimum": min(inside, default=None),
        "maximum": max(inside, default=None),
        "mean": pytest.approx(math.fsum(inside) / len(inside), rel=1e-12) if inside else None,
    }


def told(statistics: SeriesStatistics) -> dict[str, Any]:
    return {name: getattr(statistics, name) for name in ("count", "minimum", "maximum", "mean")}


def only(run: BurnInRun) -> BurnInAttempt:
    return run.attempts.select_related("slot").get()


def polls_of(series: Series) -> list[tuple[datetime, float | None]]:
    """Return a chart whose points are single polls as values."""
    assert all(point.low == point.high for point in series.points)
    return [(point.at, point.low) for point in series.points]


def strange_values() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return every kind of float32: subnormals, infinities, both zeros, NaNs of several payloads, noise."""
    noise = np.random.default_rng(5).integers(0, 2**32, 60 * 48, dtype=np.uint32)
    odd = [0x7FC00000, 0xFFC00001, 0x7F800001, 0x80000000, 0x7F800000, 0xFF800000, 1] + [0] * 113
    return np.concatenate([noise, np.array(odd, np.uint32)]).view("<f4").reshape(60, 50)


def test_blocks_and_times_keep_every_bit() -> None:
    values = strange_values()
    back = unpack_block(pack_block(values), 60)
    assert back.tobytes() == values.tobytes()
    alone = values[:1]
    assert unpack_block(pack_block(alone), 1).tobytes() == alone.tobytes()
    at = np.array([1, 2, 2_000_000_000_000_000, 2_000_000_000_000_001], np.int64)
    assert unpack_times(pack_times(at)).tolist() == at.tolist()


def test_statistics_of_a_block_leave_missing_values_out() -> None:
    values = np.array([[1.5, np.nan, -3.0], [2.5, np.nan, np.nan]], np.float32)
    rows = unpack_statistics(pack_statistics(values))
    assert rows["count"].tolist() == [2, 0, 1]
    assert (rows["low"][0], rows["high"][0], rows["total"][0]) == (1.5, 2.5, 4.0)
    assert math.isnan(rows["low"][1]) and (rows["low"][2], rows["high"][2]) == (-3.0, -3.0)


@pytest.mark.django_db
def test_what_is_compacted_reads_as_before() -> None:
    run = soaked_run()
    readings = save_physics(run, 150)[only(run).pk]
    readings += spoiled(only(run), readings[-1].taken_at)
    since, until = readings[7].taken_at, readings[140].taken_at
    before = snapshot(run, since, until)
    assert polls_of(before[0][0]) == values_of(readings, GPU)
    assert compact_due() == len(readings)
    assert Poll.objects.count() == 0 and PollWindow.objects.count() == 4
    assert snapshot(run, since, until) == before


def spoiled(attempt: BurnInAttempt, after: datetime) -> list[TrayReading]:
    """Save a poll without a value, and one with other series, and return them."""
    nothing = tray_reading(after + timedelta(seconds=5), dict.fromkeys((GPU, "HGX_GPU_1_TEMP_0")))
    beyond = tray_reading(after + timedelta(seconds=6), {GPU: 41.5, "HGX_GPU_1_TEMP_0": 1e300})
    save(attempt, [nothing, beyond])
    return [nothing, beyond]


def snapshot(run: BurnInRun, since: datetime, until: datetime) -> tuple[list[Series], ...]:
    attempt = only(run)
    return (
        read_series(attempt=attempt, pattern=GPU),
        read_series(attempt=attempt, pattern="HGX_GPU_?_TEMP_0", since=since, until=until),
        read_series(attempt=attempt, pattern="*"),
        read_series(attempt=attempt, pattern="*", since=until + timedelta(days=1)),
    )


@pytest.mark.django_db
def test_statistics_are_exact_over_blocks_and_polls() -> None:
    run = soaked_run()
    readings = save_physics(run, 200)[only(run).pk]
    late = list(physical_readings("late", 40, begin=BEGIN + timedelta(hours=1)))
    compact_run(run.pk)
    save(only(run), late)
    readings += late
    for first, last in ((0, 239), (7, 140), (59, 61), (130, 230), (205, 210)):
        since, until = readings[first].taken_at, readings[last].taken_at
        found = read_statistics(attempt=only(run), pattern="HGX_GPU_*", since=since, until=until)
        assert len(found) == 24
        for each in found:
            assert told(each) == expected(readings, each.name, since, until), each.name
    assert {each.name: each.unit for each in found}[GPU] == "Cel"
    empty = read_statistics(attempt=only(run), pattern=GPU, since=readings[-1].taken_at + WINDOW)
    assert empty == []


def forbid_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a block was opened")

    monkeypatch.setattr(stretches, "unpack_block", refuse)


def long_run(windows: int) -> tuple[BurnInRun, list[TrayReading]]:
    """Make a compacted run with two polls in each window and one peak in the middle."""
    run, halves = soaked_run(), WINDOW / 2
    readings = [
        tray_reading(BEGIN + number * halves, {GPU: 60.0 + number % 7, "B": float(number)})
        for number in range(2 * windows)
    ]
    peak = tray_reading(readings[windows].taken_at + timedelta(seconds=1), {GPU: 99.5, "B": -1.0})
    readings.insert(windows + 1, peak)
    save(only(run), readings)
    compact_run(run.pk)
    return run, readings


@pytest.mark.django_db
def test_a_long_time_is_drawn_from_statistics_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run, readings = long_run(telemetry.MANY_WINDOWS)
    forbid_opening(monkeypatch)
    drawn = read_series(attempt=only(run), pattern="*")
    assert [series.name for series in drawn] == ["B", GPU]
    assert all(len(series.points) == telemetry.MANY_WINDOWS for series in drawn)
    assert extremes(drawn[1]) == (60.0, 99.5) and extremes(drawn[0]) == (-1.0, len(readings) - 2.0)
    monkeypatch.setattr(telemetry, "MOST_POINTS", 30)
    few = read_series(attempt=only(run), pattern="*")
    assert all(20 < len(series.points) <= 30 for series in few)
    assert extremes(few[1]) == (60.0, 99.5)
    (all_of_it,) = read_statistics(attempt=only(run), pattern=GPU)
    assert told(all_of_it) == expected(readings, GPU, BEGIN, readings[-1].taken_at)


def extremes(series: Series) -> tuple[float, float]:
    lows = [point.low for point in series.points if point.low is not None]
    highs = [point.high for point in series.points if point.high is not None]
    return min(lows), max(highs)


@pytest.mark.django_db
def test_points_stay_few_and_peaks_stay() -> None:
    run = soaked_run()
    readings = [
        tray_reading(BEGIN + timedelta(seconds=number), {GPU: 99.0 if number == 777 else 50.0})
        for number in range(1700)
    ]
    save(only(run), readings)
    compact_run(run.pk)
    (series,) = read_series(attempt=only(run), pattern=GPU)
    assert 400 < len(series.points) <= 500
    assert extremes(series) == (50.0, 99.0)


@pytest.mark.django_db
def test_statements_do_not_grow_with_the_time() -> None:
    short, _ = long_run(2)
    long, readings = long_run(140)
    counted = []
    for run in (short, long):
        attempt = only(run)
        save(attempt, [tray_reading(readings[-1].taken_at + timedelta(days=1), {GPU: 1.0, "B": 1.0})])
        for read in (read_series, read_statistics):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert read(attempt=attempt, pattern="*", since=BEGIN + timedelta(minutes=2))
            counted.append(len(queries))
    assert counted == [4, 3, 4, 3]


@pytest.mark.django_db
def test_a_poll_that_comes_late_is_added_to_its_window() -> None:
    run = soaked_run()
    readings = save_physics(run, 60)[only(run).pk]
    compact_run(run.pk)
    late = list(physical_readings("late", 3, begin=BEGIN + timedelta(seconds=12)))
    other = tray_reading(BEGIN + timedelta(seconds=14), {GPU: 77.0})
    save(only(run), late)
    save(only(run), [other])
    everything = sorted([*readings, *late, other], key=lambda reading: reading.taken_at)
    for _ in range(2):
        (series,) = read_series(attempt=only(run), pattern=GPU)
        assert polls_of(series) == values_of(everything, GPU)
        compact_run(run.pk)
    assert (Poll.objects.count(), PollWindow.objects.count()) == (0, 2)


@pytest.mark.django_db
def test_a_poll_that_comes_twice_counts_once() -> None:
    run = soaked_run()
    readings = save_physics(run, 60)[only(run).pk]
    compact_run(run.pk)
    save(only(run), readings[10:12])
    for _ in range(2):
        (statistics,) = read_statistics(attempt=only(run), pattern=GPU)
        assert statistics.count == 60
        (series,) = read_series(attempt=only(run), pattern=GPU)
        assert polls_of(series) == values_of(readings, GPU)
        compact_run(run.pk)
    assert Poll.objects.count() == 0


@pytest.mark.django_db
def test_a_run_that_goes_on_keeps_the_polls_of_its_window() -> None:
    run = soaked_run()
    save_physics(run, 6, begin=datetime.now(BEGIN.tzinfo))
    assert (compact_due(), compact_run(run.pk), Poll.objects.count()) == (0, 0, 6)
    BurnInRun.objects.filter(pk=run.pk).update(state="passed", ended_at=BEGIN)
    assert (compact_run(run.pk), Poll.objects.count()) == (6, 0)


@pytest.mark.django_db
def test_a_sample_takes_at_most_one_and_a_half_bytes() -> None:
    run = soaked_run(2)
    readings = save_physics(run, 360)
    samples = sum(len(reading.samples) for polls in readings.values() for reading in polls)
    compact_run(run.pk)
    blobs = [
        *SeriesBlock.objects.values_list("statistics", flat=True),
        *SeriesBlock.objects.values_list("values", flat=True),
        *PollWindow.objects.values_list("times", flat=True),
    ]
    assert sum(len(blob) for blob in blobs) / samples <= 1.5


@pytest.mark.django_db
def test_statistics_over_rest() -> None:
    run = soaked_run()
    readings = save_physics(run, 70)[only(run).pk]
    compact_run(run.pk)
    browser, address = supervisor_client(), f"/api/v1/burn-in-runs/{run.uid}/statistics/"
    query = {"slot": "c1", "series": "HGX_GPU_?_TEMP_0", "until": readings[64].taken_at.isoformat()}
    body = browser.get(address, query).json()
    assert (body["slot"], body["number"], len(body["series"])) == ("C1", 1, 4)
    first = body["series"][0]
    assert {**first, "name": None, "unit": None} == {
        **expected(readings, GPU, BEGIN, readings[64].taken_at),
        "name": None,
        "unit": None,
    }
    assert (first["name"], first["unit"]) == (GPU, "Cel")
    assert browser.get(address, {"slot": "C9", "series": "*"}).status_code == 404
    assert browser.get(address, {"slot": "C1"}).status_code == 400
