"""The firmware of a unit, and of all that is in it, against the baseline of its order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from django.db.models import Max

from mes.errors import RuleViolation
from mes.inventory.maps import Maps, Reading
from mes.inventory.models import FoundFirmware, FoundInventory
from mes.inventory.standing import latest_inventories
from mes.inventory.versions import Order, compare_versions
from mes.products.models import FirmwareBaseline, FirmwareVersion
from mes.racks.models import Installation, InstalledFirmware
from mes.racks.services import AsBuilt, as_built, units_inside
from mes.serials.models import Unit
from mes.workorders.models import OrderUnit

T = TypeVar("T")


class State(StrEnum):
    """How a component stands to its baseline."""

    BEHIND = "behind"
    AHEAD = "ahead"
    DIFFERENT = "different"
    WRONG_VENDOR = "wrong_vendor"
    NOT_TOLD = "not_told"
    UNKNOWN = "unknown"
    AT_BASELINE = "at_baseline"


SEVERITY = {state: number for number, state in enumerate(State)}
OF_ORDER = {
    Order.EQUAL: State.AT_BASELINE,
    Order.BEHIND: State.BEHIND,
    Order.AHEAD: State.AHEAD,
    Order.DIFFERENT: State.DIFFERENT,
}
# A version that the baseline asks for and nobody told is not proven; one it does not speak of is nobody's.
MISMATCHES = frozenset({State.BEHIND, State.AHEAD, State.DIFFERENT, State.WRONG_VENDOR, State.NOT_TOLD})


@dataclass(frozen=True, slots=True)
class Row:
    """One component of one unit: the version wanted, the one found, and how they compare."""

    place: str
    serial: str
    unit: str
    kind: str
    component: str
    state: State
    wanted: str = ""
    found: str = ""
    vendor: str = ""
    detail: str = ""

    @property
    def is_mismatch(self) -> bool:
        """Return whether the component keeps the unit from burn-in and from shipping."""
        return self.state in MISMATCHES


@dataclass(frozen=True, slots=True)
class FirmwareComparison:
    """A unit against a baseline, mismatches first; without a baseline every component is unknown."""

    unit: Unit
    baseline: FirmwareBaseline | None
    rows: list[Row]

    @property
    def mismatches(self) -> list[Row]:
        """Return what is not as the baseline asks."""
        return [row for row in self.rows if row.is_mismatch]

    @property
    def unknown(self) -> list[Row]:
        """Return what the baseline says nothing of."""
        return [row for row in self.rows if row.state is State.UNKNOWN]


def compare_firmware(*, unit: Unit) -> FirmwareComparison:
    """Compare every component in a unit with the baseline of its order, or of the unit that it is in.

    A component that its BMC told once and tells no more is not told. Twelve queries for a unit of any size.
    """
    baseline = baseline_of(unit)
    wanted = _Wanted(baseline)
    told = _Told(unit)
    rows = [row for node, place in _walk(as_built(unit=unit)) for row in wanted.rows(node, place, told)]
    if baseline is not None and not baseline.mixed_vendors:
        rows = _one_vendor(rows)
    return FirmwareComparison(unit, baseline, sorted(rows, key=lambda row: SEVERITY[row.state]))


def firmware_violation(unit: Unit) -> RuleViolation | None:
    """Return ``firmware_not_at_baseline`` while a component of a unit is not as its baseline asks, else None.

    None too where its order names no baseline: then nothing was promised.
    """
    comparison = compare_firmware(unit=unit)
    wrong = comparison.mismatches
    if comparison.baseline is None or not wrong:
        return None
    shown = ", ".join(f"{row.place} {row.component} {row.state.replace('_', ' ')}" for row in wrong[:3])
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return RuleViolation(
        "firmware_not_at_baseline",
        f"{unit.serial} is not at {comparison.baseline}: {shown}{more}.",
        rule="a unit runs the firmware of its order's baseline",
        release="Engineering plans a change of the order's baseline.",
        next_step="Update the firmware, collect the inventory again, then verify the firmware.",
        baseline=str(comparison.baseline),
        components=[f"{row.place} {row.component}: {row.found or 'not told'}" for row in wrong],
    )


def baseline_of(unit: Unit) -> FirmwareBaseline | None:
    """Return the baseline of a unit's order, else that of the order of the topmost unit it is in."""
    roots = Installation.objects.live().filter(child=unit).values_list("root", flat=True)
    orders = OrderUnit.objects.filter(unit__in=[unit.pk, *roots], work_order__firmware_baseline__isnull=False)
    rows = {row.unit_id: row for row in orders.select_related("work_order__firmware_baseline").order_by("pk")}
    own = rows.get(unit.pk) or next(iter(rows.values()), None)
    return own.work_order.firmware_baseline if own else None


class _Wanted:
    """The versions of a baseline, by kind of unit and component."""

    def __init__(self, baseline: FirmwareBaseline | None) -> None:
        self.maps = Maps()
        self.versions: dict[str, dict[str, list[FirmwareVersion]]] = {}
        rows = FirmwareVersion.objects.filter(baseline=baseline) if baseline else ()
        for row in rows:
            self.versions.setdefault(row.unit_kind, {}).setdefault(row.component, []).append(row)

    def rows(self, node: AsBuilt, place: str, told: "_Told") -> Iterator[Row]:
        """Yield a row for every component that a unit told, and for each the baseline asks for besides."""
        unit, part = node.unit, node.unit.part_revision.part
        reading, versions = self.maps.of(unit), told.versions.get(unit.pk, {})
        by_component = self.versions.get(part.kind, {})
        blank = Row(place, unit.serial, str(unit.uid), part.kind, "", State.UNKNOWN)
        silent = told.silent(unit, reading)
        for label, version in sorted(versions.items()):
            vendor = _vendor(label, told.vendors.get(unit.pk, {}), reading)
            approved = by_component.get(component_of(label), [])
            row = replace(blank, component=label, found=version, vendor=vendor)
            judged = _judged(row, approved, part.maker)
            yield _no_longer_told(judged, silent[label]) if label in silent else judged
        for component in sorted(by_component.keys() - {component_of(label) for label in versions}):
            wanted = " or ".join(sorted({row.version for row in by_component[component]}))
            detail = f"{unit.serial} tells no version of {component}."
            yield replace(blank, component=component, state=State.NOT_TOLD, wanted=wanted, detail=detail)


