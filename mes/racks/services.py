"""The door of racks: put units into slots, take them out, and read the as-built structure."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.products.models import Operation, PartRevision, Slot
from mes.products.services import Place, layout_of, place_named
from mes.racks.models import Installation
from mes.serials.models import Lot, Unit
from mes.serials.services import lock_units, require_usable

MAX_DEPTH = 12


def find_slot(*, revision: PartRevision, name: str) -> Slot:
    """Return a slot of an assembly by its name. Refuses with ``slot_not_in_assembly``."""
    place = place_named(revision, name)
    if place is None:
        raise _no_such_slot(revision, name)
    return place.slot


def _no_such_slot(revision: PartRevision, name: str) -> RuleViolation:
    return RuleViolation(
        "slot_not_in_assembly",
        f"{revision} has no slot {name}, or it is a slot of another assembly.",
        rule="a slot belongs to its assembly",
        next_step="Scan a slot label of this assembly.",
    )


@transaction.atomic
def install_unit(
    *, parent: Unit, slot: Slot, child: Unit, by: Actor, operation: Operation | None = None
) -> Installation:
    """Put a child into a slot of a parent.

    Refuses with ``slot_not_in_assembly``, ``wrong_part``, ``wrong_revision``, ``wrong_site``,
    ``slot_occupied``, ``already_installed``, ``unit_closed``, ``unit_not_finished``, ``unit_held``,
    ``child_held``, ``unit_scrapped`` or ``unit_shipped``.
    """
    units = lock_units(parent.pk, child.pk)
    return place_unit(parent=units[parent.pk], slot=slot, child=units[child.pk], by=by, operation=operation)


def place_unit(
    *, parent: Unit, slot: Slot, child: Unit, by: Actor, operation: Operation | None
) -> Installation:
    """Do what ``install_unit`` does with units that the caller has locked in this transaction."""
    require_usable(parent)
    require_usable(child)
    _require_nothing_held(child)
    _require_fit(parent, slot, child)
    _require_free(parent, slot, child)
    payload = {"slot": slot.name, "parent": str(parent.uid), "child": str(child.uid), "serial": child.serial}
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
    """Take what is in a slot out of it. Refuses with ``slot_empty``; held units may be taken out."""
    parent = lock_with_child(parent=parent, slot=slot)
    require_out(parent)
    found = Installation.objects.live().filter(parent=parent, slot=slot).first()
    if found is None:
        raise _slot_empty(slot)
    child = lock_units(found.child_id)[found.child_id]
    now = timezone.now()
    closed = {"removed_at": now, "removed_by": by.person, "removal_reason": reason}
    if not Installation.objects.live().filter(pk=found.pk).update(**closed):
        raise _slot_empty(slot)
    if child.live_children:
        _inside(child, now).update(root=child)
    payload = {"slot": slot.name, "parent": str(parent.uid), "child": str(child.uid), "reason": reason}
    record(
        advance(child, "unit.removed", by=by, payload=payload),
        advance(parent, "unit.child_removed", by=by, payload=payload, live_children=parent.live_children - 1),
    )
    found.refresh_from_db()
    return found


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


def _require_fit(parent: Unit, slot: Slot, child: Unit) -> None:
    place = place_named(parent.part_revision, slot.name)
    if place is None or place.slot.pk != slot.pk:
        raise _no_such_slot(parent.part_revision, slot.name)
    part = child.part_revision.part
    if child.site_id != parent.site_id:
        raise RuleViolation(
            "wrong_site",
            f"{child.serial} belongs to another site than {parent.serial}.",
            rule="a unit is built at one site",
            next_step="Receive it at this site first.",
        )
    if part.pk not in place.part_ids:
        raise RuleViolation(
            "wrong_part",
            f"{slot.name} takes {place.wanted}. You scanned {part.name} {child.serial}.",
            rule="a slot takes the parts it names",
            next_step=f"Put it back and scan {place.wanted}.",
            wanted=place.wanted,
            scanned=part.number,
        )
    revisions = place.revisions[part.pk]
    if revisions and child.part_revision.revision not in revisions:
        allowed = ", ".join(revisions)
        raise RuleViolation(
            "wrong_revision",
            f"{slot.name} takes revision {allowed}. You scanned {child.part_revision} {child.serial}.",
            rule="revisions as the bill of material names them",
            release="Engineering, by a new revision of the assembly.",
            next_step=f"Take a unit of revision {allowed}.",
        )
    if child.state not in {Unit.State.IN_STOCK, Unit.State.FINISHED}:
        raise RuleViolation(
            "unit_not_finished",
            f"{child.serial} has not finished its own route.",
            rule="only finished units are installed",
            next_step="Finish and test it first, or take another one.",
            unit=str(child.uid),
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
    children: list["AsBuilt"] = field(default_factory=list)

    def walk(self) -> Iterator["AsBuilt"]:
        """Yield this unit and everything in it, from the top down."""
        yield self
        for child in self.children:
            yield from child.walk()


def as_built(*, unit: Unit, at: datetime | None = None, depth: int = MAX_DEPTH) -> AsBuilt:
    """Return what is, or at a time was, inside a unit, ``depth`` levels down. One query."""
    rows = _inside(unit, at or timezone.now(), depth).select_related(
        "slot", "child__part_revision__part", "child__lot__supplier", "child__supplier"
    )
    top = AsBuilt(unit)
    nodes = {unit.pk: top}
    placements = list(rows.order_by("-parent_level", "slot__order"))
    for row in placements:
        nodes[row.child_id] = AsBuilt(row.child, row.slot.name, row.installed_at)
    for row in placements:
        nodes[row.parent_id].children.append(nodes[row.child_id])
    return top


def configuration_digest(unit: Unit) -> str:
    """Return the SHA-256 (hex) of what is installed in a unit now: each slot's path of ids and its child."""
    rows = _inside(unit, timezone.now()).values_list("parent__uid", "slot__name", "child__uid")
    lines = sorted(f"{parent} {slot} {child}" for parent, slot, child in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


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


# On SQLite the join is written `IN (t.child_id)`: with `=` its planner builds a Bloom filter over the table.
TREE = """
WITH RECURSIVE tree(id, child_id, depth) AS (
    SELECT i.id, i.child_id, 1 FROM racks_installation i
    WHERE i.parent_id = %s AND i.installed_at <= %s AND (i.removed_at IS NULL OR i.removed_at > %s)
    UNION ALL
    SELECT i.id, i.child_id, t.depth + 1 FROM tree t JOIN racks_installation i ON i.parent_id IN (t.child_id)
    WHERE t.depth < %s AND i.installed_at <= %s AND (i.removed_at IS NULL OR i.removed_at > %s)
) SELECT id FROM tree
"""


def _inside(unit: Unit, at: datetime, depth: int = MAX_DEPTH) -> QuerySet[Installation]:
    when: Any = connection.ops.adapt_datetimefield_value(at)
    return Installation.objects.filter(pk__in=RawSQL(TREE, [unit.pk, when, when, depth, when, when]))  # noqa: S611
