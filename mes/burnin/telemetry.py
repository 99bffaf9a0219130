"""Samples at rest: saved poll by poll, and read back for charts and statistics wherever they lie by then.

Polls are compacted after ten minutes (compaction), and those of ended runs may be archived (archive).
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from mes.burnin.archive_reading import read_archived
from mes.burnin.blocks import Stretch, Values, to_datetime
from mes.burnin.models import BurnInAttempt
from mes.burnin.polls import save_polls
from mes.burnin.stretches import EARLIEST, LATEST, Wanted, read_stretches

__all__ = [
    "Point",
    "Series",
    "SeriesStatistics",
    "read_series",
    "read_series_of",
    "read_statistics",
    "save_polls",
]

MOST_SERIES = 64
MOST_POINTS = 500
# From so many windows on (21 h) a chart is drawn from the statistics of blocks alone.
MANY_WINDOWS = 125

Flags = NDArray[np.bool_]


@dataclass(slots=True)
class Point:
    """The lowest and highest value of a series from a time on, over one or more polls; None where missing."""

    at: datetime
    low: float | None
    high: float | None


@dataclass(slots=True)
class Series:
    """A series of one tray for a chart."""

    name: str
    points: list[Point] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SeriesStatistics:
    """How many values a series has in a time, and their lowest, highest and mean in ``unit``."""

    name: str
    unit: str
    count: int
    minimum: float | None
    maximum: float | None
    mean: float | None


def read_series(
    *, attempt: BurnInAttempt, pattern: str, since: datetime | None = None, until: datetime | None = None
) -> list[Series]:
    """Return the series of a tray that match a pattern, at most 64 series of at most 500 points each.

    More polls than that are drawn together without losing a peak: a point keeps the lowest and the highest. A
    constant number of statements. Refuses with ``archive_missing``.
    """
    found = read_series_of(
        attempts=[attempt], patterns=[pattern], since=since or EARLIEST, until=until or LATEST
    )
    return found.get(attempt.pk, [])


def read_series_of(
    *, attempts: Collection[BurnInAttempt], patterns: Collection[str], since: datetime, until: datetime
) -> dict[int, list[Series]]:
    """Return by attempt of one run the series that match any pattern, each as ``read_series`` returns them.

    Five statements at most, however many trays. Refuses with ``archive_missing``.
    """
    wanted = Wanted(attempts, patterns, since, until, MOST_SERIES)
    every_poll = wanted.windows().count() < MANY_WINDOWS * max(1, len(attempts))
    found = read_stretches(wanted, every_poll=every_poll) or read_archived(wanted)
    return {attempt: _draw(stretches) for attempt, stretches in found.items()}


def read_statistics(
    *, attempt: BurnInAttempt, pattern: str, since: datetime | None = None, until: datetime | None = None
) -> list[SeriesStatistics]:
    """Return count, minimum, maximum and mean of the series of a tray that match a pattern, by name.

    Over every value from ``since`` to ``until``, both included. A constant number of statements; only the
    blocks at the two ends are opened. Refuses with ``archive_missing``.
    """
    wanted = Wanted([attempt], [pattern], since or EARLIEST, until or LATEST)
    found = read_stretches(wanted, every_poll=False) or read_archived(wanted)
    stretches = found.get(attempt.pk, [])
    names = _names(stretches)
    totals = _Totals(len(names))
    for stretch in stretches:
        totals.add(stretch, [names[name] for name in stretch.names])
    units = {name: str(known.get("unit", "")) for name, known in attempt.statistics.items()}
    return [totals.of(name, column, units.get(name, "")) for name, column in names.items()]


def _names(stretches: Sequence[Stretch]) -> dict[str, int]:
    names = sorted({name for stretch in stretches for name in stretch.names})
    return {name: column for column, name in enumerate(names)}


class _Totals:
    """Statistics of series by column, added up stretch by stretch."""

    def __init__(self, series: int) -> None:
        self.count = np.zeros(series, np.int64)
        self.total = np.zeros(series, np.float64)
        self.low = np.full(series, np.nan, np.float32)
        self.high = np.full(series, np.nan, np.float32)

    def add(self, stretch: Stretch, columns: list[int]) -> None:
        self.count[columns] += stretch.count.sum(axis=0, dtype=np.int64)
        self.total[columns] += stretch.total.sum(axis=0, dtype=np.float64)
        self.low[columns] = np.fmin(self.low[columns], np.fmin.reduce(stretch.low, axis=0, initial=np.nan))
        self.high[columns] = np.fmax(self.high[columns], np.fmax.reduce(stretch.high, axis=0, initial=np.nan))

    def of(self, name: str, column: int, unit: str) -> SeriesStatistics:
        count = int(self.count[column])
        if not count:
            return SeriesStatistics(name, unit, 0, None, None, None)
        low, high = float(self.low[column]), float(self.high[column])
        return SeriesStatistics(name, unit, count, low, high, float(self.total[column]) / count)


def _draw(stretches: Sequence[Stretch]) -> list[Series]:
    """Draw moments together into at most ``MOST_POINTS`` groups; a series has a point where it was read."""
    if not stretches:
        return []
    names = _names(stretches)
    moments = np.unique(np.concatenate([stretch.at for stretch in stretches]))
    together = max(1, -(-len(moments) // MOST_POINTS))
    starts = [to_datetime(at) for at in moments[::together].tolist()]
    shape = (len(starts), len(names))
    low, high = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    drawn = np.zeros(shape, bool)
    for stretch in stretches:
        groups = np.searchsorted(moments, stretch.at) // together
        rows, firsts = np.unique(groups, return_index=True)
        place = np.ix_(rows, np.array([names[name] for name in stretch.names]))
        low[place] = np.fmin(low[place], np.fmin.reduceat(stretch.low, firsts, axis=0))
        high[place] = np.fmax(high[place], np.fmax.reduceat(stretch.high, firsts, axis=0))
        drawn[place] = True
    return [
        Series(name, _points(starts, drawn[:, column], low[:, column], high[:, column]))
        for name, column in names.items()
    ]


def _points(starts: list[datetime], drawn: Flags, low: Values, high: Values) -> list[Point]:
    numbers = zip(low.tolist(), high.tolist(), drawn.tolist(), starts, strict=True)
    return [
        Point(at, None if math.isnan(least) else least, None if math.isnan(most) else most)
        for least, most, is_drawn, at in numbers
        if is_drawn
    ]
