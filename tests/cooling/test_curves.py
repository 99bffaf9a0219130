"""What a curve says, by cases worked out by hand."""

import math
import random

import pytest

from mes.cooling.curves import (
    MOST_SAMPLES,
    BadCurve,
    Change,
    Curve,
    Window,
    change_over,
    compensate,
    find_gap,
    highest_in,
    make_curve,
    pack_curve,
    read_csv,
    temperatures_of,
    unpack_curve,
)

WINDOW = Window(stabilise_s=60, measure_s=300)


def straight(fall: float, *, start: float = 3000.0, step: int = 5) -> Curve:
    """Return a line that falls by ``fall`` over the 300 s after the first 60 s."""
    times = range(0, 361, step)
    return make_curve(list(times), [start - fall * (time - 60) / 300 for time in times])


def test_a_straight_fall_is_what_it_is() -> None:
    change = change_over(straight(6.0), WINDOW)
    assert change.fitted == pytest.approx(-6.0)
    assert change.largest_fall == pytest.approx(6.0)
    assert change.start == pytest.approx(3000.0)
    assert change.error == pytest.approx(0.0, abs=1e-6)


def test_what_happens_while_stabilising_does_not_count() -> None:
    times = list(range(0, 361, 10))
    values = [3500.0 - 8 * time if time < 60 else 3000.0 for time in times]
    assert change_over(make_curve(times, values), WINDOW).largest_fall == pytest.approx(0.0, abs=1e-9)


def test_least_squares_by_hand() -> None:
    # t = 0..3, v = 10, 9, 9, 8: means 1.5 and 9; sum (t - 1.5)(v - 9) = -3; sum (t - 1.5)^2 = 5
    change = change_over(make_curve([0, 1, 2, 3], [10, 9, 9, 8]), Window(0, 3))
    assert change.fitted == pytest.approx(-0.6 * 3)
    assert change.start == pytest.approx(9.9)
    # residuals 0.1, -0.3, 0.3, -0.1: squares sum 0.2, over n - 2 = 0.1; sqrt(0.1 / 5) * 3 s * 3 errors
    assert change.error == pytest.approx(3 * math.sqrt(0.1 / 5) * 3)
    assert change.ends == -2


def test_a_fall_at_the_very_end_is_not_hidden_by_the_line() -> None:
    times = list(range(0, 361, 5))
    values = [3000.0 if time < 336 else 2990.0 for time in times]
    change = change_over(make_curve(times, values), WINDOW)
    assert -change.fitted < 5
    assert change.largest_fall > 8


def test_noise_hides_no_more_than_its_error_says() -> None:
    noise = random.Random(4711)
    times = list(range(0, 361))
    values = [3000 - 2.0 * (time - 60) / 300 + noise.gauss(0, 0.2) for time in times]
    change = change_over(make_curve(times, values), WINDOW)
    # sigma * sqrt(12 / n) = 0.2 * sqrt(12 / 301) = 0.04 mbar; three of them are 0.12
    assert change.error == pytest.approx(0.12, rel=0.15)
    assert abs(-change.fitted - 2.0) < change.error
    assert change.largest_fall == pytest.approx(2.0, abs=0.2)


def test_warming_gas_is_brought_back_by_the_ideal_gas_law() -> None:
    # 20 to 23 Cel: 3000 mbar * 296.15 K / 293.15 K = 3030.70 mbar, and corrected 3000 again
    times, cel = [0.0, 60.0, 360.0], [20.0, 20.0, 23.0]
    curve = make_curve(times, [3000.0, 3000.0, 3000 * 296.15 / 293.15], cel)
    assert curve.values[2] == pytest.approx(3030.70, abs=0.01)
    assert compensate(curve, cel, WINDOW, 0).values == pytest.approx([3000.0] * 3)


