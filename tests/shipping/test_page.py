"""The shipping page of a unit."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mes.shipping.services import (
    add_item,
    arrive_shipment,
    open_crate,
    receive_shipment,
    return_from_field,
)
from mes.workorders.services import place_ship_hold
from tests.builders import TESTER, make_part, make_unit, placed
from tests.shipping.builders import Rack, arrived, depart, pack
from tests.test_admin_pages import superuser_client

pytestmark = pytest.mark.django_db


def page_of(client: Client, unit: object) -> str:
    answer = client.get(f"/units/{unit.uid}/shipping/")  # type: ignore[attr-defined]
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_unit_that_was_never_packed() -> None:
    said = page_of(superuser_client(), make_unit(Rack().gpu))
    assert "never put into a crate" in said and "Nothing came back" in said


def test_what_holds_a_packed_rack_and_what_is_in_it() -> None:
    rack = Rack().make()
    crate = open_crate(crate=pack(rack), reason="an accessory", by=TESTER)
    add_item(crate=crate, description="rail kit", by=TESTER)
    add_item(crate=crate, part=make_part("key").part, by=TESTER)
    place_ship_hold(target=rack, reason="export licence", by=TESTER)
    said = page_of(superuser_client(), rack)
    for word in (
        "✕ not to ship",
        "export licence",
        crate.number,
        "U08/GPU1",
        "gross 1500.000 kg",
        "25.0 g",
        "1 × rail kit",
        "1 × key",
    ):
        assert word in said, word


def test_how_it_arrived_and_what_came_back() -> None:
    rack = Rack().make()
    shipment = depart(rack)
    crate = shipment.crates.get()
    arrive_shipment(shipment=shipment, crates={crate.number: arrived(crate, "tripped")}, by=TESTER)
    found = [{"serial": rack.serial, "contents": []}]
    receive_shipment(shipment=shipment, found=found, source="scanned", by=TESTER)
    tray = placed(rack, "U08").child
    return_from_field(unit=tray, symptom="leak", customer_words="it drips", by=TESTER)
    client = superuser_client()
    said = page_of(client, rack)
    for word in ("✕ tripped", "3 missing", "RMA-000001", "it drips", "out of U08 of", tray.serial):
        assert word in said, word
    assert "RMA-000001" in page_of(client, tray)


def test_the_queries_of_the_page_do_not_grow() -> None:
    counts = []
    for trays in (1, 4):
        rack = Rack(trays=trays).make()
        depart(rack)
        client = superuser_client()
        page_of(client, rack)
        with CaptureQueriesContext(connection) as queries:
            page_of(client, rack)
        counts.append(len(queries))
    assert counts[0] == counts[1]
