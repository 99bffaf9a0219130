"""Curves of leak tests: what they say, and how they are kept. Pure: no database, no clock.

Pressure change as in EN 13184 (leak testing, pressure change method). The pressure of a gas in a fixed volume
follows its absolute temperature (ideal gas law: p/T is constant), so each sample is brought to the
temperature T0 at the start of the measure window: p corrected = p absolute * T0 / T.
"""

import csv
import io
import itertools
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ZERO_CELSIUS_K = 273.15
MOST_SAMPLES = 20_000
LARGEST = 1e12  # in any unit; squares of it are still numbers
FEWEST_IN_WINDOW = 10
LONGEST_GAP = 0.25  # of the measure time
EDGE = 0.05  # of the measure time, by which a curve may miss an end of the window
ERRORS = 3  # standard errors
TENTH = 10
COLUMNS = ("t_s", "value", "temperature_cel")


class BadCurve(ValueError):  # noqa: N818 - names what it is
    """What was given is no curve, in words."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Samples: times in s from when the test pressure was applied, values, and temperatures in Cel if any."""

    times: tuple[float, ...]
    values: tuple[float, ...]
    temperatures: tuple[float, ...] = ()

    def __iter__(self) -> Iterator[tuple[float, float, float | None]]:
        """Yield time, value and temperature of each sample."""
        temperatures = self.temperatures or (None,) * len(self.times)
        return iter(zip(self.times, self.values, temperatures, strict=True))


@dataclass(frozen=True, slots=True)
class Window:
    """When a curve is measured, in its own time, in s."""

    stabilise_s: float
    measure_s: float

    @property
    def end_s(self) -> float:
        """Return when measuring ends."""
        return self.stabilise_s + self.measure_s


@dataclass(frozen=True, slots=True)
class Change:
    """How a value changed over a window: by its fitted line, and from its first to its last tenth.

    ``fitted`` tells slow change from noise; ``ends`` sees a fall at the very end, which a line hardly shows.
    ``error`` is three standard errors of ``fitted``. ``start`` is where the line begins.
    """

    fitted: float
    ends: float
    error: float
    start: float

    @property
    def largest_fall(self) -> float:
        """Return the worse of both ways to see how far it fell; negative: it rose."""
        return max(-self.fitted, -self.ends)

    @property
    def largest_rise(self) -> float:
        """Return the worse of both ways to see how far it rose; negative: it fell."""
        return max(self.fitted, self.ends)


def make_curve(times: Sequence[float], values: Sequence[float], temperatures: Sequence[float] = ()) -> Curve:
    """Return checked samples. Raises BadCurve for unequal lists, no numbers, or times that do not rise."""
    if not len(times) == len(values) or (temperatures and len(temperatures) != len(times)):
        raise BadCurve("The lists of a curve are of the same length.")
    if not 2 <= len(times) <= MOST_SAMPLES:
        raise BadCurve(f"A curve has 2 to {MOST_SAMPLES:,} samples; this one has {len(times):,}.")
    if not all(abs(each) <= LARGEST for each in (*times, *values, *temperatures)):
        raise BadCurve(f"A curve holds finite numbers up to {LARGEST:g} only.")
    if times[0] < 0 or any(later <= earlier for earlier, later in itertools.pairwise(times)):
        raise BadCurve("The times of a curve rise from 0 on.")
    if any(each <= -ZERO_CELSIUS_K for each in temperatures):
        raise BadCurve("No temperature is below absolute zero.")
    return Curve(tuple(times), tuple(values), tuple(temperatures))


def read_csv(text: str) -> Curve:
    """Return the curve of a file with the columns t_s, value and perhaps temperature_cel. Raises BadCurve."""
    rows = csv.reader(io.StringIO(text.lstrip("\ufeff")))
    header = tuple(name.strip() for name in next(rows, []))
    if header not in {COLUMNS, COLUMNS[:2]}:
        raise BadCurve(f"The first line is {','.join(COLUMNS)}, or without the last column.")
    samples: list[list[float]] = []
    for row in filter(None, rows):
        try:
            samples.append([float(cell) for cell in row])
        except ValueError as error:
            raise BadCurve(f"Line {rows.line_num} holds what is no number.") from error
        if len(row) != len(header):
            raise BadCurve(f"Line {rows.line_num} has {len(row)} columns, not {len(header)}.")
        if len(samples) > MOST_SAMPLES:
            break
    columns = list(zip(*samples, strict=True)) or [()] * len(header)
    return make_curve(*columns)


