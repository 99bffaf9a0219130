"""Crates: what goes in, what they must weigh and carry, and what that proves."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from mes.errors import RuleViolation
from mes.quality.services import place_hold
from mes.racks.services import configuration_digest
from mes.shipping.models import Crate, PackedUnit, Shipment
from mes.shipping.services import (
    add_crate,
    add_item,
    add_photos,
    apply_indicator,
    cancel_shipment,
    change_shipment,
    close_crate,
    create_shipment,
    depart_shipment,
    open_crate,
    pack_list,
    pack_unit,
    read_indicator,
    remove_indicator,
    remove_item,
    unpack_unit,
    withdraw_crate,
)
from mes.testing.models import TestRun
from tests.builders import TESTER, make_order, make_part, make_site, make_unit, placed
from tests.shipping.builders import (
    WEIGHTS,
    Rack,
    equip,
    make_photo,
    make_rule,
    make_shipment,
    pack,
    run_test,
)
from tests.workorders.orders import refused

pytestmark = pytest.mark.django_db


def open_with(*units: Any, **more: Any) -> Crate:
    crate = add_crate(shipment=make_shipment(**more), by=TESTER)
    for unit in units:
        pack_unit(crate=crate, unit=unit, by=TESTER)
    return crate


def close_code(crate: Crate, **weights: int) -> str:
    given = {**WEIGHTS, **{name: Decimal(value) for name, value in weights.items()}}
    return refused(lambda: close_crate(crate=crate, by=TESTER, **given)).code


def last_outcome(unit: Any) -> str:
    return str(TestRun.objects.filter(unit=unit, procedure="crate").latest("pk").outcome)


def test_a_closed_crate_proves_each_unit_packed_as_it_is_built() -> None:
    rack = Rack().make()
    crate = pack(rack)
    run = TestRun.objects.get(unit=rack, procedure="crate")
    assert (crate.state, run.outcome, run.format) == ("closed", "PASS", "record")
    assert run.configuration == configuration_digest(rack)
    assert {each.name: each.value for each in run.measurements.all()} == {
        "gross": 1500.0,
        "net": 1360.0,
        "weighing_difference": 0.0,
        "indicators": 2.0,
        "photos": 1.0,
    }
    assert PackedUnit.objects.get().test_run == run


def test_the_route_gates_on_the_crate() -> None:
    rack = Rack(crated=True).make(until=10)
    assert refused(lambda: run_test(rack)).code == "test_missing"


def test_the_route_goes_on_once_it_is_packed() -> None:
    rack = Rack(crated=True).make(until=10)
    pack(rack)
    run_test(rack)
    rack.refresh_from_db()
    assert rack.state == "finished"


def test_a_limit_of_the_route_judges_the_crate() -> None:
    rack = Rack(crated=True, heaviest=1400).make(until=10)
    pack(rack)
    assert last_outcome(rack) == "FAIL"
    assert refused(lambda: run_test(rack)).code == "test_failed"


def test_an_opened_crate_proves_nothing_until_it_is_closed_again() -> None:
    rack = Rack().make()
    crate = open_crate(crate=pack(rack), reason="forgot the keys", by=TESTER)
    assert (crate.state, last_outcome(rack)) == ("open", "RETEST")
    assert refused(lambda: open_crate(crate=crate, reason="x", by=TESTER)).code == "crate_open"
    close_crate(crate=crate, by=TESTER, **WEIGHTS)
    assert last_outcome(rack) == "PASS"


def test_a_crate_added_by_mistake_is_withdrawn_once_it_is_empty() -> None:
    rack = Rack().make()
    crate = pack(rack)
    spare = add_crate(shipment=crate.shipment, by=TESTER)
    pack_unit(crate=spare, unit=(part := make_unit(make_part("gpu"))), by=TESTER)
    item = add_item(crate=spare, description="rail kit", by=TESTER)
    held = refused(lambda: withdraw_crate(crate=spare, reason="not needed", by=TESTER))
    assert (held.code, held.facts["units"], held.facts["items"]) == ("crate_not_empty", 1, 1)
    unpack_unit(crate=spare, unit=part, reason="not needed", by=TESTER)
    remove_item(item=item, reason="not needed", by=TESTER)
    withdraw_crate(crate=spare, reason="not needed", by=TESTER)
    assert [each["number"] for each in pack_list(crate.shipment)["crates"]] == [crate.number]
    assert depart_shipment(shipment=crate.shipment, by=TESTER).pieces == 1


def test_a_withdrawn_crate_is_used_no_more() -> None:
    crate = add_crate(shipment=make_shipment(), by=TESTER)
    assert refused(lambda: withdraw_crate(crate=crate, reason=" ", by=TESTER)).code == "reason_missing"
    withdraw_crate(crate=crate, reason="cracked", by=TESTER)
    unit = make_unit(make_part("gpu"))
    for act in (
        lambda: pack_unit(crate=crate, unit=unit, by=TESTER),
        lambda: open_crate(crate=crate, reason="x", by=TESTER),
        lambda: withdraw_crate(crate=crate, reason="x", by=TESTER),
        lambda: equip(crate),
    ):
        assert refused(act).code == "crate_withdrawn"
    with pytest.raises(RuleViolation, match=crate.number):
        add_crate(shipment=crate.shipment, number=crate.number, by=TESTER)


def test_numbers_are_part_of_addresses() -> None:
    shipment = make_shipment()
    assert (
        refused(lambda: add_crate(shipment=shipment, number="A/1", by=TESTER)).code
        == "number_not_addressable"
    )
    crate = add_crate(shipment=shipment, by=TESTER)
    given: dict[str, Any] = {"kind": "shock", "serial": "S/1", "rating": Decimal(25)}
    assert refused(lambda: apply_indicator(crate=crate, by=TESTER, **given)).code == "number_not_addressable"


def test_what_does_not_go_into_a_crate() -> None:
    racks = Rack()
    rack = racks.make()
    crate = open_with(rack)
    assert refused(lambda: pack_unit(crate=crate, unit=rack, by=TESTER)).code == "unit_in_crate"
    other = open_with(site=make_site("S2"))
    free, held = racks.make(), racks.make()
    assert refused(lambda: pack_unit(crate=other, unit=free, by=TESTER)).code == "wrong_site"
    tray = placed(free, "U08").child
    assert refused(lambda: pack_unit(crate=crate, unit=tray, by=TESTER)).code == "unit_closed"
    place_hold(unit=placed(held, "U08").child, reason="recall", by=TESTER)
    assert refused(lambda: pack_unit(crate=crate, unit=held, by=TESTER)).code == "child_held"
    place_hold(unit=held, reason="recall", by=TESTER)
    assert refused(lambda: pack_unit(crate=crate, unit=held, by=TESTER)).code == "unit_held"
    closed = pack(free)
    late = racks.make()
    assert refused(lambda: pack_unit(crate=closed, unit=late, by=TESTER)).code == "crate_closed"


def test_a_unit_is_taken_out_of_its_crate_for_a_reason() -> None:
    rack = Rack().make()
    crate = open_with(rack)
    assert (
        refused(lambda: unpack_unit(crate=crate, unit=rack, reason=" ", by=TESTER)).code == "reason_missing"
    )
    row = unpack_unit(crate=crate, unit=rack, reason="wrong crate", by=TESTER)
    assert row.unpacked_at and row.unpacked_because == "wrong crate"
    again = refused(lambda: unpack_unit(crate=crate, unit=rack, reason="x", by=TESTER))
    assert again.code == "unit_not_in_crate"
    pack_unit(crate=open_with(), unit=rack, by=TESTER)
    assert PackedUnit.objects.filter(unit=rack).count() == 2


def test_the_database_keeps_a_unit_in_one_crate() -> None:
    rack = Rack().make()
    open_with(rack)
    with pytest.raises(IntegrityError, match=r"one_live_crate_per_unit|UNIQUE"), transaction.atomic():
        PackedUnit.objects.create(crate=open_with(), unit=rack, packed_by="x")


def test_a_crate_is_closed_when_it_weighs_what_it_should() -> None:
    racks = Rack()
    rack = racks.make()
    crate = open_with(rack)
    equip(crate)
    assert close_code(crate, net_kg=1300, gross_kg=1440) == "weight_mismatch"
    assert close_code(crate, gross_kg=1530) == "weight_mismatch"
    assert close_code(crate, net_kg=1380, gross_kg=1540) == "weight_mismatch"
    make_rule(racks.rack.part, "2", most_gross_kg=Decimal(1490))
    assert close_code(crate) == "crate_too_heavy"
    make_rule(racks.rack.part, "3", expected_kg=None)
    assert close_code(crate) == "expected_weight_unknown"
    make_rule(racks.rack.part, "4")
    add_item(crate=crate, description="rails", weight_kg=Decimal(50), by=TESTER)
    assert close_code(crate) == "weight_mismatch"
    close_crate(crate=crate, tare_kg=Decimal(140), net_kg=Decimal(1410), gross_kg=Decimal(1550), by=TESTER)


def test_a_crate_is_closed_with_indicators_photos_and_a_rule() -> None:
    racks = Rack()
    crate = open_with()
    assert close_code(crate) == "crate_empty"
    pack_unit(crate=crate, unit=racks.make(), by=TESTER)
    assert close_code(crate) == "indicator_missing"
    shock = apply_indicator(crate=crate, kind="shock", serial="SH1", rating=Decimal(25), by=TESTER)
    apply_indicator(crate=crate, kind="tilt", serial="TI1", rating=Decimal(30), by=TESTER)
    assert close_code(crate) == "photos_missing"
    add_photos(crate=crate, photos=[make_photo()], by=TESTER)
    read_indicator(indicator=shock, state="tripped", by=TESTER)
    assert close_code(crate) == "indicator_tripped"
    other = make_part("unruled", level=11)
    unruled = open_with(make_unit(other))
    assert close_code(unruled) == "packing_rule_missing"


def test_a_tripped_indicator_stays_tripped_and_on_record() -> None:
    crate = open_with()
    for_it: dict[str, Any] = {"crate": crate, "kind": "shock", "rating": Decimal(25), "by": TESTER}
    assert (
        refused(lambda: apply_indicator(serial="S1", state="tripped", **for_it)).code == "indicator_tripped"
    )
    indicator = apply_indicator(serial="S1", **for_it)
    assert refused(lambda: apply_indicator(serial="s1", **for_it)).code == "indicator_exists"
    read_indicator(indicator=indicator, state="tripped", by=TESTER)
    again = refused(lambda: read_indicator(indicator=indicator, state="ok", by=TESTER))
    assert again.code == "indicator_tripped"
    lost = refused(lambda: read_indicator(indicator=indicator, state="missing", by=TESTER))
    assert lost.code == "indicator_tripped"  # a missing one may be found again, as new
    gone = remove_indicator(indicator=indicator, reason="fell from the fork; looked at", by=TESTER)
    assert (gone.departure, gone.removed_because) == ("tripped", "fell from the fork; looked at")
    late = refused(lambda: read_indicator(indicator=indicator, state="ok", by=TESTER))
    assert late.code == "indicator_removed"


def test_photos_are_of_the_site() -> None:
    foreign = make_photo(make_site("S2"))
    assert refused(lambda: add_photos(crate=open_with(), photos=[foreign], by=TESTER)).code == "wrong_site"


def test_loose_items_have_a_name_and_are_taken_out_once() -> None:
    crate = open_with()
    assert refused(lambda: add_item(crate=crate, by=TESTER)).code == "item_unnamed"
    item = add_item(crate=crate, description="rail kit", quantity=2, by=TESTER)
    remove_item(item=item, reason="not ordered", by=TESTER)
    assert refused(lambda: remove_item(item=item, reason="x", by=TESTER)).code == "item_removed"


def test_a_crate_number_is_used_once() -> None:
    shipment = make_shipment()
    add_crate(shipment=shipment, number="BOX-7", by=TESTER)
    assert refused(lambda: add_crate(shipment=shipment, number="box-7", by=TESTER)).code == "crate_exists"
    assert add_crate(shipment=shipment, by=TESTER).number.startswith("CR-")


def test_a_cancelled_shipment_frees_what_was_packed() -> None:
    rack = Rack().make()
    shipment = cancel_shipment(shipment=pack(rack).shipment, reason="customer postponed", by=TESTER)
    assert (shipment.state, last_outcome(rack)) == ("cancelled", "RETEST")
    pack(rack)
    late = refused(lambda: add_crate(shipment=shipment, by=TESTER))
    assert late.code == "shipment_cancelled"


def test_the_bill_of_lading_is_changed_until_departure() -> None:
    shipment = make_shipment()
    changed = change_shipment(shipment=shipment, by=TESTER, incoterm="DAP", seal_numbers=["S-1"])
    assert (changed.incoterm, changed.seal_numbers) == ("DAP", ["S-1"])
    same = refused(lambda: change_shipment(shipment=shipment, by=TESTER, incoterm="DAP"))
    assert same.code == "nothing_changed"
    with pytest.raises(TypeError):
        change_shipment(shipment=shipment, by=TESTER, state="departed")


def test_an_order_of_another_site_is_refused() -> None:
    racks = Rack()
    order = make_order(racks.rack, racks.route)
    code = refused(
        lambda: create_shipment(site=make_site("S2"), customer="C", ship_to="there", order=order, by=TESTER)
    ).code
    assert code == "wrong_site"


def test_released_packing_rules_are_frozen() -> None:
    rule = make_rule(make_part("rack", level=11).part)
    with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
        type(rule).objects.filter(pk=rule.pk).update(tolerance_percent=50)


def test_numbers_are_counted() -> None:
    first, second = make_shipment(), make_shipment()
    assert first.number == "SH-000001" and second.number == "SH-000002"
    assert Shipment.objects.filter(state="draft").count() == 2
