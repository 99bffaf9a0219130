"""Raw samples at rest: one blob per tray and poll, and series read back from them for charts."""

import hashlib
import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mes.burnin.judging import LARGEST, matches
from mes.burnin.models import BurnInAttempt, Poll, SeriesLayout
from mes.burnin.redfish import TrayReading

FASTEST = 1
MOST_SERIES = 64
MOST_POINTS = 500


def pack_values(values: Iterable[float | None]) -> bytes:
    """Return values as zlib-compressed little-endian float32, NaN for None."""
    numbers = [math.nan if value is None or abs(value) > LARGEST else value for value in values]
    return zlib.compress(struct.pack(f"<{len(numbers)}f", *numbers), FASTEST)


def unpack_values(blob: bytes) -> tuple[float, ...]:
    """Return the values of a blob; missing ones are NaN."""
    data = zlib.decompress(blob)
    return struct.unpack(f"<{len(data) // 4}f", data)


def save_polls(readings: Sequence[tuple[BurnInAttempt, TrayReading]]) -> None:
    """Save one Poll per reading, with a constant number of statements."""
    names = {attempt.pk: [sample.series for sample in reading.samples] for attempt, reading in readings}
    layouts = _layout_ids(names.values())
    Poll.objects.bulk_create(
        [
            Poll(
                attempt=attempt,
                taken_at=reading.taken_at,
                layout_id=layouts[_digest(names[attempt.pk])],
                values=pack_values(sample.value for sample in reading.samples),
            )
            for attempt, reading in readings
        ]
    )


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _layout_ids(layouts: Iterable[Sequence[str]]) -> dict[str, int]:
    wanted = {_digest(names): names for names in layouts}
    known = _known_layouts(wanted)
    if missing := wanted.keys() - known.keys():
        new = [SeriesLayout(digest=digest, names=list(wanted[digest])) for digest in sorted(missing)]
        SeriesLayout.objects.bulk_create(new, ignore_conflicts=True)
        known = _known_layouts(wanted)
    return known


def _known_layouts(digests: Iterable[str]) -> dict[str, int]:
    return dict(SeriesLayout.objects.filter(digest__in=list(digests)).values_list("digest", "pk"))


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


def read_series(
    *, attempt: BurnInAttempt, pattern: str, since: datetime | None = None, until: datetime | None = None
) -> list[Series]:
    """Return the series of a tray that match a pattern, at most 64 series of about 500 points each.

    More polls than that are drawn together without losing a peak: a point keeps the lowest and the highest.
    """
    polls = Poll.objects.filter(attempt=attempt).order_by("taken_at")
    polls = polls.filter(taken_at__gte=since) if since else polls
    polls = polls.filter(taken_at__lte=until) if until else polls
    together = max(1, math.ceil(polls.count() / MOST_POINTS))
    columns = _columns(polls.values_list("layout_id", flat=True).distinct().order_by(), pattern)
    found = {name: Series(name) for layout in columns.values() for name in layout}
    for number, (taken_at, layout_id, blob) in enumerate(
        polls.values_list("taken_at", "layout_id", "values").iterator()
    ):
        values = unpack_values(bytes(blob))
        for name, column in columns[layout_id].items():
            _draw(found[name], taken_at, values[column], new=number % together == 0)
    return sorted(found.values(), key=lambda series: series.name)


def _columns(layout_ids: Iterable[int], pattern: str) -> dict[int, dict[str, int]]:
    """Return by layout where the values of the matching series are, at most 64 series in each."""
    layouts = SeriesLayout.objects.filter(pk__in=list(layout_ids)).values_list("pk", "names")
    columns = {}
    for pk, names in layouts:
        matching = [(name, column) for column, name in enumerate(names) if matches(name, pattern)]
        columns[pk] = dict(sorted(matching)[:MOST_SERIES])
    return columns


def _draw(series: Series, at: datetime, value: float, *, new: bool) -> None:
    known = None if math.isnan(value) else value
    if new or not series.points:
        series.points.append(Point(at, known, known))
    elif known is not None:
        point = series.points[-1]
        point.low = known if point.low is None else min(point.low, known)
        point.high = known if point.high is None else max(point.high, known)
