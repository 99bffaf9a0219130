"""The page of electrical safety says what is live, what stands how, and what is in the way."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mes.electrical.models import SafetyTest
from mes.electrical.services import record_safety_test
from tests.builders import make_unit
from tests.electrical.builders import Bay, bond
from tests.terminal.test_unit_pages import office

pytestmark = pytest.mark.django_db


def page(client: Client, bay: Bay) -> str:
    answer = client.get(f"/units/{bay.unit.uid}/safety/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_shows_tests_points_instrument_and_what_is_in_the_way() -> None:
    bay, client = Bay(bond_points=["door"]), office("view_unit")
    assert "No electrical safety test is on record." in page(client, bay)
    record_safety_test(unit=bay.unit, instrument=bay.tool.code, readings=bond(door=0.2), by=bay.by)
    said = page(client, bay)
    assert "✕ failed" in said and "door: 0.2 Ohm" in said and f"certificate CERT-{bay.tool.code}" in said
    record_safety_test(unit=bay.unit, instrument=bay.tool.code, readings=bond(door=0.02), by=bay.by)
    assert "<td>✓ passed</td>" in page(client, bay)
    tray = bay.put("U08", make_unit(bay.tray))
    said = page(client, bay)
    assert tray.serial in said and "1 unit must come out first" in said
    assert "✓ passed, before it was changed inside" in said


def test_a_live_hipot_is_an_alarm_on_every_page_of_the_unit() -> None:
    bay, client = Bay(), office("view_unit")
    bay.begin()
    assert "Live hipot: keep away" in page(client, bay)
    elevation = client.get(f"/units/{bay.unit.uid}/elevation/").content.decode()
    assert f"✕ locked out: live hipot by {bay.first.username}" in elevation


def test_a_longer_history_costs_no_more_queries() -> None:
    bay, client, counts = Bay(), office("view_unit"), []
    for total in (3, 40):
        while SafetyTest.objects.count() < total:
            record_safety_test(unit=bay.unit, instrument=bay.tool.code, readings=bond(), by=bay.by)
        with CaptureQueriesContext(connection) as queries:
            page(client, bay)
        counts.append(len(queries))
    assert counts[0] == counts[1]
