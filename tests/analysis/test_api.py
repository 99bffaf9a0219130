"""Yield over REST: site-scoped, filterable, as JSON and CSV, for a constant number of queries."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mes.quality.models import Disposition
from tests.analysis.histories import Said, make_floor, write
from tests.builders import make_person, make_scanner, make_site, make_station, supervisor_client

pytestmark = pytest.mark.django_db


def test_yield_answers_first_pass_rolled_and_rework() -> None:
    write(make_floor(), [Said(0, 0, "PASS"), Said(1, 0, "RETEST"), Said(1, 0, "FAIL"), Said(0, 1, "PASS")])
    answer = supervisor_client().get("/api/v1/yield/").json()
    leak, func = answer["rows"]
    assert (leak["operation"], leak["procedure"], leak["first_pass_yield"]) == ("op20", "leak", 0.5)
    assert (func["operation"], func["first_pass_yield"]) == ("op30", 1.0)
    assert [row["rolled_throughput_yield"] for row in answer["rolled"]] == [0.5]
    assert answer["rework"] == {
        **{"units": 2, "reworked": 0, "scrapped": 0, "retests": 1},
        **{"rework_ratio": 0.0, "scrap_ratio": 0.0, "retests_per_unit": 0.5},
    }
    assert Disposition.objects.count() == 0


def test_a_device_sees_its_site_and_asking_for_another_is_404() -> None:
    write(make_floor(), [Said(0, 0, "FAIL")])
    here, there = make_scanner(), make_scanner(make_station(site=make_site("S2")))
    for path in ("yield/", "yield/pareto/?by=station", "yield/retests/"):
        assert here.get(path).status_code == 200
        assert there.get(path).json()["rows"] == []
    assert there.get("yield/", site="S1").status_code == 404
    assert here.get("yield/", site="S1").json()["rows"]


def test_people_need_the_permission_and_bad_input_is_told() -> None:
    client = supervisor_client()
    assert client.get("/api/v1/yield/", {"by": "moon"}).status_code == 400
    assert client.get("/api/v1/yield/", {"since": "yesterday"}).json()["fields"] == {
        "since": [
            "Datetime has wrong format. Use one of these formats instead: "
            "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
        ]
    }
    assert client.get("/api/v1/yield/", {"site": "NOWHERE"}).status_code == 400
    refused = client.get("/api/v1/yield/pareto/", {"of": "retests", "by": "replaced_part"})
    assert (refused.status_code, refused.json()["code"]) == (422, "no_such_pareto")
    client.force_login(make_person())
    assert client.get("/api/v1/yield/").status_code == 403


def rows_of(response: Any) -> list[dict[str, str]]:
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def test_csv_has_the_rows() -> None:
    floor = make_floor()
    write(floor, [Said(0, 0, "FAIL", station="=A1"), Said(0, 0, "RETEST"), Said(0, 0, "PASS")])
    client = supervisor_client()
    (row,) = rows_of(client.get("/api/v1/yield/?format=csv"))
    assert (row["operation"], row["inspected"], row["first_pass_yield"]) == ("op20", "1", "0.0")
    (row,) = rows_of(client.get("/api/v1/yield/pareto/?by=station&format=csv"))
    assert (row["station"], row["cumulative_share"]) == ("'=A1", "1.0")
    (row,) = rows_of(client.get("/api/v1/yield/retests/", headers={"Accept": "text/csv"}))
    assert (row["serial"], row["runs"], row["last"]) == (floor.units[0].serial, "3", "PASS")
    wrong = client.get("/api/v1/yield/?by=moon&format=csv")
    assert (wrong.status_code, wrong["Content-Type"]) == (400, "application/problem+json")
    assert wrong.json()["code"] == "invalid_input"


def test_constant_queries() -> None:
    client, floor = supervisor_client(), make_floor(20)
    counts = []
    for units in (1, 20):
        write(floor, [Said(n % units, n % 2, ("FAIL", "PASS")[n % 3 > 0]) for n in range(units * 4)])
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/api/v1/yield/").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 9
