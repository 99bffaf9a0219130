"""How close the series of a soak came to their limits. Pure.

Nobody publishes what is a near miss of a burn-in limit; 5 % of the good range is taken here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mes.burnin.findings import facts_of
from mes.burnin.judging import Statistics, is_breached, matches
from mes.burnin.limits import kind_of, margin
from mes.burnin.models import BurnInAttempt, SeriesLimit
from mes.burnin.violations import to_time

NEAR_SHARE = 0.05
MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class Closest:
    """What one series did under one limit: its worst judged value, when, and how often it was outside.

    ``share`` is the distance left to the nearest bound, as a share of ``reference``; negative outside.
    """

    limit: SeriesLimit
    series: str
    value: float
    at: datetime | None
    share: float
    outside: int
    breached: bool


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
    """Return the worst value of a limit group over the whole soak; without any sample its value is None.

    Least, most and mean are those of the series itself, so only a limit of a level has them. A limit without
    samples is not kept to; but a spread cannot be told of fewer than three trays.
    """
    entries = {name: entry for name, entry in statistics.items() if matches(name, limit.pattern)}
    found = list(_closest_of(entries, limit))
    if not found:
        unjudged = limit.kind == SeriesLimit.Kind.SPREAD and bool(entries)
        return Worst(limit, "", None, 0, None, None, None, breached=not unjudged)
    closest = min(found, key=lambda each: margin(each.value, limit))
    counted = [entry for entry in entries.values() if "count" in entry]
    breached = any(each.breached for each in found)
    if kind_of(limit) != SeriesLimit.Kind.LEVEL or not counted:
        judged = sum(int(entry["limits"][limit.group].get("judged", 0)) for entry in _judged(entries, limit))
        return Worst(limit, closest.series, closest.value, judged, None, None, None, breached)
    count = sum(entry["count"] for entry in counted)
    return Worst(
        limit=limit,
        series=closest.series,
        value=closest.value,
        count=count,
        minimum=min(entry["min"] for entry in counted),
        maximum=max(entry["max"] for entry in counted),
        mean=sum(entry["sum"] for entry in counted) / count,
        breached=breached,
    )


def find_near_misses(
    attempts: Sequence[BurnInAttempt], limits: Mapping[str, Sequence[SeriesLimit]]
) -> list[dict[str, Any]]:
    """Return what came close to a limit and did not fail, the closest first, at most 50.

    A series is listed when it was outside in too few samples to fail (``why`` is ``not_persistent``), when
    its worst value came within 5 % of the limit's range (``margin``), or when it was the closest of all trays
    to its limit (``closest``), so that each limit has a line.
    """
    rows = []
    for kind, of_kind in limits.items():
        trays = [each for each in attempts if each.unit.part_revision.part.kind == kind]
        for limit in of_kind:
            found = [
                (each, tray)
                for tray in trays
                for each in _closest_of(tray.statistics, limit)
                if not each.breached
            ]
            found.sort(key=lambda pair: pair[0].share)
            rows += [
                _row(each, tray, why)
                for place, (each, tray) in enumerate(found)
                if (why := _why_near(each, first=place == 0))
            ]
    return sorted(rows, key=lambda row: row["share"])[:MOST_LISTED]


def _why_near(each: Closest, *, first: bool) -> str:
    if each.outside:
        return "not_persistent"
    if each.share <= NEAR_SHARE:
        return "margin"
    return "closest" if first else ""


def _row(each: Closest, tray: BurnInAttempt, why: str) -> dict[str, Any]:
    return {
        "why": why,
        "rule": str(kind_of(each.limit)),
        "slot": tray.slot.name,
        "serial": tray.unit.serial,
        "attempt": tray.number,
        "at": each.at.astimezone(UTC).isoformat() if each.at else None,
        "value": each.value,
        "margin": margin(each.value, each.limit),
        "share": each.share,
        "outside": each.outside,
        **facts_of(each.limit, each.series),
    }


def _closest_of(statistics: Statistics, limit: SeriesLimit) -> Iterator[Closest]:
    for series, entry in statistics.items():
        kept = entry.get("limits", {}).get(limit.group)
        if kept is None or not matches(series, limit.pattern):
            continue
        worst = _worst_of(entry, kept, limit)
        if worst is not None:
            value, at = worst
            yield Closest(
                limit=limit,
                series=series,
                value=value,
                at=None if at is None else to_time(at),
                share=margin(value, limit) / _reference(entry, value, limit),
                outside=int(kept["violations"]),
                breached=is_breached(kept, limit),
            )


def _worst_of(
    entry: Mapping[str, Any], kept: Mapping[str, Any], limit: SeriesLimit
) -> tuple[float, float | None] | None:
    """Return the worst judged value and when; the extreme, if a soak began before these were kept."""
    if "worst" in kept:
        return float(kept["worst"]), kept["worst_at"]
    if kind_of(limit) != SeriesLimit.Kind.LEVEL or "count" not in entry:
        return None
    extremes = ((entry["min"], entry.get("min_at")), (entry["max"], entry.get("max_at")))
    return min(extremes, key=lambda each: margin(each[0], limit))


def _judged(entries: Statistics, limit: SeriesLimit) -> list[dict[str, Any]]:
    return [entry for entry in entries.values() if limit.group in entry.get("limits", {})]


def _reference(entry: Mapping[str, Any], value: float, limit: SeriesLimit) -> float:
    """Return what a margin is a share of: the range, else the bound, else the largest value."""
    if limit.low is not None and limit.high is not None and limit.high > limit.low:
        return limit.high - limit.low
    bound = limit.low if limit.low is not None else limit.high
    spanned = max(abs(entry.get("min", value)), abs(entry.get("max", value)))
    return abs(bound or 0.0) or spanned or 1.0
