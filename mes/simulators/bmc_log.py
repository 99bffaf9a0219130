"""What simulated trays served, refused and were told, as JSON lines: the record a poller is checked against.

Every line has ``at`` (UTC, to the microsecond, when the answer was made), ``tray`` (serial) and ``what``:

    report          a MetricReport: ``name``, ``stress``, ``stale``, ``values`` as sent, null for NaN
    system          the ComputerSystem: ``stress``, ``boot``, ``serial``
    leak_detection  a LeakDetection: ``wet``
    outage          a request that got no proper answer: ``path``, ``fault`` (hang, vanish or garbage)
    start_stress, stop_stress   an intent: ``key``, ``applied`` (false when its key came before)
"""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self


class Note(Protocol):
    """Takes down one thing that a tray did."""

    def __call__(self, what: str, **facts: Any) -> None:
        """Write ``what`` happened now, with its facts."""


def ignore(what: str, **facts: Any) -> None:
    """Take nothing down."""


class ServedLog:
    """A file that trays write to, a line at a time; a context manager. OSError where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def of(self, serial: str) -> Note:
        """Return what a tray takes its notes with."""

        def note(what: str, **facts: Any) -> None:
            at = datetime.now(UTC).isoformat(timespec="microseconds")
            self._file.write(json.dumps({"at": at, "tray": serial, "what": what, **facts}) + "\n")

        return note


def as_sent(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return values as a report carries them, to six places, and None for NaN."""
    return {name: None if math.isnan(value) else round(value, 6) for name, value in values.items()}
