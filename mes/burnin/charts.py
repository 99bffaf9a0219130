"""Charts of series over many trays, laid out for SVG. Pure: series and limits in, coordinates out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mes.burnin.judging import matches
from mes.burnin.limits import bounds, is_outside, margin
from mes.burnin.models import SeriesLimit
from mes.burnin.plotting import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Cells,
    Scale,
    Shade,
    Tick,
    Window,
    band_of,
    path_of,
    shades_of,
    times_of,
)
from mes.burnin.telemetry import Series

MOST_LINES = 8


@dataclass(frozen=True, slots=True)
class Line:
    """A series of a tray as an SVG path."""

    slot: str
    series: str
    path: str
    is_worst: bool


@dataclass(frozen=True, slots=True)
class ChartRow:
    """The series of a tray over the window: the lowest, the highest, the last, and what the limits leave."""

    slot: str
    series: str
    low: float
    high: float
    last: float
    left: float

    @property
    def is_outside(self) -> bool:
        """Return whether it was beyond a limit."""
        return self.left < 0


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of all series that match one pattern: the band of all, and some or the worst as lines."""

    key: str
    title: str
    unit: str
    must_be: list[str]
    band: str
    lines: list[Line]
    limits: list[Tick]
    beyond: list[Shade]
    gaps: list[Shade]
    times: list[Tick]
    values: list[Tick]
    rows: list[ChartRow]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM

    @property
    def plot_width(self) -> int:
        """Return the width of the part with the lines."""
        return self.right - self.left

    @property
    def plot_height(self) -> int:
        """Return the height of the part with the lines."""
        return self.bottom - self.top

    @property
    def worst(self) -> ChartRow | None:
        """Return what came closest to a limit, or went furthest beyond it."""
        return min(self.rows, key=lambda row: row.left, default=None)


@dataclass(frozen=True, slots=True)
class Trace:
    """A series of a tray in buckets of time, not empty, and its last value."""

    slot: str
    series: str
    cells: Cells
    last: float

    @property
    def low(self) -> float:
        """Return the lowest value."""
        return min(low for low, _ in self.cells.values())

    @property
    def high(self) -> float:
        """Return the highest value."""
        return max(high for _, high in self.cells.values())


def charts_of(
    limits: Iterable[SeriesLimit],
    series: Mapping[str, Sequence[Series]],
    gaps: Sequence[tuple[datetime, datetime]],
    window: Window,
) -> list[Chart]:
    """Lay out one chart per pattern and unit of the limits, in their order.

    ``series`` are those of each slot, ``gaps`` those of all. Limits on the same series share a chart.
    """
    groups: dict[tuple[str, str], list[SeriesLimit]] = {}
    for limit in limits:
        groups.setdefault((limit.pattern, limit.unit), []).append(limit)
    traces = {
        (slot, each.name): trace
        for slot, of_slot in series.items()
        for each in of_slot
        if (trace := _trace(slot, each, window))
    }
    shades = list(shades_of(gaps, window))
    return [
        _chart(
            alike,
            [trace for (_, name), trace in traces.items() if matches(name, pattern)],
            shades,
            window,
            key=f"chart-{number}",
        )
        for number, ((pattern, _), alike) in enumerate(groups.items(), start=1)
    ]


def _trace(slot: str, series: Series, window: Window) -> Trace | None:
    cells: Cells = {}
    last: float | None = None
    for point in series.points:
        if point.low is None or point.high is None:
            continue
        number = int((point.at - window.since).total_seconds() / window.bucket_seconds)
        low, high = cells.get(number, (point.low, point.high))
        cells[number] = (min(low, point.low), max(high, point.high))
        last = point.high
    return None if last is None else Trace(slot, series.name, cells, last)


def _chart(
    limits: Sequence[SeriesLimit], traces: Sequence[Trace], gaps: list[Shade], window: Window, *, key: str
) -> Chart:
    rows = sorted((_row(trace, limits) for trace in traces), key=lambda row: row.left)
    marks = {bound: None for limit in limits for bound in (limit.low, limit.high) if bound is not None}
    scale = Scale.over([*marks, *(bound for row in rows for bound in (row.low, row.high))])
    first = rows[0] if rows else None
    lines = [
        Line(trace.slot, trace.series, path_of(trace.cells, window, scale), is_worst)
        for trace in traces
        if (is_worst := first is not None and (trace.slot, trace.series) == (first.slot, first.series))
        or len(traces) <= MOST_LINES
    ]
    return Chart(
        key=key,
        title=", ".join(dict.fromkeys(limit.group for limit in limits)),
        unit=limits[0].unit,
        must_be=list(dict.fromkeys(f"{limit.group} {bounds(limit)}" for limit in limits)),
        band=band_of(_merged(traces), window, scale),
        lines=sorted(lines, key=lambda line: line.is_worst),
        limits=[Tick(f"{bound:g} {limits[0].unit}", scale.y(bound)) for bound in marks],
        beyond=list(_beyond(limits, rows, scale)),
        gaps=gaps,
        times=list(times_of(window)),
        values=[Tick(f"{value:g}", scale.y(value)) for value in scale.steps()],
        rows=rows,
    )


def _row(trace: Trace, limits: Sequence[SeriesLimit]) -> ChartRow:
    left = min(margin(value, limit) for value in (trace.low, trace.high) for limit in limits)
    return ChartRow(trace.slot, trace.series, trace.low, trace.high, trace.last, left)


def _merged(traces: Iterable[Trace]) -> Cells:
    merged: Cells = {}
    for trace in traces:
        for number, (low, high) in trace.cells.items():
            known = merged.get(number, (low, high))
            merged[number] = (min(low, known[0]), max(high, known[1]))
    return merged


def _beyond(limits: Iterable[SeriesLimit], rows: Iterable[ChartRow], scale: Scale) -> Iterator[Shade]:
    """Yield the parts of the chart beyond a limit, as top and height, where anything was there."""
    values = [value for row in rows for value in (row.low, row.high)]
    crossed = [limit for limit in limits if any(is_outside(value, limit) for value in values)]
    highs = [limit.high for limit in crossed if limit.high is not None]
    lows = [limit.low for limit in crossed if limit.low is not None]
    if highs:
        yield Shade(TOP, round(scale.y(min(highs)) - TOP, 1))
    if lows:
        yield Shade(scale.y(max(lows)), round(BOTTOM - scale.y(max(lows)), 1))
