"""The event loop in which this process asks BMCs, in a thread of its own.

Connections belong to an event loop. A loop per tick would connect to every tray anew at every poll, so all
threads of a process share this one. It starts when first needed; a forked child starts its own.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from django.conf import settings

from mes.burnin.redfish_http import Connections, share_connections

T = TypeVar("T")
CLOSING_SECONDS = 2.0


class _Loop:
    """An event loop running in a daemon thread, with connections that all its clients share."""

    def __init__(self, connections: int) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="bmc-loop", daemon=True)
        self._thread.start()
        self._connections = self.submit(_open(connections)).result()

    def submit(self, question: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(question, self.loop)

    def close(self) -> None:
        with suppress(TimeoutError):
            self.submit(self._connections.close()).result(CLOSING_SECONDS)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CLOSING_SECONDS)


async def _open(most: int) -> Connections:
    connections = Connections(most)
    share_connections(connections)
    return connections


class _Process:
    """The loop of this process, if it has one by now, and those of the processes it was forked from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: _Loop | None = None
        self._inherited: list[_Loop | None] = []

    def loop(self) -> _Loop:
        with self._lock:
            if self._loop is None:
                self._loop = _Loop(settings.BURNIN_BMC_CONNECTIONS)
            return self._loop

    def forget(self) -> None:
        # The parent goes on with its loop. It is kept unclosed here: closing it would take the wake-up of the
        # parent out of the epoll set that both share.
        self._inherited.append(self._loop)
        self._loop, self._lock = None, threading.Lock()

    def close(self) -> None:
        with self._lock:
            running, self._loop = self._loop, None
        if running is not None:
            running.close()


_process = _Process()
os.register_at_fork(after_in_child=_process.forget)
atexit.register(_process.close)


def ask(question: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the BMC loop and return what it returns or raises; call it from any other thread.

    A caller that is interrupted cancels it.
    """
    answer = _process.loop().submit(question)
    try:
        return answer.result()
    except BaseException:
        answer.cancel()
        raise


def close() -> None:
    """Close the connections and the loop of this process; the next question starts a new one."""
    _process.close()
