"""Charts: no peak lost, gaps left open, limits in sight, and as many queries for many trays as for few."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from mes.burnin.charts import Chart, charts_of
from mes.burnin.compaction import compact_due
from mes.burnin.models import SeriesLimit
from mes.burnin.plotting import BOTTOM, LEFT, RIGHT, TOP, Window
from mes.burnin.services import read_series, read_series_of
from mes.burnin.telemetry import Point, Series
from tests.burnin.soaked import even, make_run, soak

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HIGH = SeriesLimit(group="gpu temperature", unit_kind="compute_tray", pattern="GPU_?", unit="Cel", high=87)
STOP = SeriesLimit(group="over-temperature", unit_kind="compute_tray", pattern="GPU_?", unit="Cel", high=95)


def series(name: str, values: list[float | None], *, every: float = 10) -> Series:
    points = [
        Point(BEGIN + timedelta(seconds=every * number), value, value) for number, value in enumerate(values)
    ]
    return Series(name, points)


def chart(*drawn: Series, seconds: float = 600, gaps: Any = (), limits: Any = (HIGH,)) -> Chart:
    window = Window(BEGIN, BEGIN + timedelta(seconds=seconds), 10, 60)
    (made,) = charts_of(limits, {"C1": list(drawn)}, list(gaps), window)
    return made


def test_the_worst_comes_first_and_is_marked() -> None:
    made = chart(series("GPU_0", [60, 61]), series("GPU_1", [60, 80, 70]))
    assert made.worst is not None
    assert (made.worst.series, made.worst.left, made.worst.last) == ("GPU_1", 7, 70)
    assert [(line.series, line.is_worst) for line in made.lines] == [("GPU_0", False), ("GPU_1", True)]
    assert made.beyond == []


def test_of_many_series_only_the_worst_is_a_line() -> None:
    made = chart(*(series(f"GPU_{number}", [60 + number]) for number in range(9)))
    assert [line.series for line in made.lines] == ["GPU_8"] and len(made.rows) == 9


def test_limits_on_the_same_series_share_a_chart_and_are_always_in_sight() -> None:
    made = chart(series("GPU_0", [60.0, 61.0]), limits=(HIGH, STOP))
    assert made.title == "gpu temperature, over-temperature"
    assert [limit.text for limit in made.limits] == ["87 Cel", "95 Cel"]
    assert all(TOP <= limit.at <= BOTTOM for limit in made.limits)
    assert made.worst is not None and made.worst.left == 26


def test_what_is_beyond_a_limit_is_told() -> None:
    made = chart(series("GPU_0", [60, 90, 60]))
    (part,) = made.beyond
    assert made.worst is not None and made.worst.is_outside
    assert part.start == TOP and part.start + part.length == pytest.approx(made.limits[0].at)


def test_a_silence_breaks_the_line_and_the_band() -> None:
    values: list[float | None] = [60.0] * 10 + [None] * 7 + [60.0] * 10
    made = chart(series("GPU_0", values))
    assert made.lines[0].path.count("M") == 2 and made.band.count("M") == 2
    values[10:17] = [60.0, None, None, None, None, None, 60.0]  # 60 s apart: still one soak
    assert chart(series("GPU_0", values)).lines[0].path.count("M") == 1


def test_gaps_that_overlap_are_shaded_once_and_end_at_the_window() -> None:
    def at(seconds: float) -> datetime:
        return BEGIN + timedelta(seconds=seconds)

    made = chart(
        series("GPU_0", [60.0]),
        gaps=[(at(-900), at(-800)), (at(60), at(120)), (at(90), at(150)), (at(540), at(900))],
    )
    width = RIGHT - LEFT
    shares = [((shade.start - LEFT) / width, shade.length / width) for shade in made.gaps]
    assert [pytest.approx(share, abs=0.001) for share in shares] == [(0.1, 0.15), (0.9, 0.1)]


def test_no_peak_is_lost_between_the_pixels() -> None:
    values: list[float | None] = [60.0] * 25_920
    values[12_345] = 99.0
    made = chart(series("GPU_0", values), seconds=259_200)
    assert made.worst is not None and made.worst.high == 99
    top = min(float(point.split()[1]) for point in made.lines[0].path[1:].split("L"))
    assert top < made.limits[0].at


def test_nothing_measured_is_no_chart_of_anything() -> None:
    made = chart(series("GPU_0", [None, None]))
    assert (made.rows, made.lines, made.band, made.worst) == ([], [], "", None)


@pytest.mark.django_db
@pytest.mark.parametrize("trays", [2, 8])
def test_series_of_many_trays_cost_no_more_queries(trays: int, django_assert_num_queries: Any) -> None:
    def signal(tray: int, name: str, poll: int) -> float | None:
        return None if (tray, poll) == (1, 3) else even(tray, name, poll)

    run = make_run(trays, polls=6, signal=signal)
    attempts, begin = list(run.attempts.all()), run.soak_started_at
    assert begin is not None
    until, patterns = begin + timedelta(hours=1), {"HGX_GPU_?_TEMP_0", "HGX_GPU_0_Power_0"}
    with django_assert_num_queries(4):
        found = read_series_of(attempts=attempts, patterns=patterns, since=begin, until=until)
    for attempt in attempts:
        alone = [each for pattern in patterns for each in read_series(attempt=attempt, pattern=pattern)]
        assert found[attempt.pk] == sorted(alone, key=lambda each: each.name)
    assert found[attempts[1].pk][0].points[2].low is None


@pytest.mark.django_db
def test_compacted_samples_of_many_trays_are_those_of_each() -> None:
    run = make_run(3, polls=150, until=timezone.now() - timedelta(minutes=15))
    attempts, begin = list(run.attempts.all()), run.soak_started_at
    assert begin is not None and compact_due()
    soak(run, polls=20, until=timezone.now())
    until, pattern = timezone.now(), "HGX_GPU_?_TEMP_0"
    found = read_series_of(attempts=attempts, patterns=[pattern], since=begin, until=until)
    for attempt in attempts:
        assert found[attempt.pk] == read_series(attempt=attempt, pattern=pattern, since=begin)
        assert sum(len(each.points) for each in found[attempt.pk]) == 4 * 170
