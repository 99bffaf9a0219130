"""The door of racks: put units into slots, take them out, and read the as-built structure."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.products.models import Operation, Slot
from mes.products.services import Place, layout_of
from mes.racks.budgets import BudgetLine, Budgets, BudgetState, budgets_of, require_asked
from mes.racks.firmware import record_firmware
from mes.racks.fitting import (
    Misplaced,
    find_slot,
    find_slot_to_empty,
    misplaced,
    repoint_installations,
    require_fit,
    require_together,
    takes,
)
from mes.racks.models import Installation
from mes.racks.paths import Path, paths_of
from mes.racks.tree import MAX_DEPTH, inside
from mes.serials.models import Lot, Unit
from mes.serials.services import lock_units, require_here, require_lot_usable, require_usable

__all__ = [
    "MAX_DEPTH",
    "AsBuilt",
    "BudgetLine",
    "BudgetState",
    "Budgets",
    "Misplaced",
    "Path",
    "as_built",
    "as_built_of",
    "budgets_of",
    "configuration_digest",
    "configurations_of",
    "declare_contents",
    "empty_places",
    "find_slot",
    "find_slot_to_empty",
    "install_unit",
    "kinds_inside",
    "live_children",
    "lock_with_child",
    "misplaced",
    "paths_of",
    "place_unit",
    "record_firmware",
    "remove_in_field",
    "remove_unit",
    "repoint_installations",
    "require_nothing_held_inside",
    "require_out",
    "takes",
    "units_inside",
    "where_used",
    "where_used_of_lot",
]

NOTHING: Mapping[int, str] = {}


@transaction.atomic
def install_unit(
    *, parent: Unit, slot: Slot, child: Unit, by: Actor, operation: Operation | None = None
) -> Installation:
    """Put a child into a slot of a parent.

    Refuses with ``slot_not_in_assembly``, ``wrong_part``, ``wrong_revision``, ``blind_mate_missing``,
    ``wrong_site``, ``slot_occupied``, ``already_installed``, ``unit_closed``, ``unit_not_finished``,
    ``unit_held``, ``child_held``, ``lot_held``, ``lot_expired``, ``unit_locked_out``, ``unit_scrapped``,
    ``unit_shipped``, ``unit_elsewhere``, ``budget_exceeded`` or ``parts_incompatible``.
    """
    units = lock_units(parent.pk, child.pk)
    return place_unit(parent=units[parent.pk], slot=slot, child=units[child.pk], by=by, operation=operation)


def place_unit(
    *,
    parent: Unit,
    slot: Slot,
    child: Unit,
    by: Actor,
    operation: Operation | None,
    permitted: Mapping[int, str] = NOTHING,
) -> Installation:
    """Do what ``install_unit`` does with units that the caller has locked in this transaction.

    ``permitted`` are part revisions, by primary key, that the slot takes besides its own, and by what; they
    are not held to the budgets and compatibility rules of the parent either.
    """
    require_usable(parent)
    require_together(parent, child)
    if child.lot is not None:
        require_lot_usable(child.lot)
    _require_nothing_held(child)
    require_fit(parent, slot, child, permitted)
    _require_free(parent, slot, child)
    if child.part_revision_id not in permitted:
        require_asked(parent, slot, child)
    payload = {"slot": slot.name, "parent": str(parent.uid), "child": str(child.uid), "serial": child.serial}
    if child.part_revision_id in permitted:
        payload["deviation"] = permitted[child.part_revision_id]
    events = [
        advance(child, "unit.installed", by=by, payload=payload),
        advance(
            parent, "unit.child_installed", by=by, payload=payload, live_children=parent.live_children + 1
        ),
    ]
    installation = Installation.objects.create(
        parent=parent,
        slot=slot,
        child=child,
        root=parent,
        parent_level=parent.level,
        child_level=child.level,
        operation=operation,
        installed_by=by.person,
    )
    if child.live_children:
        Installation.objects.live().filter(root=child).update(root=parent)
    record(*events)
    return installation


@transaction.atomic
def declare_contents(*, unit: Unit, contents: list[tuple[str, Unit]], by: Actor) -> list[Installation]:
    """Record what a received assembly arrived with, e.g. the GPUs soldered onto its board, by slot name.

    Refuses with ``not_as_received`` for units of our own orders, and as ``install_unit`` does.
    """
    if unit.state != Unit.State.IN_STOCK:
        raise RuleViolation(
            "not_as_received",
            f"{unit.serial} is {unit.state}; only what was received from outside arrives with contents.",
            rule="our own assemblies are built by operations",
            next_step="Start the operation that fills the slot.",
        )
    slots = {name: find_slot(revision=unit.part_revision, name=name) for name, _ in contents}
    units = lock_units(unit.pk, *(child.pk for _, child in contents))
    return [
        place_unit(parent=units[unit.pk], slot=slots[name], child=units[child.pk], by=by, operation=None)
        for name, child in contents
    ]


@transaction.atomic
def remove_unit(*, parent: Unit, slot: Slot, reason: str, by: Actor) -> Installation:
    """Take what is in a slot out of it; held units may be taken out.

    Refuses with ``slot_empty``, ``unit_closed``, ``unit_shipped``.
    """
    parent = lock_with_child(parent=parent, slot=slot)
    require_here(parent)
    require_out(parent)
    found = Installation.objects.live().select_related("slot").filter(parent=parent, slot=slot).first()
    if found is None:
        raise _slot_empty(slot)
    child = lock_units(found.child_id)[found.child_id]
    return _take_out(found, parent, child, reason, by)


def _take_out(found: Installation, parent: Unit, child: Unit, reason: str, by: Actor) -> Installation:
    """Close an installation whose units the caller has locked; what is in the child goes with it."""
    now, slot = timezone.now(), found.slot
    closed = {"removed_at": now, "removed_by": by.person, "removal_reason": reason}
    if not Installation.objects.live().filter(pk=found.pk).update(**closed):
        raise _slot_empty(slot)
    if child.live_children:
        inside([child.pk], now).update(root=child)
    payload = {"slot": slot.name, "parent": str(parent.uid), "child": str(child.uid), "reason": reason}
    record(
        advance(child, "unit.removed", by=by, payload=payload),
        advance(parent, "unit.child_removed", by=by, payload=payload, live_children=parent.live_children - 1),
    )
    found.refresh_from_db()
    return found


@transaction.atomic
def remove_in_field(*, child: Unit, reason: str, by: Actor) -> Installation:
    """Note that a unit was taken out of something that had shipped with it, at the customer's.

    Refuses with ``unit_not_shipped`` unless what it is in has shipped.
    """
    placed = Installation.objects.live().select_related("slot").filter(child=child).first()
    units = lock_units(child.pk, *((placed.parent_id, placed.root_id) if placed else ()))
    if placed is None or units[placed.root_id].state != Unit.State.SHIPPED:
        raise RuleViolation(
            "unit_not_shipped",
            f"{child.serial} is in nothing that has shipped.",
            rule="what comes back from the field has shipped",
            next_step="Take it out of its assembly at its station.",
            unit=str(child.uid),
        )
    return _take_out(placed, units[placed.parent_id], units[child.pk], reason, by)


def lock_with_child(*, parent: Unit, slot: Slot) -> Unit:
    """Return a parent, locked together with what is in a slot of it, in the house's order."""
    child_id = (
        Installation.objects.live().filter(parent=parent, slot=slot).values_list("child", flat=True).first()
    )
    return lock_units(parent.pk, *([child_id] if child_id else []))[parent.pk]


