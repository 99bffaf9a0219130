"""The curve of a leak test as a picture and as the table beside it."""

from collections.abc import Iterator
from dataclasses import dataclass

from mes.cooling.curves import Curve, unpack_curve
from mes.cooling.models import LeakTest

WIDTH, HEIGHT = 640, 220  # of the view box
LEFT, RIGHT, TOP, BOTTOM = 92, 628, 12, 186
BUCKETS = 200  # of time; each is drawn by its lowest and highest value
ROWS = 8


@dataclass(frozen=True, slots=True)
class Tick:
    """A number at an axis, and where it stands along it."""

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class CurveRow:
    """A sample of the table, and what is then."""

    time: str
    value: str
    temperature: str
    moment: str


@dataclass(frozen=True, slots=True)
class CurveDrawing:
    """A curve laid out: a line of points, the measure window, the numbers at both axes, and some samples."""

    title: str
    points: str
    window_x: float
    window_width: float
    times: list[Tick]
    values: list[Tick]
    rows: list[CurveRow]
    unit: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM

    @property
    def plot_height(self) -> int:
        """Return the height of the part with the line."""
        return self.bottom - self.top


def draw_curve(test: LeakTest) -> CurveDrawing:
    """Lay the curve of a test out; what is drawn is the curve as reported, not compensated."""
    curve = unpack_curve(bytes(test.curve), test.samples)
    first, last = curve.times[0], curve.times[-1]
    low, high = min(curve.values), max(curve.values)
    span = (high - low) or max(abs(high) * 1e-6, 1e-12)

    def x(time: float) -> float:
        return round(LEFT + (min(max(time, first), last) - first) / (last - first) * (RIGHT - LEFT), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (value - low) / span * (BOTTOM - TOP), 1)

    start, end = test.stabilise_s, test.stabilise_s + test.measure_s
    rows = list(_rows(curve, start, end))
    return CurveDrawing(
        title=f"{test.get_method_display()}: {rows[0].value} to {rows[-1].value} {test.value_unit}",
        points=" ".join(f"{x(time)},{y(value)}" for time, value in _thinned(curve)),
        window_x=x(start),
        window_width=round(x(end) - x(start), 1),
        times=[Tick(f"{time:g} s", x(time)) for time in sorted({first, start, end})],
        values=[Tick(f"{value:.6g}", y(value)) for value in sorted({low, (low + high) / 2, high})],
        rows=rows,
        unit=test.value_unit,
    )


def _thinned(curve: Curve) -> Iterator[tuple[float, float]]:
    """Yield the lowest and highest sample of each bucket, so that no spike is lost."""
    pairs = list(zip(curve.times, curve.values, strict=True))
    size = max(1, len(pairs) // BUCKETS)
    for begin in range(0, len(pairs), size):
        bucket = pairs[begin : begin + size]
        yield from sorted({min(bucket, key=_value), max(bucket, key=_value)})


def _value(pair: tuple[float, float]) -> float:
    return pair[1]


def _rows(curve: Curve, start: float, end: float) -> Iterator[CurveRow]:
    """Yield some samples: evenly over the curve, and those at both ends of the measure window."""
    samples = list(curve)
    last = len(samples) - 1
    opening = next((n for n, sample in enumerate(samples) if sample[0] >= start), last)
    closing = next((n for n in range(last, -1, -1) if samples[n][0] <= end), 0)
    moments = {opening: "measuring begins", closing: "measuring ends"}
    chosen = {round(n * last / (ROWS - 1)) for n in range(ROWS)} | moments.keys()
    for number in sorted(chosen):
        time, value, cel = samples[number]
        temperature = "" if cel is None else f"{cel:.2f}"
        yield CurveRow(f"{time:g}", f"{value:.7g}", temperature, moments.get(number, ""))
