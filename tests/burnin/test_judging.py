"""Limits, missing data, credit and identity, judged without a database."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mes.burnin.findings import Breach
from mes.burnin.judging import (
    Statistics,
    earned_seconds,
    find_identity_fault,
    find_missing,
    in_short,
    is_urgent,
    note_samples,
    outage_seconds,
)
from mes.burnin.limits import Moment, is_outside
from mes.burnin.models import BurnInAttempt, BurnInProfile, SeriesLimit
from mes.burnin.near_misses import find_worst
from mes.burnin.polls import pack_values, unpack_values
from mes.burnin.redfish import Sample, TrayReading
from mes.products.models import Slot

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOT = SeriesLimit(
    group="heat", unit_kind="tray", pattern="GPU_?_TEMP", unit="Cel", high=87, violations=2, window=4
)
ROOM = SeriesLimit(
    group="room", unit_kind="tray", pattern="GPU_?_ROOM", unit="Cel", low=5, violations=1, window=1
)
STOP = SeriesLimit(
    group="stop",
    unit_kind="tray",
    pattern="GPU_?_TEMP",
    unit="Cel",
    high=95,
    violations=1,
    window=1,
    action="stop_rack",
)
PROFILE = BurnInProfile(max_gap_seconds=60, time_scale=1)
NOW = Moment(at=1_700_000_000.0, elapsed=10)


def samples(**values: float | None) -> list[Sample]:
    return [Sample(series, value, NOON) for series, value in values.items()]


def reading(*taken: Sample, **more: Any) -> TrayReading:
    fields: dict[str, Any] = {
        "taken_at": NOON,
        "samples": taken,
        "leak": (),
        "leak_detectors": 4,
        "boot_id": "boot-1",
        "serial": "T1",
        "slot_number": 3,
        "tray_index": 2,
        "health": {},
        "stress_active": True,
    }
    return TrayReading(**{**fields, **more})


def feed(statistics: Statistics, series: str, values: list[float], *limits: SeriesLimit) -> list[int]:
    """Note values one by one and return the numbers of those that breached a limit."""
    return [
        number
        for number, value in enumerate(values)
        if note_samples(statistics, samples(**{series: value}), limits, NOW, soaking=True).breaches
    ]


def breaches(
    statistics: Statistics, taken: list[Sample], *limits: SeriesLimit, soaking: bool = True
) -> list[Breach]:
    return note_samples(statistics, taken, limits, NOW, soaking=soaking).breaches


def test_the_bounds_of_a_limit_are_good() -> None:
    limit = SeriesLimit(low=10, high=87)
    assert [is_outside(value, limit) for value in (9.9, 10.0, 87.0, 87.1)] == [True, False, False, True]


def test_n_of_m_trips_on_the_nth_outside_sample_of_the_window() -> None:
    assert feed({}, "GPU_0_TEMP", [90, 80, 90], HOT) == [2]
    assert feed({}, "GPU_0_TEMP", [90, 80, 80, 80, 90, 80], HOT) == []
    assert feed({}, "GPU_0_TEMP", [90, 90, 80, 80, 80], HOT) == [1, 2, 3]


def test_a_breach_names_series_value_limit_and_count() -> None:
    statistics: Statistics = {}
    feed(statistics, "GPU_0_TEMP", [90], HOT)
    [breach] = breaches(statistics, samples(GPU_0_TEMP=93.5), HOT)
    assert str(breach) == (
        "GPU_0_TEMP was 93.5 Cel; heat must be at most 87 Cel "
        "(2 of the last 4 samples outside, 2 are too many)."
    )
    assert not breach.stops_rack


def test_headroom_is_bad_when_low() -> None:
    assert feed({}, "GPU_0_ROOM", [60, 5, 4.9], ROOM) == [2]


def test_statistics_count_usable_samples_only() -> None:
    statistics: Statistics = {}
    taken = [*samples(A=2.0, B=None), Sample("C", math.nan, NOON), Sample("D", 7.0, NOON, stale=True)]
    note_samples(statistics, taken, [], NOW, soaking=True)
    later = Moment(at=NOW.at + 10)
    note_samples(statistics, samples(A=5.0), [], later, soaking=True)
    assert statistics == {
        "A": {
            **{"count": 2, "min": 2.0, "max": 5.0, "sum": 7.0, "last": 5.0, "unit": ""},
            **{"min_at": NOW.at, "max_at": later.at},
        }
    }


def test_seconds_over_the_limit_add_up() -> None:
    statistics: Statistics = {}
    feed(statistics, "GPU_0_TEMP", [90, 80, 80, 80, 91], HOT)
    kept = statistics["GPU_0_TEMP"]["limits"]["heat"]
    assert (kept["over"], kept["violations"], kept["window"]) == (20.0, 2, 0b0001)
    assert (kept["judged"], kept["worst"]) == (5, 91)


def test_before_the_soak_only_what_stops_the_rack_is_watched() -> None:
    statistics: Statistics = {}
    assert not breaches(statistics, samples(GPU_0_TEMP=90.0), HOT, STOP, soaking=False)
    [breach] = breaches(statistics, samples(GPU_0_TEMP=96.0), HOT, STOP, soaking=False)
    assert breach.limit.group == "stop" and breach.stops_rack
    assert "count" not in statistics["GPU_0_TEMP"]


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, 1e39])
def test_a_value_that_is_none_is_missing(bad: float | None) -> None:
    assert find_missing(samples(GPU_0_TEMP=bad, GPU_1_TEMP=60.0), [HOT], {}, NOW) == ["GPU_0_TEMP"]


def test_a_stale_sample_is_missing() -> None:
    taken = [Sample("GPU_0_TEMP", 60.0, NOON, stale=True), *samples(GPU_1_TEMP=60.0)]
    assert find_missing(taken, [HOT], {}, NOW) == ["GPU_0_TEMP"]


def test_a_value_in_another_unit_is_missing() -> None:
    taken = [Sample("GPU_0_TEMP", 60.0, NOON, unit="K"), Sample("GPU_1_TEMP", 60.0, NOON, unit="Cel")]
    assert find_missing(taken, [HOT], {}, NOW) == ["GPU_0_TEMP"]


def test_every_limit_needs_a_series_and_every_series_seen_before() -> None:
    taken = samples(GPU_0_TEMP=60.0)
    assert find_missing(taken, [HOT], {}, NOW) == []
    assert find_missing(taken, [HOT, ROOM], {}, NOW) == ["a series for room"]
    assert find_missing(taken, [HOT], {"GPU_1_TEMP": {}, "FAN": {}}, NOW) == ["GPU_1_TEMP"]


def test_a_reading_without_any_value_is_not_good_even_without_limits() -> None:
    assert find_missing(samples(FAN=None), [], {}, NOW) == ["any value"]
    assert find_missing(samples(FAN=1.0), [], {}, NOW) == []


def running(last_good: float | None, state: str = "running") -> BurnInAttempt:
    at = None if last_good is None else NOON - timedelta(seconds=last_good)
    return BurnInAttempt(state=state, last_good_at=at, last_poll_at=at)


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [
        (running(10), 10),
        (running(60), 60),
        (running(60.001), 0),
        (running(None), 0),
        (running(10, "suspect"), 0),
        (running(10, "starting"), 0),
        (running(-5), 0),
    ],
)
def test_credit_is_the_time_between_good_samples_close_enough(attempt: BurnInAttempt, seconds: float) -> None:
    assert earned_seconds(attempt, NOON, PROFILE) == seconds


def test_credit_is_scaled_for_demonstrations() -> None:
    assert earned_seconds(running(10), NOON, BurnInProfile(max_gap_seconds=60, time_scale=100)) == 1000


def test_an_outage_is_when_nobody_polled_for_longer_than_the_gap() -> None:
    assert outage_seconds(running(60), NOON, PROFILE) == 0
    assert outage_seconds(running(61), NOON, PROFILE) == 61


SLOT = Slot(name="C3", slot_number=3, tray_index=2)


@pytest.mark.parametrize(
    ("changes", "slot", "words"),
    [
        ({}, SLOT, ""),
        ({"serial": "t1"}, SLOT, ""),
        ({"serial": "T2"}, SLOT, "reports serial T2, but T1 is installed"),
        ({"slot_number": 4}, SLOT, "reports slot number 4, but its slot has slot number 3"),
        ({"tray_index": 1}, SLOT, "reports tray index 1, but its slot has tray index 2"),
        ({"slot_number": None, "tray_index": None}, SLOT, ""),
        ({"slot_number": 9}, Slot(name="C3"), ""),
        ({"slot_number": 0}, Slot(name="C3", slot_number=0), ""),
    ],
)
def test_identity_names_both_values(changes: dict[str, Any], slot: Slot, words: str) -> None:
    fault = find_identity_fault(reading(**changes), slot, ["T1", "T1-LABEL"])
    assert words in fault and bool(words) == bool(fault)


def test_any_identifier_of_the_unit_will_do() -> None:
    assert find_identity_fault(reading(serial="t1-label"), SLOT, ["T1", "T1-LABEL"]) == ""


def test_urgent_is_a_leak_or_a_value_beyond_a_stopping_limit() -> None:
    assert is_urgent(reading(leak=("LD0",)), [])
    assert is_urgent(reading(*samples(GPU_0_TEMP=96.0)), [HOT, STOP])
    assert not is_urgent(reading(*samples(GPU_0_TEMP=90.0)), [HOT, STOP])
    assert not is_urgent(reading(*samples(GPU_0_TEMP=None)), [STOP])


def test_the_worst_value_is_the_closest_to_its_limit() -> None:
    statistics: Statistics = {}
    feed(statistics, "GPU_0_TEMP", [50, 86, 60], HOT)
    feed(statistics, "GPU_1_TEMP", [70, 70], HOT)
    worst = find_worst(statistics, HOT)
    assert (worst.series, worst.value, worst.count, worst.breached) == ("GPU_0_TEMP", 86, 5, False)
    assert (worst.minimum, worst.maximum) == (50, 86)
    assert worst.mean == pytest.approx(336 / 5)
    feed(statistics, "GPU_1_TEMP", [88, 89], HOT)
    assert (find_worst(statistics, HOT).value, find_worst(statistics, HOT).breached) == (89, True)


def test_the_worst_value_of_two_bounds_is_the_one_with_least_margin() -> None:
    both = SeriesLimit(group="heat", pattern="*", low=0, high=100, violations=1, window=1)
    statistics: Statistics = {}
    feed(statistics, "GPU_0_TEMP", [5, 90], both)
    assert find_worst(statistics, both).value == 5


def test_a_limit_without_samples_has_no_worst_value_and_is_not_kept() -> None:
    worst = find_worst({}, HOT)
    assert (worst.value, worst.count, worst.breached) == (None, 0, True)


def test_long_lists_are_shortened() -> None:
    assert in_short(["a", "b", "c"]) == "a, b, c"
    assert in_short(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_values_survive_packing_and_missing_ones_are_nan() -> None:
    first, missing, beyond = unpack_values(pack_values([1.5, None, 1e300]))
    assert first == 1.5 and math.isnan(missing) and math.isnan(beyond)
    blob = pack_values([0.1] * 200)
    assert len(blob) < 200
