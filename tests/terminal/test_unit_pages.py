"""The pages of a unit: who may see them, and what they say."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from tests.builders import make_person, make_site
from tests.terminal.floor import Floor

pytestmark = pytest.mark.django_db


def office(*permissions: str) -> Client:
    person = make_person(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(person)
    return client


def elevation(unit: Any) -> str:
    return f"/units/{unit.uid}/elevation/"


def test_office_sees_the_elevation_list_first(floor: Floor) -> None:
    (tray,) = floor.trays(1)
    page = office("view_unit").get(elevation(floor.unit))
    said = page.content.decode()
    assert page.status_code == 200
    assert said.index("<table>") < said.index("<svg")
    assert floor.unit.serial in said and "U08" in said and tray.serial not in said
    assert page["Content-Security-Policy"].startswith("default-src 'self'")


def test_strangers_are_sent_to_log_in(floor: Floor) -> None:
    answer = Client().get(elevation(floor.unit))
    assert answer.status_code == 302 and answer["Location"].startswith("/admin/login/?next=/units/")


def test_people_without_the_right_are_refused(floor: Floor) -> None:
    assert office().get(elevation(floor.unit)).status_code == 403


def test_terminal_sees_units_of_its_site_only(floor: Floor) -> None:
    terminal = Client()
    terminal.post("/terminal/pair/", {"token": floor.token})
    assert terminal.get(elevation(floor.unit)).status_code == 200
    floor.unit.site = make_site("S2")
    floor.unit.save(update_fields=["site"])
    assert terminal.get(elevation(floor.unit)).status_code == 404
