"""What decided a verdict, as facts: the sentence in the reasons is that of its finding."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from mes.burnin.limits import bounds, kind_of, unit_of
from mes.burnin.models import BurnInAttempt, SeriesLimit


class Rule(StrEnum):
    """The rules that end a burn-in; the first three are the kinds of limits."""

    LEVEL = "level"
    RATE = "rate"
    SPREAD = "spread"
    MISSING = "missing"
    LEAK = "leak"
    REBOOT = "reboot"
    WRONG_TRAY = "wrong_tray"
    SUSPECT = "suspect"
    START = "start"
    STOP = "stop"
    GAP = "gap"
    TOOL = "tool"
    HOURS = "hours"
    ABORT = "abort"
    ROUTE = "route"


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a tray or a run failed: ``text`` in words, and what of it is a fact of its own.

    ``value``, ``low`` and ``high`` are in ``unit``. ``outside`` of the last ``window`` samples were outside,
    and ``violations`` are too many. Empty is what the rule does not know: a leak has no limit.
    """

    rule: Rule
    text: str
    at: datetime | None = None
    slot: str = ""
    serial: str = ""
    attempt: int | None = None
    group: str = ""
    series: str = ""
    value: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    outside: int | None = None
    violations: int | None = None
    window: int | None = None
    profile: str = ""

    def on(self, attempt: BurnInAttempt, *, at: datetime, profile: object) -> "Finding":
        """Return the finding with its tray and profile, and with a time if it has none."""
        return replace(
            self,
            slot=attempt.slot.name,
            serial=attempt.unit.serial,
            attempt=attempt.number,
            at=self.at or at,
            profile=str(profile),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the facts for a JSON column, times in UTC."""
        facts = {name: getattr(self, name) for name in self.__slots__}
        at = self.at.astimezone(UTC).isoformat() if self.at else None
        return {**facts, "rule": str(self.rule), "at": at}


@dataclass(frozen=True, slots=True)
class Breach:
    """A series that was outside a limit in too many of its last samples."""

    limit: SeriesLimit
    series: str
    value: float
    outside: int

    @property
    def stops_rack(self) -> bool:
        """Return whether every tray of the rack must stop at once."""
        return self.limit.action == SeriesLimit.Action.STOP_RACK

    def __str__(self) -> str:
        limit = self.limit
        return (
            f"{self.series} {say_value(self.value, limit)}; {limit.group} must be {bounds(limit)} "
            f"({self.outside} of the last {limit.window} samples outside, {limit.violations} are too many)."
        )

    def finding(self, slot: str, at: datetime) -> Finding:
        """Return why the tray of a slot fails."""
        limit = self.limit
        return Finding(
            rule=Rule(kind_of(limit)),
            text=f"{slot}: {self}",
            at=at,
            value=self.value,
            outside=self.outside,
            **facts_of(limit, self.series),
        )


def facts_of(limit: SeriesLimit, series: str) -> dict[str, Any]:
    """Return what a finding says of the limit of a series."""
    return {
        "group": limit.group,
        "series": series,
        "unit": unit_of(limit),
        "low": limit.low,
        "high": limit.high,
        "violations": limit.violations,
        "window": limit.window,
    }


def say_value(value: float, limit: SeriesLimit) -> str:
    """Return in words what a series did, by the kind of its limit."""
    unit = unit_of(limit)
    if limit.kind == SeriesLimit.Kind.RATE:
        return f"changed by {value:.4g} {unit}"
    if limit.kind == SeriesLimit.Kind.SPREAD:
        return f"was {abs(value):.4g} {unit} {'above' if value >= 0 else 'below'} the median of the trays"
    return f"was {value:g} {unit}"


def note_missing(limit: SeriesLimit, series: str, polls: int) -> Finding:
    """Return why a tray fails whose series told nothing for as long as its limit allows."""
    text = f"{series} told no usable value in {polls} polls in a row; {limit.group} allows no more."
    return Finding(rule=Rule.MISSING, text=text, **facts_of(limit, series))
