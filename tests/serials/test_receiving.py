"""Units and lots taken into stock, with who made them and where."""

from typing import Any

import pytest

from mes.ledger.models import Event
from mes.serials.models import Supplier, Unit
from mes.serials.services import find_units, next_serials
from tests.builders import Scanner, make_part, make_scanner, make_site, make_unit, supervisor_client

pytestmark = pytest.mark.django_db


@pytest.fixture
def dock() -> Scanner:
    Supplier.objects.create(code="DEMO-A", name="Demo supplier A")
    return make_scanner()


def receive_lot(dock: Scanner, part: str, number: str = "LOT1") -> Any:
    origin = {
        "country_of_origin": "TW",
        "die_maker": "Demo fab",
        "date_code": "2642",
        "unit_cost_usd": "1.25",
    }
    return dock.post("lots/", {"part": part, "supplier": "DEMO-A", "number": number, **origin})


def test_unit_of_a_lot_takes_over_its_origin(dock: Scanner) -> None:
    gpu = make_part()
    lot = receive_lot(dock, gpu.part.number).json()
    body = {"part": gpu.part.number, "revision": "A", "serial": "SN1", "lot": lot["uid"]}
    unit = dock.post("units/", {**body, "identifiers": {"uuid": "GPU-aa", "board_serial": "B1"}}).json()
    assert (unit["supplier"], unit["country_of_origin"], unit["die_maker"]) == ("DEMO-A", "TW", "Demo fab")
    assert (unit["state"], unit["lot"]) == ("in_stock", "LOT1")
    assert {"kind": "uuid", "value": "GPU-AA"} in unit["identifiers"]
    payload = Event.objects.get(kind="unit.received").payload
    assert (payload["serial"], payload["country_of_origin"], payload["lot"]) == ("SN1", "TW", "LOT1")


def test_origin_of_the_unit_overrides_that_of_the_lot(dock: Scanner) -> None:
    gpu = make_part()
    lot = receive_lot(dock, gpu.part.number).json()
    body = {"part": gpu.part.number, "revision": "A", "serial": "SN1", "lot": lot["uid"]}
    assert dock.post("units/", {**body, "country_of_origin": "MX"}).json()["country_of_origin"] == "MX"


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_lot_and_serial_are_received_once(dock: Scanner) -> None:
    gpu = make_part()
    receive_lot(dock, gpu.part.number)
    assert refusal(receive_lot(dock, gpu.part.number)) == (422, "lot_exists")
    body = {"part": gpu.part.number, "revision": "A", "serial": "SN1"}
    assert dock.post("units/", body).status_code == 201
    assert refusal(dock.post("units/", body)) == (422, "serial_exists")


def test_two_parts_may_have_the_same_serial(dock: Scanner) -> None:
    for revision in (make_part("gpu"), make_part("nic")):
        body = {"part": revision.part.number, "revision": "A", "serial": "SN1"}
        assert dock.post("units/", body).status_code == 201
    assert len(find_units(value="sn1", site=make_site())) == 2


def test_draft_revision_is_not_received(dock: Scanner) -> None:
    gpu = make_part(released=False)
    body = {"part": gpu.part.number, "revision": "A", "serial": "SN1"}
    assert refusal(dock.post("units/", body)) == (422, "part_not_released")


def test_lot_of_another_part(dock: Scanner) -> None:
    gpu, nic = make_part("gpu"), make_part("nic")
    lot = receive_lot(dock, nic.part.number).json()
    body = {"part": gpu.part.number, "revision": "A", "serial": "SN1", "lot": lot["uid"]}
    assert refusal(dock.post("units/", body)) == (422, "wrong_lot")


@pytest.mark.parametrize(
    "wrong",
    [
        {"part": "NO-SUCH"},
        {"revision": "Z"},
        {"serial": ""},
        {"country_of_origin": "Taiwan"},
        {"identifiers": {"shoe_size": "44"}},
        {"lot": "00000000-0000-0000-0000-000000000000"},
    ],
)
def test_bad_input_names_the_field(dock: Scanner, wrong: dict[str, Any]) -> None:
    body = {"part": make_part().part.number, "revision": "A", "serial": "SN1", **wrong}
    answer = dock.post("units/", body)
    assert refusal(answer) == (400, "invalid_input")
    assert answer.json()["fields"]
    assert not Unit.objects.exists()


def test_person_names_the_site(dock: Scanner) -> None:
    body = {"part": make_part().part.number, "revision": "A", "serial": "SN1"}
    supervisor = supervisor_client()
    assert supervisor.post("/api/v1/units/", body, format="json").status_code == 400
    answer = supervisor.post("/api/v1/units/", {**body, "site": "S1"}, format="json")
    assert (answer.status_code, answer.json()["site"]) == (201, "S1")


def test_find_by_any_identifier(dock: Scanner) -> None:
    unit = make_unit(make_part(), identifiers={"mac": "02:00:00:00:00:aa"})
    make_unit(make_part())
    found = dock.get("units/", identifier="02:00:00:00:00:AA").json()["results"]
    assert [row["uid"] for row in found] == [str(unit.uid)]


def test_serials_of_ours_count_on() -> None:
    assert next_serials(prefix="R", count=2) == ["R0001", "R0002"]
    assert next_serials(prefix="R", count=1) == ["R0003"]
