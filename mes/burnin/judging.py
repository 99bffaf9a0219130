"""How samples are judged. Pure: nothing here reads or writes the database, a clock or the network."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from mes.burnin.models import BurnInAttempt, BurnInProfile, SeriesLimit
from mes.burnin.redfish import Sample, TrayReading
from mes.products.models import Slot

# By series: count, min, max, sum, last, unit, and by limit group under "limits": over, violations, window.
Statistics = dict[str, dict[str, Any]]

NAMED = 3
LARGEST = 3.4e38  # of a float32, in which raw samples are kept


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
            f"{self.series} was {self.value:g} {limit.unit}; {limit.group} must be {bounds(limit)} "
            f"({self.outside} of the last {limit.window} samples outside, {limit.violations} are too many)."
        )


def bounds(limit: SeriesLimit) -> str:
    """Return the good range of a limit in words, with its unit."""
    parts = [
        f"at least {limit.low:g} {limit.unit}" if limit.low is not None else "",
        f"at most {limit.high:g} {limit.unit}" if limit.high is not None else "",
    ]
    return " and ".join(part for part in parts if part)


@lru_cache(maxsize=65_536)
def matches(series: str, pattern: str) -> bool:
    """Return whether a series belongs to a pattern with * and ?, upper and lower case told apart."""
    return fnmatchcase(series, pattern)


def is_outside(value: float, limit: SeriesLimit) -> bool:
    """Return whether a value is out of the good range; the bounds themselves are good."""
    too_low = limit.low is not None and value < limit.low
    return too_low or (limit.high is not None and value > limit.high)


def is_usable(sample: Sample | None) -> bool:
    """Return whether a sample says anything: it is there, a finite number, and not stale."""
    if sample is None or sample.value is None or sample.stale:
        return False
    return math.isfinite(sample.value) and abs(sample.value) <= LARGEST


def find_missing(
    samples: Iterable[Sample], limits: Collection[SeriesLimit], seen: Collection[str]
) -> list[str]:
    """Return what a reading lacks to be good, in words; empty when it is good.

    Every limit needs at least one series, and every series of a limit, those ``seen`` before in this soak
    included, needs a usable value in the limit's unit.
    """
    by_name = {sample.series: sample for sample in samples}
    if not any(is_usable(sample) for sample in by_name.values()):
        return ["any value"]
    missing: dict[str, None] = {}
    for limit in limits:
        names = [name for name in by_name.keys() | set(seen) if matches(name, limit.pattern)]
        if not names:
            missing[f"a series for {limit.group}"] = None
        missing.update({name: None for name in sorted(names) if not _fits(by_name.get(name), limit)})
    return list(missing)


def _fits(sample: Sample | None, limit: SeriesLimit) -> bool:
    return is_usable(sample) and (sample is None or sample.unit in {"", limit.unit})


def in_short(names: list[str]) -> str:
    """Return a list in words, shortened after three names."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def note_samples(
    statistics: Statistics,
    samples: Iterable[Sample],
    limits: Collection[SeriesLimit],
    *,
    elapsed: float,
    soaking: bool,
) -> list[Breach]:
    """Take the usable samples of one reading into the statistics and return what is breached now.

    ``elapsed`` is the time in seconds that a value outside its limit stands for. While stress is not yet
    soaking only limits that stop the rack are watched, and nothing is counted.
    """
    breaches = []
    for sample in samples:
        if not is_usable(sample) or sample.value is None:
            continue
        entry = statistics.setdefault(sample.series, {}) if soaking else statistics.get(sample.series, {})
        if soaking:
            _count(entry, sample.value, sample.unit)
        for limit in limits:
            if not (soaking or limit.action == SeriesLimit.Action.STOP_RACK):
                continue
            if matches(sample.series, limit.pattern) and _fits(sample, limit):
                statistics[sample.series] = entry
                breach = _note_limit(entry, sample.series, sample.value, limit, elapsed)
                breaches += [breach] if breach else []
    return breaches


def _count(entry: dict[str, Any], value: float, unit: str) -> None:
    if "count" not in entry:
        entry.update(count=0, min=value, max=value, sum=0.0, unit=unit)
    entry.update(
        count=entry["count"] + 1,
        min=min(entry["min"], value),
        max=max(entry["max"], value),
        sum=entry["sum"] + value,
        last=value,
    )


def _note_limit(
    entry: dict[str, Any], series: str, value: float, limit: SeriesLimit, elapsed: float
) -> Breach | None:
    kept = entry.setdefault("limits", {}).setdefault(limit.group, {"over": 0.0, "violations": 0, "window": 0})
    outside = is_outside(value, limit)
    kept["window"] = ((kept["window"] << 1) | outside) & ((1 << limit.window) - 1)
    if outside:
        kept["violations"] += 1
        kept["over"] += elapsed
    if not is_breached(kept, limit):
        return None
    return Breach(limit, series, value, kept["window"].bit_count())


