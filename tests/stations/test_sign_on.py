"""Signing on by badge, and by badge and PIN where a role demands it."""

from typing import Any

import pytest

from mes.ledger.models import Event
from mes.people.models import User
from mes.people.services import set_pin
from mes.stations.models import Device
from mes.stations.services import Role, end_role, grant_role
from tests.builders import TESTER, Scanner, make_part, make_person, make_scanner, make_site, make_station

pytestmark = pytest.mark.django_db

PIN = "482915"


def person_with(role: str = "", *, pin: str = PIN, site: str = "S1") -> User:
    person = make_person()
    if pin:
        set_pin(person=person, pin=pin, by=TESTER)
    if role:
        grant_role(person=person, role=Role(role), site=make_site(site), by=TESTER)
    return person


def sign_on(scanner: Scanner, person: User, **more: str) -> Any:
    return scanner.post("scans/", {"raw": person.badge, **more}).json()


def signed_on(scanner: Scanner) -> User | None:
    return Device.objects.get(pk=scanner.device.pk).operator


@pytest.fixture
def scanner() -> Scanner:
    return make_scanner(signed_on=False)


@pytest.mark.parametrize("role", ["supervisor", "quality", "review_board"])
def test_who_may_release_signs_on_by_badge_and_pin(scanner: Scanner, role: str) -> None:
    person = person_with(role)
    answer = sign_on(scanner, person)
    assert (answer["code"], answer["outcome"], answer["next"]) == (
        "pin_required",
        "refused",
        "Type your PIN.",
    )
    assert answer["sound"] == "refuse"
    assert signed_on(scanner) is None
    assert sign_on(scanner, person, pin=PIN)["outcome"] == "accepted"
    assert signed_on(scanner) == person


@pytest.mark.parametrize("role", ["", "operator", "line_lead", "engineer", "test_engineer"])
def test_others_sign_on_by_badge_alone(scanner: Scanner, role: str) -> None:
    person = person_with(role)
    assert sign_on(scanner, person)["outcome"] == "accepted"
    assert signed_on(scanner) == person


def test_whoever_has_no_pin_yet_signs_on_by_badge_alone(scanner: Scanner) -> None:
    assert sign_on(scanner, person_with("supervisor", pin=""))["outcome"] == "accepted"


def test_a_wrong_pin_signs_nobody_on_and_locks_after_five(scanner: Scanner) -> None:
    person = person_with("operator")
    codes = [sign_on(scanner, person, pin="0000")["code"] for _ in range(6)]
    assert codes == ["pin_wrong"] * 5 + ["pin_locked"]
    assert signed_on(scanner) is None
    assert sign_on(make_scanner(signed_on=False), person, pin=PIN)["outcome"] == "accepted"
    assert Event.objects.filter(kind="act.refused").count() == 6


def test_a_role_that_ended_or_is_held_elsewhere_demands_no_pin(scanner: Scanner) -> None:
    person = person_with("supervisor")
    end_role(assignment=person.roles.get(), reason="moved", by=TESTER)
    assert sign_on(scanner, person)["outcome"] == "accepted"
    assert sign_on(scanner, person_with("supervisor", site="S2"))["outcome"] == "accepted"


def test_a_pin_with_another_code_changes_nothing(scanner: Scanner) -> None:
    answer = scanner.post("scans/", {"raw": make_station("TEST").code, "pin": PIN}).json()
    assert (answer["outcome"], answer["title"]) == ("accepted", "Station")
    assert scanner.post("scans/", {"raw": "NOBODY", "pin": PIN}).json()["code"] == "unknown_code"
    broken = scanner.post("scans/", {"raw": "[)>\x1e06", "pin": PIN}).json()
    assert broken["outcome"] == "refused"


def test_no_act_is_done_in_the_name_of_whoever_needs_a_pin(scanner: Scanner) -> None:
    boss, gpu = person_with("supervisor"), make_part()
    body = {"part": gpu.part.number, "revision": "A", "serial": "SN1"}
    answer = scanner.post("units/", {**body, "operator": boss.badge})
    assert (answer.status_code, answer.json()["code"]) == (422, "pin_required")
    assert "Sign on" in answer.json()["next"]
    assert scanner.post("units/", {**body, "operator": person_with().badge}).status_code == 201
