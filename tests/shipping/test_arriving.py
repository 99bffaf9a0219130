"""Arrival: how crates came, what was received against what departed, and what the customer says."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mes.serials.models import Unit
from mes.shipping.comparing import compare
from mes.shipping.models import Crate, Shipment
from mes.shipping.services import (
    Arrived,
    accept_shipment,
    add_photos,
    arrive_shipment,
    dispute_shipment,
    receive_shipment,
    troubles_of,
)
from tests.builders import TESTER
from tests.shipping.builders import Rack, arrived, depart, make_photo
from tests.workorders.orders import refused

pytestmark = pytest.mark.django_db


def on_the_way() -> tuple[Unit, Shipment, Crate]:
    rack = Rack().make()
    shipment = depart(rack)
    return rack, shipment, shipment.crates.get()


def arrive_code(shipment: Shipment, crates: dict[str, Arrived], **more: Any) -> str:
    return refused(lambda: arrive_shipment(shipment=shipment, crates=crates, by=TESTER, **more)).code


def test_a_shipment_arrives_with_every_indicator_read() -> None:
    _, shipment, crate = on_the_way()
    photo, serial = make_photo(), crate.indicators.earliest("pk").serial
    came = arrived(crate, indicator_photos={serial.lower(): photo})
    shipment = arrive_shipment(shipment=shipment, crates={crate.number.lower(): came}, by=TESTER)
    crate.refresh_from_db()
    assert (shipment.state, crate.condition) == ("arrived", "good")
    assert {each.arrival for each in crate.indicators.all()} == {"ok"}
    assert crate.indicators.get(serial=serial).arrival_photo == photo
    assert crate.photos.filter(moment="arrival").count() == 1


def test_what_must_be_said_of_an_arrival() -> None:
    _, shipment, crate = on_the_way()
    good = arrived(crate)
    assert arrive_code(shipment, {}) == "crate_unread"
    assert arrive_code(shipment, {crate.number: good, "CR-9": good}) == "crate_not_in_shipment"
    assert arrive_code(shipment, {crate.number: Arrived()}) == "indicator_unread"
    strange = arrived(crate)
    strange.indicators = {**strange.indicators, "OTHER": "ok"}
    assert arrive_code(shipment, {crate.number: strange}) == "indicator_not_on_crate"
    assert arrive_code(shipment, {crate.number: arrived(crate, photos=[])}) == "photos_missing"
    for at in (timezone.now() + timedelta(hours=1), timezone.now() - timedelta(days=9)):
        assert arrive_code(shipment, {crate.number: good}, at=at) == "arrival_time_wrong"
    add_photos(crate=crate, photos=[make_photo()], by=TESTER)
    arrive_shipment(shipment=shipment, crates={crate.number: arrived(crate, photos=[])}, by=TESTER)
    assert arrive_code(shipment, {crate.number: good}) == "shipment_arrived"


def test_a_crate_that_never_came_has_nothing_to_read() -> None:
    _, shipment, crate = on_the_way()
    arrive_shipment(shipment=shipment, crates={crate.number: Arrived(condition="missing")}, by=TESTER)
    assert troubles_of(shipment, None) == [f"crate {crate.number} missing"]


def test_what_agrees_is_accepted_without_a_word() -> None:
    rack, shipment, crate = on_the_way()
    arrive_shipment(shipment=shipment, crates={crate.number: arrived(crate)}, by=TESTER)
    assert refused(lambda: accept_shipment(shipment=shipment, by=TESTER)).code == "not_received"
    receipt = receive_shipment(
        shipment=shipment, found=[{"serial": rack.serial}], source="scanned", by=TESTER
    )
    assert receipt.agrees and receipt.matched == 1
    assert accept_shipment(shipment=shipment, by=TESTER).state == "accepted"
    late = refused(lambda: dispute_shipment(shipment=shipment, reason="x", by=TESTER))
    assert late.code == "shipment_accepted"


def test_what_tripped_on_the_way_is_accepted_for_a_reason_only() -> None:
    rack, shipment, crate = on_the_way()
    arrive_shipment(shipment=shipment, crates={crate.number: arrived(crate, "tripped")}, by=TESTER)
    found = [{"serial": rack.serial}]
    receive_shipment(shipment=shipment, found=found, source="scanned", by=TESTER)
    assert refused(lambda: accept_shipment(shipment=shipment, by=TESTER)).code == "reason_missing"
    assert accept_shipment(shipment=shipment, reason="opened and looked at", by=TESTER).state == "accepted"


def test_what_is_missing_is_disputed_and_accepted_once_it_is_cleared_up() -> None:
    rack, shipment, crate = on_the_way()
    early = refused(lambda: receive_shipment(shipment=shipment, found=[], source="x", by=TESTER))
    assert early.code == "shipment_departed"
    arrive_shipment(shipment=shipment, crates={crate.number: arrived(crate)}, by=TESTER)
    receipt = receive_shipment(shipment=shipment, found=[{"serial": "OTHER"}], source="x", by=TESTER)
    assert (receipt.missing, receipt.extra, receipt.agrees) == (1, 1, False)
    assert dispute_shipment(shipment=shipment, reason="rack missing", by=TESTER).state == "disputed"
    receive_shipment(shipment=shipment, found=[{"serial": rack.serial}], source="x", by=TESTER)
    assert accept_shipment(shipment=shipment, by=TESTER).state == "accepted"


SHIPPED: list[dict[str, Any]] = [
    {
        "serial": "RACK1",
        "part": "RK",
        "contents": [
            {"path": "U08", "part": "CT", "kind": "tray", "serial": "T1"},
            {"path": "U08/GPU0", "part": "GP", "kind": "gpu", "serial": "G1"},
            {"path": "U08/GPU1", "part": "GP", "kind": "gpu", "serial": "G1"},
            {"path": "U09", "part": "CT", "kind": "tray", "serial": "T2"},
            {"path": "U36", "part": "HO", "kind": "hose", "serial": "H1"},
        ],
    }
]


def verdicts(contents: list[dict[str, str]], **more: Any) -> dict[str, str]:
    result = compare(SHIPPED, [{"serial": "rack1", "contents": contents, **more}])
    return {line.path or line.found_path: line.verdict for line in result.lines}


def as_shipped() -> list[dict[str, str]]:
    return [dict(each) for each in SHIPPED[0]["contents"]]


def test_an_inventory_as_shipped_gives_no_difference() -> None:
    assert set(verdicts(as_shipped()).values()) == {"matched"}
    without_paths = [{"serial": each["serial"].lower()} for each in as_shipped()]
    assert set(verdicts(without_paths).values()) == {"matched"}


def test_two_gpus_with_the_serial_of_their_board_are_two() -> None:
    found = as_shipped()
    del found[2]
    assert verdicts(found)["U08/GPU1"] == "missing"
    assert verdicts(found)["U08/GPU0"] == "matched"


def test_a_tray_in_another_slot_is_different() -> None:
    found = as_shipped()
    found[0]["path"], found[3]["path"] = "U09", "U08"
    said = verdicts(found)
    assert (said["U08"], said["U09"], said["U36"]) == ("different", "different", "matched")


def test_another_serial_in_a_slot_is_different_and_one_nowhere_extra() -> None:
    found = as_shipped()
    found[0]["serial"] = "T9"
    found.append({"path": "U10", "part": "CT", "serial": "T10"})
    said = verdicts(found)
    assert (said["U08"], said["U10"]) == ("different", "extra")


def test_the_same_serial_of_another_part_is_another_thing() -> None:
    found = as_shipped()
    found[4]["part"] = "XX"
    assert verdicts(found)["U36"] == "different"


def test_what_a_reader_does_not_cover_is_not_missing() -> None:
    found = [each for each in as_shipped() if each["kind"] != "hose"]
    assert verdicts(found)["U36"] == "missing"
    assert "U36" not in verdicts(found, covers=["tray", "gpu"])
