"""Departure: everything in a shipment leaves, or nothing does, and what keeps it here."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from mes.ledger.models import Event
from mes.ledger.services import Actor
from mes.ledger.verification import verify_ledger
from mes.products.models import FirmwareBaseline, FirmwareVersion
from mes.quality.models import Nonconformance
from mes.quality.services import place_hold
from mes.serials.models import Unit
from mes.shipping.models import PackedUnit, Shipment
from mes.shipping.services import (
    add_crate,
    change_shipment,
    depart_shipment,
    open_crate,
    pack_list,
    pack_unit,
    read_indicator,
    remove_indicator,
)
from mes.testing.models import TestRun
from mes.testing.services import Result
from mes.workorders.models import OrderUnit, WorkOrder
from mes.workorders.services import hold_order, place_ship_hold, remove_child, report_test, ship_unit
from tests.builders import TESTER, make_site, placed
from tests.shipping.builders import Rack, depart, make_shipment, pack, run_test
from tests.workorders.orders import refused

pytestmark = pytest.mark.django_db


def depart_code(shipment: Shipment, by: Actor = TESTER) -> str:
    return refused(lambda: depart_shipment(shipment=shipment, by=by)).code


def test_a_packed_rack_departs_with_everything_in_it() -> None:
    rack = Rack().make()
    shipment = depart(rack)
    rack.refresh_from_db()
    assert (shipment.state, shipment.pieces, shipment.gross_kg) == ("departed", 1, Decimal(1500))
    assert (rack.state, rack.shipped_to) == ("shipped", "Demo customer, Hall 1")
    assert OrderUnit.objects.get(unit=rack).closed_at
    event = Event.objects.get(kind="shipment.departed").payload
    assert event["units"] == [rack.serial] and len(event["pack_list"]) == 64
    assert verify_ledger().intact


def test_the_pack_list_stays_as_it_departed() -> None:
    rack = Rack().make()
    shipment = depart(rack)
    (crate,) = pack_list(shipment)["crates"]
    (unit,) = crate["units"]
    assert [line["path"] for line in unit["contents"]] == ["U08", "U08/GPU0", "U08/GPU1"]
    assert {line["kind"] for line in unit["contents"]} == {"tray", "gpu"}
    tray = placed(rack, "U08").child
    assert unit["contents"][0]["serial"] == tray.serial
    kept = PackedUnit.objects.get(unit=rack)
    assert kept.contents == unit["contents"]


def test_nothing_departs_unless_all_of_it_may() -> None:
    racks = Rack()
    good, bad = racks.make(), racks.make()
    shipment = pack(good).shipment
    pack(bad, shipment=shipment)
    place_hold(unit=bad, reason="recall", by=TESTER)
    assert depart_code(shipment) == "unit_held"
    assert not Unit.objects.filter(state="shipped").exists()
    shipment.refresh_from_db()
    assert shipment.state == "packing"


def test_a_shipment_departs_once() -> None:
    shipment = depart(Rack().make())
    assert depart_code(shipment) == "shipment_departed"
    late = refused(lambda: add_crate(shipment=shipment, by=TESTER))
    assert late.code == "shipment_departed"
    assert change_shipment(shipment=shipment, by=TESTER, pro_number="PRO-9").pro_number == "PRO-9"
    fixed = refused(lambda: change_shipment(shipment=shipment, by=TESTER, carrier="other"))
    assert fixed.code == "shipment_departed"


def test_what_is_not_packed_does_not_depart() -> None:
    shipment = make_shipment()
    assert depart_code(shipment) == "shipment_draft"
    crate = add_crate(shipment=shipment, by=TESTER)
    assert depart_code(shipment) == "shipment_empty"
    pack_unit(crate=crate, unit=Rack().make(), by=TESTER)
    assert depart_code(shipment, by=Actor()) == "device_not_signed_on"
    assert depart_code(shipment) == "crate_open"
    add_crate(shipment=shipment, by=TESTER)
    crate.shipment.crates.filter(pk=crate.pk).update(
        state="closed", tare_kg=1, net_kg=1, gross_kg=2, packed_at=crate.created_at
    )
    assert depart_code(shipment) in {"crate_empty", "indicator_missing"}


def test_the_bill_of_lading_is_complete() -> None:
    shipment = pack(Rack().make(), shipment=make_shipment(bol_number="")).shipment
    assert depart_code(shipment) == "bill_of_lading_incomplete"
    change_shipment(shipment=shipment, by=TESTER, bol_number="BOL-7", hazards=None)
    assert depart_code(shipment) == "hazards_undeclared"
    change_shipment(shipment=shipment, by=TESTER, hazards=["batteries"])
    assert depart_code(shipment) == "hazards_undeclared"
    change_shipment(shipment=shipment, by=TESTER, hazard_declaration="UN3480, 4 pieces, PI 965")
    assert depart_shipment(shipment=shipment, by=TESTER).state == "departed"


def test_indicators_are_on_the_crate_and_as_new() -> None:
    crate = pack(Rack().make())
    shock, tilt = crate.indicators.all()
    read_indicator(indicator=shock, state="tripped", by=TESTER)
    assert depart_code(crate.shipment) == "indicator_tripped"
    remove_indicator(indicator=shock, reason="tripped by the fork", by=TESTER)
    assert depart_code(crate.shipment) == "indicator_missing"
    assert tilt.departure == "ok"


def nonconformance(rack: Unit) -> object:
    return Nonconformance.objects.create(
        site=make_site(), number="NC-9", unit=placed(rack, "U08").child, source="hand", symptom="leak"
    )


def held_inside(rack: Unit) -> object:
    return place_hold(unit=placed(rack, "U08").child, reason="recall", by=TESTER)


def held_order(rack: Unit) -> object:
    order = OrderUnit.objects.get(unit=rack).work_order
    type(order).objects.filter(pk=order.pk).update(state="running")
    order.refresh_from_db()
    return hold_order(order=order, reason="credit", by=TESTER)


def swapped(rack: Unit) -> object:
    return remove_child(unit=rack, slot_name="U08", reason="failed", by=TESTER)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (nonconformance, "nonconformance_open"),
        (held_inside, "child_held"),
        (held_order, "order_held"),
        (swapped, "crate_not_passed"),
        (lambda rack: place_ship_hold(target=rack, reason="credit", by=TESTER), "ship_hold"),
    ],
)
def test_what_keeps_a_packed_rack_here(spoil: Callable[[Unit], object], code: str) -> None:
    rack = Rack().make()
    shipment = pack(rack).shipment
    spoil(rack)
    assert depart_code(shipment) == code


def test_an_unfinished_rack_is_packed_but_does_not_depart() -> None:
    shipment = pack(Rack(crated=True).make(until=10)).shipment
    assert depart_code(shipment) == "unit_not_finished"


def test_a_failed_crate_check_does_not_depart() -> None:
    shipment = pack(Rack(crated=True, heaviest=1400).make(until=10)).shipment
    assert depart_code(shipment) == "crate_not_passed"


def test_firmware_that_the_route_asks_for_is_proved() -> None:
    rack = Rack(firmware=True).make(until=10)
    report_test(unit=rack, result=Result("firmware", "PASS"), by=TESTER)
    run_test(rack)
    shipment = pack(rack).shipment
    report_test(unit=rack, result=Result("firmware", "FAIL", reasons=["BMC is behind"]), by=TESTER)
    assert depart_code(shipment) == "firmware_mismatch"
    report_test(unit=rack, result=Result("firmware", "PASS"), by=TESTER)
    assert depart_shipment(shipment=shipment, by=TESTER).state == "departed"
    assert TestRun.objects.filter(unit=rack, procedure="firmware").count() == 3


def test_firmware_stays_here_until_it_is_at_the_baseline_of_its_order() -> None:
    rack = Rack().make()
    shipment = pack(rack).shipment
    baseline = FirmwareBaseline.objects.create(name="2026.2")
    FirmwareVersion.objects.create(baseline=baseline, unit_kind="tray", component="BMC", version="2")
    WorkOrder.objects.filter(order_units__unit=rack).update(firmware_baseline=baseline)
    assert depart_code(shipment) == "firmware_not_at_baseline"


def test_a_unit_in_a_crate_leaves_with_its_shipment_only() -> None:
    rack = Rack().make()
    crate = pack(rack)
    assert refused(lambda: ship_unit(unit=rack, to="x", by=TESTER)).code == "unit_in_crate"
    depart_shipment(shipment=crate.shipment, by=TESTER)
    rack.refresh_from_db()
    assert rack.state == "shipped"


def test_firmware_keeps_a_unit_here_that_ships_without_a_crate_too() -> None:
    rack = Rack(firmware=True).make(until=10)
    report_test(unit=rack, result=Result("firmware", "PASS"), by=TESTER)
    run_test(rack)
    report_test(unit=rack, result=Result("firmware", "FAIL", reasons=["BMC is behind"]), by=TESTER)
    assert refused(lambda: ship_unit(unit=rack, to="x", by=TESTER)).code == "firmware_mismatch"


def test_a_crate_that_was_opened_keeps_its_shipment_here() -> None:
    crate = pack(Rack().make())
    open_crate(crate=crate, reason="forgot the keys", by=TESTER)
    assert depart_code(crate.shipment) == "crate_open"