def _slot_empty(slot: Slot) -> RuleViolation:
    return RuleViolation(
        "slot_empty",
        f"Nothing is installed in {slot.name}.",
        rule="one unit per slot",
        next_step="Check the slot label.",
    )


def _require_free(parent: Unit, slot: Slot, child: Unit) -> None:
    placements = Installation.objects.live().filter(
        Q(parent=parent, slot=slot) | Q(child__in=(parent.pk, child.pk))
    )
    for placed in placements.select_related("parent", "slot", "child"):
        if placed.child_id == parent.pk:
            raise _closed(placed)
        if placed.parent_id == parent.pk and placed.slot_id == slot.pk:
            raise RuleViolation(
                "slot_occupied",
                f"{slot.name} holds {placed.child.serial} already.",
                rule="one unit per slot",
                next_step="Scan a free slot, or remove what is in it first.",
                occupied_by=str(placed.child.uid),
            )
        raise RuleViolation(
            "already_installed",
            f"{child.serial} is installed in {placed.slot.name} of {placed.parent.serial}.",
            rule="one place per unit",
            next_step="Check the serial label; remove it there first if it really is here.",
            installed_in=str(placed.parent.uid),
        )


def require_out(unit: Unit) -> None:
    """Refuse with ``unit_closed`` while a unit is itself installed: its parent would not know."""
    placed = Installation.objects.live().select_related("parent", "slot", "child").filter(child=unit).first()
    if placed is not None:
        raise _closed(placed)


def _closed(placed: Installation) -> RuleViolation:
    return RuleViolation(
        "unit_closed",
        f"{placed.child.serial} is installed in {placed.slot.name} of {placed.parent.serial}.",
        rule="what is installed is not worked on",
        next_step=f"Take it out of {placed.parent.serial} first.",
        installed_in=str(placed.parent.uid),
    )


