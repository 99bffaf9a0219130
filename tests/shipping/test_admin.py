"""Shipping in the admin: a whole journey by its pages, and what they refuse."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from mes.people.models import User
from mes.shipping.models import Crate, FieldReturn, Indicator, Shipment
from mes.stations.services import Role, grant_role
from mes.workorders.models import ShipHold
from tests.builders import TESTER, make_person, make_site
from tests.shipping.builders import PNG, Rack, make_photo

pytestmark = pytest.mark.django_db
PASSWORD = "a long password of mine"


class Office:
    """A person of the office at a browser."""

    def __init__(self, *roles: str) -> None:
        self.person: User = make_person(is_staff=True, is_superuser=True, password=PASSWORD)
        for role in roles:
            grant_role(person=self.person, role=Role(role), site=make_site(), by=TESTER)
        self.client = Client()
        self.client.force_login(self.person)

    def act(self, row: Any, name: str, **typed: Any) -> str:
        """Post the form of an act; return what the page says then."""
        opts = row._meta
        url = reverse(f"admin:{opts.app_label}_{opts.model_name}_{name}", args=[row.pk])
        assert self.client.get(url).status_code == 200
        answer = self.client.post(url, typed)
        assert answer.status_code == 302, answer.context["form"].errors
        row.refresh_from_db()
        return " ".join(str(each) for each in get_messages(answer.wsgi_request))

    def add(self, model: Any, **typed: Any) -> Any:
        opts = model._meta
        answer = self.client.post(reverse(f"admin:{opts.app_label}_{opts.model_name}_add"), typed)
        assert answer.status_code == 302, answer.context["adminform"].form.errors
        return model.objects.latest("pk")


def test_a_journey_by_the_pages_of_the_admin() -> None:
    office, rack = Office(), Rack().make()
    shipment = office.add(Shipment, site=make_site().pk, customer="Demo customer", ship_to="Hall 1")
    bill = {"carrier": "Demo Freight", "mode": "road", "bol_number": "B-1", "hazards": "none"}
    office.act(shipment, "bill", **bill, seal_numbers="S-1, S-2")
    assert (shipment.hazards, shipment.seal_numbers) == ([], ["S-1", "S-2"])
    office.act(shipment, "add_crate", number="BOX-1")
    crate = Crate.objects.get()
    office.act(shipment, "add_crate", number="BOX-0")
    assert "withdrawn" in office.act(Crate.objects.get(number="BOX-0"), "withdraw", reason="not needed")
    assert "no units" in office.act(crate, "pack", code="NOTHING")
    office.act(crate, "pack", code=rack.serial)
    office.act(crate, "unpack", code=rack.serial, reason="turned the wrong way")
    office.act(crate, "pack", code=rack.serial)
    office.act(crate, "item", kind="document", description="certificate", quantity=1, weight_kg=0)
    for kind in ("shock", "tilt"):
        office.act(crate, "indicator", kind=kind, serial=f"{kind}-1", rating=25)
    spare = {"kind": "shock", "serial": "shock-2", "rating": 25}
    office.act(crate, "indicator", **spare)
    office.act(Indicator.objects.get(serial="shock-2"), "take_off", reason="one is enough")
    office.act(crate, "picture", picture=SimpleUploadedFile("a.png", PNG, "image/png"))
    office.act(crate, "close", tare_kg=140, net_kg=1360, gross_kg=1500)
    office.act(crate, "open", reason="one more look")
    assert "differs" in office.act(crate, "close", tare_kg=140, net_kg=1000, gross_kg=1140)
    office.act(crate, "close", tare_kg=140, net_kg=1360, gross_kg=1500)
    office.act(shipment, "depart")
    assert shipment.state == "departed"
    office.act(crate, "picture", picture=SimpleUploadedFile("b.png", PNG + b"2", "image/png"))
    read = {"crate BOX-1": "good", "shock shock-1": "ok", "tilt tilt-1": "ok"}
    office.act(shipment, "arrive", **read)
    assert "1 matched" in office.act(shipment, "receive", serials=rack.serial)
    office.act(shipment, "accept")
    assert shipment.state == "accepted"
    back = office.add(FieldReturn, unit=rack.pk, symptom="leak", customer_words="it drips")
    assert (back.number, back.nonconformance.state) == ("RMA-000001", "open")


def test_a_shipment_is_held_disputed_and_cancelled_in_the_admin() -> None:
    office, rack = Office(), Rack().make()
    shipment = office.add(Shipment, site=make_site().pk, customer="Demo customer", ship_to="Hall 1")
    office.act(shipment, "add_crate", number="")
    office.act(Crate.objects.get(), "pack", code=rack.serial)
    assert "1 ship holds" in office.act(shipment, "hold", reason="strike")
    office.act(shipment, "cancel", reason="postponed")
    assert shipment.state == "cancelled"


def test_a_ship_hold_is_placed_and_released_by_another_with_a_password() -> None:
    placer, quality, rack = Office("quality"), Office("quality"), Rack().make()
    hold = placer.add(ShipHold, unit=rack.pk, reason="credit")
    assert (hold.placed_by, hold.site) == (placer.person.username, make_site())
    own = placer.act(hold, "release", reason="paid", password=PASSWORD)
    assert "cannot judge it" in own and hold.released_at is None
    wrong = quality.act(hold, "release", reason="paid", password="no")
    assert "password" in wrong and hold.released_at is None
    quality.act(hold, "release", reason="paid", password=PASSWORD)
    assert hold.released_by == quality.person.username
    nothing = placer.client.post(reverse("admin:workorders_shiphold_add"), {"reason": "x"})
    assert nothing.status_code == 200 and ShipHold.objects.count() == 1


def test_acts_are_offered_when_they_are_possible() -> None:
    office = Office()
    shipment = office.add(Shipment, site=make_site().pk, customer="C", ship_to="There")
    request = office.client.get("/admin/").wsgi_request
    page = admin.site.get_model_admin(Shipment)
    assert page.has_bill_permission(request, str(shipment.pk))  # type: ignore[attr-defined]
    assert not page.has_depart_permission(request, str(shipment.pk))  # type: ignore[attr-defined]
    assert not page.has_accept_permission(request, str(shipment.pk))  # type: ignore[attr-defined]
    assert make_photo().site == make_site()
