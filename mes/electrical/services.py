"""The door of electrical safety: tests recorded, live hipots begun, finished and aborted."""

from mes.electrical.hipots import abort_hipot, begin_hipot, finish_hipot
from mes.electrical.overview import Overview, overview_of
from mes.electrical.readings import Point, Readings
from mes.electrical.recording import record_safety_test

__all__ = [
    "Overview",
    "Point",
    "Readings",
    "abort_hipot",
    "begin_hipot",
    "finish_hipot",
    "overview_of",
    "record_safety_test",
]
