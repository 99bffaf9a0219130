"""The burn-in of a rack as a page: how it stands, its trays, its charts, and what is unlike other racks."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone

from mes.burnin.models import BurnInRun, SeriesLimit
from mes.burnin.services import (
    Chart,
    Margin,
    RunStanding,
    TrayStanding,
    Window,
    charts_of,
    closest,
    is_abortable,
    kind_of,
    matches,
    read_series_of,
    read_standing,
    runs_of,
    stored_comparison,
)
from mes.serials.models import Unit
from mes.stations.services import find_paired
from mes.terminal.rack.access import unit_page
from mes.terminal.rack.burn_in_evidence import read_evidence
from mes.terminal.rack.page import unit_response

State = BurnInRun.State
WINDOWS = {"10min": ("10 min", 600), "1h": ("1 h", 3600), "6h": ("6 h", 21_600), "run": ("Whole run", 0)}
WINDOW = "10min"
SHOWN_ROWS = 40
MARKS = {
    "passed": "✓",
    **dict.fromkeys(("failed", "suspect"), "✕"),
    **dict.fromkeys(("preparing", "starting", "soaking", "running", "stopping", "judging"), "▶"),
    "paused": "‖",
}
MINUTE, HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a run is to be drawn: a window of time, a slot or all, a pattern of series or all."""

    window: str
    slot: str
    pattern: str

    @classmethod
    def of(cls, query: QueryDict) -> "Asked":
        """Return the question in an address; an unknown window is the first."""
        window = query.get("window", WINDOW)
        known = window if window in WINDOWS else WINDOW
        return cls(known, query.get("tray", ""), query.get("series", ""))

    def drawn(self, standing: RunStanding) -> list[TrayStanding]:
        """Return the trays to draw; a slot that the run does not have draws none."""
        live = {attempt.pk for attempt in standing.live}
        trays = [tray for tray in standing.trays if tray.attempt.pk in live]
        return [tray for tray in trays if self.slot in {"", tray.attempt.slot.name}]


@dataclass(frozen=True, slots=True)
class TrayRow:
    """A tray in words."""

    tray: TrayStanding

    @property
    def word(self) -> str:
        """Return mark and word of its state."""
        return marked(self.tray.attempt.state)

    @property
    def gaps(self) -> str:
        """Return how many gaps it has, and how long they are together."""
        count = len(self.tray.gaps)
        return f"{count}, {in_words(self.tray.gap_seconds)}" if count else "none"

    @property
    def closest(self) -> Margin | None:
        """Return what came closest to a limit."""
        return closest(self.tray.margins)

    def margins(self, groups: Iterable[str]) -> list[Margin | None]:
        """Return the margin to each limit group, None where the tray's kind has no such limit."""
        by_group = {margin.limit.group: margin for margin in self.tray.margins}
        return [by_group.get(group) for group in groups]


@unit_page
def burn_in(request: HttpRequest, unit: Unit) -> HttpResponse:
    """Show the last burn-in of a unit, or the one asked for with ``?run=``; the page renews itself."""
    runs = runs_of(unit)
    run = _chosen(runs, request.GET.get("run", ""))
    facts: dict[str, Any] = {"runs": [(each, marked(each.state)) for each in runs], "run": run}
    if run is not None and run.unit_id == unit.pk:
        facts |= _facts(request, read_standing(run))
    return unit_response(request, unit, "terminal/rack/burn-in.html", **facts)


def marked(state: str) -> str:
    """Return mark and word of a state of a run or a tray."""
    return f"{MARKS.get(state, '–')} {state}"


