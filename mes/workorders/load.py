"""The work that is left in the orders of a site, read with a few queries."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db.models import Count

from mes.products.models import Operation
from mes.serials.models import Unit
from mes.stations.models import Shift, Station
from mes.workorders.models import OperationRun, OrderUnit, WorkOrder
from mes.workorders.position import DONE, OPTION

State = WorkOrder.State
QUEUED = (State.RELEASED, State.RUNNING)
OPEN = (State.DRAFT, *QUEUED, State.HELD)


@dataclass(slots=True)
class Standing:
    """What is left to do of an order: minutes by work center, of all units and of the one with most left."""

    order: WorkOrder
    minutes: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    longest: dict[str, Decimal] = field(default_factory=dict)
    timeless: list[Operation] = field(default_factory=list)

    @property
    def rank(self) -> tuple[int, bool, datetime | None, int]:
        """Return what sorts orders by urgency: priority, due date, age."""
        order = self.order
        return order.priority, order.due_at is None, order.due_at, order.pk

    @property
    def work_centers(self) -> set[str]:
        """Return where work is left, of known and of unknown length."""
        return self.minutes.keys() | {operation.work_center for operation in self.timeless}

    @property
    def unknown(self) -> list[str]:
        """Return the operations without a standard time, in words."""
        return self.unknown_at(self.work_centers)

    def unknown_at(self, work_centers: set[str]) -> list[str]:
        """Return the operations at some work centers that have no standard time, in words."""
        return [
            f"a standard time for {operation} of {operation.route}"
            for operation in self.timeless
            if operation.work_center in work_centers
        ]

    def add(self, operations: Iterable[Operation], units: int = 1) -> None:
        """Add what is left of so many units."""
        own: dict[str, Decimal] = defaultdict(Decimal)
        for operation in operations:
            if operation.standard_minutes is None:
                self.timeless += [] if operation in self.timeless else [operation]
            else:
                own[operation.work_center] += operation.standard_minutes
                self.minutes[operation.work_center] += operation.standard_minutes * units
        if sum(own.values()) > sum(self.longest.values()):
            self.longest = own


@dataclass(slots=True)
class Load:
    """The open orders of a site with what is left of each; its stations by work center; its shifts."""

    standings: dict[int, Standing]
    units: dict[int, list[Unit]]
    stations: dict[str, int]
    shifts: list[Shift]

    @property
    def queue(self) -> list[Standing]:
        """Return the orders whose units are being built or may be."""
        return [each for each in self.standings.values() if each.order.state in QUEUED]

    def of(self, order: WorkOrder) -> Standing:
        """Return what is left of an open order."""
        return self.standings[order.pk]

    def units_of(self, order: WorkOrder) -> list[Unit]:
        """Return the open units of an order."""
        return self.units.get(order.pk, [])

    def children_of(self, order: WorkOrder) -> list[Standing]:
        """Return the open child orders of an order."""
        return [each for each in self.standings.values() if each.order.parent_id == order.pk]

    def family_of(self, order: WorkOrder) -> set[int]:
        """Return an open order and all that is drafted below it, by id."""
        below = (self.family_of(child.order) for child in self.children_of(order))
        return {order.pk}.union(*below)


def read_load(order: WorkOrder) -> Load:
    """Return the load of the site of an open order. Six queries."""
    orders = WorkOrder.objects.filter(site=order.site_id, state__in=OPEN).select_related("part_revision")
    standings = {each.pk: Standing(each) for each in orders}
    units = _fill(standings)
    stations = Station.objects.filter(line__site=order.site_id).values_list("work_center")
    return Load(
        standings,
        units,
        dict(stations.annotate(Count("pk"))),
        list(Shift.objects.filter(site=order.site_id)),
    )


def _fill(standings: dict[int, Standing]) -> dict[int, list[Unit]]:
    rows = OrderUnit.objects.filter(work_order__in=standings, outcome=OrderUnit.Outcome.OPEN, closed_at=None)
    rows = rows.select_related("unit")
    runs = OperationRun.objects.filter(unit__in=rows.values("unit"), superseded_at=None, state__in=DONE)
    done = set(runs.values_list("unit", "operation"))
    routes = {row.route_id for row in rows} | {each.order.route_id for each in standings.values()}
    operations = _operations(routes)
    units: dict[int, list[Unit]] = defaultdict(list)
    for row in rows:
        standing, unit_id = standings[row.work_order_id], row.unit_id
        left = [each for each in operations[row.route_id] if (unit_id, each.pk) not in done]
        standing.add(_applying(left, standing.order))
        units[row.work_order_id].append(row.unit)
    for standing in standings.values():
        if standing.order.state == State.DRAFT:
            route = operations[standing.order.route_id]
            standing.add(_applying(route, standing.order), standing.order.quantity)
    return units


def _operations(routes: set[int]) -> dict[int, list[Operation]]:
    found: dict[int, list[Operation]] = defaultdict(list)
    for operation in Operation.objects.filter(route__in=routes).select_related("route"):
        found[operation.route_id].append(operation)
    return found


def _applying(operations: Iterable[Operation], order: WorkOrder) -> list[Operation]:
    """Return the operations that an order's options ask for; one that a part asks for is counted."""
    return [each for each in operations if _is_asked_for(each.applies_when, order.options)]


def _is_asked_for(condition: str, options: list[str]) -> bool:
    return not condition.startswith(OPTION) or condition.removeprefix(OPTION) in options
