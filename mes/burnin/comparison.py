"""A run against the last racks: each series under a limit against the same series in the same slot before."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mes.burnin.judging import Statistics, matches
from mes.burnin.limits import kind_of
from mes.burnin.models import BurnInAttempt, BurnInRun, SeriesLimit
from mes.burnin.outliers import LEAST_RACKS, SIGMAS, Key, Outlier, Value, find_outliers, key_of
from mes.testing.models import TestRun

RACKS = 20
History = dict[Key, list[float]]


@dataclass(frozen=True, slots=True)
class Remark:
    """An outlier, with the limit group and the unit of its values."""

    group: str
    unit: str
    outlier: Outlier

    def flat(self) -> dict[str, Any]:
        """Return it as a flat row that JSON and CSV can hold."""
        found, at = self.outlier, self.outlier.at
        return {
            "slot": at.slot,
            "group": self.group,
            "series": at.series,
            "statistic": at.statistic,
            "value": at.value,
            "unit": self.unit,
            "median": found.median,
            "spread": found.spread,
            "sigmas": found.sigmas,
            "racks": found.racks,
        }


def compare_run(run: BurnInRun, attempts: Iterable[BurnInAttempt]) -> dict[str, Any]:
    """Return what of a run is unlike the last racks: ``racks`` compared with, ``sigmas``, and ``found``.

    Compared are the mean and the largest value over the soak of each series under a limit, with those of
    the same slot in the last 20 passed runs of the same profile name, part and site before this one; fewer
    than five racks say nothing. It is a remark and fails nobody. ``attempts`` come with slot, unit and part.
    Three queries.
    """
    limits = list(SeriesLimit.objects.filter(profile=run.profile_id).order_by("pk"))
    past = _runs_before(run)
    history = _history(past, {limit.pattern for limit in limits})
    live = [each for each in attempts if each.state != BurnInAttempt.State.SUPERSEDED]
    remarks = [remark for group in _alike(limits) for remark in _compare(group, live, history)]
    return {
        "racks": len(past),
        "least_racks": LEAST_RACKS,
        "sigmas": SIGMAS,
        "found": [remark.flat() for remark in remarks],
    }


def stored_comparison(run: BurnInRun) -> dict[str, Any] | None:
    """Return what the verdict of an ended run keeps of its comparison, or None. One query."""
    tests = TestRun.objects.filter(unit=run.unit_id, procedure=run.profile.procedure, ended_at=run.ended_at)
    details = tests.filter(format=TestRun.Format.BURN_IN).values_list("details", flat=True).last()
    found: dict[str, Any] | None = (details or {}).get("outliers")
    return found


def _runs_before(run: BurnInRun) -> list[int]:
    """Return the runs to compare with; those of other sites see other coolant and other air."""
    runs = BurnInRun.objects.filter(
        state=BurnInRun.State.PASSED,
        profile__name=run.profile.name,
        profile__part=run.profile.part_id,
        unit__site=run.unit.site_id,
        pk__lt=run.pk,
    )
    return list(runs.order_by("-pk").values_list("pk", flat=True)[:RACKS])


def _history(runs: list[int], patterns: set[str]) -> History:
    """Return the values of runs by slot, series and statistic; read row by row, for statistics are large."""
    passed = BurnInAttempt.objects.filter(run__in=runs, state=BurnInAttempt.State.PASSED)
    history: History = {}
    for slot, statistics in passed.values_list("slot__name", "statistics").iterator(chunk_size=50):
        for value in _values(slot, statistics, patterns):
            history.setdefault(key_of(value), []).append(value.value)
    return history


def _values(slot: str, statistics: Statistics, patterns: Iterable[str]) -> Iterator[Value]:
    for series, entry in statistics.items():
        if "count" in entry and any(matches(series, pattern) for pattern in patterns):
            yield Value(slot, series, "mean", entry["sum"] / entry["count"])
            yield Value(slot, series, "max", entry["max"])


def _alike(limits: Iterable[SeriesLimit]) -> list[list[SeriesLimit]]:
    """Return the limits of one kind that watch the same series together, so that none is told twice."""
    groups: dict[tuple[str, str], list[SeriesLimit]] = {}
    for limit in limits:
        groups.setdefault((limit.unit_kind, limit.pattern), []).append(limit)
    return list(groups.values())


def _compare(
    limits: list[SeriesLimit], attempts: Iterable[BurnInAttempt], history: Mapping[Key, list[float]]
) -> list[Remark]:
    first = limits[0]
    of_kind = [each for each in attempts if each.unit.part_revision.part.kind == first.unit_kind]
    values = [
        value for each in of_kind for value in _values(each.slot.name, each.statistics, [first.pattern])
    ]
    slots = {each.slot.name for each in of_kind}
    alike = {key: past for key, past in history.items() if key[0] in slots and matches(key[1], first.pattern)}
    levels = [limit for limit in limits if kind_of(limit) == SeriesLimit.Kind.LEVEL]
    bounds = [abs(bound) for limit in levels for bound in (limit.low, limit.high) if bound is not None]
    found = find_outliers(values, alike, size=max(bounds, default=0.0))
    return [Remark(", ".join(limit.group for limit in limits), first.unit, each) for each in found]
