"""Slots, bill of material, budgets and rules of a revision, read at once and kept when frozen."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from mes.products.models import BomLine, Budget, CompatibilityRule, Part, PartRevision, Slot

KEPT = 512


@dataclass(frozen=True, slots=True)
class Place:
    """A slot with what it takes: part ids, their names in words, and the revisions the BOM names for each.

    ``first_part_id`` is the part it is expected to hold: the first it takes, by number.
    """

    slot: Slot
    part_ids: frozenset[int]
    wanted: str
    revisions: dict[int, list[str]] = field(default_factory=dict)
    first_part_id: int | None = None


@dataclass(frozen=True, slots=True)
class Loose:
    """What a bill of material asks for beyond the slots that take it: it has no place of its own."""

    part: Part
    quantity: int


@dataclass(frozen=True, slots=True)
class Asks:
    """What an assembly asks of its contents as a whole."""

    budgets: tuple[Budget, ...] = ()
    rules: tuple[CompatibilityRule, ...] = ()

    def __bool__(self) -> bool:
        """Return whether it asks anything."""
        return bool(self.budgets or self.rules)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a revision consists of: its slots in filling order, what has no slot, and what it asks."""

    places: tuple[Place, ...] = ()
    loose: tuple[Loose, ...] = ()
    asks: Asks = Asks()


# The time of release is part of the key: a primary key alone may come back in a database that was restored.
_layouts: dict[tuple[int, datetime], Layout] = {}


def layout_of(revision: PartRevision) -> tuple[Place, ...]:
    """Return the slots of a revision in filling order; a released one is read once per process."""
    return layouts_of([revision])[revision.pk].places


def asks_of(revision: PartRevision) -> Asks:
    """Return the budgets and compatibility rules of a revision; read together with its slots."""
    return layouts_of([revision])[revision.pk].asks


def place_named(revision: PartRevision, name: str) -> Place | None:
    """Return a slot of a revision by its name, in either case of letters."""
    return next((place for place in layout_of(revision) if place.slot.name.lower() == name.lower()), None)


def layouts_of(revisions: Iterable[PartRevision]) -> dict[int, Layout]:
    """Return the layouts of revisions by primary key; a released one is read once per process.

    At most five queries for all that are not kept yet, none for the others.
    """
    wanted = {revision.pk: revision.released_at for revision in revisions}
    found = {pk: kept for pk, at in wanted.items() if at and (kept := _layouts.get((pk, at)))}
    read = _read([pk for pk in wanted if pk not in found])
    if len(_layouts) + len(read) > KEPT:
        _layouts.clear()
    _layouts.update({(pk, at): read[pk] for pk, at in wanted.items() if at and pk in read})
    return found | read


def _read(pks: list[int]) -> dict[int, Layout]:
    if not pks:
        return {}
    lines: dict[int, list[BomLine]] = defaultdict(list)
    for line in BomLine.objects.filter(parent__in=pks).select_related("part").order_by("pk"):
        lines[line.parent_id].append(line)
    slots: dict[int, list[Slot]] = defaultdict(list)
    for slot in Slot.objects.filter(revision__in=pks).prefetch_related("accepts").order_by("order"):
        slots[slot.revision_id].append(slot)
    asks = _read_asks(slots)
    return {pk: _layout(slots[pk], lines[pk], asks.get(pk, Asks())) for pk in pks}


def _read_asks(pks: Iterable[int]) -> dict[int, Asks]:
    """Return what assemblies ask; what has no slots holds nothing that could break a budget or a rule."""
    budgets: dict[int, list[Budget]] = defaultdict(list)
    rules: dict[int, list[CompatibilityRule]] = defaultdict(list)
    if with_slots := list(pks):
        for budget in Budget.objects.filter(revision__in=with_slots):
            budgets[budget.revision_id].append(budget)
        for rule in CompatibilityRule.objects.filter(revision__in=with_slots):
            rules[rule.revision_id].append(rule)
    return {pk: Asks(tuple(budgets[pk]), tuple(rules[pk])) for pk in with_slots}


def _layout(slots: list[Slot], lines: list[BomLine], asks: Asks) -> Layout:
    revisions = {line.part_id: line.revisions for line in lines}
    places = tuple(_place(slot, revisions) for slot in slots)
    over = ((line, line.quantity - sum(line.part_id in each.part_ids for each in places)) for line in lines)
    return Layout(places, tuple(Loose(line.part, quantity) for line, quantity in over if quantity > 0), asks)


def _place(slot: Slot, revisions: dict[int, list[str]]) -> Place:
    parts = list(slot.accepts.all())
    first = min(parts, key=lambda part: part.number, default=None)
    return Place(
        slot,
        frozenset(part.pk for part in parts),
        " or ".join(part.name for part in parts),
        {part.pk: revisions.get(part.pk, []) for part in parts},
        first.pk if first else None,
    )
