"""PINs and passwords come in with requests and are kept nowhere: no event, no stored request, no digest."""

import hashlib
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from mes.ledger.models import Event, IdempotencyKey
from mes.ledger.services import canonical_json, without_secrets
from mes.people.models import User
from mes.people.services import set_pin
from mes.stations.services import Role, grant_role
from tests.builders import TESTER, Scanner, make_person, make_scanner, make_site
from tests.test_admin_pages import staff_client

pytestmark = pytest.mark.django_db

PIN, WRONG = "48291537", "99887766"
TABLES_OF_TEXT = ("ledger_event", "ledger_idempotencykey", "ledger_outboxmessage", "people_pinguard")


def everything_kept() -> str:
    """Return all that the ledger and the guards hold, as one text."""
    text = []
    with connection.cursor() as cursor:
        for table in TABLES_OF_TEXT:
            cursor.execute(f"SELECT * FROM {table}")
            text.append(str(cursor.fetchall()))
    return "".join(text)


def supervisor(pin: str = PIN) -> User:
    person = set_pin(person=make_person(), pin=pin, by=TESTER)
    grant_role(person=person, role=Role.SUPERVISOR, site=make_site(), by=TESTER)
    return person


def scan_with_pin(scanner: Scanner, badge: str, pin: str, key: str = "") -> Any:
    return scanner.post("scans/", {"raw": badge, "pin": pin}, key=key)


def test_secrets_are_left_out_at_any_depth() -> None:
    given = {"pin": "1", "a": [{"PIN": "2", "b": {"Password": "3", "c": 4}}, ("x", {"pin": "5"})], "d": None}
    assert without_secrets(given) == {"a": [{"b": {"c": 4}}, ["x", {}]], "d": None}


def test_a_refused_scan_is_on_record_without_the_pin() -> None:
    person, scanner = supervisor(), make_scanner()
    assert scan_with_pin(scanner, person.badge, WRONG).json()["code"] == "pin_wrong"
    event = Event.objects.filter(kind="act.refused").latest("id")
    assert event.payload["body"] == {"raw": person.badge}
    assert WRONG not in everything_kept()


def test_no_digest_of_the_pin_is_kept() -> None:
    person, scanner = supervisor(), make_scanner()
    scan_with_pin(scanner, person.badge, PIN, key="k1")
    asked = ["POST", "/api/v1/scans/", {"raw": person.badge, "pin": PIN}]
    kept = IdempotencyKey.objects.get(key="k1").fingerprint
    assert kept != hashlib.sha256(canonical_json(asked).encode()).hexdigest()
    assert scan_with_pin(scanner, person.badge, WRONG, key="k1")["Idempotent-Replayed"] == "true"


def test_a_refused_act_of_a_page_is_on_record_without_what_was_typed_in_secret() -> None:
    person, client = make_person(), staff_client("view_user", "change_user")
    page = reverse("admin:people_user_set_pin", args=[person.pk])
    assert client.post(page, {"pin": "98x45"}).status_code == 302
    event = Event.objects.filter(kind="act.refused").latest("id")
    assert (event.payload["body"], event.payload["refusal"]["code"]) == ({}, "pin_format")
    assert "98x45" not in everything_kept()


def test_what_a_refused_add_page_typed_comes_back_without_secrets() -> None:
    grant_role(person=(person := make_person()), role=Role.OPERATOR, site=make_site(), by=TESTER)
    client = staff_client("add_roleassignment", "view_roleassignment", "view_user", "view_site")
    given = {"person": person.pk, "role": "operator", "site": make_site().pk, "password": "hunter2hunter2"}
    answer = client.post(reverse("admin:stations_roleassignment_add"), given)
    assert "role=operator" in answer["Location"]
    assert "hunter2" not in answer["Location"] + everything_kept()
