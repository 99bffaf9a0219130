"""The sides of a comparison, read from the database in a fixed number of queries for a rack of any size."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, QuerySet, Subquery

from mes.burnin.models import BmcEndpoint
from mes.inventory.comparing import Design, Row, Scanned, State, Told, Tray, Words, compare_trays, plain
from mes.inventory.maps import Maps, Reading
from mes.inventory.models import FoundComponent, FoundInventory
from mes.products.models import Slot
from mes.racks.models import Installation
from mes.racks.services import AsBuilt, as_built, units_inside
from mes.serials.models import Identifier, Unit

Kind = Identifier.Kind
AS_SERIAL = (Kind.SERIAL, Kind.BOARD_SERIAL)
AS_MAC = (Kind.MAC, Kind.BMC_MAC)
NUMBER = re.compile(r"([0-9]+)$")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A unit with everything in it that can describe itself, compared; differences come first."""

    unit: Unit
    trays: list[Tray]
    rows: list[Row]

    @property
    def differences(self) -> list[Row]:
        """Return what somebody must look into."""
        return [row for row in self.rows if row.is_difference]

    @property
    def not_read(self) -> list[Row]:
        """Return the trays of which there is no inventory since they were installed."""
        return [row for row in self.rows if row.state is State.NOT_READ]


def compare_inventory(*, unit: Unit, since: datetime | None = None) -> Comparison:
    """Compare what was scanned into a unit with what it, or what is in it, reports, and with its design.

    Of each reporting unit the latest inventory counts, unless it was taken before the unit was installed, or
    before ``since``. Thirteen queries.
    """
    facts = _Facts(unit, since)
    trays = list(facts.trays())
    rows = compare_trays(trays, facts.places())
    return Comparison(unit, trays, [*rows, *facts.unspoken_rows(trays)])


def reporting_units(unit: Unit) -> list[AsBuilt]:
    """Return what is expected to describe itself in a unit, the unit itself included, in slot order.

    That is what a released map can read, and whatever has a BMC address.
    """
    maps = Maps()
    top = as_built(unit=unit)
    with_bmc = set(BmcEndpoint.objects.filter(unit__in=_all(unit)).values_list("unit_id", flat=True))
    return [node for node in top.walk() if node.unit.pk in with_bmc or maps.of(node.unit) is not None]


def latest_inventories(unit: Unit) -> QuerySet[FoundInventory]:
    """Return the latest inventory of a unit and of each in it."""
    newest = FoundInventory.objects.filter(unit=OuterRef("unit")).order_by("-taken_at", "-pk")
    mine = FoundInventory.objects.filter(unit__in=_all(unit))
    return mine.filter(pk=Subquery(newest.values("pk")[:1]))


def _all(unit: Unit) -> QuerySet[Unit]:
    return units_inside(unit) | Unit.objects.filter(pk=unit.pk)


