"""Kinds of limits, missing values, sampling, excursions and near misses, judged without a database."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.burnin.findings import Breach, Finding, Rule
from mes.burnin.judging import (
    Noted,
    Statistics,
    find_medians,
    find_missing,
    note_absences,
    note_samples,
)
from mes.burnin.limits import Moment, find_contradictions, is_outside, spread_medians
from mes.burnin.models import BurnInAttempt, SeriesLimit
from mes.burnin.near_misses import find_near_misses, find_worst
from mes.burnin.redfish import Sample, TrayReading
from mes.burnin.violations import Excursion, to_time
from mes.products.models import Part, PartRevision, Slot
from mes.serials.models import Unit

START = 1_700_000_000.0
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERIES = "GPU_0_TEMP"


def limit(**changes: Any) -> SeriesLimit:
    fields = {"group": "heat", "unit_kind": "tray", "pattern": "GPU_?_TEMP", "unit": "Cel", "high": 87}
    return SeriesLimit(**{**fields, "violations": 2, "window": 4, **changes})


def moment(seconds: float, **more: Any) -> Moment:
    return Moment(START + seconds, **{"elapsed": 10.0, "poll_seconds": 10, "max_gap_seconds": 60, **more})


def sample(value: float | None, series: str = SERIES) -> Sample:
    return Sample(series, value, NOON)


def feed(
    statistics: Statistics, judged: SeriesLimit, values: Sequence[tuple[float, float]], **more: Any
) -> list[Noted]:
    """Note values, each with its time in seconds, one by one."""
    return [
        note_samples(statistics, [sample(value)], [judged], moment(at, **more), soaking=True)
        for at, value in values
    ]


def breached(noted: list[Noted]) -> list[int]:
    return [number for number, each in enumerate(noted) if each.breaches]


def kept(statistics: Statistics, group: str = "heat") -> dict[str, Any]:
    found: dict[str, Any] = statistics[SERIES]["limits"][group]
    return found


# --- rates ---

RATE = limit(kind="rate", low=-6, high=6)


def test_a_rate_is_the_change_per_minute_between_samples() -> None:
    statistics: Statistics = {}
    noted = feed(statistics, RATE, [(0, 60), (10, 61), (20, 62.1), (30, 63.2)])
    assert breached(noted) == [3]  # 6 Cel/min is good, 6.6 is outside, and twice is too many
    [breach] = noted[3].breaches
    assert str(breach) == (
        "GPU_0_TEMP changed by 6.6 Cel/min; heat must be at least -6 Cel/min and at most 6 Cel/min "
        "(2 of the last 4 samples outside, 2 are too many)."
    )
    assert kept(statistics)["judged"] == 3  # the first sample has nothing before it


def test_a_rate_is_not_told_across_a_gap_and_begins_anew_behind_it() -> None:
    statistics: Statistics = {}
    noted = feed(statistics, RATE, [(0, 20), (61, 80), (71, 80.5)])
    assert not breached(noted) and kept(statistics)["violations"] == 0
    assert kept(statistics)["judged"] == 1
    # The control: without the gap the same step is outside.
    feed(closer := Statistics(), RATE, [(0, 20), (60, 80)])
    assert kept(closer)["violations"] == 1


def test_a_rate_of_two_samples_at_one_time_is_not_judged() -> None:
    feed(statistics := Statistics(), RATE, [(10, 20), (10, 80), (5, 20)])
    assert kept(statistics).get("judged", 0) == 0


@given(
    slope=st.floats(-5.9, 5.9),
    start=st.floats(0, 50),
    steps=st.lists(st.floats(1, 60), min_size=2, max_size=20),
)
def test_a_steady_slope_inside_the_bounds_never_breaches(
    slope: float, start: float, steps: list[float]
) -> None:
    at, values = 0.0, []
    for step in steps:
        at += step
        values.append((at, start + slope * at / 60))
    assert not breached(feed({}, RATE, values))


# --- spread ---

SPREAD = limit(kind="spread", high=8)


def tray_reading(stress: bool = True, **values: float) -> TrayReading:
    return TrayReading(
        taken_at=NOON,
        samples=tuple(Sample(series, value, NOON) for series, value in values.items()),
        leak=(),
        leak_detectors=1,
        boot_id="b",
        serial="T",
        slot_number=None,
        tray_index=None,
        health={},
        stress_active=stress,
    )


def test_the_median_is_over_three_trays_under_stress_at_least() -> None:
    hot, cool = tray_reading(GPU_0_TEMP=80.0, FAN=1.0), tray_reading(GPU_0_TEMP=60.0)
    idle = tray_reading(stress=False, GPU_0_TEMP=20.0)
    assert find_medians([hot, cool, idle], [SPREAD]) == {}
    assert find_medians([hot, cool, cool], [SPREAD]) == {"GPU_0_TEMP": 60.0}
    assert find_medians([hot, cool, cool], [limit()]) == {}


def test_one_bad_tray_is_outside_and_its_neighbours_are_not() -> None:
    medians = spread_medians([{SERIES: 61.0}, {SERIES: 60.0}, {SERIES: 85.0}, {SERIES: 59.0}])
    values = {"good": 61.0, "bad": 85.0, "cool": 59.0}
    outside = {}
    for tray, value in values.items():
        statistics: Statistics = {}
        noted = feed(statistics, SPREAD, [(0, value), (10, value)], medians=medians)
        outside[tray] = [str(breach) for each in noted for breach in each.breaches]
    assert not outside["good"] and not outside["cool"]
    assert outside["bad"] == [
        "GPU_0_TEMP was 24.5 Cel above the median of the trays; heat must be at most 8 Cel "
        "(2 of the last 4 samples outside, 2 are too many)."
    ]


def test_without_a_median_a_spread_is_not_judged_and_says_so() -> None:
    statistics: Statistics = {}
    feed(statistics, SPREAD, [(0, 90)])
    worst = find_worst(statistics, SPREAD)
    assert (worst.value, worst.breached) == (None, False)
    assert find_worst({}, SPREAD).breached


@given(st.lists(st.floats(50, 60), min_size=3, max_size=27), st.floats(70, 200), st.randoms())
def test_whichever_tray_is_bad_it_alone_is_outside(
    good: list[float], bad: float, shuffled: random.Random
) -> None:
    values = [*good, bad]
    shuffled.shuffle(values)
    median = spread_medians([{SERIES: value} for value in values])[SERIES]
    far = limit(kind="spread", low=-10, high=10)
    outside = [value for value in values if is_outside(value - median, far)]
    assert outside in ([bad], [])
    assert (outside == [bad]) == (bad - median > 10)


# --- what is missing ---


def absent(statistics: Statistics, judged: SeriesLimit, seconds: float, *taken: Sample) -> tuple[Any, Any]:
    """Judge a reading as a tick does; return what fails the tray and what makes the reading no good one."""
    now = moment(seconds)
    found = note_absences(statistics, taken, [judged], now)
    note_samples(statistics, taken, [judged], now, soaking=True)
    return found, find_missing(taken, [judged], statistics, now)


def test_so_many_polls_without_a_value_are_tolerated_and_no_more() -> None:
    tolerant, other = limit(missing="tolerate", missing_polls=2), sample(1.0, "FAN")
    statistics: Statistics = {}
    assert absent(statistics, tolerant, 0, sample(60.0), other) == ([], [])
    faults = [absent(statistics, tolerant, at, sample(None), other)[1] for at in (10, 20, 30)]
    assert faults == [[], [], [SERIES]]
    assert absent(statistics, tolerant, 40, sample(60.0), other)[1] == []
    assert absent(statistics, tolerant, 50, other)[1] == []  # counted anew
    strict = limit()
    assert find_missing([other, sample(None)], [strict], statistics, moment(60)) == [SERIES]


def test_a_series_that_never_told_anything_is_not_tolerated() -> None:
    tolerant = limit(missing="tolerate", missing_polls=9)
    assert find_missing([sample(None), sample(1.0, "FAN")], [tolerant], {}, moment(0)) == [SERIES]
    assert find_missing([sample(1.0, "FAN")], [tolerant], {}, moment(0)) == ["a series for heat"]


def test_so_many_polls_without_a_value_fail_the_tray() -> None:
    failing, other = limit(missing="fail", missing_polls=2), sample(1.0, "FAN")
    statistics: Statistics = {}
    absent(statistics, failing, 0, sample(60.0), other)
    assert absent(statistics, failing, 10, sample(None), other) == ([], [SERIES])
    [finding], missing = absent(statistics, failing, 20, sample(None), other)
    assert (finding.rule, finding.series, finding.high) == (Rule.MISSING, SERIES, 87)
    assert "in 2 polls in a row" in finding.text and missing == [SERIES]


def test_fail_alone_fails_at_the_first_missing_value() -> None:
    statistics: Statistics = {}
    absent(statistics, limit(missing="fail"), 0, sample(60.0))
    assert absent(statistics, limit(missing="fail"), 10, sample(None), sample(1.0, "FAN"))[0]


# --- sampling ---

SAMPLED = limit(sample_seconds=60)


def test_a_sampled_limit_is_judged_and_counted_once_in_its_time() -> None:
    statistics: Statistics = {}
    noted = feed(statistics, SAMPLED, [(at, 90) for at in range(0, 121, 10)])
    assert breached(noted) == [6, 12]
    assert (kept(statistics)["judged"], kept(statistics)["violations"]) == (3, 3)
    assert kept(statistics)["over"] == 10 + 60 + 60
    assert statistics[SERIES]["count"] == 13  # the series itself is kept at each poll


def test_a_poll_that_comes_a_little_early_is_the_one_waited_for() -> None:
    feed(statistics := Statistics(), SAMPLED, [(0, 60), (59.8, 60), (119.9, 60)])
    assert kept(statistics)["judged"] == 3


def test_a_value_that_is_not_due_may_be_missing_and_one_that_is_may_not() -> None:
    statistics: Statistics = {}
    other = sample(1.0, "FAN")
    assert absent(statistics, SAMPLED, 0, sample(60.0), other)[1] == []
    faults = [absent(statistics, SAMPLED, at, sample(None), other)[1] for at in (10, 50, 60, 70)]
    assert faults == [[], [], [SERIES], [SERIES]]
    assert absent(statistics, SAMPLED, 80, sample(60.0), other)[1] == []


# --- excursions ---


def excursions(values: list[tuple[float, float]], judged: SeriesLimit | None = None) -> list[Excursion]:
    """Return the excursions as their rows would stand at the end."""
    rows: dict[float, Excursion] = {}
    for each in feed({}, judged or limit(), values):
        rows.update({excursion.from_at: excursion for excursion in each.excursions})
    return list(rows.values())


def test_an_excursion_is_one_row_that_grows_and_ends() -> None:
    [first, second] = excursions([(0, 80), (10, 88), (20, 93), (30, 89), (40, 80), (50, 88)])
    assert (first.from_at - START, first.to_at - START, first.samples) == (10, 30, 3)
    assert (first.worst, first.worst_at - START, first.most, first.is_open) == (93, 20, 3, False)
    assert (second.from_at - START, second.samples, second.is_open) == (50, 1, True)


@given(st.lists(st.booleans(), max_size=60))
def test_excursions_hold_every_sample_outside_once(outside: list[bool]) -> None:
    found = excursions([(10.0 * number, 90.0 if bad else 60.0) for number, bad in enumerate(outside)])
    runs = "".join("x" if bad else " " for bad in outside).split()
    assert [excursion.samples for excursion in found] == [len(run) for run in runs]
    assert sum(excursion.is_open for excursion in found) == bool(outside and outside[-1])


@given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_times_survive_as_seconds(moment: datetime) -> None:
    assert to_time(moment.timestamp()) == moment


# --- findings and near misses ---


def test_a_breach_becomes_a_finding_with_its_facts() -> None:
    breach = Breach(limit(high=87), SERIES, 93.5, outside=2)
    found = breach.finding("C2", NOON).as_json()
    assert found["text"] == f"C2: {breach}"
    assert [found[name] for name in ("rule", "series", "value", "high", "low", "unit")] == [
        *("level", SERIES, 93.5, 87, None, "Cel")
    ]
    assert (found["outside"], found["violations"], found["window"]) == (2, 2, 4)
    assert found["at"] == "2026-03-01T12:00:00+00:00"


def test_a_finding_without_facts_says_so() -> None:
    found = Finding(Rule.LEAK, "C1 leaks.", NOON).as_json()
    assert (found["value"], found["low"], found["window"], found["series"]) == (None, None, None, "")


def attempt(slot: str, statistics: Statistics) -> BurnInAttempt:
    unit = Unit(serial=f"S-{slot}", part_revision=PartRevision(part=Part(kind="tray")))
    return BurnInAttempt(slot=Slot(name=slot), unit=unit, number=1, statistics=statistics)


def near(judged: SeriesLimit, **trays: list[float]) -> list[tuple[str, str, float]]:
    """Return the near misses of trays that read these values, each with its tray and reason."""
    attempts = []
    for slot, values in trays.items():
        statistics: Statistics = {}
        feed(statistics, judged, [(10.0 * number, value) for number, value in enumerate(values)])
        attempts.append(attempt(slot, statistics))
    rows = find_near_misses(attempts, {"tray": [judged]})
    return [(row["slot"], row["why"], row["value"]) for row in rows]


def test_near_misses_are_what_was_outside_too_shortly_or_within_5_percent_the_closest_first() -> None:
    found = near(limit(high=100), A=[50, 95, 50], B=[94.9], C=[50, 101, 50], D=[60])
    assert found == [("C", "not_persistent", 101), ("A", "margin", 95)]


def test_the_closest_tray_is_listed_however_far_it_was() -> None:
    assert near(limit(high=100), A=[50], B=[60]) == [("B", "closest", 60)]


def test_what_failed_is_no_near_miss() -> None:
    assert near(limit(high=100), A=[101, 102], B=[60]) == [("B", "closest", 60)]


def test_the_range_of_two_bounds_is_what_5_percent_are_of() -> None:
    leak = limit(low=1.3, high=2.0)
    assert near(leak, A=[1.33], B=[1.34]) == [("A", "margin", 1.33)]
    assert near(leak, A=[1.34]) == [("A", "closest", 1.34)]


def test_a_headroom_near_zero_is_measured_by_what_it_began_with() -> None:
    assert near(limit(high=None, low=0, basis="headroom"), A=[54, 2.6]) == [("A", "margin", 2.6)]
    assert near(limit(high=None, low=0, basis="headroom"), A=[54, 2.8]) == [("A", "closest", 2.8)]


def test_a_near_miss_says_when_it_was() -> None:
    statistics: Statistics = {}
    feed(statistics, limit(), [(0, 50), (10, 86), (20, 60)])
    [row] = find_near_misses([attempt("A", statistics)], {"tray": [limit()]})
    assert row["at"] == to_time(START + 10).isoformat()
    assert (row["margin"], row["share"]) == (1, pytest.approx(1 / 87))
    assert (statistics[SERIES]["min_at"], statistics[SERIES]["max_at"]) == (START, START + 10)


def test_the_worst_of_a_rate_is_the_rate_and_not_the_value() -> None:
    statistics: Statistics = {}
    feed(statistics, RATE, [(0, 60), (10, 60.5), (20, 60.4)])
    worst = find_worst(statistics, RATE)
    assert worst.value == pytest.approx(3)
    assert (worst.count, worst.maximum) == (2, None)


# --- contradictions ---


@pytest.mark.parametrize(
    ("columns", "column"),
    [
        ({"basis": "headroom", "high": 5}, "basis"),
        ({"basis": "headroom", "low": 0, "high": 5}, "basis"),
        ({"low": 5, "high": 4}, "low"),
        ({"high": 5, "sample_seconds": 0}, "sample_seconds"),
        ({"high": 5, "missing": "tolerate"}, "missing_polls"),
        ({"high": 5, "missing_polls": 2}, "missing_polls"),
        ({"high": 5, "missing": "not_good", "missing_polls": 2}, "missing_polls"),
        ({"high": 5, "kind": "rate", "action": "stop_rack"}, "kind"),
        ({"high": 5, "kind": "spread", "action": "stop_rack"}, "kind"),
        ({"high": 5, "sample_seconds": 5, "action": "stop_rack"}, "sample_seconds"),
        ({"high": 5, "missing": "tolerate", "missing_polls": 1, "action": "stop_rack"}, "missing"),
    ],
)
def test_what_a_limit_must_not_say_together(columns: dict[str, Any], column: str) -> None:
    assert [named for named, _ in find_contradictions(columns)] == [column]


@pytest.mark.parametrize(
    "columns",
    [
        {"basis": "headroom", "low": 0},
        {"high": 5, "missing": "fail"},
        {"high": 5, "missing": "fail", "missing_polls": 3, "action": "stop_rack"},
        {"high": 5, "missing": "tolerate", "missing_polls": 3, "kind": "rate", "sample_seconds": 60},
    ],
)
def test_what_a_limit_may_say(columns: dict[str, Any]) -> None:
    assert not list(find_contradictions(columns))
