"""Burn-in without a broker: one process that looks for due runs and brings them on, side by side in threads.

It stands in for beat and workers and may run beside them, or twice: leases and epochs keep every tick single.
"""

import logging
import queue
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connections,
)

from mes.burnin import intents, tick
from mes.burnin.advancing import advance
from mes.burnin.archive import archive_due
from mes.burnin.compaction import compact_due

LONGEST_WAIT_SECONDS = 8.0
DATABASE_GONE = (OperationalError, InterfaceError)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """What the loop does beside ticks, at most once at a time: ``act``, ``every_seconds``."""

    name: str
    every_seconds: float
    act: Callable[[], object]


CHORES = (
    Chore("deliver intents", 0.0, intents.deliver_due),
    Chore("compact samples", 600.0, compact_due),
    Chore("archive samples", 3600.0, archive_due),
)


class Loop:
    """Looks for due work every ``look_seconds`` and does it in ``workers`` threads until it is stopped.

    ``stop`` may be called from a signal handler or another thread.
    """

    def __init__(self, *, workers: int, look_seconds: float) -> None:
        self._look_seconds = look_seconds
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="burnin")
        self._under_way: set[Hashable] = set()
        self._next: dict[str, float] = {}
        # Its put is safe in a signal handler; that of an Event is not.
        self._stopped: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def stop(self) -> None:
        """Let ``run`` return once what is under way has ended; what has not begun stays due."""
        self._stopped.put(True)

    def run(self) -> None:
        """Work until stopped; while the database does not answer, try again after 1, 2, 4, 8, 8, ... s."""
        failures = 0
        try:
            while not self._is_stopped_within(self._wait(failures)):
                failures = 0 if self._look(failures) else failures + 1
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _is_stopped_within(self, seconds: float) -> bool:
        try:
            return self._stopped.get(timeout=seconds)
        except queue.Empty:
            return False

    def _wait(self, failures: int) -> float:
        return min(2.0 ** (failures - 1), LONGEST_WAIT_SECONDS) if failures else self._look_seconds

    def _look(self, failures: int) -> bool:
        """Begin whatever is due; return whether the database answered."""
        try:
            runs = tick.due_runs()
        except DATABASE_GONE as error:
            wait = self._wait(failures + 1)
            logger.warning("the database does not answer, next try in %g s: %s", wait, _first_line(error))
            _drop_connections()
            return False
        finally:
            close_old_connections()
        if failures:
            logger.warning("the database answers again")
        for run_id in runs:
            self._begin(run_id, partial(advance, run_id))
        for chore in CHORES:
            self._begin_chore(chore)
        return True

    def _begin_chore(self, chore: Chore) -> None:
        now = time.monotonic()
        if now >= self._next.get(chore.name, 0.0):
            self._next[chore.name] = now + chore.every_seconds
            self._begin(chore.name, chore.act)

    def _begin(self, what: Hashable, act: Callable[[], object]) -> None:
        if what not in self._under_way:
            self._under_way.add(what)
            self._pool.submit(self._do, what, act)

    def _do(self, what: Hashable, act: Callable[[], object]) -> None:
        try:
            act()
        except DATABASE_GONE as error:
            logger.warning("%s was cut short, the database is gone: %s", what, _first_line(error))
        except Exception:
            logger.exception("%s failed", what)
        finally:
            close_old_connections()
            self._under_way.discard(what)


def _drop_connections() -> None:
    """Close this thread's connection and, where there is one, the pool: what waits in it is dead."""
    connection: Any = connections[DEFAULT_DB_ALIAS]
    connection.close()
    if getattr(connection, "pool", None):
        connection.close_pool()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
