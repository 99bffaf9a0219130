"""Holds in the admin: placed and released with a reason."""

from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from mes.ledger.models import Event
from mes.quality.models import Hold
from mes.quality.services import place_hold, release_hold
from tests.builders import TESTER, make_part, make_person, make_unit
from tests.test_admin_pages import superuser_client


def open_hold() -> Hold:
    return place_hold(unit=make_unit(make_part()), reason="scratched", by=TESTER)


def page_of(hold: Hold, page: str = "change") -> str:
    return reverse(f"admin:quality_hold_{page}", args=[hold.pk])


def member_client(*codenames: str) -> Client:
    """Return the session of a member of the group Supervisors with some permissions."""
    group = Group.objects.create(name="Supervisors")
    group.permissions.set(Permission.objects.filter(codename__in=codenames))
    person = make_person(is_staff=True)
    person.groups.add(group)
    client = Client()
    client.force_login(person)
    return client


def test_a_hold_is_placed_with_a_reason(db: None) -> None:
    unit, client = make_unit(make_part()), superuser_client()
    url = reverse("admin:quality_hold_add")
    assert "This field is required" in client.post(url, {"unit": unit.pk}).content.decode()
    response = client.post(url, {"unit": unit.pk, "reason": "scratched"})
    hold = Hold.objects.get()
    assert response["Location"] == page_of(hold)
    unit.refresh_from_db()
    assert unit.held
    event = Event.objects.get(kind="unit.held")
    assert (event.actor, event.payload["reason"]) == (hold.placed_by, "scratched")


def test_the_unit_of_a_hold_is_chosen_by_scanning_it(db: None) -> None:
    unit = make_unit(make_part(), "SN1")
    query = {"app_label": "quality", "model_name": "hold", "field_name": "unit", "term": "sn1"}
    answer = superuser_client().get(reverse("admin:autocomplete"), query).json()
    assert answer["results"] == [{"id": str(unit.pk), "text": "SN1"}]


def test_a_hold_is_released_with_a_reason(db: None) -> None:
    hold, client = open_hold(), superuser_client()
    assert "Held because: scratched" in client.get(page_of(hold, "release")).content.decode()
    assert "This field is required" in client.post(page_of(hold, "release")).content.decode()
    hold.refresh_from_db()
    assert hold.released_at is None
    response = client.post(page_of(hold, "release"), {"reason": "polished"}, follow=True)
    assert "is released." in response.content.decode()
    hold.refresh_from_db()
    assert hold.release_reason == "polished"
    assert Event.objects.get(kind="unit.hold_released").payload["reason"] == "polished"


def test_a_released_hold_offers_no_release(db: None) -> None:
    hold = open_hold()
    release_hold(hold=hold, reason="polished", by=TESTER)
    client = superuser_client()
    assert page_of(hold, "release") not in client.get(page_of(hold)).content.decode()
    assert client.post(page_of(hold, "release"), {"reason": "again"}).status_code == 403


def test_a_supervisor_without_the_permission_releases_nothing(db: None) -> None:
    hold = open_hold()
    client = member_client("view_hold", "add_hold")
    assert page_of(hold, "release") not in client.get(page_of(hold)).content.decode()
    assert client.post(page_of(hold, "release"), {"reason": "polished"}).status_code == 403
    hold.refresh_from_db()
    assert hold.released_at is None


def test_a_supervisor_with_the_permission_releases_but_places_none(db: None) -> None:
    hold = open_hold()
    client = member_client("view_hold", "change_hold")
    assert client.get(reverse("admin:quality_hold_add")).status_code == 403
    assert client.post(page_of(hold, "release"), {"reason": "polished"}).status_code == 302
    hold.refresh_from_db()
    assert hold.released_at is not None
