"""Electrical safety over REST, as a tester and a browser call it."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mes.electrical.models import HipotSession, SafetyTest
from mes.electrical.services import record_safety_test
from mes.ledger.models import Event
from mes.serials.models import Unit
from tests.builders import (
    Scanner,
    make_scanner,
    make_site,
    make_station,
    ordered_unit,
    signed_by,
    supervisor_client,
)
from tests.electrical.builders import Bay, bond
from tests.test_admin_pages import superuser_client, url_of

pytestmark = pytest.mark.django_db

POINTS = [{"name": "busbar to frame", "value": 0.8}]
RESULT: dict[str, Any] = {
    "supply": "dc",
    "voltage_v": 2120,
    "ramp_s": 5,
    "duration_s": 60,
    "arc_detected": False,
    "points": POINTS,
    "discharged": True,
}


def at_the_tester(bay: Bay) -> Scanner:
    return make_scanner(make_station("TEST"), person=bay.first)


def asked(bay: Bay, **more: Any) -> dict[str, Any]:
    signatures = [signed_by(bay.first), signed_by(bay.second)]
    return {"instrument": bay.tool.code, "reason": "operation 20", "signatures": signatures, **more}


def test_a_ground_bond_is_posted_and_listed() -> None:
    bay = Bay()
    device = at_the_tester(bay)
    body = {
        "kind": "ground_bond",
        "instrument": bay.tool.code.lower(),
        "current_a": 25,
        "duration_s": 120,
        "points": [{"name": "front door", "value": 0.2}],
    }
    path = f"units/{bay.unit.uid}/safety-tests/"
    posted = device.post(path, body, key="bond-1")
    assert posted.status_code == 201, posted.json()
    assert device.post(path, body, key="bond-1").json() == posted.json()
    found = device.get("safety-tests/", kind="ground_bond", outcome="FAIL").json()["results"]
    assert found == [posted.json()] and SafetyTest.objects.count() == 1
    assert found[0]["reasons"] == ["resistance is 0.2 Ohm; the limit is at most 0.1 Ohm."]
    assert found[0]["points"] == [{"name": "front door", "value": 0.2, "unit": "Ohm"}]
    assert (found[0]["instrument"], found[0]["certificate"]) == (bay.tool.code, f"CERT-{bay.tool.code}")
    del body["current_a"]
    assert device.post(path, body).json()["code"] == "reading_impossible"


def test_a_hipot_is_begun_by_two_and_finished() -> None:
    bay = Bay()
    device = at_the_tester(bay)
    begun = device.post(f"units/{bay.unit.uid}/hipot/", asked(bay))
    assert begun.status_code == 201, begun.json()
    session = begun.json()
    assert (session["first_person"], session["second_person"]) == (bay.first.username, bay.second.username)
    shown = device.get(f"units/{bay.unit.uid}/").json()
    assert shown["locked_out"].startswith("live hipot by ")
    refused = device.post(f"units/{bay.unit.uid}/operations/10/start/")
    assert (refused.status_code, refused.json()["code"]) == (422, "unit_locked_out")
    done = device.post(f"hipot-sessions/{session['uid']}/finish/", RESULT)
    assert done.status_code == 200, done.json()
    assert (done.json()["outcome"], done.json()["session"]) == ("PASS", session["uid"])
    assert device.get("hipot-sessions/", state="finished").json()["results"][0]["test"] == done.json()["uid"]


def test_one_signature_or_a_wrong_pin_is_refused_recorded_and_keeps_no_pin() -> None:
    bay = Bay()
    device = at_the_tester(bay)
    path = f"units/{bay.unit.uid}/hipot/"
    alone = device.post(path, asked(bay, signatures=[signed_by(bay.first)]))
    assert (alone.status_code, alone.json()["code"]) == (422, "hipot_needs_two_people")
    wrong = device.post(path, asked(bay, signatures=[signed_by(bay.first), signed_by(bay.second, "0000")]))
    assert wrong.json()["code"] == "pin_wrong"
    tried = Event.objects.filter(kind="act.refused").last()
    assert tried is not None and 'pin":' not in tried.payload_text.replace(" ", "").replace("pin_wrong", "")
    assert not HipotSession.objects.exists()


def test_anybody_aborts_and_another_site_sees_nothing() -> None:
    bay = Bay()
    session = bay.begin()
    there = make_scanner(make_station(site=make_site("S2")))
    path = f"hipot-sessions/{session.uid}/abort/"
    assert there.post(path, {"reason": "x", "discharged": True}).status_code == 404
    assert there.get("hipot-sessions/").json()["results"] == []
    answer = make_scanner().post(path, {"reason": "arc seen", "discharged": True})
    assert (answer.status_code, answer.json()["state"]) == (200, "aborted")
    assert answer.json()["abort_reason"] == "arc seen"


def test_a_supervisor_aborts_in_the_admin() -> None:
    session = Bay().begin()
    client = superuser_client()
    page = client.get(url_of(HipotSession, "change", session.pk)).content.decode()
    assert "Abort" in page
    url = f"/admin/electrical/hipotsession/{session.pk}/abort/"
    assert "locked out while the hipot is live" in client.get(url).content.decode()
    client.post(url, {"reason": "left alone"})
    assert Unit.objects.get(pk=session.unit_id).locked_out
    client.post(url, {"reason": "left alone", "discharged": "on"})
    assert not Unit.objects.get(pk=session.unit_id).locked_out


def queries_of(client: Client, url: str) -> tuple[int, int]:
    with CaptureQueriesContext(connection) as queries:
        rows = client.get(url).json()["results"]
    return len(rows), len(queries)


def test_a_longer_list_costs_no_more_queries() -> None:
    bay, client = Bay(), supervisor_client()
    counts = []
    for total in (3, 40):
        while SafetyTest.objects.count() < total:
            unit = ordered_unit(bay.rack, bay.route) if SafetyTest.objects.count() < 6 else bay.unit
            record_safety_test(unit=unit, instrument=bay.tool.code, readings=bond(), by=bay.by)
        counts.append(queries_of(client, "/api/v1/safety-tests/?limit=100"))
    assert [rows for rows, _ in counts] == [3, 40]
    assert counts[0][1] == counts[1][1]


@pytest.mark.parametrize("number", ["nan", "inf", 1e300, 10**400])
def test_a_time_that_is_none_is_bad_input(number: Any) -> None:
    bay = Bay()
    answer = at_the_tester(bay).post(f"units/{bay.unit.uid}/hipot/", asked(bay, minutes=number))
    assert answer.status_code == 400
