"""The door of products: slot layouts and routes, kept in the process once they are frozen."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from mes.products.models import BomLine, Operation, PartRevision, Route, Slot

KEPT = 512


@dataclass(frozen=True, slots=True)
class Place:
    """A slot with what it takes: part ids, their names in words, and the revisions the BOM names for each."""

    slot: Slot
    part_ids: frozenset[int]
    wanted: str
    revisions: dict[int, list[str]] = field(default_factory=dict)


def layout_of(revision: PartRevision) -> tuple[Place, ...]:
    """Return the slots of a revision in filling order; a released one is read once per process."""
    if revision.released_at is None:
        return _read_layout(revision.pk)
    return _frozen_layout(revision.pk, revision.released_at)


def place_named(revision: PartRevision, name: str) -> Place | None:
    """Return a slot of a revision by its name, in either case of letters."""
    return next((place for place in layout_of(revision) if place.slot.name.lower() == name.lower()), None)


def operations_of(route: Route) -> tuple[Operation, ...]:
    """Return the operations of a route with their gates; of a released one, read once per process."""
    if route.released_at is None:
        return _read_operations(route.pk)
    return _frozen_operations(route.pk, route.released_at)


# The time of release is part of the key: a primary key alone may come back in a database that was restored.
@lru_cache(maxsize=KEPT)
def _frozen_layout(pk: int, released_at: datetime) -> tuple[Place, ...]:
    return _read_layout(pk)


@lru_cache(maxsize=KEPT)
def _frozen_operations(pk: int, released_at: datetime) -> tuple[Operation, ...]:
    return _read_operations(pk)


def _read_layout(pk: int) -> tuple[Place, ...]:
    revisions = dict(BomLine.objects.filter(parent=pk).values_list("part_id", "revisions"))
    slots = Slot.objects.filter(revision=pk).prefetch_related("accepts").order_by("order")
    return tuple(_place(slot, revisions) for slot in slots)


def _place(slot: Slot, revisions: dict[int, list[str]]) -> Place:
    parts = list(slot.accepts.all())
    return Place(
        slot,
        frozenset(part.pk for part in parts),
        " or ".join(part.name for part in parts),
        {part.pk: revisions.get(part.pk, []) for part in parts},
    )


def _read_operations(pk: int) -> tuple[Operation, ...]:
    return tuple(Operation.objects.filter(route=pk).prefetch_related("gates"))