class _Told:
    """What the unit and all in it told of their firmware: the versions on record, and by whom and when."""

    def __init__(self, unit: Unit) -> None:
        everything = [unit.pk, *units_inside(unit).values_list("pk", flat=True)]
        live = InstalledFirmware.objects.filter(until__isnull=True, unit__in=everything)
        rows = list(live.values_list("unit_id", "component", "version", "since"))
        self.versions = _by_unit((pk, label, version) for pk, label, version, _ in rows)
        self.since = _by_unit((pk, label, since) for pk, label, _, since in rows)
        named = FoundFirmware.objects.filter(inventory__in=latest_inventories(unit)).exclude(vendor="")
        self.vendors = _by_unit(named.values_list("inventory__unit_id", "name", "vendor"))
        told = FoundFirmware.objects.filter(inventory__unit__in=everything)
        last_told: Iterable[tuple[int, str, datetime]] = told.values_list(
            "inventory__unit_id", "name"
        ).annotate(Max("inventory__taken_at"))
        self.last_told = _by_unit(last_told)
        read = FoundInventory.objects.filter(unit__in=everything, source=FoundInventory.Source.REDFISH)
        self.last_read = dict(read.values_list("unit_id").annotate(Max("taken_at")))

    def silent(self, unit: Unit, reading: Reading | None) -> dict[str, datetime]:
        """Return when each component was last told that its BMC, read since, tells no more."""
        read_at = self.last_read.get(unit.pk)
        if read_at is None:
            return {}
        last: dict[str, datetime] = {}
        for name, at in self.last_told.get(unit.pk, {}).items():
            for label in {name, reading.firmware_component(name) if reading else ""}:
                last[label] = max(at, last.get(label, at))
        since = self.since.get(unit.pk, {})
        return {label: at for label, at in last.items() if at < read_at and since.get(label, at) <= read_at}


def _vendor(label: str, named: dict[str, str], reading: Reading | None) -> str:
    for name, vendor in named.items():
        if vendor and label in {name, reading.firmware_component(name) if reading else ""}:
            return vendor
    return ""


def _no_longer_told(row: Row, last: datetime) -> Row:
    detail = f"No longer told; {row.found} was told last on {last:%Y-%m-%d %H:%M} UTC."
    if row.state is State.UNKNOWN:
        return replace(row, detail=f"{detail} {row.detail}")
    return replace(row, state=State.NOT_TOLD, detail=detail)


def component_of(label: str) -> str:
    """Return the component behind a label with a number: "GPU 3" is a GPU."""
    component, _, number = label.rpartition(" ")
    return component if component and number[:1].isdecimal() else label


def _judged(row: Row, approved: list[FirmwareVersion], maker: str) -> Row:
    if not approved:
        return replace(row, detail="The baseline says nothing of it.")
    wanted = _of_vendor(approved, row.vendor or maker)
    if wanted is None and not row.vendor and len(approved) == 1:
        wanted = approved[0]  # nobody says whose it is, and only one is approved
    if wanted is None:
        names = " or ".join(sorted(each.vendor for each in approved))
        if not row.vendor:
            return replace(row, state=State.NOT_TOLD, detail=f"Its vendor is not told; approved: {names}.")
        return replace(row, state=State.WRONG_VENDOR, detail=f"{row.vendor} is not approved; {names} is.")
    state = OF_ORDER[compare_versions(row.found, wanted.version)]
    row = replace(row, state=state, wanted=wanted.version)
    if state is State.AT_BASELINE:
        return row
    return replace(row, detail=f"{row.found} is {state}; the baseline is {wanted.version}.")


def _of_vendor(approved: list[FirmwareVersion], vendor: str) -> FirmwareVersion | None:
    by_vendor = {each.vendor.casefold(): each for each in approved}
    return by_vendor.get(vendor.casefold()) or by_vendor.get("")


def _one_vendor(rows: list[Row]) -> list[Row]:
    """Say of a component whose vendors are mixed, once a unit, that they must not be."""
    vendors: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        if row.vendor:
            vendors.setdefault((row.kind, component_of(row.component)), set()).add(row.vendor.casefold())
    return [_not_mixed(row, vendors.get((row.kind, component_of(row.component)), set())) for row in rows]


def _not_mixed(row: Row, vendors: set[str]) -> Row:
    if len(vendors) < 2 or row.state is not State.AT_BASELINE:
        return row
    detail = f"{row.vendor or 'It'} stands beside others; the baseline allows one vendor of {row.component}."
    return replace(row, state=State.WRONG_VENDOR, detail=detail)


def _by_unit(rows: Iterable[tuple[int, str, T]]) -> dict[int, dict[str, T]]:
    found: dict[int, dict[str, T]] = {}
    for pk, name, value in rows:
        found.setdefault(pk, {})[name] = value
    return found


def _walk(node: AsBuilt, above: str = "") -> Iterator[tuple[AsBuilt, str]]:
    place = f"{above}/{node.slot}" if above and node.slot else node.slot or above
    yield node, place or node.unit.serial
    for child in node.children:
        yield from _walk(child, place)
