"""Excursions of series outside their limits, each kept as one row for as long as it lasts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mes.burnin.limits import margin
from mes.burnin.models import BurnInAttempt, SeriesLimit, Violation

GROWS = ("to_at", "samples", "worst", "worst_at", "most", "is_open")


@dataclass(frozen=True, slots=True)
class Excursion:
    """A series outside a limit, as far as it is known: times in seconds since 1970, values as judged."""

    limit: SeriesLimit
    series: str
    from_at: float
    to_at: float
    samples: int
    worst: float
    worst_at: float
    most: int
    is_open: bool

    def row(self, attempt: BurnInAttempt) -> Violation:
        """Return the row of the excursion of a tray."""
        return Violation(
            attempt=attempt,
            limit=self.limit,
            series=self.series,
            from_at=to_time(self.from_at),
            to_at=to_time(self.to_at),
            samples=self.samples,
            worst=self.worst,
            worst_at=to_time(self.worst_at),
            most=self.most,
            is_open=self.is_open,
        )


def to_time(seconds: float) -> datetime:
    """Return a time given in seconds since 1970, exact to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC)


def note_excursion(
    kept: dict[str, Any], limit: SeriesLimit, series: str, value: float, at: float
) -> Excursion | None:
    """Begin, extend or end the excursion that is ``kept`` of a series by one judged value.

    Return it as it now is, or None when there was none. An excursion lasts until a sample inside is judged,
    however far apart the samples are: what was outside before and after a gap is one.
    """
    if margin(value, limit) >= 0:
        ended = kept.pop("out", None)
        return _excursion(limit, series, ended, is_open=False) if ended else None
    out = kept.setdefault("out", {"from": at, "samples": 0, "worst": value, "worst_at": at, "most": 0})
    out["to"], out["samples"] = at, out["samples"] + 1
    out["most"] = max(out["most"], kept["window"].bit_count())
    if margin(value, limit) < margin(out["worst"], limit):
        out["worst"], out["worst_at"] = value, at
    return _excursion(limit, series, out, is_open=True)


def _excursion(limit: SeriesLimit, series: str, out: Mapping[str, Any], *, is_open: bool) -> Excursion:
    return Excursion(
        limit=limit,
        series=series,
        from_at=out["from"],
        to_at=out["to"],
        samples=out["samples"],
        worst=out["worst"],
        worst_at=out["worst_at"],
        most=out["most"],
        is_open=is_open,
    )


def save_violations(violations: Sequence[Violation]) -> None:
    """Save excursions with one statement; one that is known by its start is brought up to date."""
    if violations:
        Violation.objects.bulk_create(
            violations,
            update_conflicts=True,
            unique_fields=["attempt", "limit", "series", "from_at"],
            update_fields=GROWS,
        )
