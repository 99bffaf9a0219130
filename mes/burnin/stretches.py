"""What the database knows of the series of trays in a time: raw polls, and windows of blocks.

A block that is wanted whole answers by its statistics; its values are read only where a part of it is wanted,
or every poll is.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
from django.db.models import BinaryField, Case, F, Q, QuerySet, Value, When

from mes.burnin.blocks import (
    BLOCK_SERIES,
    Stretch,
    Times,
    stretch_of,
    to_micros,
    unpack_block,
    unpack_statistics,
    unpack_times,
)
from mes.burnin.compaction import window_start
from mes.burnin.judging import matches
from mes.burnin.models import BurnInAttempt, Poll, PollWindow, SeriesBlock, SeriesLayout
from mes.burnin.polls import unpack_values

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
# By layout, where the wanted series are: name and column.
Columns = Mapping[int, list[tuple[str, int]]]
FreshPoll = tuple[datetime, int, Any]  # when, layout, values


@dataclass(frozen=True, slots=True)
class Wanted:
    """Series of some trays from ``since`` to ``until``, both included.

    A pattern is a name, or has * and ?; ``most`` is how many series at most, the first by name.
    """

    attempts: Collection[BurnInAttempt]
    patterns: Collection[str]
    since: datetime = EARLIEST
    until: datetime = LATEST
    most: int | None = None

    @property
    def keys(self) -> list[int]:
        """Return the primary keys of the trays."""
        return [attempt.pk for attempt in self.attempts]

    @property
    def first_window(self) -> datetime:
        """Return where the first window begins that may hold something of it."""
        return window_start(self.since)

    def windows(self) -> QuerySet[PollWindow]:
        """Return the windows that may hold something of it."""
        return PollWindow.objects.filter(
            attempt__in=self.keys, starts_at__gte=self.first_window, starts_at__lte=self.until
        )

    def polls(self) -> QuerySet[Poll]:
        """Return the polls of it that are not compacted yet."""
        return Poll.objects.filter(
            attempt__in=self.keys, taken_at__gte=self.since, taken_at__lte=self.until
        ).order_by("taken_at")

    def columns(self) -> Columns:
        """Return where the wanted series are in each layout of the tray."""
        used = self.polls().order_by().values("layout").union(self.windows().values("layout"))
        layouts = dict(SeriesLayout.objects.filter(pk__in=used).values_list("pk", "names"))
        picked = self.pick(name for names in layouts.values() for name in names)
        return {
            pk: sorted((name, column) for column, name in enumerate(names) if name in picked)
            for pk, names in layouts.items()
        }

    def pick(self, names: Iterable[str]) -> set[str]:
        """Return the wanted ones of some names."""
        wanted = {name for name in names if any(matches(name, pattern) for pattern in self.patterns)}
        return set(sorted(wanted)[: self.most])


def read_stretches(wanted: Wanted, *, every_poll: bool) -> dict[int, list[Stretch]]:
    """Return by tray all there is of the wanted series, in no order; with ``every_poll`` nothing summed up.

    Three statements. The polls are read before the blocks: one that is compacted meanwhile is found again in
    its block, and taken from there.
    """
    columns = wanted.columns()
    polls = list(wanted.polls().values_list("attempt_id", "taken_at", "layout_id", "values"))
    oldest = polls[0][1] if polls else LATEST
    stretches: dict[int, list[Stretch]] = {}
    times: dict[tuple[int, int], Times] = {}
    for row in _blocks(wanted, columns, oldest=oldest, every_poll=every_poll):
        here, of_tray = _columns_of(columns, row.layout, row.number), stretches.setdefault(row.attempt, [])
        if row.opened is None:
            of_tray.append(_summed_up(row, here))
        else:
            taken = times.setdefault((row.attempt, row.window_id), unpack_times(bytes(row.times)))
            of_tray.append(_opened(row, here, taken, wanted))
    compacted = {(attempt, at) for (attempt, _), each in times.items() for at in each.tolist()}
    fresh: dict[int, list[FreshPoll]] = {}
    for attempt, at, layout, blob in polls:
        if (attempt, to_micros(at)) not in compacted:
            fresh.setdefault(attempt, []).append((at, layout, blob))
    for attempt, own in fresh.items():
        stretches.setdefault(attempt, []).extend(_raw(own, columns))
    return {attempt: [each for each in found if len(each.at)] for attempt, found in stretches.items()}


def _blocks(wanted: Wanted, columns: Columns, *, oldest: datetime, every_poll: bool) -> Iterable[Any]:
    """Read the blocks in one statement; those to be opened with their values and times."""
    numbers = {layout: {column // BLOCK_SERIES for _, column in series} for layout, series in columns.items()}
    places = [Q(window__layout=layout, number__in=sorted(here)) for layout, here in numbers.items() if here]
    if not places:
        return ()
    whole = Q(window__first_at__gte=wanted.since, window__last_at__lte=wanted.until)
    closed = Q(pk__isnull=True) if every_poll else whole & Q(window__last_at__lt=oldest)
    blocks = SeriesBlock.objects.filter(
        reduce(or_, places),
        window__attempt__in=wanted.keys,
        window__starts_at__gte=wanted.first_window,
        window__starts_at__lte=wanted.until,
    )
    shown = blocks.annotate(
        attempt=F("window__attempt_id"),
        layout=F("window__layout_id"),
        first_at=F("window__first_at"),
        times=_unless(closed, "window__times"),
        opened=_unless(closed, "values"),
    )
    columns_read = ("attempt", "window_id", "layout", "number", "first_at", "statistics", "times", "opened")
    return shown.order_by("window__starts_at", "window_id", "number").values_list(*columns_read, named=True)


def _unless(condition: Q, column: str) -> Case:
    return Case(When(condition, then=Value(None)), default=F(column), output_field=BinaryField(null=True))


def _columns_of(columns: Columns, layout: int, number: int) -> list[tuple[str, int]]:
    """Return the wanted series of one block: name and column in the block."""
    first = number * BLOCK_SERIES
    return [(name, column - first) for name, column in columns[layout] if column // BLOCK_SERIES == number]


def _summed_up(row: Any, here: list[tuple[str, int]]) -> Stretch:
    picked = unpack_statistics(bytes(row.statistics))[[column for _, column in here]][np.newaxis, :]
    return Stretch(
        tuple(name for name, _ in here),
        np.array([to_micros(row.first_at)]),
        *(picked[field] for field in ("count", "low", "high", "total")),
    )


def _opened(row: Any, here: list[tuple[str, int]], at: Times, wanted: Wanted) -> Stretch:
    inside = (at >= to_micros(wanted.since)) & (at <= to_micros(wanted.until))
    values = unpack_block(bytes(row.opened), len(at))[inside][:, [column for _, column in here]]
    return stretch_of(tuple(name for name, _ in here), at[inside], values)


def _raw(polls: list[FreshPoll], columns: Columns) -> Iterator[Stretch]:
    for layout, series in columns.items():
        own = [(at, blob) for at, used, blob in polls if used == layout]
        if own and series:
            picked = [column for _, column in series]
            at = np.array([to_micros(taken_at) for taken_at, _ in own])
            values = np.vstack([unpack_values(bytes(blob))[picked] for _, blob in own])
            yield stretch_of(tuple(name for name, _ in series), at, values)
