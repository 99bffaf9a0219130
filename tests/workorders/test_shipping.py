"""Shipping: what keeps a unit in the factory, and what a shipped one keeps to itself."""

import pytest

from mes.ledger.services import Actor
from mes.quality.models import Nonconformance
from mes.quality.services import place_hold
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.workorders.models import OrderUnit
from mes.workorders.services import hold_order, remove_child, ship_unit, start_operation
from tests.builders import TESTER, make_scanner, make_site, supervisor_client
from tests.workorders.orders import finish, refused, stations, tray_order, units_of
from tests.workorders.test_order_states import filled_order

pytestmark = pytest.mark.django_db


def ship_code(unit: Unit, to: str = "demo site", by: Actor = TESTER) -> str:
    return refused(lambda: ship_unit(unit=unit, to=to, by=by)).code


def test_a_finished_unit_ships_over_rest() -> None:
    _, unit = filled_order()
    answer = make_scanner().post(f"units/{unit.uid}/ship/", {"to": "demo site"})
    assert (answer.status_code, answer.json()["state"]) == (200, "shipped")
    unit.refresh_from_db()
    assert unit.shipped_at and unit.shipped_to == "demo site"
    assert OrderUnit.objects.get(unit=unit).closed_at
    assert Installation.objects.live().filter(root=unit).exists()
    again = supervisor_client().post(f"/api/v1/units/{unit.uid}/ship/", {"to": "x"}, format="json")
    assert again.json()["code"] == "unit_shipped"


def test_nothing_in_a_shipped_unit_is_removed_or_worked_on() -> None:
    _, unit = filled_order()
    ship_unit(unit=unit, to="demo site", by=TESTER)
    out = refused(lambda: remove_child(unit=unit, slot_name="G0", reason="x", by=TESTER))
    work = refused(lambda: start_operation(unit=unit, sequence=10, station=stations()[0], by=TESTER))
    assert (out.code, work.code) == ("unit_shipped", "unit_shipped")


def test_what_keeps_a_unit_in_the_factory() -> None:
    _, unit = filled_order()
    assert ship_code(unit, to=" ") == "destination_missing"
    assert ship_code(unit, by=Actor()) == "device_not_signed_on"
    assert ship_code(units_of(tray_order(1))[0]) == "unit_not_finished"
    report = Nonconformance.objects.create(
        site=make_site(), number="NC-1", unit=unit, source="hand", symptom="leak", opened_by="tester"
    )
    assert ship_code(unit) == "nonconformance_open"
    report.delete()
    hold_order(order=tray_order(1), reason="another order", by=TESTER)
    place_hold(unit=Installation.objects.live().get(root=unit).child, reason="recall", by=TESTER)
    assert ship_code(unit) == "child_held"
    place_hold(unit=unit, reason="recall", by=TESTER)
    assert ship_code(unit) == "unit_held"


def test_a_held_order_ships_nothing() -> None:
    order = tray_order(2)
    unit = units_of(order)[0]
    finish(unit)
    hold_order(order=order, reason="x", by=TESTER)
    assert ship_code(unit) == "order_held"