def pack_curve(curve: Curve) -> bytes:
    """Return a curve as kept: exact, so that a verdict can be computed again from it."""
    numbers = (*curve.times, *curve.values, *curve.temperatures)
    return zlib.compress(struct.pack(f"<{len(numbers)}d", *numbers))


def unpack_curve(data: bytes, samples: int) -> Curve:
    """Return a curve as it was given."""
    raw = zlib.decompress(data)
    numbers = struct.unpack(f"<{len(raw) // 8}d", raw)
    times, values, temperatures = (numbers[n * samples : (n + 1) * samples] for n in range(3))
    return Curve(times, values, temperatures)


def find_gap(curve: Curve, window: Window) -> str:
    """Return why a curve does not show its measure window, in words; "" when it does."""
    inside = [time for time in curve.times if window.stabilise_s <= time <= window.end_s]
    slack = EDGE * window.measure_s
    if len(inside) < FEWEST_IN_WINDOW:
        return f"{len(inside)} samples are in the measure window; it takes {FEWEST_IN_WINDOW}."
    if inside[0] > window.stabilise_s + slack or inside[-1] < window.end_s - slack:
        return f"It shows {inside[0]:g} to {inside[-1]:g} s of {window.stabilise_s:g} to {window.end_s:g} s."
    longest = max(later - earlier for earlier, later in itertools.pairwise(inside))
    if longest > LONGEST_GAP * window.measure_s:
        return f"{longest:g} s of the measure time were not sampled in one piece."
    return ""


def temperatures_of(curve: Curve, start_cel: float | None, end_cel: float | None) -> tuple[float, ...]:
    """Return a temperature in Cel per sample: its own, else on a line from start to end; none if unknown."""
    if curve.temperatures or start_cel is None or end_cel is None:
        return curve.temperatures
    first, length = curve.times[0], curve.times[-1] - curve.times[0]
    return tuple(start_cel + (end_cel - start_cel) * (time - first) / length for time in curve.times)


def compensate(curve: Curve, temperatures: Sequence[float], window: Window, offset_mbar: float) -> Curve:
    """Return absolute pressures as they would be at the temperature at the start of the window.

    ``offset_mbar`` is added to make gauge pressures absolute; 0 for absolute ones. Ideal gas law.
    """
    start = next(n for n, time in enumerate(curve.times) if time >= window.stabilise_s)
    reference = temperatures[start] + ZERO_CELSIUS_K
    values = tuple(
        (value + offset_mbar) * reference / (cel + ZERO_CELSIUS_K)
        for value, cel in zip(curve.values, temperatures, strict=True)
    )
    return Curve(curve.times, values, tuple(temperatures))


def change_over(curve: Curve, window: Window) -> Change:
    """Return how a curve changed over its measure window, by least squares and from end to end."""
    points = [
        (time - window.stabilise_s, value)
        for time, value in zip(curve.times, curve.values, strict=True)
        if window.stabilise_s <= time <= window.end_s
    ]
    count = len(points)
    mean_t = math.fsum(time for time, _ in points) / count
    mean_v = math.fsum(value for _, value in points) / count
    spread = math.fsum((time - mean_t) ** 2 for time, _ in points)
    slope = math.fsum((time - mean_t) * (value - mean_v) for time, value in points) / spread
    start = mean_v - slope * mean_t
    scatter = math.fsum((value - start - slope * time) ** 2 for time, value in points) / (count - 2)
    tenth = max(1, count // TENTH)
    ends = _mean(points[-tenth:]) - _mean(points[:tenth])
    error = ERRORS * math.sqrt(scatter / spread) * window.measure_s
    return Change(slope * window.measure_s, ends, error, start)


def _mean(points: Sequence[tuple[float, float]]) -> float:
    return math.fsum(value for _, value in points) / len(points)


def highest_in(curve: Curve, window: Window) -> float:
    """Return the highest value in the measure window."""
    inside = zip(curve.times, curve.values, strict=True)
    return max(value for time, value in inside if window.stabilise_s <= time <= window.end_s)