def is_breached(kept: Mapping[str, Any], limit: SeriesLimit) -> bool:
    """Return whether too many of the last samples, as kept in the statistics, were outside a limit."""
    return int(kept["window"]).bit_count() >= limit.violations


def is_urgent(reading: TrayReading, limits: Collection[SeriesLimit]) -> bool:
    """Return whether a reading must be acted on before slower trays have answered."""
    if reading.leak:
        return True
    stopping = [limit for limit in limits if limit.action == SeriesLimit.Action.STOP_RACK]
    return any(
        is_outside(sample.value, limit)
        for sample in reading.samples
        if is_usable(sample) and sample.value is not None
        for limit in stopping
        if matches(sample.series, limit.pattern)
    )


def is_unbroken(attempt: BurnInAttempt, at: datetime, profile: BurnInProfile) -> bool:
    """Return whether a good sample at ``at`` continues the soak: it earns the time since the last."""
    if attempt.state != BurnInAttempt.State.RUNNING or attempt.last_good_at is None:
        return False
    return at - attempt.last_good_at <= timedelta(seconds=profile.max_gap_seconds)


def earned_seconds(attempt: BurnInAttempt, at: datetime, profile: BurnInProfile) -> float:
    """Return the soak time that a good sample at ``at`` adds; 0 after a gap or for a clock that went back."""
    if attempt.last_good_at is None or not is_unbroken(attempt, at, profile):
        return 0.0
    return max(0.0, (at - attempt.last_good_at).total_seconds()) * profile.time_scale


def outage_seconds(attempt: BurnInAttempt, at: datetime, profile: BurnInProfile) -> float:
    """Return how long nobody polled before ``at`` when that alone broke the soak, else 0."""
    if attempt.last_poll_at is None:
        return 0.0
    unpolled = (at - attempt.last_poll_at).total_seconds()
    return unpolled if unpolled > profile.max_gap_seconds else 0.0


def find_identity_fault(reading: TrayReading, slot: Slot, names: Collection[str]) -> str:
    """Return why the tray that answers is not the one installed in the slot, or "" when it is.

    ``names`` are the identifiers of the installed unit in upper case, its serial first. What a BMC does not
    report is not compared.
    """
    if reading.serial and reading.serial.upper() not in names:
        return (
            f"The BMC of {slot.name} reports serial {reading.serial}, but {next(iter(names))} is installed."
        )
    positions = (
        ("slot number", reading.slot_number, slot.slot_number),
        ("tray index", reading.tray_index, slot.tray_index),
    )
    for what, reported, wanted in positions:
        if reported is not None and wanted is not None and reported != wanted:
            return f"The tray of {slot.name} reports {what} {reported}, but its slot has {what} {wanted}."
    return ""


@dataclass(frozen=True, slots=True)
class Worst:
    """The sample closest to, or furthest beyond, a limit among the series of its group."""

    limit: SeriesLimit
    series: str
    value: float | None
    count: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    breached: bool


def find_worst(statistics: Statistics, limit: SeriesLimit) -> Worst:
    """Return the worst value of a limit group over the whole soak; without any sample its value is None."""
    entries = {
        name: entry for name, entry in statistics.items() if "count" in entry and matches(name, limit.pattern)
    }
    if not entries:
        return Worst(limit, "", None, 0, None, None, None, breached=True)
    candidates = [
        (_margin(value, limit), name, value)
        for name, entry in entries.items()
        for value in (entry["min"], entry["max"])
    ]
    _, series, value = min(candidates)
    count = sum(entry["count"] for entry in entries.values())
    return Worst(
        limit=limit,
        series=series,
        value=value,
        count=count,
        minimum=min(entry["min"] for entry in entries.values()),
        maximum=max(entry["max"] for entry in entries.values()),
        mean=sum(entry["sum"] for entry in entries.values()) / count,
        breached=any(is_breached(_kept(entry, limit), limit) for entry in entries.values()),
    )


def _kept(entry: Mapping[str, Any], limit: SeriesLimit) -> Mapping[str, Any]:
    kept: Mapping[str, Any] = entry.get("limits", {}).get(limit.group, {"window": 0})
    return kept


def _margin(value: float, limit: SeriesLimit) -> float:
    low = value - limit.low if limit.low is not None else math.inf
    high = limit.high - value if limit.high is not None else math.inf
    return min(low, high)
