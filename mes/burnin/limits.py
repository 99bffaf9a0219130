"""What a limit of a profile judges, how often, and which limits contradict themselves."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from mes.burnin.models import BurnInProfile, SeriesLimit
from mes.errors import RuleViolation

Kind, Basis, Missing = SeriesLimit.Kind, SeriesLimit.Basis, SeriesLimit.Missing

FEWEST_TRAYS = 3  # of two trays that differ nobody can say which is the odd one


@dataclass(frozen=True, slots=True)
class Moment:
    """When a reading was taken (``at``, seconds since 1970) and what else it is judged by.

    ``elapsed`` is the time in seconds that one poll stands for, ``medians`` holds by series the median over
    the trays of the kind at this poll, where enough of them told it.
    """

    at: float
    elapsed: float = 0.0
    poll_seconds: float = 0.0
    max_gap_seconds: float = math.inf
    medians: Mapping[str, float] = field(default_factory=dict)


def kind_of(limit: SeriesLimit) -> str:
    """Return what a limit judges."""
    return limit.kind or Kind.LEVEL


def limits_by_kind(limits: Iterable[SeriesLimit]) -> dict[str, list[SeriesLimit]]:
    """Return limits by the kind of unit whose series they judge, in their order."""
    by_kind: dict[str, list[SeriesLimit]] = {}
    for limit in limits:
        by_kind.setdefault(limit.unit_kind, []).append(limit)
    return by_kind


def unit_of(limit: SeriesLimit) -> str:
    """Return the unit of a limit's bounds: for a rate the unit of the series per minute."""
    return f"{limit.unit}/min" if limit.kind == Kind.RATE else limit.unit


def bounds(limit: SeriesLimit) -> str:
    """Return the good range of a limit in words, with its unit."""
    unit = unit_of(limit)
    parts = [
        f"at least {limit.low:g} {unit}" if limit.low is not None else "",
        f"at most {limit.high:g} {unit}" if limit.high is not None else "",
    ]
    return " and ".join(part for part in parts if part)


def margin(value: float, limit: SeriesLimit) -> float:
    """Return how far inside its bounds a value is, in the unit of the limit; negative outside."""
    low = value - limit.low if limit.low is not None else math.inf
    high = limit.high - value if limit.high is not None else math.inf
    return min(low, high)


def is_outside(value: float, limit: SeriesLimit) -> bool:
    """Return whether a value is out of the good range; the bounds themselves are good."""
    return margin(value, limit) < 0


def is_due(last: float | None, limit: SeriesLimit, moment: Moment) -> bool:
    """Return whether a limit is judged now; ``last`` is when it last was, in seconds since 1970.

    Polls are not exact: one that comes up to half a poll early still counts as the one that was waited for.
    """
    if last is None or not limit.sample_seconds:
        return True
    return moment.at - last >= limit.sample_seconds - moment.poll_seconds / 2


def longest_step(limit: SeriesLimit, moment: Moment) -> float:
    """Return how far apart two samples may be to say something about the time between, in seconds."""
    return (limit.sample_seconds or 0.0) + moment.max_gap_seconds


def rate_per_minute(value: float, before: float, seconds: float) -> float:
    """Return the mean change per minute over ``seconds``, which must not be 0."""
    return (value - before) * 60 / seconds


def spread_medians(trays: Collection[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each series over trays of one kind that tell it, if at least three do.

    The median, not the mean: one bad tray of three hardly moves it, so that tray is named and not its
    neighbours.
    """
    values: dict[str, list[float]] = {}
    for tray in trays:
        for series, value in tray.items():
            values.setdefault(series, []).append(value)
    return {series: median(told) for series, told in values.items() if len(told) >= FEWEST_TRAYS}


def find_contradictions(limit: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a limit, given by its columns, must not say together: each time the column and why."""
    low, high, missing = limit.get("low"), limit.get("high"), limit.get("missing")
    seconds, polls = limit.get("sample_seconds"), limit.get("missing_polls")
    if limit.get("basis") == Basis.HEADROOM and (low is None or high is not None):
        yield "basis", "a headroom is bad when low: give low, and no high"
    if low is not None and high is not None and low > high:
        yield "low", f"low {low:g} is above high {high:g}"
    if seconds is not None and seconds <= 0:
        yield "sample_seconds", "sample_seconds must be greater than 0"
    if (missing == Missing.TOLERATE) != bool(polls) and missing != Missing.FAIL:
        yield "missing_polls", "tolerate needs missing_polls, and only tolerate and fail take them"
    if limit.get("action") == SeriesLimit.Action.STOP_RACK:
        yield from _find_slow_stops(limit.get("kind"), missing, seconds)


def _find_slow_stops(
    kind: str | None, missing: str | None, seconds: float | None
) -> Iterator[tuple[str, str]]:
    if kind not in {None, Kind.LEVEL}:
        yield "kind", f"a {kind} needs other samples to be judged by: only a level stops the rack"
    if seconds is not None:
        yield "sample_seconds", "what stops the rack is judged at each poll"
    if missing == Missing.TOLERATE:
        yield "missing", "what stops the rack must not be missing"


def require_consistent(profile: BurnInProfile) -> None:
    """Refuse with ``limits_inconsistent`` a profile of which a limit contradicts itself."""
    faults = [
        f"{limit.group} of {limit.unit_kind}: {why}"
        for limit in profile.limits.order_by("pk")
        for _, why in find_contradictions(vars(limit))
    ]
    if faults:
        raise RuleViolation(
            "limits_inconsistent",
            f"Limits of {profile} contradict themselves: {'; '.join(faults)}.",
            rule="a limit says one thing that can be judged",
            next_step="Correct these limits, then release the profile.",
            limits=faults,
        )
