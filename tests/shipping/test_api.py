"""Shipping as a scanner and an office use it: over REST, from the first crate to a return."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mes.shipping.models import Crate
from mes.shipping.services import add_crate, contents_of, pack_unit
from tests.builders import (
    TESTER,
    Scanner,
    make_person,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    placed,
    supervisor_client,
)
from tests.shipping.builders import Rack, depart, make_photo, make_rule, make_shipment, pack

pytestmark = pytest.mark.django_db


def ok(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.json()
    return answer.json()


def draft(scanner: Scanner) -> str:
    body = {"customer": "Demo customer", "ship_to": "Hall 1\nDemo street 2", "hazards": ["coolant"]}
    number = ok(scanner.post("shipments/", body), 201)["number"]
    bill = {"carrier": "Demo Freight", "mode": "road", "bol_number": "BOL-1"}
    bill["hazard_declaration"] = "PG25 in the loops, not regulated"
    assert ok(scanner.post(f"shipments/{number}/bill-of-lading/", bill))["mode"] == "road"
    return str(number)


def pack_crate(scanner: Scanner, number: str, serial: str) -> str:
    crate = ok(scanner.post(f"shipments/{number}/crates/", {"number": "BOX 7", "length_mm": 1300}), 201)
    path = f"crates/{crate['number']}"
    ok(scanner.post(f"{path}/units/", {"serial": serial}), 201)
    item = ok(scanner.post(f"{path}/items/", {"description": "rail kit"}), 201)["items"][0]["id"]
    ok(scanner.post(f"{path}/items/{item}/remove/", {"reason": "not ordered"}))
    ok(scanner.post(f"{path}/items/", {"kind": "document", "description": "certificate"}), 201)
    for kind, rating in (("shock", 25), ("tilt", 30)):
        body = {"kind": kind, "serial": f"{kind}-9", "rating": rating, "photo": str(make_photo().uid)}
        ok(scanner.post(f"{path}/indicators/", body), 201)
    ok(scanner.post("indicators/shock-9/read/", {"state": "ok"}))
    ok(scanner.post(f"{path}/photos/", {"photos": [str(make_photo().uid)]}))
    weights = {"tare_kg": 140, "net_kg": "1360", "gross_kg": 1500.0}
    assert ok(scanner.post(f"{path}/close/", weights))["state"] == "closed"
    return path


def test_from_the_crate_to_acceptance_over_rest() -> None:
    scanner, rack = make_scanner(make_station("SHIP")), Rack().make()
    number = draft(scanner)
    path = pack_crate(scanner, number, rack.serial)
    ok(scanner.post(f"{path}/open/", {"reason": "one more look"}))
    ok(scanner.post(f"{path}/close/", {"tare_kg": 140, "net_kg": 1360, "gross_kg": 1500}))
    assert ok(scanner.post(f"shipments/{number}/depart/"))["state"] == "departed"
    crate = {"number": "BOX 7", "indicators": {"shock-9": "ok", "tilt-9": "tripped"}}
    crate["photos"] = [str(make_photo().uid)]
    assert ok(scanner.post(f"shipments/{number}/arrive/", {"crates": [crate]}))["state"] == "arrived"
    inside = contents_of([rack.pk])[rack.pk]
    units = [{"serial": rack.serial, "contents": inside[:-1]}]
    said = ok(scanner.post(f"shipments/{number}/receive/", {"units": units, "source": "redfish"}), 201)
    assert (said["matched"], said["missing"], said["agrees"]) == (3, 1, False)
    assert [row["path"] for row in said["rows"]] == ["U08/GPU1"]
    assert len(ok(scanner.get(f"shipments/{number}/comparison/", all="1"))["rows"]) == 4
    table = scanner.get(f"shipments/{number}/comparison/", format="csv").content.decode()
    assert table.splitlines()[0] == "verdict,unit,path,part,expected,found,found_path"
    assert scanner.post(f"shipments/{number}/accept/").json()["code"] == "reason_missing"
    done = ok(scanner.post(f"shipments/{number}/accept/", {"reason": "GPU1 is read by hand"}))
    assert (done["state"], done["settled_because"]) == ("accepted", "GPU1 is read by hand")


def test_a_unit_is_taken_out_and_an_indicator_off_over_rest() -> None:
    scanner, rack = make_scanner(), Rack().make()
    number = draft(scanner)
    path = pack_crate(scanner, number, rack.serial)
    ok(scanner.post(f"{path}/open/", {"reason": "wrong rack"}))
    ok(scanner.post(f"{path}/units/remove/", {"unit": str(rack.uid), "reason": "wrong rack"}))
    ok(scanner.post("indicators/shock-9/remove/", {"reason": "it fell"}))
    assert ok(scanner.get("indicators/", removed_at__isnull="false"))["results"][0]["serial"] == "shock-9"
    assert ok(scanner.post(f"shipments/{number}/cancel/", {"reason": "postponed"}))["state"] == "cancelled"


def test_holds_disputes_and_returns_over_rest() -> None:
    office, racks = supervisor_client(), Rack()
    held = pack(racks.make()).shipment
    path = f"/api/v1/shipments/{held.number}"
    body = {"reason": "strike"}
    assert ok(office.post(f"{path}/hold/", body, format="json"), 201) == {"placed": 1}
    rack = racks.make()
    shipment = depart(rack)
    crate = shipment.crates.get()
    path = f"/api/v1/shipments/{shipment.number}"
    lost = {"crates": [{"number": crate.number, "condition": "missing"}]}
    ok(office.post(f"{path}/arrive/", lost, format="json"))
    assert ok(office.post(f"{path}/dispute/", {"reason": "lost"}, format="json"))["state"] == "disputed"
    back = {"unit": str(rack.uid), "symptom": "leak", "customer_words": "it drips", "hours_in_service": 7}
    made = ok(office.post("/api/v1/field-returns/", back, format="json"), 201)
    assert (made["shipment"], made["nonconformance_state"]) == (shipment.number, "open")
    assert ok(office.get(f"/api/v1/field-returns/{made['number']}/"))["serial"] == rack.serial
    found = ok(office.get("/api/v1/nonconformances/", {"source": "field"}))["results"]
    assert [each["number"] for each in found] == [made["nonconformance"]]


def test_bad_input_is_said_to_be() -> None:
    scanner = make_scanner()
    number = draft(scanner)
    ok(scanner.post(f"shipments/{number}/crates/", {"number": "C1"}), 201)
    for path, body in (
        (f"shipments/{number}/crates/", {"part": "no such part"}),
        (f"shipments/{number}/bill-of-lading/", {"incoterm": "dap"}),
        (f"shipments/{number}/bill-of-lading/", {"hazards": ["plutonium"]}),
        ("crates/C1/units/", {"serial": "no such unit"}),
        ("crates/C1/units/", {}),
        ("crates/C1/close/", {"tare_kg": 1, "net_kg": 0, "gross_kg": 1}),
        ("crates/C1/indicators/", {"kind": "shock", "serial": "S", "rating": 0}),
        ("crates/C1/photos/", {"photos": ["00000000-0000-0000-0000-000000000000"]}),
    ):
        answer = scanner.post(path, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input"), (path, body)
    stranger = make_scanner(make_station(site=make_site("S2")))
    assert stranger.get(f"shipments/{number}/").status_code == 404
    assert stranger.post(f"shipments/{number}/depart/").status_code == 404
    visitor = supervisor_client()
    visitor.force_login(make_person())
    assert visitor.post(f"/api/v1/shipments/{number}/depart/", {}, format="json").status_code == 403


def test_the_pack_list_as_json_and_as_a_table() -> None:
    rack = Rack().make()
    crate = pack(rack)
    scanner = make_scanner()
    listed = ok(scanner.get(f"shipments/{crate.shipment.number}/pack-list/"))
    assert listed["crates"][0]["units"][0]["serial"] == rack.serial
    table = scanner.get(f"shipments/{crate.shipment.number}/pack-list/", format="csv")
    rows = list(csv.DictReader(io.StringIO(table.content.decode())))
    assert [(row["what"], row["path"]) for row in rows] == [
        *(("unit", ""), ("inside", "U08"), ("inside", "U08/GPU0"), ("inside", "U08/GPU1")),
    ]
    assert {row["inside"] for row in rows[1:]} == {rack.serial}


def queries_of(path: str) -> int:
    scanner = make_scanner(signed_on=False)
    scanner.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert scanner.get(path).status_code == 200
    return len(queries)


def fill(crate: Crate, part: Any, count: int) -> None:
    for _ in range(count):
        pack_unit(crate=crate, unit=make_unit(part), by=TESTER)


def test_the_queries_of_a_pack_list_and_a_crate_do_not_grow() -> None:
    racks = Rack()
    make_rule(racks.tray.part)
    crate = add_crate(shipment=make_shipment(), by=TESTER)
    pack_unit(crate=crate, unit=racks.make(), by=TESTER)
    fill(crate, racks.gpu, 3)
    paths = (
        f"shipments/{crate.shipment.number}/pack-list/",
        f"crates/{crate.number}/",
        "shipments/",
        "crates/",
    )
    few = [queries_of(path) for path in paths]
    fill(crate, racks.gpu, 37)
    for _ in range(10):
        add_crate(shipment=crate.shipment, by=TESTER)
    assert [queries_of(path) for path in paths] == few
    assert few[0] <= 9


def test_a_unit_is_found_by_its_shipment() -> None:
    rack = Rack().make()
    shipment = depart(rack)
    scanner = make_scanner()
    for query in ({"serial": rack.serial}, {"unit": str(rack.uid)}, {"state": "departed"}):
        assert [each["number"] for each in ok(scanner.get("shipments/", **query))["results"]] == [
            shipment.number
        ]
    assert ok(scanner.get("crates/", shipment=shipment.number))["results"][0]["state"] == "closed"
    assert ok(scanner.get("packing-rules/"))["results"][0]["version"] == "1"
    assert placed(rack, "U08").child.state == "finished"


def test_a_number_that_no_database_keeps_is_not_found() -> None:
    assert make_scanner().get("shipments/SH%00/").status_code == 404
