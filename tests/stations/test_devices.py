"""Devices and their tokens: who may call, for which site, and for how long."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.stations.models import Device
from mes.stations.services import move_device, renew_token, revoke_device
from tests.builders import (
    TESTER,
    Scanner,
    make_part,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    supervisor_client,
)

pytestmark = pytest.mark.django_db


def test_token_is_kept_as_a_hash_only() -> None:
    scanner = make_scanner()
    token = scanner.token
    kept = Device.objects.values().get(pk=scanner.device.pk)
    assert token.split(".")[1] not in str(kept)
    assert token.split(".")[1] not in str(list(Event.objects.values()))


@pytest.mark.parametrize("token", ["", "x", "x.y", "Bearer"])
def test_wrong_token(token: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    answer = client.get("/api/v1/units/")
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer["WWW-Authenticate"] == "Bearer"


def test_right_prefix_with_a_wrong_secret() -> None:
    scanner = make_scanner()
    scanner.client.credentials(HTTP_AUTHORIZATION=f"Bearer {scanner.device.prefix}.guess")
    assert scanner.get("units/").status_code == 401


def test_nobody() -> None:
    assert APIClient().get("/api/v1/units/").status_code == 401


def test_revoked_and_expired_tokens_stop_working_at_once() -> None:
    revoked, expired = make_scanner(), make_scanner()
    revoke_device(device=revoked.device, reason="lost", by=TESTER)
    Device.objects.filter(pk=expired.device.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert revoked.get("units/").status_code == expired.get("units/").status_code == 401


def test_revoked_device_gets_no_new_token() -> None:
    scanner = make_scanner()
    revoke_device(device=scanner.device, reason="lost", by=TESTER)
    with pytest.raises(RuleViolation) as refusal:
        renew_token(device=scanner.device, by=TESTER)
    assert refusal.value.code == "device_revoked"


def test_new_token_replaces_the_old_one() -> None:
    scanner = make_scanner()
    token = renew_token(device=scanner.device, by=TESTER)
    assert scanner.get("units/").status_code == 401
    scanner.client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert scanner.get("units/").status_code == 200


def test_last_seen_is_written_at_most_every_ten_seconds(django_assert_num_queries: object) -> None:
    scanner = make_scanner()
    scanner.get("units/")
    first = Device.objects.get(pk=scanner.device.pk).last_seen_at
    scanner.get("units/")
    assert first is not None
    assert Device.objects.get(pk=scanner.device.pk).last_seen_at == first


def test_another_site_is_not_found() -> None:
    here, there = make_scanner(), Scanner(make_station(site=make_site("S2")))
    unit = make_unit(make_part())
    assert here.get(f"units/{unit.uid}/").status_code == 200
    assert there.get(f"units/{unit.uid}/").status_code == 404
    assert there.get("units/").json()["results"] == []
    assert there.post(f"units/{unit.uid}/hold/", {"reason": "x"}).status_code == 404
    assert len(supervisor_client().get("/api/v1/units/").json()["results"]) == 1


def test_only_hand_scanners_move() -> None:
    other = make_station("TEST")
    terminal = Scanner(make_station(), kind=Device.Kind.TERMINAL)
    with pytest.raises(RuleViolation) as refusal:
        move_device(device=terminal.device, station=other, by=TESTER)
    assert refusal.value.code == "device_fixed"
    assert move_device(device=make_scanner().device, station=other, by=TESTER).station == other
