"""The machine's own view against the plan, port by port."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from django.db import transaction

from mes.cabling.models import CableEnd, CablingVerdict, Neighbour, NeighbourReport, PlannedCable
from mes.cabling.names import Names, read_names
from mes.cabling.plans import End, Plan, end_a, end_b, find_plan, other_end, plan_of
from mes.cabling.verdict import has_passed, report_verdict
from mes.ledger.services import Actor
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_here
from mes.stations.services import require_sign_on
from mes.testing.services import measure, supersede_procedures

UP, DOWN = Neighbour.Link.UP, Neighbour.Link.DOWN
NVLINK = NeighbourReport.Source.NVLINK
PORT_MAP = CablingVerdict.Procedure.PORT_MAP


class PortState(StrEnum):
    """What the machine's own view says of the plan; differences first."""

    SWAPPED = "swapped"
    MISSING = "missing"
    UNEXPECTED = "unexpected"
    UNKNOWN = "unknown"
    MATCHED = "matched"


DIFFERENCES = {PortState.SWAPPED, PortState.MISSING, PortState.UNEXPECTED}


@dataclass(frozen=True, slots=True)
class View:
    """What is known of a port: its link, whom it sees, as of when, and whether it said so itself."""

    end: End
    link: str
    remote: End | None
    at: datetime
    direct: bool


@dataclass(frozen=True, slots=True)
class PortRow:
    """A planned cable, a swapped pair of them, or a link that nobody planned."""

    state: PortState
    cables: tuple[str, ...]
    end_a: str
    end_b: str
    detail: str


@dataclass(slots=True)
class PortMap:
    """The comparison of a whole unit, differences first; NVLinks outside the plan are counted by link."""

    plan: Plan
    rows: list[PortRow]
    nvlinks: dict[str, int]
    taken_at: datetime | None

    @property
    def counts(self) -> dict[str, int]:
        """Return how many rows are in each state, all states named."""
        counts = Counter(row.state for row in self.rows)
        return {state.value: counts[state] for state in PortState}

    @property
    def faults(self) -> list[str]:
        """Return what is not as planned, in sentences."""
        return [f"{row.detail}." for row in self.rows if row.state != PortState.MATCHED]


@dataclass(slots=True)
class _Comparison:
    plan: Plan
    names: Names
    views: dict[str, View] = field(default_factory=dict)
    nvlinks: Counter[str] = field(default_factory=Counter)

    def note(self, view: View) -> None:
        """Keep a view of a port unless a better one is known, and what it says of the other end."""
        before = self.views.get(view.end.key)
        if before is None or _is_better(view, before):
            self.views[view.end.key] = view
        if view.remote is not None and view.direct and view.remote.port:
            self.note(View(view.remote, view.link, view.end, view.at, direct=False))

    def remote_of(self, end: End) -> End | None:
        """Return whom a port sees, if anybody said so."""
        view = self.views.get(end.key)
        return view.remote if view else None


def _is_better(new: View, old: View) -> bool:
    """Return whether a view replaces another: it is newer, but "up" alone does not unsay who was seen."""
    if new.remote is None and old.remote is not None and new.link != DOWN:
        return False
    if old.remote is None and new.remote is not None and old.link != DOWN:
        return True
    return (new.at, new.direct) > (old.at, old.direct)


def port_map(*, unit: Unit) -> PortMap:
    """Compare what the ports of a unit report with its cable plan. Refuses with ``no_cable_plan``.

    What was reported of a port before its cable, or its device, was last put in says nothing of it now. Seven
    queries at most, however many ports there are.
    """
    plan = plan_of(unit)
    rows = list(Neighbour.objects.filter(report__unit=unit, report__is_current=True).select_related("report"))
    told = {row.device or row.report.device for row in rows} | {row.remote_device for row in rows}
    compared = _Comparison(plan, read_names(unit, plan, told - {""}))
    connected = _connected_at(unit)
    for row in rows:
        _note(compared, row, connected)
    shown = sorted(_rows(compared), key=lambda row: list(PortState).index(row.state))
    latest = max((row.report.confirmed_at for row in rows), default=None)
    return PortMap(plan, shown, dict(compared.nvlinks), latest)


def _connected_at(unit: Unit) -> dict[str, datetime]:
    ends = CableEnd.objects.filter(unit=unit, disconnected_at__isnull=True).select_related("connection")
    return {End(end.device, end.port).key: end.connection.connected_at for end in ends}


