"""Engineering changes and deviations in the admin: drafted, signed with a password, applied, revoked."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mes.people.models import User
from mes.workorders.models import Deviation, EngineeringChange
from tests.builders import make_part, make_person, make_site
from tests.workorders.recipes import Role, Trays, make_signer, next_revision, next_route

pytestmark = pytest.mark.django_db


def client_of(*roles: Role) -> tuple[Client, User]:
    """Return the browser of a person with roles, whose password is 'secret'."""
    person = make_signer(*roles, is_staff=True, is_superuser=True, password="secret")
    client = Client()
    client.force_login(person)
    return client, person


def act(client: Client, row: Any, name: str, **given: str) -> str:
    url = reverse(f"admin:workorders_{row._meta.model_name}_{name}", args=[row.pk])
    return client.post(url, {"post": "yes", **given}, follow=True).content.decode()


def test_a_change_from_draft_to_applied() -> None:
    trays = Trays()
    trays.build()
    revision = next_revision(trays.a, "B2", {"GPU0": trays.gpu, "NIC0": trays.nic})
    route = next_route(revision, "2")
    drafter = Client()
    drafter.force_login(make_person(is_staff=True, is_superuser=True))
    body = {
        "site": make_site().pk,
        "title": "better tray",
        "reason": "field failures",
        "to_revision": revision.pk,
        "to_route": route.pk,
        "orders": "",
        "units": trays.unit.serial,
    }
    url = reverse("admin:workorders_engineeringchange_add")
    assert "There is no X1" in drafter.post(url, {**body, "units": "X1"}).content.decode()
    drafter.post(url, body)
    change = EngineeringChange.objects.get()
    page = drafter.get(reverse("admin:workorders_engineeringchange_change", args=[change.pk]))
    assert "stays done: 10 build" in page.content.decode()
    engineer, quality = client_of(Role.ENGINEER)[0], client_of(Role.QUALITY)[0]
    assert "is not the password" in act(engineer, change, "approve", reason="ok", password="wrong")
    assert "the other signature is missing" in act(
        engineer, change, "approve", reason="ok", password="secret"
    )
    assert "signed and approved" in act(quality, change, "approve", reason="ok", password="secret")
    assert "units moved: 1" in act(drafter, change, "apply")
    trays.unit.refresh_from_db()
    assert trays.unit.part_revision == revision


def test_a_change_is_cancelled() -> None:
    trays = Trays()
    revision = next_revision(trays.a, "B2", {"GPU0": trays.gpu, "NIC0": trays.nic})
    change = trays.draft(revision, next_route(revision, "2"))
    assert "is cancelled" in act(client_of()[0], change, "cancel", reason="not needed")
    change.refresh_from_db()
    assert change.state == "cancelled"


@pytest.mark.parametrize("kind", ["part", "limit"])
def test_a_deviation_is_opened_and_revoked(kind: str) -> None:
    trays = Trays()
    client, _ = client_of(Role.QUALITY)
    exceptions: dict[str, dict[str, Any]] = {
        "part": {"part": trays.gpu.part.pk, "instead": make_part("gpu").pk},
        "limit": {"procedure": "func", "measurement": "power", "low": "50"},
    }
    body = {
        "unit": trays.unit.pk,
        "quantity": 2,
        "expires_at_0": "2099-01-01",
        "expires_at_1": "00:00:00",
        "reason": "shortage",
        **exceptions[kind],
    }
    url = reverse("admin:workorders_deviation_add")
    refused = client.post(url, {**body, "password": "wrong"}, follow=True).content.decode()
    assert "is not the password" in refused
    assert not Deviation.objects.exists()
    client.post(url, {**body, "password": "secret"})
    deviation = Deviation.objects.get()
    assert (deviation.kind, deviation.quantity) == (kind, 2)
    assert "is revoked" in act(client, deviation, "revoke", reason="parts arrived")
