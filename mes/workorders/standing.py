"""How a unit stands in one look: where on its route, and what is out of the ordinary on it."""

from dataclasses import dataclass

from django.db.models import Count, Q, Sum

from mes.quality.models import Hold, Nonconformance
from mes.serials.models import Unit
from mes.workorders.models import Deviation, GateRelease, OrderUnit
from mes.workorders.position import Position, position_of


@dataclass(frozen=True, slots=True)
class Standing:
    """A unit, its position while an order has it, and how much of what is on record for it."""

    unit: Unit
    position: Position | None
    open_holds: int
    nonconformances: int
    open_nonconformances: int
    deviations: int
    gate_releases: int
    gate_passes: int


def standing_of(unit: Unit) -> Standing:
    """Return how a unit stands; of one that no order has now, the records alone."""
    ordered = OrderUnit.objects.filter(unit=unit, closed_at__isnull=True).exists()
    is_open = ~Q(state=Nonconformance.State.CLOSED)
    found = Nonconformance.objects.filter(unit=unit).aggregate(
        every=Count("pk"), still=Count("pk", filter=is_open)
    )
    releases = GateRelease.objects.filter(unit=unit).aggregate(every=Count("pk"), passes=Sum("used"))
    return Standing(
        unit=unit,
        position=position_of(unit) if ordered else None,
        open_holds=Hold.objects.filter(unit=unit, released_at__isnull=True).count(),
        nonconformances=found["every"],
        open_nonconformances=found["still"],
        deviations=Deviation.objects.filter(unit=unit).count(),
        gate_releases=releases["every"],
        gate_passes=releases["passes"] or 0,
    )