def _note(compared: _Comparison, row: Neighbour, connected: dict[str, datetime]) -> None:
    names, at = compared.names, row.report.confirmed_at
    end = names.end(row.device or row.report.device, row.port)
    if row.report.source == NVLINK and end.key not in compared.plan.by_end:
        compared.nvlinks[row.link] += 1
        return
    if _is_outdated(names, end, at, connected):
        return
    # A port keeps whom it heard last for a while after its link went down: that is nobody it sees.
    sees = row.remote_device and row.link != DOWN
    remote = names.end(row.remote_device, row.remote_port) if sees else None
    if remote is not None and _is_outdated(names, remote, at, connected):
        return
    compared.note(View(end, row.link, remote, at, direct=True))


def _is_outdated(names: Names, end: End, at: datetime, connected: dict[str, datetime]) -> bool:
    changed = (names.since.get(end.device.casefold()), connected.get(end.key))
    return any(time is not None and at < time for time in changed)


def _rows(compared: _Comparison) -> Iterator[PortRow]:
    swapped: dict[int, int] = {}
    for cable in compared.plan.cables:
        if cable.pk in swapped:
            continue
        row, partner = _judge(compared, cable)
        if partner is not None:
            swapped |= {cable.pk: partner.pk, partner.pk: cable.pk}
        yield row
    yield from _unexpected(compared, set(swapped))


def _judge(compared: _Comparison, cable: PlannedCable) -> tuple[PortRow, PlannedCable | None]:
    """Return what the view says of a planned cable, and the cable it is swapped with if it is."""
    a, b = end_a(cable), end_b(cable)
    views = [view for end in (a, b) if (view := compared.views.get(end.key))]
    seeing = [view for view in views if view.remote is not None]
    if not seeing or _is_down(views, seeing):
        return _unseen(cable, views), None
    if _agree(seeing, a, b):
        return _row(PortState.MATCHED, cable, f"{cable.label}: {a} sees {b}"), None
    if partner := _partner(compared, cable, seeing):
        return _swapped(compared, cable, partner), partner
    if vague := next((view.end for view in seeing if _is_vague(view, a, b)), None):
        said = f"{cable.label}: {vague} sees {other_end(cable, vague).device}, but not which port of it"
        return _row(PortState.UNKNOWN, cable, said), None
    said = " and ".join(f"{view.end} sees {view.remote}" for view in seeing)
    return _row(PortState.MISSING, cable, f"{cable.label}: {a} and {b} do not see each other; {said}"), None


def _agree(seeing: list[View], a: End, b: End) -> bool:
    """Return whether the ports see each other; where two say different things, the newer one counts."""
    partners = {a.key: b.key, b.key: a.key}
    right = [view for view in seeing if view.remote and view.remote.key == partners[view.end.key]]
    wrong = [view for view in seeing if view not in right]
    newest = max((view.at for view in right), default=None)
    return newest is not None and all(view.at < newest for view in wrong)


def _is_down(views: list[View], seeing: list[View]) -> bool:
    """Return whether an end has no link, and nothing newer was seen there or from there."""
    newest = max(view.at for view in seeing)
    return any(view.link == DOWN and view.at >= newest for view in views)


def _is_vague(view: View, a: End, b: End) -> bool:
    other = b if view.end.key == a.key else a
    remote = view.remote
    return remote is not None and not remote.port and remote.device.casefold() == other.device.casefold()


def _unseen(cable: PlannedCable, views: list[View]) -> PortRow:
    down = [str(view.end) for view in views if view.link == DOWN]
    if down:
        return _row(PortState.MISSING, cable, f"{cable.label}: no link at {' and '.join(down)}")
    if any(view.link == UP for view in views):
        return _row(PortState.UNKNOWN, cable, f"{cable.label}: the link is up, but nobody says to whom")
    return _row(PortState.UNKNOWN, cable, f"{cable.label}: neither end was reported")


def _partner(compared: _Comparison, cable: PlannedCable, seeing: list[View]) -> PlannedCable | None:
    """Return the cable that this one is swapped with: the four ends see each other, and nobody else."""
    for view in seeing:
        other = compared.plan.by_end.get(view.remote.key) if view.remote else None
        if other is not None and other.pk != cable.pk and _sees_only(compared, cable, other):
            return other if _sees_only(compared, other, cable) else None
    return None


