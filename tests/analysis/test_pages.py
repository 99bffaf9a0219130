"""The yield page: the address holds the question, every number leads to exactly the runs it counts."""

import re
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mes.testing.models import Diagnosis, Measurement, TestRun
from tests.analysis.histories import Said, make_floor, write
from tests.test_admin_pages import staff_client, superuser_client

pytestmark = pytest.mark.django_db
SAID = [
    *(Said(0, 0, "PASS"), Said(1, 0, "RETEST", station="ST2"), Said(1, 0, "FAIL", station="ST2")),
    *(Said(1, 0, "PASS"), Said(2, 0, "ERROR"), Said(0, 1, "PASS"), Said(1, 1, "FAIL"), Said(2, 1, "PASS")),
]


def page(client: Client, **query: str) -> str:
    return client.get(reverse("yield"), {"since": "2026-01-01T00:00", **query}).content.decode()


@pytest.mark.parametrize(
    "by", ["operation", "station", "part", "day", "revision", "procedure", "line", "shift"]
)
def test_every_number_leads_to_as_many_runs(by: str) -> None:
    write(make_floor(), SAID)
    client = superuser_client()
    links = re.findall(
        r'<a href="(/admin/yield/runs/[^"]+)">(\d+)</a>', page(client, by=by, causes="station")
    )
    assert len(links) > 2
    for href, number in links:
        response = client.get(unescape(href))
        assert response.context["total"] == int(number), href
        assert len(response.context["runs"]) == int(number)


def test_causes_lead_to_the_runs_that_show_them() -> None:
    one, two, _ = write(make_floor(), [Said(0, 0, "FAIL"), Said(1, 0, "FAIL"), Said(2, 0, "FAIL")])
    for run in (one, two):
        Measurement.objects.create(run=run, position=0, name="flow", verdict="FAIL")
        Diagnosis.objects.create(run=one, type="FAIL", verdict="pump")
    client = superuser_client()
    for causes, total in (("measurement", 2), ("diagnosis", 1)):
        (href,) = re.findall(
            rf'<a href="(/admin/yield/runs/[^"]+&amp;{causes}=[^"]+)">', page(client, causes=causes)
        )
        assert client.get(unescape(href)).context["total"] == total


def test_low_yield_is_marked_in_words_and_the_unknown_is_no_number() -> None:
    write(make_floor(), [Said(0, 0, "FAIL"), Said(1, 0, "PASS"), Said(2, 1, "RETEST")])
    html = page(superuser_client(), target="60")
    assert "▼ below 60 %" in html
    assert "50.0 %" in html
    assert "not measured" in html
    assert "unknown, for a test is not measured" in html
    assert "▼" not in page(superuser_client(), target="40")


def test_bad_input_is_told_on_the_page() -> None:
    html = page(superuser_client(), until="never")
    assert 'role="alert"' in html
    assert "Until: Datetime has wrong format" in html
    wrong = superuser_client().get(reverse("yield-runs"), {"which": "moon"})
    assert wrong.status_code == 400


def test_without_a_time_it_is_about_the_last_30_days() -> None:
    floor = make_floor()
    write(floor, [Said(0, 0, "PASS")])
    client = superuser_client()
    assert client.get(reverse("yield")).context["rows"] == []
    TestRun.objects.update(received_at=timezone.now())
    assert len(client.get(reverse("yield")).context["rows"]) == 1


def test_only_who_may_look_at_test_runs_may_look() -> None:
    for name in ("yield", "yield-runs"):
        assert staff_client("view_unit").get(reverse(name)).status_code == 403
        assert staff_client("view_testrun").get(reverse(name)).status_code == 200
        assert Client().get(reverse(name)).status_code == 302
    assert reverse("yield") in staff_client("view_testrun").get("/admin/").content.decode()
    assert reverse("yield") not in staff_client("view_unit").get("/admin/").content.decode()


def test_the_runs_come_as_csv_too() -> None:
    write(make_floor(), SAID)
    response = superuser_client().get(reverse("yield-runs"), {"since": "2026-01-01", "format": "csv"})
    lines = b"".join(response).decode().splitlines()
    assert lines[0] == "received_at,serial,procedure,outcome,station,superseded_at"
    assert len(lines) == 1 + len(SAID)


def test_nothing_comes_from_elsewhere_and_queries_are_constant() -> None:
    client, floor, counts = superuser_client(), make_floor(20), []
    for units in (3, 20):
        write(floor, [Said(n % units, n % 2, ("FAIL", "PASS")[n % 3 > 0]) for n in range(units * 4)])
        with CaptureQueriesContext(connection) as queries:
            html = page(client)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    content = html[html.index('class="yield"') :]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', content)
    assert "<script" not in content[: content.index("Tested most often")]
