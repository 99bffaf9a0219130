"""Operation runs over REST: with who, what and which values, filtered by each, in a constant few queries."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.builders import supervisor_client
from tests.traceability.test_report_work import Bench

pytestmark = pytest.mark.django_db


def test_a_run_shows_people_tools_lots_and_values_and_is_found_by_each() -> None:
    Bench().build()
    client = supervisor_client()

    def listed(**query: str) -> list[int]:
        rows = client.get("/api/v1/operation-runs/", query).json()["results"]
        return [row["sequence"] for row in rows]

    _, run = client.get("/api/v1/operation-runs/").json()["results"]
    assert [row["person"] for row in run["people"]] == ["ann", "bo"]
    assert [row["tool"] for row in run["tools"]] == ["TD-1"]
    assert [row["lot"] for row in run["consumables"]] == ["L1"]
    assert [(row["name"], row["number"], row["verdict"]) for row in run["values"]] == [
        ("torque", 0.5, "FAIL"),
        ("torque", 2.5, "FAIL"),
    ]
    assert listed(person="bo") == listed(tool="TD-1") == listed(consumable_lot="L1") == [10]
    assert listed(person="nobody") == listed(tool="X") == []
    assert listed(state="skipped") == [20]


def test_the_list_costs_the_same_however_long() -> None:
    client = supervisor_client()

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            client.get("/api/v1/operation-runs/")
        return len(found)

    bench = Bench()
    bench.build()
    few = queries()
    bench.post("start", sequence=40)
    assert queries() == few <= 8
