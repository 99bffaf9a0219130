"""How samples are judged. Pure: nothing here reads or writes the database, a clock or the network."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from mes.burnin.findings import Breach, Finding, note_missing
from mes.burnin.limits import (
    Moment,
    is_due,
    is_outside,
    longest_step,
    margin,
    rate_per_minute,
    spread_medians,
)
from mes.burnin.models import BurnInAttempt, BurnInProfile, SeriesLimit
from mes.burnin.redfish import Sample, TrayReading
from mes.burnin.violations import Excursion, note_excursion
from mes.products.models import Slot

# By series: count, min, max (and when, in s since 1970), sum, last, unit, and by limit group under "limits":
# over (s), violations, window, judged, worst (and when), and where it is needed at (when last judged), value,
# missed (polls in a row) and out (an excursion under way).
Statistics = dict[str, dict[str, Any]]

NAMED = 3
LARGEST = 3.4e38  # of a float32, in which raw samples are kept


@dataclass(slots=True)
class Noted:
    """What a reading showed: limits breached now, and excursions that began, went on or ended."""

    breaches: list[Breach] = field(default_factory=list)
    excursions: list[Excursion] = field(default_factory=list)


@lru_cache(maxsize=65_536)
def matches(series: str, pattern: str) -> bool:
    """Return whether a series belongs to a pattern with * and ?, upper and lower case told apart."""
    return fnmatchcase(series, pattern)


def is_usable(sample: Sample | None) -> bool:
    """Return whether a sample says anything: it is there, a finite number, and not stale."""
    if sample is None or sample.value is None or sample.stale:
        return False
    return math.isfinite(sample.value) and abs(sample.value) <= LARGEST


def find_missing(
    samples: Iterable[Sample], limits: Collection[SeriesLimit], seen: Statistics, moment: Moment
) -> list[str]:
    """Return what a reading lacks to be good, in words; empty when it is good.

    Every limit needs at least one series, and every series of a limit that is due, those ``seen`` before in
    this soak included, needs a usable value in the limit's unit, unless the limit tolerates it missing.
    Note the samples first: a limit that was judged by them is not due again.
    """
    by_name = {sample.series: sample for sample in samples}
    if not any(is_usable(sample) for sample in by_name.values()):
        return ["any value"]
    missing: dict[str, None] = {}
    for limit in limits:
        names = [name for name in by_name.keys() | seen.keys() if matches(name, limit.pattern)]
        if not names:
            missing[f"a series for {limit.group}"] = None
        missing.update(
            {
                name: None
                for name in sorted(names)
                if not _fits(by_name.get(name), limit) and _is_needed(seen.get(name, {}), limit, moment)
            }
        )
    return list(missing)


def _is_needed(entry: Mapping[str, Any], limit: SeriesLimit, moment: Moment) -> bool:
    """Return whether a value that is missing makes the reading no good one."""
    kept = _kept(entry, limit)
    if not is_due(kept.get("at"), limit, moment):
        return False
    tolerates = limit.missing == SeriesLimit.Missing.TOLERATE and "count" in entry
    return not tolerates or kept.get("missed", 0) > (limit.missing_polls or 0)


def note_absences(
    statistics: Statistics, samples: Iterable[Sample], limits: Collection[SeriesLimit], moment: Moment
) -> list[Finding]:
    """Count the polls in a row in which series told nothing, where a limit says what then; return what fails.

    Only series that told something before in this soak are counted. Call it while soaking, before the samples
    are noted.
    """
    by_name = {sample.series: sample for sample in samples}
    findings = []
    for limit in limits:
        if limit.missing in {SeriesLimit.Missing.TOLERATE, SeriesLimit.Missing.FAIL}:
            for series, entry in statistics.items():
                if "count" in entry and matches(series, limit.pattern):
                    missed = _count_absence(entry, limit, by_name.get(series), moment)
                    if limit.missing == SeriesLimit.Missing.FAIL and missed >= (limit.missing_polls or 1):
                        findings.append(note_missing(limit, series, missed))
    return findings


def _count_absence(entry: dict[str, Any], limit: SeriesLimit, sample: Sample | None, moment: Moment) -> int:
    """Return in how many polls in a row a series told nothing, this one included."""
    kept = _keep(entry, limit)
    if _fits(sample, limit):
        kept.pop("missed", None)
    elif is_due(kept.get("at"), limit, moment):
        kept["missed"] = kept.get("missed", 0) + 1
    return int(kept.get("missed", 0))


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
    moment: Moment,
    *,
    soaking: bool,
) -> Noted:
    """Take the usable samples of one reading into the statistics and return what they show.

    While stress is not yet soaking only limits that stop the rack are watched, and nothing is counted.
    """
    noted = Noted()
    for sample in samples:
        if not is_usable(sample) or sample.value is None:
            continue
        entry = statistics.setdefault(sample.series, {}) if soaking else statistics.get(sample.series, {})
        if soaking:
            _count(entry, sample.value, sample.unit, moment.at)
        for limit in limits:
            if not (soaking or limit.action == SeriesLimit.Action.STOP_RACK):
                continue
            if matches(sample.series, limit.pattern) and _fits(sample, limit):
                statistics[sample.series] = entry
                _note_limit(noted, entry, sample, limit, moment)
    return noted


def _count(entry: dict[str, Any], value: float, unit: str, at: float) -> None:
    if "count" not in entry:
        entry.update(
            count=0, min=value, max=value, sum=0.0, unit=unit, min_at=round(at, 3), max_at=round(at, 3)
        )
    if value < entry["min"]:
        entry.update(min=value, min_at=round(at, 3))
    if value > entry["max"]:
        entry.update(max=value, max_at=round(at, 3))
    entry.update(count=entry["count"] + 1, sum=entry["sum"] + value, last=value)


def _note_limit(
    noted: Noted, entry: dict[str, Any], sample: Sample, limit: SeriesLimit, moment: Moment
) -> None:
    kept, series = _keep(entry, limit), sample.series
    before = kept.get("at")
    if not is_due(before, limit, moment):
        return
    judged = _judged_value(kept, sample, limit, moment)
    if limit.sample_seconds or limit.kind == SeriesLimit.Kind.RATE:
        kept["at"] = moment.at
    if judged is None:
        return
    stands_for = moment.elapsed
    if limit.sample_seconds and before is not None:
        stands_for = min(max(0.0, moment.at - before), longest_step(limit, moment))
    _note_judged(kept, judged, limit, moment.at, stands_for)
    excursion = note_excursion(kept, limit, series, judged, moment.at)
    noted.excursions += [excursion] if excursion else []
    if is_breached(kept, limit):
        noted.breaches.append(Breach(limit, series, judged, kept["window"].bit_count()))


def _judged_value(kept: dict[str, Any], sample: Sample, limit: SeriesLimit, moment: Moment) -> float | None:
    """Return what a limit judges of a value, None when this poll cannot tell it."""
    value, series = sample.value or 0.0, sample.series
    if limit.kind == SeriesLimit.Kind.SPREAD:
        return value - moment.medians[series] if series in moment.medians else None
    if limit.kind == SeriesLimit.Kind.RATE:
        before, kept["value"] = kept.get("value"), value
        seconds = moment.at - kept.get("at", moment.at)
        if before is None or not 0 < seconds <= longest_step(limit, moment):
            return None
        return rate_per_minute(value, before, seconds)
    return value


def _note_judged(kept: dict[str, Any], value: float, limit: SeriesLimit, at: float, seconds: float) -> None:
    outside = is_outside(value, limit)
    kept["window"] = ((kept["window"] << 1) | outside) & ((1 << limit.window) - 1)
    kept["judged"] = kept.get("judged", 0) + 1
    if outside:
        kept["violations"] += 1
        kept["over"] += seconds
    if "worst" not in kept or margin(value, limit) < margin(kept["worst"], limit):
        kept["worst"], kept["worst_at"] = value, round(at, 3)


def _keep(entry: dict[str, Any], limit: SeriesLimit) -> dict[str, Any]:
    groups: dict[str, dict[str, Any]] = entry.setdefault("limits", {})
    return groups.setdefault(limit.group, {"over": 0.0, "violations": 0, "window": 0})


def _kept(entry: Mapping[str, Any], limit: SeriesLimit) -> Mapping[str, Any]:
    kept: Mapping[str, Any] = entry.get("limits", {}).get(limit.group, {"window": 0})
    return kept


def is_breached(kept: Mapping[str, Any], limit: SeriesLimit) -> bool:
    """Return whether too many of the last samples, as kept in the statistics, were outside a limit."""
    return int(kept["window"]).bit_count() >= limit.violations


def find_medians(readings: Iterable[TrayReading], limits: Collection[SeriesLimit]) -> dict[str, float]:
    """Return the medians, over trays of one kind under stress, of the series that a spread limit judges."""
    patterns = {limit.pattern for limit in limits if limit.kind == SeriesLimit.Kind.SPREAD}
    if not patterns:
        return {}
    return spread_medians(
        [_values(reading, patterns) for reading in readings if reading.stress_active is not False]
    )


def _values(reading: TrayReading, patterns: Collection[str]) -> dict[str, float]:
    return {
        sample.series: sample.value
        for sample in reading.samples
        if is_usable(sample)
        and sample.value is not None
        and any(matches(sample.series, pattern) for pattern in patterns)
    }


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
        if matches(sample.series, limit.pattern) and _fits(sample, limit)
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
