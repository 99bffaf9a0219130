"""Holds stop a unit; a supervisor releases them with a reason."""

import pytest
from rest_framework.test import APIClient

from mes.ledger.models import Event
from mes.serials.models import Unit
from tests.builders import make_part, make_person, make_scanner, make_unit, supervisor_client

pytestmark = pytest.mark.django_db


def test_anybody_on_the_floor_holds_and_a_supervisor_releases() -> None:
    unit, scanner = make_unit(make_part()), make_scanner()
    hold = scanner.post(f"units/{unit.uid}/hold/", {"reason": "dropped"}).json()
    unit.refresh_from_db()
    assert unit.held
    path = f"/api/v1/holds/{hold['id']}/release/"
    assert scanner.post(f"holds/{hold['id']}/release/", {"reason": "fine"}).status_code == 403
    supervisor = supervisor_client()
    assert supervisor.post(path, {}, format="json").status_code == 400
    assert (
        supervisor.post(path, {"reason": "inspected"}, format="json").json()["release_reason"] == "inspected"
    )
    assert supervisor.post(path, {"reason": "again"}, format="json").json()["code"] == "hold_released"
    unit.refresh_from_db()
    assert not unit.held
    kinds = Event.objects.filter(stream=unit.stream).values_list("kind", flat=True)
    assert list(kinds) == ["unit.received", "unit.held", "unit.hold_released"]


def test_unit_with_two_holds_moves_after_the_second_release() -> None:
    unit, scanner, supervisor = make_unit(make_part()), make_scanner(), supervisor_client()
    holds = [scanner.post(f"units/{unit.uid}/hold/", {"reason": reason}).json()["id"] for reason in "ab"]
    for hold, still_held in zip(holds, (True, False), strict=True):
        supervisor.post(f"/api/v1/holds/{hold}/release/", {"reason": "ok"}, format="json")
        assert Unit.objects.get(pk=unit.pk).held is still_held


def test_person_without_the_permission_does_not_release() -> None:
    unit, client = make_unit(make_part()), APIClient()
    hold = make_scanner().post(f"units/{unit.uid}/hold/", {"reason": "x"}).json()
    client.force_login(make_person(is_staff=True))
    answer = client.post(f"/api/v1/holds/{hold['id']}/release/", {"reason": "y"}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_scrap_is_for_supervisors() -> None:
    unit = make_unit(make_part())
    assert make_scanner().post(f"units/{unit.uid}/scrap/", {"reason": "burnt"}).status_code == 403
    answer = supervisor_client().post(f"/api/v1/units/{unit.uid}/scrap/", {"reason": "burnt"}, format="json")
    assert answer.json()["state"] == "scrapped"
    again = supervisor_client().post(f"/api/v1/units/{unit.uid}/scrap/", {"reason": "more"}, format="json")
    assert again.json()["code"] == "unit_scrapped"
