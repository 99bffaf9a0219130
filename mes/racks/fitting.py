"""What fits where: slots by name, what they take, and what sits in a slot that does not take it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.products.models import PartRevision, Slot
from mes.products.services import Place, place_named
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.serials.services import require_not_held, require_usable


def find_slot(*, revision: PartRevision, name: str) -> Slot:
    """Return a slot of an assembly by its name. Refuses with ``slot_not_in_assembly``."""
    place = place_named(revision, name)
    if place is None:
        raise no_such_slot(revision, name)
    return place.slot


def find_slot_to_empty(*, unit: Unit, name: str) -> Slot:
    """Return a slot of a unit by its name, or one of an earlier revision that still holds something.

    Refuses with ``slot_not_in_assembly``.
    """
    place = place_named(unit.part_revision, name)
    if place is not None:
        return place.slot
    left = Installation.objects.live().select_related("slot").filter(parent=unit, slot__name__iexact=name)
    found = left.first()
    if found is None:
        raise no_such_slot(unit.part_revision, name)
    return found.slot


def no_such_slot(revision: PartRevision, name: str) -> RuleViolation:
    """Return the refusal ``slot_not_in_assembly``."""
    return RuleViolation(
        "slot_not_in_assembly",
        f"{revision} has no slot {name}, or it is a slot of another assembly.",
        rule="a slot belongs to its assembly",
        next_step="Scan a slot label of this assembly.",
    )


def takes(place: Place, revision: PartRevision) -> bool:
    """Return whether a slot takes a part in a revision, as its assembly's bill of material names them."""
    revisions = place.revisions.get(revision.part_id, [])
    return revision.part_id in place.part_ids and (not revisions or revision.revision in revisions)


@dataclass(frozen=True, slots=True)
class Misplaced:
    """What is installed where a revision does not take it; ``place`` is None where it has no such slot."""

    installation: Installation
    place: Place | None

    @property
    def slot(self) -> Slot:
        """Return the slot: that of the revision, else the one of the installation."""
        return self.place.slot if self.place else self.installation.slot


def misplaced(installations: Iterable[Installation], revision: PartRevision) -> list[Misplaced]:
    """Return which installations a revision of their parent does not take. No query for a kept layout."""
    found = ((row, place_named(revision, row.slot.name)) for row in installations)
    return [
        Misplaced(row, place)
        for row, place in found
        if place is None or not takes(place, row.child.part_revision)
    ]


def repoint_installations(
    *, parents: Mapping[int, PartRevision], because: str, by: Actor
) -> list[Installation]:
    """Move what is installed in units to the slots of the same name of another revision; return the new rows.

    Nothing is moved by hand: a row is closed and opened anew at the same moment. What sits in a slot that the
    other revision does not have keeps its row. The caller has locked the units in this transaction.
    """
    rows = Installation.objects.live().filter(parent__in=parents).select_related("slot").order_by("pk")
    places = {row: place_named(parents[row.parent_id], row.slot.name) for row in rows}
    moved = {row: place.slot for row, place in places.items() if place and place.slot.pk != row.slot_id}
    now = timezone.now()
    Installation.objects.filter(pk__in=[row.pk for row in moved]).update(
        removed_at=now, removed_by=by.person, removal_reason=because
    )
    return Installation.objects.bulk_create(
        Installation(
            parent_id=row.parent_id,
            slot=slot,
            child_id=row.child_id,
            root_id=row.root_id,
            parent_level=row.parent_level,
            child_level=row.child_level,
            operation_id=row.operation_id,
            installed_at=now,
            installed_by=by.person,
        )
        for row, slot in moved.items()
    )


def was_shipped_to(parent: Unit, child: Unit) -> bool:
    """Return whether a unit was shipped to the place at which its parent, a cluster, is built up."""
    there = parent.stands_at.casefold()
    return bool(there) and child.state == Unit.State.SHIPPED and child.shipped_to.casefold() == there


def require_together(parent: Unit, child: Unit) -> None:
    """Refuse with ``unit_elsewhere`` what was not shipped to where a cluster is built up.

    A cluster at the factory takes what is at the factory; then it refuses as ``require_usable`` does.
    """
    if was_shipped_to(parent, child):
        require_not_held(child)
        return
    if parent.stands_at:
        is_at = child.shipped_to if child.state == Unit.State.SHIPPED else "the factory"
        raise RuleViolation(
            "unit_elsewhere",
            f"{parent.serial} is built up at {parent.stands_at}; {child.serial} is at {is_at}.",
            rule="the racks of a cluster stand at one place",
            next_step=f"Ship it to {parent.stands_at} first, or check the serial.",
            stands_at=parent.stands_at,
        )
    require_usable(child)


def require_fit(parent: Unit, slot: Slot, child: Unit, permitted: Collection[int]) -> None:
    """Refuse what does not belong into a slot; ``permitted`` are part revisions it takes besides its own."""
    place = place_named(parent.part_revision, slot.name)
    if place is None or place.slot.pk != slot.pk:
        raise no_such_slot(parent.part_revision, slot.name)
    if child.site_id != parent.site_id:
        raise RuleViolation(
            "wrong_site",
            f"{child.serial} belongs to another site than {parent.serial}.",
            rule="a unit is built at one site",
            next_step="Receive it at this site first.",
        )
    if child.part_revision_id not in permitted:
        _require_taken(place, child)
    _require_mates(place, child)
    if child.state not in {Unit.State.IN_STOCK, Unit.State.FINISHED} and not was_shipped_to(parent, child):
        raise RuleViolation(
            "unit_not_finished",
            f"{child.serial} has not finished its own route.",
            rule="only finished units are installed",
            next_step="Finish and test it first, or take another one.",
            unit=str(child.uid),
        )


def _require_mates(place: Place, child: Unit) -> None:
    missing = [mate for mate in child.part_revision.mates if mate not in place.slot.mates]
    if missing:
        words = ", ".join(missing)
        raise RuleViolation(
            "blind_mate_missing",
            f"{child.serial} mates blind with {words}, which {place.slot.name} does not offer.",
            rule="a slot offers the blind mates that a part needs",
            release="Engineering, by a new revision of the assembly or of the part.",
            next_step=f"Take a {place.wanted} that does not need {words}, or call engineering.",
            missing=missing,
        )


def _require_taken(place: Place, child: Unit) -> None:
    part, slot = child.part_revision.part, place.slot
    if part.pk not in place.part_ids:
        raise RuleViolation(
            "wrong_part",
            f"{slot.name} takes {place.wanted}. You scanned {part.name} {child.serial}.",
            rule="a slot takes the parts it names",
            release="Engineering or quality, by a deviation.",
            next_step=f"Put it back and scan {place.wanted}.",
            wanted=place.wanted,
            scanned=part.number,
        )
    if not takes(place, child.part_revision):
        allowed = ", ".join(place.revisions[part.pk])
        raise RuleViolation(
            "wrong_revision",
            f"{slot.name} takes revision {allowed}. You scanned {child.part_revision} {child.serial}.",
            rule="revisions as the bill of material names them",
            release="Engineering, by a new revision of the assembly or a deviation.",
            next_step=f"Take a unit of revision {allowed}.",
        )
