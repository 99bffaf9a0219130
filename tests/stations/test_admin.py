"""Devices in the admin: enrolled with a token that is shown once."""

import re
from typing import Any

from django.urls import reverse

from mes.ledger.models import Event
from mes.ledger.services import events_of
from mes.stations.models import Device
from mes.stations.services import enroll_device, find_by_token
from tests.builders import TESTER, make_station
from tests.test_admin_pages import staff_client, superuser_client


def make_device(name: str = "D1") -> tuple[Device, str]:
    return enroll_device(name=name, kind=Device.Kind.TERMINAL, station=make_station(), by=TESTER)


def page_of(device: Device, page: str = "change") -> str:
    return reverse(f"admin:stations_device_{page}", args=[device.pk])


def token_in(response: Any) -> str:
    found = re.search(r"<code>(.+?)</code>", response.content.decode())
    return found.group(1) if found else ""


def test_a_device_is_enrolled_and_its_token_shown_once(db: None) -> None:
    client, station = superuser_client(), make_station()
    given = {"name": "D1", "kind": "scanner", "station": station.pk}
    response = client.post(reverse("admin:stations_device_add"), given, follow=True)
    device = Device.objects.get()
    assert response.redirect_chain[-1][0] == page_of(device)
    assert find_by_token(token_in(response)) == device
    assert token_in(client.get(page_of(device))) == ""
    assert [event.kind for event in events_of(device)] == ["device.enrolled"]


def test_a_name_is_taken_once(db: None) -> None:
    make_device("D1")
    given = {"name": "D1", "kind": "scanner", "station": make_station().pk}
    response = superuser_client().post(reverse("admin:stations_device_add"), given)
    assert "already exists" in response.content.decode()
    assert Device.objects.count() == 1


def test_the_hash_of_the_secret_is_shown_nowhere(db: None) -> None:
    device, _ = make_device()
    client = superuser_client()
    for url in (page_of(device), reverse("admin:stations_device_changelist")):
        page = client.get(url).content.decode()
        assert device.secret_hash not in page
        assert device.prefix not in page


def test_a_new_token_replaces_the_old_one_after_a_question(db: None) -> None:
    device, old = make_device()
    client = superuser_client()
    assert client.get(page_of(device, "renew")).status_code == 200
    assert find_by_token(old) == device
    response = client.post(page_of(device, "renew"), follow=True)
    assert find_by_token(old) is None
    assert find_by_token(token_in(response)) == device


def test_revoking_asks_for_a_reason(db: None) -> None:
    device, token = make_device()
    client = superuser_client()
    assert "This field is required" in client.post(page_of(device, "revoke")).content.decode()
    assert find_by_token(token) == device
    client.post(page_of(device, "revoke"), {"reason": "lost"})
    assert find_by_token(token) is None
    assert Event.objects.get(kind="device.revoked").payload == {"reason": "lost"}


def test_a_revoked_device_gets_no_new_token(db: None) -> None:
    device, _ = make_device()
    client = superuser_client()
    client.post(page_of(device, "revoke"), {"reason": "lost"})
    assert client.post(page_of(device, "renew")).status_code == 403
    assert page_of(device, "renew") not in client.get(page_of(device)).content.decode()


def test_acts_need_the_permission_to_change_devices(db: None) -> None:
    device, token = make_device()
    client = staff_client("view_device", "add_device")
    assert client.post(page_of(device, "revoke"), {"reason": "lost"}).status_code == 403
    assert find_by_token(token) == device