def test_gauge_pressures_are_made_absolute_before() -> None:
    # 2000 mbar gauge at 1000 mbar ambient and 293.15 K; cooled to 283.15 K the gas has 3000 * 283.15 / 293.15
    cooled = 3000 * 283.15 / 293.15 - 1000
    curve = make_curve([0.0, 60.0, 360.0], [2000.0, 2000.0, cooled], [20.0, 20.0, 10.0])
    assert compensate(curve, curve.temperatures, WINDOW, 1000).values[2] == pytest.approx(3000)
    assert compensate(curve, curve.temperatures, WINDOW, 0).values[2] != pytest.approx(2000, abs=1)


def test_temperatures_between_start_and_end_lie_on_a_line() -> None:
    curve = make_curve([10, 20, 30], [1, 1, 1])
    assert temperatures_of(curve, 20, 22) == (20, 21, 22)
    assert temperatures_of(curve, 20, None) == ()
    assert temperatures_of(make_curve([0, 1], [1, 1], [5, 6]), 20, 22) == (5, 6)


def test_helium_is_the_highest_of_the_window() -> None:
    curve = make_curve([0, 60, 200, 360, 400], [9e-4, 1e-6, 3e-6, 2e-6, 8e-4])
    assert highest_in(curve, WINDOW) == 3e-6


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (range(0, 361, 5), ""),
        (range(0, 361, 60), "6 samples"),
        (range(0, 300, 5), "60 to 295 s of 60 to 360 s"),
        (range(100, 361, 5), "100 to 360 s of 60 to 360 s"),
        ([*range(0, 200, 5), *range(300, 361, 5)], "105 s of the measure time"),
    ],
)
def test_a_curve_that_does_not_show_its_window(times: list[int], said: str) -> None:
    gap = find_gap(make_curve(list(times), [1.0] * len(times)), WINDOW)
    assert gap == said if not said else said in gap


@pytest.mark.parametrize(
    ("times", "values", "cel"),
    [
        ([0, 1], [1], []),
        ([0, 1], [1, 2], [20]),
        ([0], [1], []),
        ([0, 0], [1, 2], []),
        ([1, 0], [1, 2], []),
        ([-1, 0], [1, 2], []),
        ([0, 1], [1, math.nan], []),
        ([0, math.inf], [1, 2], []),
        ([0, 1], [1, 2], [20, -280]),
        (range(MOST_SAMPLES + 1), [1] * (MOST_SAMPLES + 1), []),
    ],
)
def test_what_is_no_curve(times: list[float], values: list[float], cel: list[float]) -> None:
    with pytest.raises(BadCurve):
        make_curve(list(times), values, cel)


def test_a_curve_is_kept_exactly_and_small() -> None:
    times = [number / 10 for number in range(MOST_SAMPLES)]
    curve = make_curve(times, [3000 - time / 7 for time in times], [20 + time / 1e5 for time in times])
    kept = pack_curve(curve)
    assert unpack_curve(kept, MOST_SAMPLES) == curve
    assert len(kept) < 480_000
    bare = make_curve([0, 1], [0.1, 0.2])
    assert unpack_curve(pack_curve(bare), 2) == bare
    assert list(bare) == [(0, 0.1, None), (1, 0.2, None)]


def test_a_file_of_a_curve() -> None:
    assert read_csv("\ufefft_s,value\n0,3000\n5,2999.5\n") == make_curve([0, 5], [3000, 2999.5])
    assert read_csv("t_s,value,temperature_cel\r\n0,1,20\r\n\r\n1,1,21\r\n").temperatures == (20, 21)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first line"),
        ("time,pressure\n0,1", "first line"),
        ("t_s,value\n0,x", "Line 2"),
        ("t_s,value\n0,1\n5", "Line 3 has 1 columns"),
        ("t_s,value\n", "2 to"),
        ("t_s,value\n0,nan\n1,2", "finite"),
        ("t_s,value\n" + "".join(f"{n},1\n" for n in range(MOST_SAMPLES + 5)), "has 20,001"),
    ],
)
def test_a_file_that_is_no_curve(text: str, said: str) -> None:
    with pytest.raises(BadCurve, match=said):
        read_csv(text)


def test_rise_and_fall_are_seen_from_both_sides() -> None:
    change = Change(fitted=-2.0, ends=-1.8, error=0.1, start=10)
    assert (change.largest_fall, change.largest_rise) == (2.0, -1.8)