class _Facts:
    """Everything that a comparison reads, read at once."""

    def __init__(self, unit: Unit, since: datetime | None) -> None:
        self.top, self.since, self.maps = as_built(unit=unit), since, Maps()
        everything = _all(unit)
        self.names: dict[int, dict[str, set[str]]] = {}
        for owner, kind, value in Identifier.objects.filter(unit__in=everything).values_list(
            "unit_id", "kind", "value"
        ):
            self.names.setdefault(owner, {}).setdefault(_as_compared(kind), set()).add(plain(value))
        self.with_bmc = set(BmcEndpoint.objects.filter(unit__in=everything).values_list("unit_id", flat=True))
        rows = latest_inventories(unit).prefetch_related("components")
        self.inventories = {row.unit_id: row for row in rows}
        self.place = Installation.objects.live().select_related("slot").filter(child=unit).first()
        self.slots = self._read_slots()
        for node in self.top.walk():
            self._forget_late(node)

    def _forget_late(self, node: AsBuilt) -> None:
        """Forget what a unit that need not describe itself said before it was installed."""
        found = self.inventories.get(node.unit.pk)
        if found and not self._must_report(node) and self._unread(found, node.installed_at):
            del self.inventories[node.unit.pk]

    def places(self) -> dict[int, str]:
        """Return the names of the top unit's slots by the number that they must report."""
        slots = self.slots.get(self.top.unit.part_revision_id, {}).values()
        return {slot.slot_number: slot.name for slot in slots if slot.slot_number is not None}

    def _read_slots(self) -> dict[int, dict[str, Slot]]:
        revisions = {node.unit.part_revision_id for node in self.top.walk()}
        if self.place is not None:
            revisions.add(self.place.slot.revision_id)
        slots: dict[int, dict[str, Slot]] = {}
        for slot in Slot.objects.filter(revision__in=revisions).prefetch_related("accepts"):
            slots.setdefault(slot.revision_id, {})[slot.name] = slot
        return slots

    def trays(self) -> Iterator[Tray]:
        """Yield every unit that is expected to describe itself, or did."""
        slot = self.slots[self.place.slot.revision_id].get(self.place.slot.name) if self.place else None
        moment = self.place.installed_at if self.place else None
        yield from self._trays(self.top, slot, "", moment)

    def _trays(
        self, node: AsBuilt, slot: Slot | None, above: str, installed_at: datetime | None
    ) -> Iterator[Tray]:
        place = _join(above, node.slot) or (slot.name if slot else node.unit.serial)
        if self._reports(node):
            yield self._tray(node, slot, place, installed_at)
        prefix = _join(above, node.slot)
        slots = self.slots.get(node.unit.part_revision_id, {})
        for child in node.children:
            yield from self._trays(child, slots.get(child.slot), prefix, child.installed_at)

    def _reports(self, node: AsBuilt) -> bool:
        return node.unit.pk in self.inventories or self._must_report(node)

    def _must_report(self, node: AsBuilt) -> bool:
        return node.unit.pk in self.with_bmc or self.maps.of(node.unit) is not None

    def _tray(self, node: AsBuilt, slot: Slot | None, place: str, installed_at: datetime | None) -> Tray:
        found = self.inventories.get(node.unit.pk)
        unread = self._unread(found, installed_at)
        words = _words(found, self.maps.of(node.unit)) if found and not unread else None
        return Tray(
            itself=self._scanned(node, place),
            design=self._design(node, slot),
            inside=tuple(self._inside(node, place)),
            words=words,
            unread=unread,
        )

    def _unread(self, found: FoundInventory | None, installed_at: datetime | None) -> str:
        if found is None:
            return "No inventory of it was collected."
        if installed_at is not None and found.taken_at < installed_at:
            return f"Its inventory of {found.taken_at:%Y-%m-%d %H:%M} is from before it was installed."
        if self.since is not None and found.taken_at < self.since:
            return f"Its inventory of {found.taken_at:%Y-%m-%d %H:%M} is too old."
        return ""

    def _inside(self, node: AsBuilt, place: str, board: str = "") -> Iterator[Scanned]:
        """Yield what is in a reporting unit, but not what is in another that reports for itself."""
        for child in node.children:
            if not self._reports(child):
                below = _join(place, child.slot)
                slot = self.slots.get(node.unit.part_revision_id, {}).get(child.slot)
                yield self._scanned(child, below, board, slot)
                yield from self._inside(child, below, child.unit.serial)

    def _scanned(self, node: AsBuilt, place: str, board: str = "", slot: Slot | None = None) -> Scanned:
        unit, part = node.unit, node.unit.part_revision.part
        names = {kind: frozenset(values) for kind, values in self.names.get(unit.pk, {}).items()}
        names["serial"] = names.get("serial", frozenset()) | {plain(unit.serial)}
        numbers = {plain(part.maker_number), plain(part.number)} if part.maker_number else set()
        return Scanned(
            place=place,
            kind=part.kind,
            serial=unit.serial,
            uid=str(unit.uid),
            numbers=frozenset(numbers),
            names=names,
            board=board,
            wanted=_taken(slot),
        )

    def _design(self, node: AsBuilt, slot: Slot | None) -> Design:
        return Design(
            wanted=_taken(slot),
            slot_number=slot.slot_number if slot else None,
            tray_index=slot.tray_index if slot else None,
            quantities=self._quantities(node),
        )

    def _quantities(self, node: AsBuilt) -> Counter[str]:
        """Return how many slots for each kind a unit has, those of what is in it included."""
        count: Counter[str] = Counter()
        for slot in self.slots.get(node.unit.part_revision_id, {}).values():
            count.update({part.kind for part in slot.accepts.all()})
        for child in node.children:
            if not self._reports(child):
                count.update(self._quantities(child))
        return count

    def unspoken_rows(self, trays: Iterable[Tray]) -> Iterator[Row]:
        """Yield a row for every slot of the top unit that holds nothing, or what no BMC speaks of."""
        said = {tray.itself.uid for tray in trays} | {each.uid for tray in trays for each in tray.inside}
        held = {child.slot: child for child in self.top.children}
        for name, slot in self.slots.get(self.top.unit.part_revision_id, {}).items():
            child = held.get(name)
            wanted = _taken(slot)
            if child is None:
                yield Row(place=name, kind=slot.type, state=State.EMPTY, design=wanted)
            elif str(child.unit.uid) not in said:
                one = self._scanned(child, name)
                yield Row(name, one.kind, State.NOT_TOLD, wanted, one.serial, unit=one.uid)


def _taken(slot: Slot | None) -> str:
    """Return the numbers of the parts that a slot takes, in words."""
    return " or ".join(sorted(part.number for part in slot.accepts.all())) if slot else ""


def _join(above: str, below: str) -> str:
    return f"{above}/{below}" if above and below else above or below


def _as_compared(kind: str) -> str:
    if kind in AS_SERIAL:
        return "serial"
    return "mac" if kind in AS_MAC else kind


def _words(found: FoundInventory, reading: Reading | None) -> Words | None:
    """Return what a unit said; a tester names kinds of part itself, the words of a BMC go through the map."""
    components = [row for row in found.components.all() if row.present]
    if found.source == FoundInventory.Source.TESTER:
        parts = [_told(row, row.kind, _own_name(row)) for row in components]
        kinds = {row.kind for row in found.components.all()}
    else:
        parts = list(_mapped(found, components, reading))
        kinds = reading.kinds if reading else set()
    itself = Told("", "itself", "serial", found.serial, found.part_number, found.uuid)
    return Words(
        itself, found.slot_number, found.tray_index, tuple(parts), frozenset(kinds), asset_tag=found.asset_tag
    )


def _own_name(row: FoundComponent) -> str:
    """Return by what a tester's part is told from others: GPUs of one board share its serial."""
    return "uuid" if row.uuid and row.kind == "gpu" else "serial"


def _mapped(
    found: FoundInventory, components: Iterable[FoundComponent], reading: Reading | None
) -> Iterator[Told]:
    for row in components:
        name = reading.name_of(row) if reading else None
        if name is not None:
            mac = row.mac or found.macs.get(name.interface, "")
            yield _told(row, name.part_kind, name.identity, mac)


def _told(row: FoundComponent, kind: str, by: str, mac: str = "") -> Told:
    number = NUMBER.search(row.name)
    return Told(
        kind=kind,
        name=row.name,
        by=by,
        serial=row.serial,
        part_number=row.part_number,
        uuid=row.uuid,
        mac=mac or row.mac,
        number=str(int(number[1])) if number else "",
    )
