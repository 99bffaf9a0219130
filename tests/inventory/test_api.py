"""Inventory over REST: who may do what, what is bad input, and what comes back."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from mes.inventory.models import Collection, FoundInventory
from mes.inventory.services import collect
from mes.ledger.models import Event
from mes.racks.models import InstalledFirmware
from mes.serials.models import Unit
from tests.builders import make_person, make_scanner, make_site, make_station, supervisor_client
from tests.inventory.builders import VERSIONS, bmcs, make_baseline, make_map, make_rack

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {
    "serial": " N/A ",
    "part_number": "$PRODUCT_PART",
    "asset_tag": "$PRODUCT_ASSET_TAG",
    "slot_number": 1,
    "components": [
        {"kind": "nic", "name": "NIC 0", "serial": "X-1", "mac": "00:00:00:00:00:00"},
        {"kind": "tpm", "name": "TPM", "serial": "n/a", "model": "SLB9672"},
    ],
    "firmware": [
        {"name": "BMC", "version": "25.07-1", "vendor": "N/A"},
        {"name": "HMC", "version": "N/A"},
        {"name": "GPU 0", "version": "$GPU_VERSION"},
    ],
}


class Floor:
    """A rack of two trays that can be read, and a scanner beside it."""

    def __init__(self) -> None:
        make_map()
        self.rack, self.trays = make_rack(2, baseline=make_baseline())
        self.scanner = make_scanner()

    def post(self, path: str, body: Any = None, *, unit: Unit | None = None, **more: Any) -> Any:
        return self.scanner.post(f"units/{(unit or self.rack).uid}/{path}/", body, **more)

    def get(self, path: str, **query: Any) -> Any:
        return self.scanner.get(f"units/{self.rack.uid}/{path}/", **query)


@pytest.fixture
def floor() -> Floor:
    return Floor()


def test_from_collection_to_verdict(
    floor: Floor, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(
        "mes.inventory.tasks.collect.apply_async", lambda arguments, **_: sent.append(arguments)
    )
    with bmcs(floor.rack):
        with django_capture_on_commit_callbacks(execute=True):
            asked = floor.post("inventories/collect")
        assert (asked.status_code, asked.json()["state"]) == (202, "queued")
        assert sent == [(Collection.objects.get().pk,)]
        collect(*sent[0])
    ended = floor.scanner.client.get(asked["Location"]).json()
    assert (ended["state"], ended["units_read"], ended["errors"]) == ("complete", 2, {})
    compared = floor.get("inventory-comparison").json()
    assert (compared["trays"], compared["differences"], compared["not_read"]) == (2, 0, 0)
    assert {row["state"] for row in compared["rows"]} == {"match", "not_told"}
    verified = floor.post("inventory-comparison/verify")
    assert (verified.status_code, verified.json()["outcome"], verified.json()["rows"]) == (201, "PASS", [])
    firmware = floor.post("firmware-comparison/verify").json()
    assert (firmware["procedure"], firmware["outcome"]) == ("firmware", "PASS")
    assert len(floor.get("firmware-comparison").json()["rows"]) == 2 * 8


def test_an_upload_is_cleaned_kept_and_compared(floor: Floor) -> None:
    tray = floor.trays[0]
    answer = floor.post("inventories", BODY, unit=tray)
    body = answer.json()
    assert answer.status_code == 201, body
    assert (body["source"], body["serial"], body["part_number"], body["asset_tag"]) == ("tester", "", "", "")
    assert [(row["serial"], row["mac"]) for row in body["components"]] == [("X-1", ""), ("", "")]
    assert floor.scanner.get(f"inventories/{body['uid']}/").json()["components"] == body["components"]
    assert body["firmware"] == [{"name": "BMC", "version": "25.07-1", "vendor": ""}]
    assert InstalledFirmware.objects.get(unit=tray).version == "25.07-1"
    rows = floor.get("inventory-comparison").json()["rows"]
    assert [(row["place"], row["state"]) for row in rows[:4]] == [
        ("C01/NIC0", "wrong_serial"),
        ("C01/NIC1", "missing"),
        ("C01/NIC2", "missing"),
        ("C01/NIC3", "missing"),
    ]
    assert [row["place"] for row in rows if row["state"] == "not_read"] == ["C02"]
    refused = floor.post("inventory-comparison/verify")
    assert (refused.status_code, refused.json()["code"]) == (422, "inventory_not_collected")
    firmware = floor.post("firmware-comparison/verify").json()
    assert firmware["outcome"] == "FAIL" and "C01 BMC: 25.07-1 is behind" in firmware["reasons"][0]


def test_comparisons_come_as_csv(floor: Floor) -> None:
    floor.post("inventories", BODY, unit=floor.trays[0])
    for path, columns in (
        ("inventory-comparison", {"place", "design", "scanned", "reported", "state"}),
        ("firmware-comparison", {"place", "component", "wanted", "found", "state"}),
    ):
        answer = floor.get(path, format="csv")
        rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
        assert answer["Content-Type"].startswith("text/csv")
        assert len(rows) == len(floor.get(path).json()["rows"]) and columns <= set(rows[0])


@pytest.mark.parametrize(
    "change",
    [
        {"taken_at": (timezone.now() + timedelta(days=1)).isoformat()},
        {"components": [{"kind": "nic", "name": "x"}] * 501},
        {"components": [{"kind": "nic", "name": "x" * 121}]},
        {"firmware": [{"name": "BMC", "version": "1"}, {"name": "BMC", "version": "2"}]},
        {"firmware": [{"name": f"N{number}", "version": "1"} for number in range(501)]},
        {"slot_number": -1},
        {"slot_number": "one"},
        {"serial": "x" * 121},
    ],
)
def test_bad_input_is_not_kept(floor: Floor, change: dict[str, Any]) -> None:
    answer = floor.post("inventories", {**BODY, **change}, unit=floor.trays[0])
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert not FoundInventory.objects.exists()


def test_a_repeated_upload_is_kept_once(floor: Floor) -> None:
    first, again = (floor.post("inventories", BODY, unit=floor.trays[0], key="once") for _ in range(2))
    assert first.json() == again.json() and again["Idempotent-Replayed"] == "true"
    assert FoundInventory.objects.count() == 1


def test_another_site_sees_and_does_nothing(floor: Floor) -> None:
    floor.post("inventories", BODY, unit=floor.trays[0])
    foreign = make_scanner(make_station(site=make_site("S2")))
    unit = f"units/{floor.rack.uid}"
    for path in ("inventory-comparison", "firmware-comparison"):
        assert foreign.get(f"{unit}/{path}/").status_code == 404
        assert foreign.post(f"{unit}/{path}/verify/").status_code == 404
    assert foreign.post(f"{unit}/inventories/", BODY).status_code == 404
    assert foreign.post(f"{unit}/inventories/collect/").status_code == 404
    assert foreign.get("inventories/").json()["results"] == []


def test_a_person_needs_permission_and_a_verdict_somebody_to_answer_for_it(floor: Floor) -> None:
    client = Client()
    client.force_login(make_person(is_staff=True))
    for path in ("inventories", "inventories/collect", "inventory-comparison/verify"):
        assert client.post(f"/api/v1/units/{floor.rack.uid}/{path}/").status_code == 403
    nobody = make_scanner(signed_on=False)
    for path in ("inventory-comparison", "firmware-comparison"):
        refused = nobody.post(f"units/{floor.rack.uid}/{path}/verify/").json()
        assert refused["code"] == "device_not_signed_on"
    asked = floor.post("inventory-comparison/verify", {"procedure": "rack_burn_in"})
    assert asked.status_code == 400
    assert Event.objects.filter(kind="act.refused").count() == 2


def test_lists_are_filtered(floor: Floor) -> None:
    floor.post("inventories", BODY, unit=floor.trays[0])
    browser = supervisor_client()
    for query, count in (("source=tester", 1), ("source=redfish", 0), (f"unit={floor.rack.uid}", 0)):
        assert len(browser.get(f"/api/v1/inventories/?{query}").json()["results"]) == count
    assert floor.post("inventories/collect").status_code == 202
    assert len(browser.get("/api/v1/inventory-collections/?state=queued").json()["results"]) == 1


def test_the_page_says_what_differs_before_all_the_rest(floor: Floor) -> None:
    floor.post("inventories", {**BODY, "firmware": []}, unit=floor.trays[0])
    for version in ("25.06-1", "25.07-1"):
        floor.post("firmware", {"component": "BMC", "version": version}, unit=floor.trays[0])
    person = make_person(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename="view_unit"))
    client = Client()
    client.force_login(person)
    page = client.get(f"/units/{floor.rack.uid}/firmware/")
    said = page.content.decode()
    assert page.status_code == 200
    assert "✕ 4 differences" in said and "not at baseline" in said
    inventory = said[said.index('id="inventory-title"') :]
    assert inventory.index("✕ wrong serial") < inventory.index("– not told")
    assert "25.06-1" in said and VERSIONS["BMC"] in said
    empty = client.get(f"/units/{floor.trays[0].uid}/firmware/")
    assert empty.status_code == 200 and "No firmware was changed" not in empty.content.decode()