def require_nothing_held_inside(unit: Unit) -> None:
    """Refuse with ``child_held`` while anything inside a top unit is on hold."""
    held = Installation.objects.live().select_related("child").filter(root=unit, child__held=True).first()
    if held is not None:
        raise RuleViolation(
            "child_held",
            f"{held.child.serial} inside {unit.serial} is on hold.",
            rule="a held unit stops what it is in",
            release="A supervisor releases the hold with a reason.",
            next_step="Swap it, or call a supervisor.",
            unit=str(held.child.uid),
        )


def _require_nothing_held(child: Unit) -> None:
    if child.live_children:
        require_nothing_held_inside(child)


@dataclass(slots=True)
class AsBuilt:
    """A unit, where it sits, and what is in it."""

    unit: Unit
    slot: str = ""
    installed_at: datetime | None = None
    placement: Installation | None = None
    children: list["AsBuilt"] = field(default_factory=list)

    def walk(self) -> Iterator["AsBuilt"]:
        """Yield this unit and everything in it, from the top down."""
        yield self
        for child in self.children:
            yield from child.walk()


def as_built(*, unit: Unit, at: datetime | None = None, depth: int = MAX_DEPTH) -> AsBuilt:
    """Return what is, or at a time was, inside a unit, ``depth`` levels down. One query."""
    rows = inside([unit.pk], at or timezone.now(), depth).select_related(
        "child__lot__supplier", "child__supplier"
    )
    return _trees([unit], rows)[0]


def as_built_of(units: Collection[Unit], *, at: datetime | None = None) -> list[AsBuilt]:
    """Return what is, or at a time was, inside units, at any depth and without origins. One query."""
    return _trees(units, inside([unit.pk for unit in units], at or timezone.now()))


def _trees(units: Collection[Unit], found: QuerySet[Installation]) -> list[AsBuilt]:
    rows = found.select_related("slot", "child__part_revision__part").order_by("slot__order", "pk")
    children: dict[int, list[AsBuilt]] = {}
    for row in rows:
        node = AsBuilt(row.child, row.slot.name, row.installed_at, row, children.setdefault(row.child_id, []))
        children.setdefault(row.parent_id, []).append(node)
    return [AsBuilt(unit, children=children.get(unit.pk, [])) for unit in units]


def configuration_digest(unit: Unit) -> str:
    """Return the SHA-256 (hex) of what is installed in a unit now: each slot's path of ids and its child."""
    rows = inside([unit.pk], timezone.now()).values_list("parent__uid", "slot__name", "child__uid")
    return _digest(f"{parent} {slot} {child}" for parent, slot, child in rows)


def configurations_of(node: AsBuilt) -> dict[int, str]:
    """Return the configuration digest of a unit and of everything in it, by primary key. No query."""
    digests: dict[int, str] = {}
    _lines(node, digests)
    return digests


def _lines(node: AsBuilt, digests: dict[int, str]) -> list[str]:
    lines = [f"{node.unit.uid} {child.slot} {child.unit.uid}" for child in node.children]
    for child in node.children:
        lines += _lines(child, digests)
    digests[node.unit.pk] = _digest(lines)
    return lines


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def units_inside(unit: Unit) -> QuerySet[Unit]:
    """Return everything that is inside a unit now, at any depth, as a query that is not run yet."""
    return Unit.objects.filter(pk__in=inside([unit.pk], timezone.now()).values("child"))


def kinds_inside(unit: Unit) -> set[str]:
    """Return the kinds of everything that is inside a unit now. One query."""
    return set(inside([unit.pk], timezone.now()).values_list("child__part_revision__part__kind", flat=True))


def where_used(*, unit: Unit) -> QuerySet[Installation]:
    """Return every place a unit was or is in, newest first."""
    return (
        Installation.objects.filter(child=unit)
        .select_related("parent__part_revision__part", "slot", "root__part_revision__part")
        .order_by("-installed_at")
    )


def where_used_of_lot(*, lot: Lot) -> QuerySet[Installation]:
    """Return where the units of a lot are installed now, with the topmost unit of each."""
    return (
        Installation.objects.live()
        .filter(child__lot=lot)
        .select_related("child__part_revision__part", "parent", "slot", "root__part_revision__part")
        .order_by("root__serial", "pk")
    )


def empty_places(*, unit: Unit, filled_at: int | None = None) -> list[Place]:
    """Return the slots of a unit that hold nothing, in filling order; of one operation or of all."""
    taken = set(Installation.objects.live().filter(parent=unit).values_list("slot_id", flat=True))
    return [
        place
        for place in layout_of(unit.part_revision)
        if place.slot.pk not in taken and filled_at in {None, place.slot.filled_at}
    ]


def live_children(*, unit: Unit) -> QuerySet[Installation]:
    """Return what sits directly in a unit now, in slot order."""
    return (
        Installation.objects.live()
        .filter(parent=unit)
        .select_related("slot", "child__part_revision__part")
        .order_by("slot__order")
    )
