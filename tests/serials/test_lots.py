"""Lots on hold and past their shelf life: nothing more is received from them or used."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.quality.models import Hold
from mes.quality.services import place_lot_hold, release_hold
from mes.racks.services import install_unit
from mes.serials.models import Lot, Supplier, Unit
from mes.serials.services import receive_lot, require_lot_usable
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_person,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    supervisor_client,
)
from tests.test_admin_pages import staff_client, superuser_client

pytestmark = pytest.mark.django_db
GPU_NAMES = ("G0", "G1")


@pytest.fixture
def gpu() -> Any:
    return make_part("gpu")


@pytest.fixture
def lot(gpu: Any) -> Lot:
    supplier = Supplier.objects.create(code="DEMO-A", name="Demo supplier A")
    return receive_lot(site=make_site(), part=gpu.part, supplier=supplier, number="L1", by=TESTER)


def body(lot: Lot, serial: str = "SN1") -> dict[str, str]:
    return {"part": lot.part.number, "revision": "A", "serial": serial, "lot": str(lot.uid)}


def test_a_held_lot_gives_no_more_units(lot: Lot) -> None:
    dock = make_scanner()
    hold = dock.post(f"lots/{lot.uid}/hold/", {"reason": "recalled"})
    assert (hold.status_code, hold.json()["lot"], hold.json()["unit"]) == (201, str(lot.uid), None)
    refused = dock.post("units/", body(lot))
    assert (refused.status_code, refused.json()["code"]) == (422, "lot_held")
    assert refused.json()["lot"] == str(lot.uid)
    release_hold(hold=Hold.objects.get(), reason="cleared", by=TESTER)
    assert dock.post("units/", body(lot)).status_code == 201
    assert Event.objects.filter(stream=lot.stream).count() == 3


def test_a_unit_of_a_held_or_expired_lot_is_not_installed(gpu: Any, lot: Lot) -> None:
    tray = make_assembly("tray", level=10, takes=dict.fromkeys(GPU_NAMES, gpu))
    parent, child = make_unit(tray), make_unit(gpu, lot=lot)
    slot = tray.slots.get(name="G0")

    def install() -> None:
        install_unit(parent=parent, slot=slot, child=child, by=TESTER)

    hold = place_lot_hold(lot=lot, reason="recalled", by=TESTER)
    with pytest.raises(RuleViolation) as caught:
        install()
    assert caught.value.code == "lot_held"
    release_hold(hold=hold, reason="cleared", by=TESTER)
    Lot.objects.update(expires_at=timezone.now() - timedelta(days=1))
    with pytest.raises(RuleViolation) as caught:
        install()
    assert caught.value.code == "lot_expired"
    Lot.objects.update(expires_at=timezone.now() + timedelta(days=1))
    install()


def test_a_lot_is_usable_until_it_expires_or_is_held(lot: Lot) -> None:
    require_lot_usable(lot)
    lot.expires_at = timezone.now()
    with pytest.raises(RuleViolation) as caught:
        require_lot_usable(lot)
    assert caught.value.code == "lot_expired"
    lot.held = True
    with pytest.raises(RuleViolation) as caught:
        require_lot_usable(lot)
    assert caught.value.code == "lot_held"


def test_an_expired_lot_is_received_but_not_used(gpu: Any, lot: Lot) -> None:
    Lot.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert make_scanner().post("units/", body(lot)).status_code == 201


def test_shelf_life_is_set_at_receiving(lot: Lot) -> None:
    given = {"part": lot.part.number, "supplier": "DEMO-A", "number": "L2"}
    answer = make_scanner().post("lots/", {**given, "expires_at": "2027-06-30T00:00:00Z"}).json()
    assert (answer["expires_at"], answer["held"]) == ("2027-06-30T00:00:00Z", False)


def test_holds_of_lots_are_seen_at_their_own_site_alone(lot: Lot) -> None:
    place_lot_hold(lot=lot, reason="recalled", by=TESTER)
    here, there = make_scanner(), make_scanner(make_station(site=make_site("S2")))
    assert [row["lot"] for row in here.get("holds/", lot__uid=str(lot.uid)).json()["results"]] == [
        str(lot.uid)
    ]
    assert there.get("holds/").json()["results"] == []
    assert there.post(f"lots/{lot.uid}/hold/", {"reason": "x"}).status_code == 404


def test_a_person_without_the_permission_holds_no_lot(lot: Lot) -> None:
    client = APIClient()
    client.force_login(make_person(is_staff=True))
    answer = client.post(f"/api/v1/lots/{lot.uid}/hold/", {"reason": "x"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert (
        supervisor_client().post(f"/api/v1/lots/{lot.uid}/hold/", {"reason": "x"}, format="json").status_code
        == 201
    )


def test_a_lot_is_received_and_held_in_the_admin(lot: Lot) -> None:
    client = superuser_client()
    given = {"site": lot.site_id, "part": lot.part_id, "supplier": lot.supplier_id, "number": "L2"}
    shelf_life = {"expires_at_0": "2027-06-30", "expires_at_1": "00:00:00"}
    client.post(reverse("admin:serials_lot_add"), {**given, **shelf_life})
    added = Lot.objects.get(number="L2")
    assert added.expires_at is not None and added.expires_at.year == 2027
    assert Event.objects.filter(stream=added.stream, kind="lot.received").exists()
    page = reverse("admin:serials_lot_hold_lot", args=[added.pk])
    form = client.get(page, follow=True)
    assert form.status_code == 200
    client.post(reverse("admin:quality_hold_add"), {"lot": added.pk, "reason": "recalled"})
    added.refresh_from_db()
    assert added.held
    assert staff_client("view_lot").get(page).status_code == 403


def test_a_hold_is_on_a_unit_or_a_lot_not_on_both(gpu: Any, lot: Lot) -> None:
    client, url = superuser_client(), reverse("admin:quality_hold_add")
    for rows in ({}, {"unit": make_unit(gpu).pk, "lot": lot.pk}):
        assert "Name either a unit or a lot." in client.post(url, {**rows, "reason": "x"}).content.decode()
    assert not Hold.objects.exists()
    assert not Unit.objects.filter(held=True).exists()
