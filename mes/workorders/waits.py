"""What keeps an order from being built: holds, nonconformances, and parts that are not in stock."""

from collections import Counter
from collections.abc import Iterable

from django.db.models import Count, Q, QuerySet, Sum

from mes.products.models import Part
from mes.quality.models import Nonconformance
from mes.racks.models import Installation
from mes.serials.models import Lot, Unit
from mes.workorders.models import WorkOrder

State = WorkOrder.State


def waits_of(order: WorkOrder, units: list[Unit]) -> list[str]:
    """Return in words what an order with these open units waits for. Nine queries at most."""
    state = {
        State.DRAFT: [f"the release of order {order.number}"],
        State.HELD: [f"order {order.number}, which is held"],
    }
    return [*state.get(State(order.state), []), *_stops(units), *_missing_parts(order, units)]


def _stops(units: list[Unit]) -> list[str]:
    inside = Installation.objects.live().filter(root__in=units)
    held = [unit.serial for unit in units if unit.held]
    held += inside.filter(child__held=True).order_by("pk").values_list("child__serial", flat=True)
    still_open = Nonconformance.objects.exclude(state=Nonconformance.State.CLOSED)
    found = still_open.filter(Q(unit__in=units) | Q(unit__in=inside.values("child"))).order_by("pk")
    reports = found.values_list("number", "symptom")
    return [
        *(f"the release of the hold on {serial}" for serial in held),
        *(f"nonconformance {number} ({symptom})" for number, symptom in reports),
    ]


def _missing_parts(order: WorkOrder, units: list[Unit]) -> list[str]:
    to_build = order.quantity if order.state == State.DRAFT else len(units)
    lines = list(order.part_revision.bom_lines.select_related("part").order_by("pk"))
    serial_parts = [line.part_id for line in lines if line.part.tracking == Part.Tracking.SERIAL]
    lot_parts = [line.part_id for line in lines if line.part.tracking == Part.Tracking.LOT]
    begun = units or ([order.extends] if order.extends else [])
    there = parts_in(begun, serial_parts) + _in_stock(order, serial_parts) + _on_order(order)
    lots = Lot.objects.filter(site=order.site_id, part__in=lot_parts, held=False)
    with_lot = set(lots.values_list("part", flat=True))
    waits = []
    for line in lines:
        missing = line.quantity * to_build - there[line.part_id]
        if line.part_id in serial_parts and missing > 0:
            waits.append(f"{missing} of {line.part.number} {line.part.name}, not in stock")
        elif line.part_id in lot_parts and to_build and line.part_id not in with_lot:
            waits.append(f"a lot of {line.part.number} {line.part.name}")
    return waits


def parts_in(units: list[Unit], parts: Iterable[int]) -> Counter[int]:
    """Return how many units of each part (by id) sit in the slots of some units. One query."""
    inside = Installation.objects.live().filter(parent__in=units, child__part_revision__part__in=parts)
    return Counter(dict(inside.values_list("child__part_revision__part").annotate(Count("pk"))))


def _in_stock(order: WorkOrder, parts: list[int]) -> Counter[int]:
    free = Unit.objects.filter(
        site=order.site_id,
        part_revision__part__in=parts,
        held=False,
        state__in=[Unit.State.IN_STOCK, Unit.State.FINISHED],
    ).exclude(pk__in=Installation.objects.live().values("child"))
    return Counter(dict(_by_part(free)))


def _by_part(units: QuerySet[Unit]) -> QuerySet[Unit, tuple[int, int]]:
    return units.values_list("part_revision__part").annotate(Count("pk"))


def _on_order(order: WorkOrder) -> Counter[int]:
    """Return what open child orders still build; they are waited for by name."""
    children = order.children.exclude(state__in=[State.COMPLETE, State.CLOSED, State.CANCELLED])
    sums = children.values_list("part_revision__part").annotate(
        Sum("quantity"), Sum("finished"), Sum("scrapped"), Sum("cancelled")
    )
    return Counter({part: quantity - sum(done) for part, quantity, *done in sums})
