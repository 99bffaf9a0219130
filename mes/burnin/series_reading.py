"""Series of many trays at once, for the charts of a run."""

import math
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db.models import Count, QuerySet

from mes.burnin.judging import matches
from mes.burnin.models import BurnInAttempt, Poll, SeriesLayout
from mes.burnin.telemetry import MOST_POINTS, MOST_SERIES, Point, Series, unpack_values


def read_series_of(
    *, attempts: Collection[BurnInAttempt], patterns: Collection[str], since: datetime, until: datetime
) -> dict[int, list[Series]]:
    """Return by attempt the series that match any pattern, at most 64 of about 500 points each.

    A point keeps the lowest and the highest of the polls drawn together, as ``read_series`` does. Three
    queries, however many trays.
    """
    polls = Poll.objects.filter(attempt__in=[attempt.pk for attempt in attempts])
    polls = polls.filter(taken_at__gte=since, taken_at__lte=until)
    counts = list(polls.values_list("attempt", "layout").annotate(Count("pk")).order_by())
    columns = _columns({layout for _, layout, _ in counts}, patterns)
    totals: dict[int, int] = {}
    for attempt, _, count in counts:
        totals[attempt] = totals.get(attempt, 0) + count
    together = max(1, math.ceil(max(totals.values(), default=0) / MOST_POINTS))
    return _read(polls, columns, together)


def _columns(layouts: Iterable[int], patterns: Collection[str]) -> dict[int, dict[str, int]]:
    rows = SeriesLayout.objects.filter(pk__in=list(layouts)).values_list("pk", "names")
    return {
        pk: dict(
            sorted(
                (name, column)
                for column, name in enumerate(names)
                if any(matches(name, pattern) for pattern in patterns)
            )[:MOST_SERIES]
        )
        for pk, names in rows
    }


def _read(
    polls: QuerySet[Poll], columns: Mapping[int, Mapping[str, int]], together: int
) -> dict[int, list[Series]]:
    found: dict[int, dict[str, Series]] = {}
    seen: dict[int, int] = {}
    rows = polls.order_by("attempt", "taken_at").values_list("attempt", "taken_at", "layout", "values")
    for attempt, taken_at, layout, blob in rows.iterator():
        values, series = unpack_values(bytes(blob)), found.setdefault(attempt, {})
        number = seen[attempt] = seen.get(attempt, -1) + 1
        for name, column in columns[layout].items():
            drawn = series.setdefault(name, Series(name))
            _draw(drawn, taken_at, values[column], new=number % together == 0)
    return {attempt: [series[name] for name in sorted(series)] for attempt, series in found.items()}


def _draw(series: Series, at: datetime, value: float, *, new: bool) -> None:
    known = None if math.isnan(value) else value
    if new or not series.points:
        series.points.append(Point(at, known, known))
    elif known is not None:
        point = series.points[-1]
        point.low = known if point.low is None else min(point.low, known)
        point.high = known if point.high is None else max(point.high, known)
