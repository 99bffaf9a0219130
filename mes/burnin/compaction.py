"""Compaction: the polls of a run, ten minutes at a time, become windows of blocks.

The polls are deleted in the transaction that writes the blocks, so a sample is always in one place: a
compactor that dies changes nothing. A window is written by whoever locks its polls; others pass over them. A
poll that comes late is added to its window.
"""

import logging
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.db import IntegrityError, transaction
from django.db.models import Min
from django.utils import timezone

from mes.burnin.blocks import (
    BLOCK_SERIES,
    EPOCH,
    Times,
    Values,
    pack_block,
    pack_statistics,
    pack_times,
    to_datetime,
    to_micros,
    unpack_block,
    unpack_times,
)
from mes.burnin.models import BurnInRun, Poll, PollWindow, SeriesBlock
from mes.burnin.polls import unpack_values

WINDOW = timedelta(minutes=10)
# A poll is committed this long after it was taken at most, but for outages.
SETTLED = timedelta(minutes=1)
MOST_KEYS = 10_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Filled:
    """A window and what is to stand in it; ``values`` has the shape (polls, series)."""

    window: PollWindow
    at: Times
    values: Values


def window_start(at: datetime) -> datetime:
    """Return the multiple of ten minutes that a time falls into."""
    return EPOCH + (at - EPOCH) // WINDOW * WINDOW


def compact_due() -> int:
    """Compact what is older than the current window, of all runs; return how many polls that were."""
    old = Poll.objects.filter(taken_at__lt=_settled_until())
    runs = old.values_list("attempt__run", flat=True).distinct().order_by("attempt__run")
    return sum(_try(run_id) for run_id in list(runs))


def _try(run_id: int) -> int:
    try:
        return compact_run(run_id)
    except (ValueError, zlib.error):
        # The samples of one run that cannot be read must not keep those of all others.
        logger.exception("the samples of run %s were not compacted", run_id)
        return 0


def compact_run(run_id: int) -> int:
    """Compact the polls of a run: of an ended one all, else those older than the current window.

    Returns how many polls were compacted. Each window is a transaction of its own.
    """
    polls = Poll.objects.filter(attempt__run=run_id)
    if not BurnInRun.objects.filter(pk=run_id, ended_at__isnull=False).exists():
        polls = polls.filter(taken_at__lt=_settled_until())
    done, start = 0, EPOCH
    while oldest := polls.filter(taken_at__gte=start).aggregate(at=Min("taken_at"))["at"]:
        start = window_start(oldest)
        done += _compact_window(run_id, start)
        start += WINDOW
    return done


def _settled_until() -> datetime:
    return window_start(timezone.now() - SETTLED)


def _compact_window(run_id: int, start: datetime) -> int:
    try:
        with transaction.atomic():
            polls = _locked_polls(run_id, start)
            if polls:
                _write(_fill(polls, start))
                _drop(polls)
            return len(polls)
    except IntegrityError:
        # Somebody else wrote the window for the first time while a poll of it came late: the next time.
        logger.info("the window %s of run %s is compacted later", start, run_id)
        return 0


def _locked_polls(run_id: int, start: datetime) -> list[Poll]:
    polls = Poll.objects.filter(attempt__run=run_id, taken_at__gte=start, taken_at__lt=start + WINDOW)
    return list(polls.select_for_update(of=("self",), skip_locked=True).order_by("attempt_id", "taken_at"))


def _drop(polls: Sequence[Poll]) -> None:
    keys = [poll.pk for poll in polls]
    for first in range(0, len(keys), MOST_KEYS):
        Poll.objects.filter(pk__in=keys[first : first + MOST_KEYS]).delete()


def _fill(polls: Sequence[Poll], start: datetime) -> list[_Filled]:
    """Return the windows that the polls belong to, with what they hold already. A known time is kept once."""
    attempts = {poll.attempt_id for poll in polls}
    windows = PollWindow.objects.select_for_update().filter(attempt__in=attempts, starts_at=start)
    known = {(window.attempt_id, window.layout_id): _read(window) for window in windows.order_by("pk")}
    times = {(attempt, at) for (attempt, _), filled in known.items() for at in filled.at.tolist()}
    groups: dict[tuple[int, int], list[Poll]] = defaultdict(list)
    for poll in polls:
        if (poll.attempt_id, to_micros(poll.taken_at)) not in times:
            groups[poll.attempt_id, poll.layout_id].append(poll)
    return [_added(known.get(key), group, start) for key, group in groups.items()]


def _read(window: PollWindow) -> _Filled:
    at = unpack_times(bytes(window.times))
    blocks = window.blocks.order_by("number").values_list("values", flat=True)
    parts = [unpack_block(bytes(blob), len(at)) for blob in blocks]
    return _Filled(window, at, np.hstack([np.empty((len(at), 0), np.float32), *parts]))


def _added(known: _Filled | None, polls: Sequence[Poll], start: datetime) -> _Filled:
    at = np.array([to_micros(poll.taken_at) for poll in polls], np.int64)
    values = np.vstack([unpack_values(bytes(poll.values)) for poll in polls])
    if known is None:
        first = polls[0]
        window = PollWindow(attempt_id=first.attempt_id, layout_id=first.layout_id, starts_at=start)
        return _Filled(window, at, values)
    at, values = np.concatenate([known.at, at]), np.vstack([known.values, values])
    order = np.argsort(at)
    return _Filled(known.window, at[order], values[order])


def _write(filled: Sequence[_Filled]) -> None:
    for each in filled:
        each.window.times = pack_times(each.at)
        each.window.first_at = to_datetime(int(each.at[0]))
        each.window.last_at = to_datetime(int(each.at[-1]))
    old = [each.window for each in filled if each.window.pk]
    PollWindow.objects.bulk_update(old, ["times", "first_at", "last_at"])
    SeriesBlock.objects.filter(window__in=old).delete()
    PollWindow.objects.bulk_create([each.window for each in filled if not each.window.pk])
    SeriesBlock.objects.bulk_create([block for each in filled for block in _blocks(each)])


def _blocks(filled: _Filled) -> list[SeriesBlock]:
    series = filled.values.shape[1]
    return [
        SeriesBlock(
            window=filled.window,
            number=first // BLOCK_SERIES,
            statistics=pack_statistics(part := filled.values[:, first : first + BLOCK_SERIES]),
            values=pack_block(part),
        )
        for first in range(0, series, BLOCK_SERIES)
    ]
