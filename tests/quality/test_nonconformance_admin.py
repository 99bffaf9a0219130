"""Nonconformances in the admin: opened by hand, decided about with the password of who decides."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from mes.ledger.models import Event
from mes.people.models import User
from mes.people.services import prove
from mes.quality.models import Disposition, Nonconformance, RepairRecord
from mes.stations.services import grant_role
from tests.builders import TESTER, make_part, make_person, make_site, make_unit
from tests.test_admin_pages import staff_client
from tests.workorders.reworking import PIN, Review, Role, signer

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n" + b"demo"


def board() -> tuple[User, Client]:
    """Return a member of the review board and the session of its browser."""
    person = make_person(is_staff=True, is_superuser=True, password="a long word")
    grant_role(person=person, role=Role.REVIEW_BOARD, site=make_site(), by=TESTER)
    client = Client()
    client.force_login(person)
    return person, client


def page_of(found: Nonconformance, page: str = "change") -> str:
    return reverse(f"admin:quality_nonconformance_{page}", args=[found.pk])


def decide(client: Client, found: Nonconformance, **given: Any) -> str:
    """Return the page after a decision."""
    form = {"kind": "use_as_is", "reason": "cosmetic", "password": "a long word", **given}
    return client.post(page_of(found, "dispose"), form, follow=True).content.decode()


def test_it_is_opened_by_hand() -> None:
    unit, (_, client) = make_unit(make_part()), board()
    response = client.post(
        reverse("admin:quality_nonconformance_add"), {"unit": unit.pk, "symptom": "bent pin"}
    )
    found = Nonconformance.objects.get()
    assert response["Location"] == page_of(found)
    assert (found.source, found.symptom) == ("hand", "bent_pin")
    unit.refresh_from_db()
    assert unit.held


def test_rework_is_decided_with_a_password() -> None:
    review, (person, client) = Review(), board()
    found = review.open()
    offered = client.get(page_of(found, "dispose")).content.decode()
    assert "Rework 10" not in offered
    assert "rework R1" in offered
    assert "20 Step 20" in offered
    named = {"rework_route": review.rework_route.pk, "returns_to": review.operation(20).pk}
    assert "is decided" in decide(client, found, kind="rework", **named)
    assert Disposition.objects.get().signature.signer == person.username
    page = client.get(page_of(found)).content.decode()
    assert "rework agreed by Review Board" in page
    assert page_of(found, "dispose") not in page


def test_a_wrong_password_decides_nothing() -> None:
    review, (_, client) = Review(), board()
    found = review.open()
    assert "That is not the password" in decide(client, found, password="wrong")
    assert "no released rework route" in decide(client, found, kind="rework")
    assert "This field is required" in decide(client, found, reason="")
    assert Disposition.objects.count() == 0


def test_quality_signs_too_where_a_limit_is_reached() -> None:
    review, (_, client) = Review(rework_limits={"in_all": 0}), board()
    found, quality = review.open(), signer(Role.QUALITY)
    named = {"rework_route": review.rework_route.pk, "returns_to": review.operation(20).pk}
    assert "its route allows 0" in decide(client, found, kind="rework", **named)
    both = {**named, "badge": quality.badge, "pin": PIN}
    assert "is decided" in decide(client, found, kind="rework", **both)
    second = Disposition.objects.get().quality_signature
    assert second is not None
    assert second.signer == quality.username


def test_a_repair_is_recorded_while_it_is_in_rework() -> None:
    review, (person, client) = Review(), board()
    found = review.open()
    assert page_of(found, "repair") not in client.get(page_of(found)).content.decode()
    assert client.post(page_of(found, "repair"), {"action": "x"}).status_code == 403
    review.dispose(found)
    page = client.post(page_of(found, "repair"), {"action": "", "minutes": "-1"}).content.decode()
    assert "This field is required" in page
    bad = {"action": "hose replaced", "slot": "NOWHERE"}
    assert "NOWHERE" in client.post(page_of(found, "repair"), bad, follow=True).content.decode()
    assert RepairRecord.objects.count() == 0
    given = {"action": "hose replaced", "slot": "GPU0", "minutes": "12.5"}
    assert "is recorded" in client.post(page_of(found, "repair"), given, follow=True).content.decode()
    repair = RepairRecord.objects.get()
    assert (repair.symptom, repair.slot, float(repair.minutes or 0)) == ("leak", "GPU0", 12.5)
    assert repair.repaired_by == person.username


def test_a_picture_is_added_and_what_is_none_is_refused() -> None:
    found, (_, client) = Review().open(), board()
    assert "multipart/form-data" in client.get(page_of(found, "add_picture")).content.decode()
    text = SimpleUploadedFile("leak.png", b"no picture", content_type="image/png")
    client.post(page_of(found, "add_picture"), {"picture": text})
    assert not found.pictures.exists()
    assert Event.objects.get(kind="act.refused").payload["refusal"]["code"] == "attachment_type"
    png = SimpleUploadedFile("leak.png", PNG, content_type="image/png")
    page = client.post(page_of(found, "add_picture"), {"picture": png}, follow=True).content.decode()
    assert "leak.png is added" in page
    assert found.pictures.get().name == "leak.png"


def test_who_may_only_look_decides_nothing() -> None:
    review = Review()
    found = review.open()
    client = staff_client("view_nonconformance")
    assert page_of(found, "dispose") not in client.get(page_of(found)).content.decode()
    assert client.post(page_of(found, "dispose"), {}).status_code == 403
    review.dispose(found, "use_as_is", proof=prove(badge=review.board.badge, pin=PIN))
    assert board()[1].post(page_of(found, "dispose"), {}).status_code == 403
