"""Ship holds: nobody passes them, whatever their role; another person's signature releases them."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from mes.ledger.models import Event
from mes.ledger.services import Actor
from mes.people.models import Signature
from mes.people.services import prove
from mes.shipping.services import depart_shipment, hold_shipment
from mes.workorders.models import OrderUnit, ShipHold
from mes.workorders.services import place_ship_hold, release_ship_hold, ship_unit
from tests.builders import (
    PIN,
    TESTER,
    make_order,
    make_scanner,
    make_signer,
    make_site,
    placed,
    signed_by,
    supervisor_client,
)
from tests.shipping.builders import Rack, depart, make_shipment, pack
from tests.terminal.test_unit_pages import office
from tests.workorders.orders import refused

pytestmark = pytest.mark.django_db


def proof(person: Any) -> Any:
    return prove(badge=person.badge, pin=PIN)


def release_code(hold: ShipHold, person: Any, reason: str = "cleared") -> str:
    return refused(lambda: release_ship_hold(hold=hold, reason=reason, proof=proof(person), by=TESTER)).code


def test_no_role_passes_a_ship_hold_silently() -> None:
    rack = Rack().make()
    shipment = pack(rack).shipment
    hold = place_ship_hold(target=rack, reason="export licence", by=TESTER)
    client = supervisor_client()  # a superuser, who may do everything else
    path = f"/api/v1/shipments/{shipment.number}/depart/"
    assert client.post(path, {}, format="json").json()["code"] == "ship_hold"
    direct = client.post(f"/api/v1/units/{rack.uid}/ship/", {"to": "x"}, format="json")
    assert direct.json()["code"] == "ship_hold"
    assert make_scanner().post(f"shipments/{shipment.number}/depart/").json()["code"] == "ship_hold"
    release_ship_hold(hold=hold, reason="licence 12", proof=proof(make_signer("quality")), by=TESTER)
    assert client.post(path, {}, format="json").json()["state"] == "departed"


def test_a_release_is_signed_by_quality_or_the_board_and_never_by_who_placed_it() -> None:
    placer = make_signer("quality", "supervisor")
    rack = Rack().make()
    hold = place_ship_hold(target=rack, reason="credit", by=Actor(person=placer.username))
    assert release_code(hold, placer) == "own_work"
    assert release_code(hold, make_signer("supervisor", is_superuser=True)) == "role_missing"
    assert release_code(hold, make_signer("quality", site=make_site("S2"))) == "role_missing"
    board = make_signer("review_board")
    assert release_code(hold, board, " ") == "reason_missing"
    released = release_ship_hold(hold=hold, reason="paid", proof=proof(board), by=TESTER)
    assert (released.released_by, released.role) == (board.username, "review_board")
    assert released.signature == Signature.objects.get(meaning="release of a ship hold")
    assert release_code(hold, make_signer("quality")) == "ship_hold_released"
    kinds = list(Event.objects.filter(stream=rack.stream).values_list("kind", flat=True))
    assert kinds[-2:] == ["unit.shipping_held", "unit.shipping_released"]


def test_an_order_and_what_is_inside_hold_a_rack_too() -> None:
    rack = Rack().make()
    tray = placed(rack, "U08").child
    on_tray = place_ship_hold(target=tray, reason="recall", by=TESTER)
    order = OrderUnit.objects.get(unit=rack).work_order
    on_order = place_ship_hold(target=order, reason="credit", by=TESTER)
    quality = make_signer("quality")
    for hold in (on_tray, on_order):
        assert refused(lambda: ship_unit(unit=rack, to="x", by=TESTER)).code == "ship_hold"
        release_ship_hold(hold=hold, reason="cleared", proof=proof(quality), by=TESTER)
    assert ship_unit(unit=rack, to="x", by=TESTER).state == "shipped"


def test_a_hold_on_the_order_that_built_a_tray_holds_the_rack_with_it() -> None:
    rack = Rack().make()
    order = OrderUnit.objects.get(unit=placed(rack, "U08").child).work_order
    hold = place_ship_hold(target=order, reason="recall", by=TESTER)
    assert refused(lambda: ship_unit(unit=rack, to="x", by=TESTER)).code == "ship_hold"
    assert "recall" in office("view_unit").get(f"/units/{rack.uid}/shipping/").content.decode()
    release_ship_hold(hold=hold, reason="cleared", proof=proof(make_signer("quality")), by=TESTER)
    assert ship_unit(unit=rack, to="x", by=TESTER).state == "shipped"


def test_a_hold_on_the_order_of_the_shipment_holds_all_of_it() -> None:
    racks = Rack()
    customer_order = make_order(racks.rack, racks.route)
    rack = racks.make()
    shipment = pack(rack, shipment=make_shipment(order=customer_order)).shipment
    place_ship_hold(target=customer_order, reason="credit", by=TESTER)
    assert refused(lambda: depart_shipment(shipment=shipment, by=TESTER)).code == "ship_hold"
    rack.refresh_from_db()
    assert rack.state == "finished"


def test_what_is_placed_when_and_why() -> None:
    rack = Rack().make()
    assert refused(lambda: place_ship_hold(target=rack, reason=" ", by=TESTER)).code == "reason_missing"
    nobody = refused(lambda: place_ship_hold(target=rack, reason="x", by=Actor()))
    assert nobody.code == "device_not_signed_on"
    depart(rack)
    assert refused(lambda: place_ship_hold(target=rack, reason="x", by=TESTER)).code == "unit_shipped"


def test_a_shipment_is_held_with_everything_packed_in_it() -> None:
    racks = Rack()
    shipment = pack(racks.make()).shipment
    pack(racks.make(), shipment=shipment)
    assert hold_shipment(shipment=shipment, reason="carrier on strike", by=TESTER) == 2
    assert refused(lambda: depart_shipment(shipment=shipment, by=TESTER)).code == "ship_hold"
    empty = make_shipment()
    assert refused(lambda: hold_shipment(shipment=empty, reason="x", by=TESTER)).code == "shipment_draft"


def test_the_database_knows_no_release_without_another_persons_signature() -> None:
    hold = place_ship_hold(target=Rack().make(), reason="credit", by=TESTER)
    with pytest.raises(IntegrityError), transaction.atomic():
        ShipHold.objects.filter(pk=hold.pk).update(released_at=hold.placed_at, released_by="x")
    signature = Signature.objects.create(signer="tester", meaning="m", method="pin")
    with pytest.raises(IntegrityError), transaction.atomic():
        ShipHold.objects.filter(pk=hold.pk).update(
            released_at=hold.placed_at, released_by=hold.placed_by, signature=signature
        )


def test_over_rest_the_signature_decides() -> None:
    rack = Rack().make()
    scanner, quality = make_scanner(), make_signer("quality")
    placed_one = scanner.post("ship-holds/", {"unit": str(rack.uid), "reason": "credit"})
    assert placed_one.status_code == 201, placed_one.json()
    path = f"ship-holds/{placed_one.json()['id']}/release/"
    wrong = scanner.post(path, {"reason": "paid", "signature": signed_by(quality, "000000")})
    assert wrong.json()["code"] == "pin_wrong"
    done = scanner.post(path, {"reason": "paid", "signature": signed_by(quality)})
    assert (done.status_code, done.json()["released_by"]) == (200, quality.username)
    assert scanner.get("ship-holds/", released_at__isnull="true").json()["results"] == []
    both = scanner.post("ship-holds/", {"reason": "x"})
    assert both.status_code == 400
