"""What a comparison with the design reads: which work is to come, what was used up, what is permitted."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from mes.products.models import Operation, Part, PartRevision
from mes.products.services import Layout, Place, layouts_of, operations_of
from mes.racks.services import AsBuilt, takes
from mes.serials.models import Unit
from mes.workorders.deviations import excused_children
from mes.workorders.models import OperationRun, OrderUnit
from mes.workorders.position import DONE, applies


@dataclass(slots=True)
class DesignFacts:
    """The designs of the units in some trees, and what is on record about their work, by their keys."""

    designs: Mapping[int, Layout]
    revisions: Mapping[int, PartRevision]
    to_come: dict[int, list[Operation]] = field(default_factory=dict)
    sequences: dict[int, set[int]] = field(default_factory=dict)
    named: dict[int, set[int]] = field(default_factory=dict)
    used: dict[int, dict[int, Decimal]] = field(default_factory=dict)
    excused: Mapping[int, dict[int, dict[int, str]]] = field(default_factory=dict)

    def revision_of(self, node: AsBuilt) -> PartRevision:
        """Return the revision that a unit is, or was, built to."""
        return self.revisions.get(node.unit.pk, node.unit.part_revision)

    def design_of(self, node: AsBuilt) -> Layout:
        """Return the design that a unit is built to."""
        return self.designs[self.revision_of(node).pk]

    def filling(self, node: AsBuilt, place: Place) -> Operation | None:
        """Return the operation still to be done that fills a slot, if any."""
        coming = self.to_come.get(node.unit.pk, [])
        return next((each for each in coming if each.sequence == place.slot.filled_at), None)

    def using(self, node: AsBuilt, part: Part) -> bool:
        """Return whether work that uses up a part is to come; of a part that no operation names, any work."""
        coming = self.to_come.get(node.unit.pk, [])
        if part.pk not in self.named.get(node.unit.pk, set()):
            return bool(coming)
        return any(row.part_id == part.pk for each in coming for row in each.consumables.all())

    def used_up(self, node: AsBuilt, part: Part) -> Decimal:
        """Return how much of a part the live runs of a unit have used up."""
        return self.used.get(node.unit.pk, {}).get(part.pk, Decimal(0))

    def permitted_by(self, node: AsBuilt, child: AsBuilt, place: Place) -> str:
        """Return the number of the deviation that let a child into a slot, or an empty text."""
        numbers = self.excused.get(node.unit.pk, {}).get(child.unit.pk, {})
        return next((numbers[part] for part in numbers if part in place.part_ids), "")

    def why_nothing_comes(self, node: AsBuilt, sequence: int) -> str:
        """Say why an empty slot is filled no more."""
        if node.unit.pk in self.to_come:
            does_fill = sequence in self.sequences[node.unit.pk]
            return f"operation {sequence} is done" if does_fill else "no operation of its route fills it"
        return f"{node.unit.serial} is {node.unit.get_state_display().lower()}, nothing is to come"


def by_slot(node: AsBuilt) -> dict[int, AsBuilt]:
    """Return what sits directly in a unit by slot; a change of revision moves it to the new slots."""
    return {child.placement.slot_id: child for child in node.children if child.placement}


def read_facts(trees: Iterable[AsBuilt], at: datetime | None) -> DesignFacts:
    """Return what a comparison needs. At most three queries for designs that are kept: see the module."""
    nodes = {node.unit.pk: node for tree in trees for node in tree.walk()}
    revisions = _revisions_then(nodes.values()) if at else {}
    wanted = [revisions.get(pk, node.unit.part_revision) for pk, node in nodes.items()]
    facts = DesignFacts(layouts_of({revision.pk: revision for revision in wanted}.values()), revisions)
    unfilled = {pk: node for pk, node in nodes.items() if _has_unfilled(node, facts)}
    if unfilled:
        _read_work(facts, unfilled, at)
    misfitted = [pk for pk, node in nodes.items() if _has_misfits(node, facts)]
    if misfitted:
        facts.excused = excused_children(misfitted, at)
    return facts


def _revisions_then(nodes: Collection[AsBuilt]) -> dict[int, PartRevision]:
    """Return the revisions that units were built to at a time, where they are other ones than today.

    An engineering change or an expansion moves what is installed to the slots of the new revision at that
    moment, so it is the revision of the slot filled last. One query, if there is any such unit.
    """
    used = {node.unit.pk: _last_revision(node) for node in nodes if node.children}
    other = {pk: found for pk, found in used.items() if found}
    rows = PartRevision.objects.select_related("part").in_bulk(other.values()) if other else {}
    return {pk: rows[found] for pk, found in other.items()}


def _last_revision(node: AsBuilt) -> int | None:
    placements = [child.placement for child in node.children if child.placement]
    last = max(placements, key=lambda row: (row.installed_at, row.pk)).slot.revision_id
    return last if last != node.unit.part_revision_id else None


def _has_unfilled(node: AsBuilt, facts: DesignFacts) -> bool:
    design, filled = facts.design_of(node), by_slot(node)
    return bool(design.loose) or any(place.slot.pk not in filled for place in design.places)


def _has_misfits(node: AsBuilt, facts: DesignFacts) -> bool:
    filled = by_slot(node)
    pairs = ((place, filled.get(place.slot.pk)) for place in facts.design_of(node).places)
    return any(child is not None and not takes(place, facts.revision_of(child)) for place, child in pairs)


def _read_work(facts: DesignFacts, nodes: Mapping[int, AsBuilt], at: datetime | None) -> None:
    """Read which operations are still to be done on units, and what their live runs used up. Two queries."""
    done: dict[int, set[int]] = {}
    for unit, operation, state, part, quantity in _runs(nodes, at):
        if state in DONE:
            done.setdefault(unit, set()).add(operation)
        if part is not None:
            used = facts.used.setdefault(unit, {})
            used[part] = used.get(part, Decimal(0)) + quantity
    for row in _order_units(nodes, at):
        unit, options = row.unit_id, row.work_order.options
        inside = (each for child in nodes[unit].children for each in child.walk())
        kinds = {each.unit.part_revision.part.kind for each in inside}
        route = [each for each in operations_of(row.route) if applies(each, options, kinds)]
        facts.to_come[unit] = [each for each in route if each.pk not in done.get(unit, set())]
        facts.sequences[unit] = {each.sequence for each in route}
        facts.named[unit] = {asked.part_id for each in route for asked in each.consumables.all()}


def _runs(units: Iterable[int], at: datetime | None) -> Iterable[tuple[int, int, str, int | None, Decimal]]:
    """Yield unit, operation and state of the runs that count, once for each lot of a part used up in them."""
    live = Q(superseded_at__isnull=True)
    rows = OperationRun.objects.filter(live | Q(superseded_at__gt=at) if at else live, unit__in=units)
    columns = ("unit", "operation", "state", "consumable_uses__lot__part", "consumable_uses__quantity")
    found = rows.values_list(*columns, "completed_at", "consumable_uses__used_at")
    for unit, operation, state, part, quantity, completed_at, used_at in found:
        is_past = at is None or (completed_at is not None and completed_at <= at)
        is_used = used_at is not None and (at is None or used_at <= at)
        yield unit, operation, state if is_past else "", part if is_used else None, quantity


def _order_units(units: Iterable[int], at: datetime | None) -> Iterable[OrderUnit]:
    """Return the rows of the orders that have, or had, units in work."""
    still = Q(closed_at__isnull=True, unit__state__in=[Unit.State.PLANNED, Unit.State.IN_WORK])
    then = Q(closed_at__isnull=True) | Q(closed_at__gt=at)
    rows = OrderUnit.objects.filter(then & Q(work_order__released_at__lte=at) if at else still)
    return rows.filter(unit__in=units).select_related("route", "work_order").order_by("pk")
