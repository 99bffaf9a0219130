"""What the tests of orders share: a tray to build in two operations, and its orders."""

from collections.abc import Callable
from typing import Any

import pytest

from mes.errors import RuleViolation
from mes.products.models import Operation, PartRevision, Route
from mes.serials.models import Unit
from mes.stations.models import Station
from mes.workorders.models import WorkOrder
from mes.workorders.services import complete_operation, create_order, start_operation
from tests.builders import TESTER, make_assembly, make_order, make_route, make_site, make_station


def make_tray(takes: dict[str, PartRevision] | None = None) -> tuple[PartRevision, Route]:
    """Make a tray and its route: 10 at BUILD, 20 at TEST."""
    tray = make_assembly("tray", level=10, takes=takes or {})
    return tray, make_route(tray)


def draft(revision: PartRevision, route: Route, number: str = "WO-D", **more: Any) -> WorkOrder:
    given = {"site": make_site(), "quantity": 2, **more}
    return create_order(number=number, part_revision=revision, route=route, by=TESTER, **given)


def tray_order(quantity: int = 2, **more: Any) -> WorkOrder:
    return make_order(*make_tray(), quantity=quantity, **more)


def units_of(order: WorkOrder) -> list[Unit]:
    return [row.unit for row in order.order_units.select_related("unit__part_revision__part").order_by("pk")]


def stations() -> tuple[Station, Station]:
    return make_station("BUILD"), make_station("TEST")


def start(unit: Unit, sequence: int = 10) -> None:
    start_operation(unit=unit, sequence=sequence, station=stations()[sequence != 10], by=TESTER)


def do(unit: Unit, sequence: int) -> None:
    start(unit, sequence)
    complete_operation(unit=unit, sequence=sequence, station=stations()[sequence != 10], by=TESTER)


def finish(unit: Unit) -> None:
    route = unit.order_units.get(closed_at=None).route
    for operation in Operation.objects.filter(route=route):
        do(unit, operation.sequence)


def counts(order: WorkOrder) -> tuple[str, int, int, int]:
    order.refresh_from_db()
    return order.state, order.finished, order.scrapped, order.cancelled


def refused(act: Callable[[], object]) -> RuleViolation:
    """Return the refusal of an act, which is complete."""
    with pytest.raises(RuleViolation) as refusal:
        act()
    found = refusal.value
    assert found.detail and found.rule and found.next_step and found.release
    return found
