"""Firmware as it is found on units: one current version per component, a history, an event per change."""

import pytest
from rest_framework.test import APIClient

from mes.ledger.models import Event
from mes.racks.models import InstalledFirmware
from mes.racks.services import record_firmware
from tests.builders import (
    TESTER,
    make_part,
    make_person,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    supervisor_client,
)

pytestmark = pytest.mark.django_db


def test_a_new_version_closes_the_former_one() -> None:
    unit = make_unit(make_part())
    first, before = record_firmware(unit=unit, component="BMC", version="1.0", by=TESTER)
    assert before is None
    second, before = record_firmware(unit=unit, component="BMC", version="1.1", by=TESTER)
    assert before == "1.0"
    first.refresh_from_db()
    assert (first.until, second.until) == (second.since, None)
    payloads = [event.payload for event in Event.objects.filter(kind="unit.firmware_recorded")]
    assert payloads == [
        {"component": "BMC", "version": "1.0", "before": None},
        {"component": "BMC", "version": "1.1", "before": "1.0"},
    ]


def test_the_same_version_again_changes_nothing() -> None:
    unit = make_unit(make_part())
    row, _ = record_firmware(unit=unit, component="BMC", version="1.0", by=TESTER)
    assert record_firmware(unit=unit, component="BMC", version="1.0", by=TESTER) == (row, "1.0")
    assert Event.objects.filter(kind="unit.firmware_recorded").count() == 1


def test_components_do_not_close_each_other() -> None:
    unit = make_unit(make_part())
    for component in ("BMC", "BIOS"):
        record_firmware(unit=unit, component=component, version="1.0", by=TESTER)
    assert InstalledFirmware.objects.filter(until__isnull=True).count() == 2


def test_a_tester_records_what_it_found_and_reads_it() -> None:
    unit, tester = make_unit(make_part()), make_scanner(signed_on=False)
    path = f"units/{unit.uid}/firmware/"
    assert tester.post(path, {"component": "BMC", "version": "1.0"}).json()["before"] is None
    answer = tester.post(path, {"component": "BMC", "version": "1.1"}).json()
    assert (answer["version"], answer["before"], answer["recorded_by"]) == ("1.1", "1.0", tester.device.name)
    firmware = tester.get(path).json()
    assert [row["version"] for row in firmware["current"]] == ["1.1"]
    assert [row["version"] for row in firmware["history"]] == ["1.0"]
    assert tester.post(path, {"component": "BMC"}).status_code == 400


def test_who_may_not_record_firmware() -> None:
    unit = make_unit(make_part())
    path, given = f"units/{unit.uid}/firmware/", {"component": "BMC", "version": "1.0"}
    there = make_scanner(make_station(site=make_site("S2")))
    assert (there.post(path, given).status_code, there.get(path).status_code) == (404, 404)
    client = APIClient()
    client.force_login(make_person(is_staff=True))
    assert client.post(f"/api/v1/{path}", given, format="json").status_code == 403
    assert supervisor_client().post(f"/api/v1/{path}", given, format="json").status_code == 200
