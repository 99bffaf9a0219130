"""How a run stands, tray by tray: what it has soaked, its gaps, and how close it came to each limit."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from mes.burnin.limits import bounds, margin
from mes.burnin.models import BurnInAttempt, BurnInRun, Gap, SeriesLimit
from mes.burnin.near_misses import Worst, find_worst
from mes.serials.models import Unit

Tray = BurnInAttempt.State
RUNS_LISTED = 20


@dataclass(frozen=True, slots=True)
class Margin:
    """How close a tray came to a limit over the whole soak.

    ``over_seconds`` and ``violations`` are of the series that was outside longest and most often; ``left`` is
    in the limit's unit, negative beyond the limit, None without any sample.
    """

    limit: SeriesLimit
    worst: Worst
    left: float | None
    violations: int
    over_seconds: float

    @property
    def must_be(self) -> str:
        """Return the good range in words."""
        return bounds(self.limit)

    @property
    def is_outside(self) -> bool:
        """Return whether a value was beyond the limit, or none was there to tell."""
        return self.left is None or self.left < 0


@dataclass(frozen=True, slots=True)
class TrayStanding:
    """A tray of a run: its attempt, its gaps in order of time, and its margin to each limit of its kind."""

    attempt: BurnInAttempt
    gaps: list[Gap]
    margins: list[Margin]

    @property
    def credited_hours(self) -> float:
        """Return what the tray has soaked."""
        return self.attempt.credited_seconds / 3600

    @property
    def gap_count(self) -> int:
        """Return how many gaps it has."""
        return len(self.gaps)

    @property
    def gap_seconds(self) -> float:
        """Return how long nothing was credited between good samples, in seconds."""
        return sum(((gap.to_at - gap.from_at) for gap in self.gaps), timedelta()).total_seconds()

    @property
    def is_wrong(self) -> bool:
        """Return whether somebody should look at it."""
        return self.attempt.state in {Tray.SUSPECT, Tray.FAILED}


@dataclass(frozen=True, slots=True)
class RunStanding:
    """A run with its trays in slot order and the limits of its profile."""

    run: BurnInRun
    trays: list[TrayStanding]
    limits: list[SeriesLimit]

    @property
    def live(self) -> list[BurnInAttempt]:
        """Return the attempts that no swap has superseded."""
        return [tray.attempt for tray in self.trays if tray.attempt.state != Tray.SUPERSEDED]

    def until(self, now: datetime) -> datetime:
        """Return the end of what there is to see: the end of the run, or now."""
        return self.run.ended_at or now


def runs_of(unit: Unit) -> list[BurnInRun]:
    """Return the last runs of a rack, or those that a tray took part in, newest first. One query."""
    of_unit = Q(unit=unit) | Q(attempts__unit=unit)
    runs = BurnInRun.objects.filter(of_unit).select_related("unit", "profile", "bay").distinct()
    return list(runs.order_by("-pk")[:RUNS_LISTED])


def read_standing(run: BurnInRun) -> RunStanding:
    """Return how a run stands. Three queries."""
    limits = list(SeriesLimit.objects.filter(profile=run.profile_id).order_by("pk"))
    attempts = BurnInAttempt.objects.filter(run=run)
    rows = attempts.select_related("slot", "unit__part_revision__part").prefetch_related("gaps")
    return RunStanding(run, [_tray(attempt, limits) for attempt in rows], limits)


def _tray(attempt: BurnInAttempt, limits: Iterable[SeriesLimit]) -> TrayStanding:
    kind = attempt.unit.part_revision.part.kind
    margins = [margin_of(attempt, limit) for limit in limits if limit.unit_kind == kind]
    return TrayStanding(attempt, sorted(attempt.gaps.all(), key=lambda gap: gap.from_at), margins)


def margin_of(attempt: BurnInAttempt, limit: SeriesLimit) -> Margin:
    """Return how close a tray came to a limit, from its statistics."""
    kept = [
        entry["limits"][limit.group]
        for entry in attempt.statistics.values()
        if limit.group in entry.get("limits", {})
    ]
    worst = find_worst(attempt.statistics, limit)
    return Margin(
        limit=limit,
        worst=worst,
        left=None if worst.value is None else margin(worst.value, limit),
        violations=max((each["violations"] for each in kept), default=0),
        over_seconds=max((each["over"] for each in kept), default=0.0),
    )


def closest(margins: Sequence[Margin]) -> Margin | None:
    """Return the margin to look at first: without a sample, else the smallest in relation to its limit."""
    return min(margins, key=_urgency, default=None)


def _urgency(each: Margin) -> float:
    if each.left is None:
        return -math.inf
    sizes = [abs(bound) for bound in (each.limit.low, each.limit.high) if bound]
    return each.left / max(sizes, default=1.0)
