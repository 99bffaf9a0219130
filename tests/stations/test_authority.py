"""Who may do what: people need permissions, floor acts a person, and nobody borrows another's."""

import pytest
from rest_framework.test import APIClient

from mes.people.models import User
from mes.stations.services import find_paired, pair_session, renew_token
from tests.builders import TESTER, make_part, make_person, make_scanner, make_unit

pytestmark = pytest.mark.django_db


def test_person_without_permissions_reports_and_receives_nothing() -> None:
    unit, client = make_unit(make_part()), APIClient()
    client.force_login(make_person())
    body = {"unit": str(unit.uid), "procedure": "p", "outcome": "PASS", "reason": "x", "contents": []}
    for path in ("units/", "lots/", "test-runs/", f"units/{unit.uid}/hold/", f"units/{unit.uid}/contents/"):
        assert client.post(f"/api/v1/{path}", body, format="json").status_code == 403, path


def test_permission_is_that_of_who_is_signed_on() -> None:
    unit, plain = make_unit(make_part()), make_person()
    supervisor = make_person(is_superuser=True)
    scanner = make_scanner(person=supervisor)
    hold = scanner.post(f"units/{unit.uid}/hold/", {"reason": "x"}).json()
    path, body = f"holds/{hold['id']}/release/", {"reason": "ok"}
    assert scanner.post(path, {**body, "operator": plain.badge}).status_code == 403
    assert scanner.post(path, body).json()["released_by"] == supervisor.username


def test_person_switched_off_is_nobody_at_a_device() -> None:
    person = make_person()
    scanner = make_scanner(person=person)
    User.objects.filter(pk=person.pk).update(is_active=False)
    unit = make_unit(make_part())
    answer = scanner.post(
        f"units/{unit.uid}/contents/", {"contents": [{"slot": "S", "child": str(unit.uid)}]}
    )
    assert answer.json()["code"] == "device_not_signed_on"


def test_browser_is_paired_until_the_token_is_renewed() -> None:
    device = make_scanner().device
    session: dict[str, object] = {}
    pair_session(session, device)
    assert find_paired(session) == device
    renew_token(device=device, by=TESTER)
    assert find_paired(session) is None
