"""The plane of a chart: where times, values, lines, areas and gaps are drawn in an SVG. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.utils import timezone

WIDTH, HEIGHT = 640, 240  # of the view box
LEFT, RIGHT, TOP, BOTTOM = 64, 632, 12, 206
BUCKETS = 180  # of time; each is drawn by its lowest and highest value
TIMES, STEPS = 4, 4
DAY = 86_400

Cells = dict[int, tuple[float, float]]  # lowest and highest by number of the bucket


@dataclass(frozen=True, slots=True)
class Window:
    """The time a chart shows, and the longest silence in seconds over which a line is still drawn."""

    since: datetime
    until: datetime
    poll_seconds: float
    max_gap_seconds: float

    @property
    def seconds(self) -> float:
        """Return how long it is."""
        return max(1.0, (self.until - self.since).total_seconds())

    @property
    def bucket_seconds(self) -> float:
        """Return how much time is drawn as one."""
        return max(self.poll_seconds, self.seconds / BUCKETS)

    @property
    def break_seconds(self) -> float:
        """Return the silence that breaks a line."""
        return max(self.max_gap_seconds, 2 * self.bucket_seconds)

    def x(self, at: datetime) -> float:
        """Return where a time is drawn."""
        share = (at - self.since).total_seconds() / self.seconds
        return round(LEFT + min(max(share, 0.0), 1.0) * (RIGHT - LEFT), 1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A number at an axis or a limit, and where it stands."""

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Shade:
    """A part of an axis, from ``start`` on."""

    start: float
    length: float


@dataclass(frozen=True, slots=True)
class Scale:
    """The values of a chart, from bottom to top."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float]) -> "Scale":
        low, high = min(values, default=0.0), max(values, default=1.0)
        room = 0.06 * (high - low) or max(abs(high) * 0.01, 1e-9)
        return cls(low - room, high + room)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(BOTTOM - share * (BOTTOM - TOP), 1)

    def steps(self) -> Iterator[float]:
        """Yield round numbers, about five of them."""
        rough = (self.high - self.low) / STEPS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
        number = math.ceil(self.low / step)
        while number * step <= self.high:
            yield round(number * step, 9)
            number += 1


def _runs(cells: Cells, window: Window) -> Iterator[list[int]]:
    """Yield the buckets in runs without a silence between them."""
    numbers = sorted(cells)
    run = numbers[:1]
    for before, number in pairwise(numbers):
        if (number - before) * window.bucket_seconds > window.break_seconds:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _bucket_x(number: int, window: Window) -> float:
    middle = timedelta(seconds=(number + 0.5) * window.bucket_seconds)
    return window.x(window.since + middle)


def path_of(cells: Cells, window: Window, scale: Scale) -> str:
    """Return a line through the lowest and highest value of each bucket; one alone is a short stroke."""
    parts = []
    for run in _runs(cells, window):
        points = [
            f"{_bucket_x(number, window)} {scale.y(value)}"
            for number in run
            for value in dict.fromkeys(cells[number])
        ]
        parts.append(f"M{points[0]}h1" if len(points) == 1 else "M" + "L".join(points))
    return "".join(parts)


def band_of(cells: Cells, window: Window, scale: Scale) -> str:
    """Return the area between the lowest and the highest value of all."""
    parts = []
    for run in _runs(cells, window):
        upper = [f"{_bucket_x(number, window)} {scale.y(cells[number][1])}" for number in run]
        lower = [f"{_bucket_x(number, window)} {scale.y(cells[number][0])}" for number in reversed(run)]
        parts.append("M" + "L".join([*upper, *lower]) + "Z")
    return "".join(parts)


def shades_of(gaps: Iterable[tuple[datetime, datetime]], window: Window) -> Iterator[Shade]:
    """Yield the gaps inside the window, those that overlap as one, at least one unit wide."""
    joined: list[tuple[datetime, datetime]] = []
    for since, until in sorted(gaps):
        if until < window.since or since > window.until:
            continue
        if joined and since <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
        else:
            joined.append((since, until))
    for since, until in joined:
        x = window.x(since)
        yield Shade(x, max(1.0, round(window.x(until) - x, 1)))


def times_of(window: Window) -> Iterator[Tick]:
    form = "%m-%d %H:%M" if window.seconds > DAY else "%H:%M" if window.seconds > 900 else "%H:%M:%S"
    for number in range(TIMES + 1):
        at = window.since + timedelta(seconds=window.seconds * number / TIMES)
        yield Tick(timezone.localtime(at).strftime(form), window.x(at))