def in_words(seconds: float) -> str:
    """Return a time with a unit that suits it."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.1f} h"


def _chosen(runs: list[BurnInRun], uid: str) -> BurnInRun | None:
    return next((run for run in runs if uid in {"", str(run.uid)}), None)


def _facts(request: HttpRequest, standing: RunStanding) -> dict[str, Any]:
    run, asked, now = standing.run, Asked.of(request.GET), timezone.now()
    groups = list(dict.fromkeys(limit.group for limit in standing.limits))
    rows = [TrayRow(tray) for tray in standing.trays]
    ended = run.state in BurnInRun.ENDED
    return {
        "standing": standing,
        "word": marked(run.state),
        "ended": ended,
        "ends_at": _expected_end(run, now),
        "rows": rows,
        "groups": groups,
        "matrix": [(row, row.margins(groups)) for row in rows],
        "asked": asked,
        "windows": [(key, word, _query(run, asked, key)) for key, (word, _) in WINDOWS.items()],
        "choices": _choices(standing),
        "charts": [_shown(chart) for chart in _charts(standing, asked, now)],
        "comparison": stored_comparison(run) if ended else None,
        "acts": _acts(request, run),
        **read_evidence(standing),
    }


def _expected_end(run: BurnInRun, now: datetime) -> datetime | None:
    return now + timedelta(hours=run.remaining_hours) if run.state == State.SOAKING else None


def _acts(request: HttpRequest, run: BurnInRun) -> dict[str, Any] | None:
    """Return what may be done to a run now, and who does it; None for people who may do nothing."""
    device = find_paired(request.session)
    if not is_abortable(run) or not (device or request.user.has_perm("burnin.change_burninrun")):
        return None
    return {
        "pause": run.state == State.SOAKING,
        "resume": run.state == State.PAUSED,
        "nobody": device is not None and device.operator is None,
    }


def _query(run: BurnInRun, asked: Asked, window: str) -> str:
    query = QueryDict(mutable=True)
    query.update({"run": str(run.uid), "window": window, "tray": asked.slot, "series": asked.pattern})
    return query.urlencode()


def _choices(standing: RunStanding) -> list[tuple[str, str, list[str]]]:
    """Return by limit group its pattern and the series seen under it."""
    names = sorted({name for attempt in standing.live for name in attempt.statistics})
    patterns: dict[str, list[str]] = {}
    for limit in standing.limits:
        groups = patterns.setdefault(limit.pattern, [])
        groups += [] if limit.group in groups else [limit.group]
    return [
        (", ".join(groups), pattern, [name for name in names if matches(name, pattern)])
        for pattern, groups in patterns.items()
    ]


def _charts(standing: RunStanding, asked: Asked, now: datetime) -> list[Chart]:
    """Read and lay out what is asked for. Three queries."""
    trays = asked.drawn(standing)
    kinds = {tray.attempt.unit.part_revision.part.kind for tray in trays}
    limits = [
        limit
        for limit in standing.limits
        if limit.unit_kind in kinds
        and kind_of(limit) == SeriesLimit.Kind.LEVEL
        and (asked.pattern in {"", limit.pattern} or matches(asked.pattern, limit.pattern))
    ]
    patterns = {asked.pattern or limit.pattern for limit in limits}
    window = _window(standing, asked, now)
    attempts = [tray.attempt for tray in trays]
    found = read_series_of(attempts=attempts, patterns=patterns, since=window.since, until=window.until)
    series = {attempt.slot.name: found.get(attempt.pk, []) for attempt in attempts}
    gaps = [(gap.from_at, gap.to_at) for tray in trays for gap in tray.gaps]
    return charts_of(limits, series, gaps, window)


def _window(standing: RunStanding, asked: Asked, now: datetime) -> Window:
    run, until = standing.run, standing.until(now)
    _, seconds = WINDOWS[asked.window]
    begin = run.soak_started_at or run.created_at
    since = max(begin, until - timedelta(seconds=seconds)) if seconds else begin
    return Window(since, until, run.profile.poll_seconds, run.profile.max_gap_seconds)


def _shown(chart: Chart) -> dict[str, Any]:
    return {"chart": chart, "rows": chart.rows[:SHOWN_ROWS], "more": max(0, len(chart.rows) - SHOWN_ROWS)}
