"""People in the admin."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client, RequestFactory
from django.urls import reverse

from mes.ledger.services import advance, locked, record
from mes.people.admin import PersonAdmin
from mes.people.models import User
from mes.people.services import find_by_badge
from tests.builders import TESTER, make_person
from tests.test_admin_pages import staff_client, superuser_client


def page_of(person: User, page: str = "change") -> str:
    if page == "password":
        return reverse("admin:auth_user_password_change", args=[person.pk])
    return reverse(f"admin:people_user_{page}", args=[person.pk])


def form_of(person: User, **changes: Any) -> dict[str, Any]:
    given = {"username": person.username, "badge": person.badge, "is_active": "on", **changes}
    return {name: value for name, value in given.items() if value is not None}


def clerk_client() -> Client:
    """Return the session of a person who may change people, and nothing else."""
    return staff_client("view_user", "change_user")


def test_a_person_is_added_with_badge_and_password(db: None) -> None:
    password = "a long enough sentence"
    given = {"username": "new", "badge": "B77", "usable_password": "true"}
    superuser_client().post(
        reverse("admin:people_user_add"), {**given, "password1": password, "password2": password}
    )
    assert find_by_badge("b77") == User.objects.get(username="new")
    assert Client().login(username="new", password=password)


def test_a_badge_is_worn_once(db: None) -> None:
    make_person(badge="B1")
    other = make_person(badge="B2")
    response = superuser_client().post(page_of(other), form_of(other, badge="b1"))
    assert "In use." in response.content.decode()
    other.refresh_from_db()
    assert other.badge == "B2"


def test_people_are_switched_off_not_deleted(db: None) -> None:
    person = make_person()
    assert superuser_client().post(page_of(person, "delete"), {"post": "yes"}).status_code == 403
    superuser_client().post(page_of(person), form_of(person, is_active=None))
    person.refresh_from_db()
    assert not person.is_active


def test_saving_a_page_does_not_undo_events_recorded_meanwhile(db: None) -> None:
    person = make_person()
    opened = User.objects.get(pk=person.pk)
    record(advance(locked(person), "act.refused", by=TESTER))
    opened.badge = "B-NEW"
    form = type("Form", (), {"changed_data": ["badge", "groups"]})
    page = admin.site.get_model_admin(User)
    page.save_model(RequestFactory().post("/"), opened, form, change=True)
    person.refresh_from_db()
    assert (person.badge, person.version) == ("B-NEW", 1)


def test_a_new_password_is_set_without_touching_the_history(db: None) -> None:
    person = make_person()
    password = "another long sentence"
    form = PersonAdmin.change_password_form(
        User.objects.get(pk=person.pk), {"password1": password, "password2": password}
    )
    assert form.is_valid()
    record(advance(locked(person), "act.refused", by=TESTER))
    form.save()
    person.refresh_from_db()
    assert person.version == 1
    assert person.check_password(password)


def test_the_password_page_sets_it(db: None) -> None:
    person, password = make_person(), "another long sentence"
    superuser_client().post(page_of(person, "password"), {"password1": password, "password2": password})
    person.refresh_from_db()
    assert person.check_password(password)


@pytest.mark.parametrize("power", ["is_superuser", "user_permissions", "groups"])
def test_only_a_superuser_gives_powers(db: None, power: str) -> None:
    person = make_person()
    given = Permission.objects.first() if power == "user_permissions" else None
    value = {"is_superuser": "on", "user_permissions": given and given.pk, "groups": ""}[power]
    response = clerk_client().post(page_of(person), form_of(person, badge="B-X", **{power: value}))
    assert response.status_code == 302
    person.refresh_from_db()
    assert person.badge == "B-X"
    assert not person.is_superuser
    assert not person.user_permissions.exists()


def test_only_a_superuser_changes_a_superuser(db: None) -> None:
    boss = make_person(is_staff=True, is_superuser=True)
    assert clerk_client().post(page_of(boss), form_of(boss, badge="B-X")).status_code == 403
    password = "another long sentence"
    response = clerk_client().post(page_of(boss, "password"), {"password1": password, "password2": password})
    assert response.status_code == 403
