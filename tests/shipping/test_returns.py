"""Field returns: back onto the same history, through rework, and out again."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from mes.ledger.models import Event
from mes.ledger.services import Actor
from mes.ledger.verification import verify_ledger
from mes.people.services import prove
from mes.quality.models import Disposition, Nonconformance
from mes.racks.models import Installation
from mes.racks.services import as_built, where_used
from mes.serials.models import Unit
from mes.shipping.models import FieldReturn, PackedUnit
from mes.shipping.services import pack_list, return_from_field
from mes.workorders.models import OrderUnit
from mes.workorders.services import (
    complete_operation,
    dispose,
    scrap_ordered_unit,
    ship_unit,
    start_operation,
)
from tests.builders import PIN, TESTER, make_part, make_signer, make_station, make_unit, placed
from tests.shipping.builders import Rack, depart, run_test
from tests.workorders.orders import refused
from tests.workorders.reworking import make_rework_route

pytestmark = pytest.mark.django_db


def come_back(unit: Unit, **more: Any) -> FieldReturn:
    given = {"symptom": "gpu ecc", "customer_words": "node 3 drops out", **more}
    return return_from_field(unit=unit, by=TESTER, **given)


def decide(found: Nonconformance, kind: str, **more: Any) -> Disposition:
    board = make_signer("review_board")
    proof = prove(badge=board.badge, pin=PIN)
    return dispose(nonconformance=found, kind=kind, reason="as agreed", proof=proof, by=Actor(), **more)


def kinds_of(unit: Unit) -> list[str]:
    return list(Event.objects.filter(stream=unit.stream).order_by("seq").values_list("kind", flat=True))


def test_a_rack_comes_back_onto_its_own_history() -> None:
    rack = Rack().make()
    shipment = depart(rack)
    failed = timezone.now() - timedelta(seconds=1)
    back = come_back(rack, failed_at=failed, hours_in_service=Decimal("812.5"))
    rack.refresh_from_db()
    assert (rack.state, rack.held, rack.shipped_at, rack.shipped_to) == ("finished", True, None, "")
    assert (back.number, back.shipped_to) == ("RMA-000001", "Demo customer, Hall 1")
    found = back.nonconformance
    assert (found.source, found.symptom, found.description) == ("field", "gpu_ecc", "node 3 drops out")
    assert back.packed and back.packed.crate.shipment == shipment
    row = OrderUnit.objects.get(unit=rack)
    assert row.closed_at is None and row.outcome == "finished"
    assert kinds_of(rack)[-4:] == [
        *("unit.returned_from_field", "unit.held", "unit.tested", "unit.field_return"),
    ]
    assert rack.test_runs.filter(procedure="crate").latest("pk").outcome == "RETEST"
    assert not PackedUnit.objects.filter(unit=rack, unpacked_at=None).exists()
    assert refused(lambda: ship_unit(unit=rack, to="x", by=TESTER)).code == "unit_held"


def test_through_rework_to_shipped_again_with_one_history() -> None:
    racks = Rack()
    rack = racks.make()
    depart(rack)
    back = come_back(rack)
    repair = make_rework_route(racks.route)
    returns_to = racks.route.operations.get(sequence=20)
    decide(back.nonconformance, "rework", rework_route=repair, returns_to=returns_to)
    order = OrderUnit.objects.get(unit=rack).work_order
    assert (order.state, order.finished) == ("running", 0)
    bench = make_station("REPAIR")
    for sequence in (10, 20):
        start_operation(unit=rack, sequence=sequence, station=bench, by=TESTER)
        complete_operation(unit=rack, sequence=sequence, station=bench, by=TESTER)
    run_test(rack)
    again = depart(rack)
    rack.refresh_from_db()
    order.refresh_from_db()
    back.nonconformance.refresh_from_db()
    assert (rack.state, order.state, order.finished) == ("shipped", "complete", 1)
    assert back.nonconformance.state == "closed"
    kinds = kinds_of(rack)
    assert kinds.count("unit.shipped") == 2 and kinds.count("unit.created") == 1
    assert kinds.index("unit.returned_from_field") < kinds.index("unit.rework_started")
    assert [row.crate.shipment.number for row in PackedUnit.objects.filter(unit=rack)][-1] == again.number
    assert verify_ledger().intact


def test_a_tray_comes_back_alone_out_of_its_shipped_rack() -> None:
    racks = Rack()
    rack = racks.make()
    shipment = depart(rack)
    tray = placed(rack, "U08").child
    back = come_back(tray)
    tray.refresh_from_db()
    rack.refresh_from_db()
    assert (tray.state, tray.held, rack.state) == ("finished", True, "shipped")
    assert (back.taken_from, back.slot, back.shipped_to) == (rack, "U08", "Demo customer, Hall 1")
    was = where_used(unit=tray).get()
    assert was.removed_at and was.removal_reason.startswith("RMA-000001: gpu ecc")
    assert [node.slot for node in as_built(unit=rack).children] == []
    assert [node.slot for node in as_built(unit=tray).children] == ["GPU0", "GPU1"]
    assert set(Installation.objects.live().values_list("root", flat=True)) == {tray.pk}
    departed = pack_list(shipment)["crates"][0]["units"][0]["contents"]
    assert departed[0]["serial"] == tray.serial


def test_a_tray_is_reworked_and_ships_by_itself() -> None:
    racks = Rack()
    rack = racks.make()
    depart(rack)
    tray = placed(rack, "U08").child
    back = come_back(tray)
    repair = make_rework_route(racks.tray_route)
    returns_to = racks.tray_route.operations.get(sequence=20)
    decide(back.nonconformance, "repair", rework_route=repair, returns_to=returns_to)
    bench = make_station("REPAIR")
    for sequence in (10, 20):
        start_operation(unit=tray, sequence=sequence, station=bench, by=TESTER)
        complete_operation(unit=tray, sequence=sequence, station=bench, by=TESTER)
    run_test(tray)
    assert ship_unit(unit=tray, to="Demo customer", by=TESTER).state == "shipped"


def test_no_fault_found_ships_as_it_is() -> None:
    rack = Rack().make()
    depart(rack)
    decide(come_back(rack).nonconformance, "use_as_is")
    depart(rack)
    rack.refresh_from_db()
    assert rack.state == "shipped"
    come_back(rack, number="CUST-4711")
    assert FieldReturn.objects.filter(unit=rack).count() == 2


def test_a_received_part_comes_back_and_is_scrapped() -> None:
    rack = Rack().make()
    depart(rack)
    gpu = placed(placed(rack, "U08").child, "GPU0").child
    back = come_back(gpu)
    assert back.slot == "U08/GPU0" and back.taken_from == rack
    decide(back.nonconformance, "scrap")
    gpu.refresh_from_db()
    assert gpu.state == "scrapped"


def test_what_does_not_come_back() -> None:
    racks = Rack()
    rack = racks.make()
    assert refused(lambda: come_back(rack)).code == "unit_not_shipped"
    assert refused(lambda: come_back(placed(rack, "U08").child)).code == "unit_not_shipped"
    loose = make_unit(make_part())
    assert refused(lambda: come_back(loose)).code == "unit_not_shipped"
    scrapped = scrap_ordered_unit(unit=make_unit(make_part()), reason="x", by=TESTER)
    assert refused(lambda: come_back(scrapped)).code == "unit_not_shipped"
    depart(rack)
    future = timezone.now() + timedelta(hours=1)
    assert refused(lambda: come_back(rack, failed_at=future)).code == "failed_in_future"
    assert refused(lambda: come_back(rack, symptom=" ")).code == "no_symptom"
    nobody = refused(lambda: return_from_field(unit=rack, symptom="leak", by=Actor()))
    assert nobody.code == "device_not_signed_on"
    come_back(rack, number="C-1")
    assert refused(lambda: come_back(rack)).code == "unit_not_shipped"
    other = racks.make()
    depart(other)
    assert refused(lambda: come_back(other, number="c-1")).code == "return_number_used"
