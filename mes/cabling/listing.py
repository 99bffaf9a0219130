"""The cables of a unit against its plan: the state of each, counts, and what to cut."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from django.db.models import Prefetch

from mes.cabling.models import CableCheck, CableConnection, PlannedCable
from mes.cabling.plans import Plan, end_a, end_b
from mes.products.services import layout_of
from mes.racks.models import Installation
from mes.serials.models import Unit


class CableState(StrEnum):
    """How a planned cable stands."""

    MISSING = "missing"
    LOOSE = "loose"
    FAILED = "failed"
    UNCHECKED = "unchecked"
    DONE = "done"


@dataclass(slots=True)
class CableRow:
    """A planned cable with what is connected, the latest check of each kind, and how it stands."""

    planned: PlannedCable
    connection: CableConnection | None
    checks: dict[str, CableCheck]
    state: CableState = CableState.MISSING
    why: str = ""

    @property
    def open_checks(self) -> list[str]:
        """Return the checks that the plan asks for and nobody made."""
        return [kind for kind in self.planned.checks if kind not in self.checks]


@dataclass(frozen=True, slots=True)
class CutRow:
    """How many cables of one part and length a plan takes, and how many of them are connected."""

    part: str
    name: str
    length_mm: int
    count: int
    connected: int
    labels: list[str] = field(default_factory=list)


def cable_list(*, unit: Unit, plan: Plan) -> list[CableRow]:
    """Return every planned cable of a unit and how it stands, in the order of the plan. Three queries."""
    checks = Prefetch("checks", CableCheck.objects.select_related("photo"))
    live = CableConnection.objects.filter(unit=unit, disconnected_at__isnull=True)
    connections = {
        row.planned_id: row for row in live.select_related("cable", "lot").prefetch_related(checks)
    }
    since = _installed_since(unit)
    rows = [_row(planned, connections.get(planned.pk)) for planned in plan.cables]
    for row in rows:
        row.state, row.why = _judge(row, since)
    return rows


def _row(planned: PlannedCable, connection: CableConnection | None) -> CableRow:
    checks = {check.kind: check for check in connection.checks.all()} if connection else {}
    return CableRow(planned, connection, checks)


def _installed_since(unit: Unit) -> dict[str, datetime | None]:
    """Return by slot, in lower case, since when it holds what it holds; None for an empty one."""
    rows = Installation.objects.live().filter(parent=unit).values_list("slot__name", "installed_at")
    held = dict(rows)
    names = {place.slot.name for place in layout_of(unit.part_revision)} | held.keys()
    return {name.casefold(): held.get(name) for name in names}


def _judge(row: CableRow, since: dict[str, datetime | None]) -> tuple[CableState, str]:
    if row.connection is None:
        return CableState.MISSING, "not connected"
    if loose := _loose(row.planned, row.connection, since):
        return CableState.LOOSE, loose
    if row.connection.on_hold:
        return CableState.FAILED, f"{row.connection.code} is on hold"
    return _checked(row)


def _loose(planned: PlannedCable, connection: CableConnection, since: dict[str, datetime | None]) -> str:
    """Say why an end is in nothing any more; empty while both are where they were put."""
    for device in (planned.a_device, planned.b_device):
        slot = device.partition("/")[0]
        if slot.casefold() not in since:
            continue
        installed_at = since[slot.casefold()]
        if installed_at is None:
            return f"{slot} is empty"
        if installed_at > connection.connected_at:
            return f"{slot} was swapped after the cable was connected"
    return ""


def _checked(row: CableRow) -> tuple[CableState, str]:
    failed = [kind for kind, check in row.checks.items() if check.outcome == CableCheck.Outcome.FAIL]
    if failed:
        return CableState.FAILED, f"{', '.join(failed)} failed"
    if row.open_checks:
        return CableState.UNCHECKED, f"{', '.join(row.open_checks)} not checked"
    return CableState.DONE, ""


def count_states(rows: Iterable[CableRow]) -> dict[str, int]:
    """Return how many cables are in each state, all states named."""
    counts = Counter(row.state for row in rows)
    return {state.value: counts[state] for state in CableState}


def cut_list(rows: Iterable[CableRow]) -> list[CutRow]:
    """Return the cables of a plan by part and length, the shortest of each part first."""
    groups: dict[tuple[str, str, int], list[CableRow]] = {}
    for row in rows:
        part = row.planned.part
        groups.setdefault((part.number, part.name, row.planned.length_mm), []).append(row)
    return [
        CutRow(
            part=number,
            name=name,
            length_mm=length,
            count=len(group),
            connected=sum(row.connection is not None for row in group),
            labels=[row.planned.label for row in group],
        )
        for (number, name, length), group in sorted(groups.items())
    ]


def fault_in_words(row: CableRow) -> str:
    """Return what is not as planned about a cable, in a sentence."""
    return f"{row.planned.label} ({end_a(row.planned)} to {end_b(row.planned)}): {row.why}."
