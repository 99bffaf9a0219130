"""Faults of a simulated BMC, each with a start and an end."""

from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What can be made to go wrong with a tray; NONE clears everything."""

    HANG = "hang"
    VANISH = "vanish"
    NAN = "nan"
    STALE = "stale"
    LEAK = "leak"
    WRONG_SERIAL = "wrong_serial"
    WRONG_SLOT = "wrong_slot"
    OLD_FIRMWARE = "old_firmware"
    CHANGED_PART = "changed_part"
    OVERHEAT = "overheat"
    REBOOT = "reboot"
    GARBAGE = "garbage"
    FLOW_SENSOR = "flow_sensor"
    NONE = "none"


@dataclass(slots=True)
class _Span:
    fault: Fault
    start: float
    end: float


@dataclass(slots=True)
class FaultPlan:
    """The faults of one tray over time. Times are seconds on the caller's clock."""

    _spans: list[_Span] = field(default_factory=list)
    _reboots: list[float] = field(default_factory=list)

    def add(self, fault: Fault, *, now: float, after: float = 0.0, lasting: float | None = None) -> None:
        """Plan a fault ``after`` seconds from now, for ``lasting`` seconds (None: until cleared).

        REBOOT happens once at its time; NONE ends every fault at its time, planned ones included.
        """
        start = now + after
        if fault is Fault.NONE:
            self._end_all(start)
        elif fault is Fault.REBOOT:
            self._reboots = sorted([*self._reboots, start])
        else:
            end = float("inf") if lasting is None else start + lasting
            self._spans.append(_Span(fault, start, end))

    def active(self, now: float) -> frozenset[Fault]:
        """Return the faults in force at ``now``."""
        if not self._spans:
            return frozenset()
        self._spans = [span for span in self._spans if now < span.end]
        return frozenset(span.fault for span in self._spans if span.start <= now)

    def take_reboot(self, now: float) -> float | None:
        """Return the time of the oldest reboot that is due, once; None when none is."""
        if self._reboots and self._reboots[0] <= now:
            return self._reboots.pop(0)
        return None

    def _end_all(self, at: float) -> None:
        for span in self._spans:
            span.end = min(span.end, at)
        self._reboots = [reboot for reboot in self._reboots if reboot < at]