def _sees_only(compared: _Comparison, cable: PlannedCable, other: PlannedCable) -> bool:
    ends = {end_a(other).key, end_b(other).key}
    remotes = [compared.remote_of(end) for end in (end_a(cable), end_b(cable))]
    return all(remote is not None and remote.key in ends for remote in remotes)


def _swapped(compared: _Comparison, cable: PlannedCable, other: PlannedCable) -> PortRow:
    seen = [f"{end_a(each)} sees {compared.remote_of(end_a(each))}" for each in (cable, other)]
    detail = f"{cable.label} and {other.label} are swapped: {', '.join(seen)}"
    ends = (f"{end_a(cable)}, {end_a(other)}", f"{end_b(cable)}, {end_b(other)}")
    return PortRow(PortState.SWAPPED, (cable.label, other.label), *ends, detail)


def _row(state: PortState, cable: PlannedCable, detail: str) -> PortRow:
    return PortRow(state, (cable.label,), str(end_a(cable)), str(end_b(cable)), detail)


def _unexpected(compared: _Comparison, swapped: set[int]) -> Iterator[PortRow]:
    """Yield the links that nobody planned, once each: those of the unit or of a port of the plan."""
    told: set[frozenset[str]] = set()
    for view in compared.views.values():
        remote = view.remote
        if remote is None or not remote.port or remote.device.casefold() == view.end.device.casefold():
            continue
        link = frozenset({view.end.key, remote.key})
        if link in told or _is_planned(compared, view.end, remote, swapped):
            continue
        told.add(link)
        if _concerns(compared, (view.end, remote)):
            yield PortRow(
                PortState.UNEXPECTED, (), str(view.end), str(remote), _surprise(compared, view.end, remote)
            )


def _is_planned(compared: _Comparison, end: End, remote: End, swapped: set[int]) -> bool:
    cable = compared.plan.by_end.get(end.key)
    other = compared.plan.by_end.get(remote.key)
    if cable is None or other is None:
        return False
    return cable.pk == other.pk or (cable.pk in swapped and other.pk in swapped)


def _concerns(compared: _Comparison, ends: Iterable[End]) -> bool:
    return any(end.key in compared.plan.by_end or compared.names.is_inside(end.device) for end in ends)


def _surprise(compared: _Comparison, end: End, remote: End) -> str:
    said = [
        f"{each} is planned to {other_end(cable, each)} ({cable.label})"
        for each in (end, remote)
        if (cable := compared.plan.by_end.get(each.key))
    ]
    return f"{end} sees {remote}" + (f"; {', '.join(said)}" if said else ", which nobody planned")


@transaction.atomic
def verify_port_map(*, unit: Unit, by: Actor) -> CablingVerdict:
    """Judge whether every planned cable is seen by the machine itself as planned, and report a test run.

    Refuses with ``no_cable_plan``, ``device_not_signed_on``, or as ``require_here`` does.
    """
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    require_here(unit)
    return _report(unit, port_map(unit=unit), by)


def withdraw_port_map(unit: Unit, by: Actor) -> None:
    """Take back the PASS of a port map that what is reported by now differs from, and report the FAIL.

    A port that nothing is told of any more is no difference. Call it in a transaction.
    """
    if find_plan(unit) is None or not has_passed(unit, PORT_MAP):
        return
    found = port_map(unit=unit)
    seen = next((row.detail for row in found.rows if row.state in DIFFERENCES), None)
    if seen is not None:
        supersede_procedures(unit=unit, procedures=[PORT_MAP], because=f"reported since: {seen}")
        _report(unit, found, by)


def _report(unit: Unit, found: PortMap, by: Actor) -> CablingVerdict:
    planned = float(len(found.plan.cables))
    measurements = [
        measure("ports matched", found.counts["matched"], unit="cables", low=planned, high=planned)
    ]
    if found.nvlinks:
        measurements.append(measure("nvlinks down", found.nvlinks.get(DOWN, 0), unit="links"))
    return report_verdict(
        unit=unit,
        plan=found.plan,
        procedure=PORT_MAP,
        faults=found.faults,
        measurements=measurements,
        details={"plan": str(found.plan.row), "counts": found.counts, "nvlinks": found.nvlinks},
        by=by,
    )
