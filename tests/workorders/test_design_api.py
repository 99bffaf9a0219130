"""Units against their designs over REST: one slot by slot, many as rows; the ways to it in the admin."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mes.racks.models import Installation
from tests.builders import (
    make_order,
    make_scanner,
    make_site,
    make_station,
    ordered_unit,
    placed,
    supervisor_client,
)
from tests.test_admin_pages import superuser_client
from tests.workorders.recipes import Trays

pytestmark = pytest.mark.django_db


@pytest.fixture
def trays() -> Trays:
    """Return a tray built but for its GPU, which got lost."""
    trays = Trays()
    trays.build()
    gpu = placed(trays.unit, "GPU0")
    Installation.objects.filter(pk=gpu.pk).update(removed_at=timezone.now())
    return trays


def asked(trays: Trays, **query: Any) -> Any:
    return trays.builder.get(f"units/{trays.unit.uid}/design-comparison/", **query)


def test_a_unit_slot_by_slot(trays: Trays) -> None:
    body = asked(trays).json()
    rows = body.pop("rows")
    assert body == {
        "unit": str(trays.unit.uid),
        "serial": trays.unit.serial,
        "part": trays.a.part.number,
        "revision": "B1",
        "unit_state": "in_work",
        "as_designed": False,
        "verdict": "different",
        "counts": {"wrong": 0, "extra": 0, "missing": 1, "deviation": 0, "expected": 0, "installed": 1},
        "at": None,
    }
    lost, nic = rows
    child = placed(trays.unit, "NIC0").child
    assert (lost["path"], lost["state"], lost["child"], lost["why"]) == (
        *("GPU0", "missing", None, "operation 10 is done"),
    )
    assert nic | {"installed_at": None} == {
        "path": "NIC0",
        "state": "installed",
        "wanted": "nic",
        "parent": str(trays.unit.uid),
        "parent_serial": trays.unit.serial,
        "child": str(child.uid),
        "serial": child.serial,
        "part": trays.nic.part.number,
        "revision": "A",
        "installed_at": None,
        "held": False,
        "tested": "",
        "deviation": "",
        "why": "",
    }


@pytest.mark.parametrize(
    ("only", "paths"),
    [("differences", ["GPU0"]), ("missing", ["GPU0"]), ("installed", ["NIC0"]), ("wrong", [])],
)
def test_only_some_rows(trays: Trays, only: str, paths: list[str]) -> None:
    body = asked(trays, only=only).json()
    assert [row["path"] for row in body["rows"]] == paths
    assert body["counts"]["installed"] == 1


def test_at_a_time(trays: Trays) -> None:
    at = placed(trays.unit, "NIC0").installed_at.isoformat()
    body = asked(trays, at=at).json()
    assert (body["verdict"], [row["state"] for row in body["rows"]]) == ("as_designed", ["installed"] * 2)


@pytest.mark.parametrize("query", [{"at": "yesterday"}, {"only": "everything"}])
def test_a_bad_query_is_a_problem_document(trays: Trays, query: dict[str, str]) -> None:
    answer = asked(trays, **query)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, list(query))


def test_as_csv_a_line_for_each_slot(trays: Trays) -> None:
    lines = list(csv.DictReader(io.StringIO(asked(trays, format="csv").content.decode())))
    assert [(line["path"], line["state"]) for line in lines] == [("GPU0", "missing"), ("NIC0", "installed")]


def test_units_of_another_site_are_not_found(trays: Trays) -> None:
    stranger = make_scanner(make_station(site=make_site("S2")))
    assert stranger.get(f"units/{trays.unit.uid}/design-comparison/").status_code == 404
    assert stranger.get("design-comparisons/").json()["results"] == []


def test_racks_of_an_order_a_row_each(trays: Trays) -> None:
    ordered_unit(trays.a, trays.one)
    order = make_order(trays.a, trays.one, 2)
    rows = trays.builder.get("design-comparisons/", order=order.number).json()["results"]
    assert [row["serial"] for row in rows] == [row.unit.serial for row in order.order_units.order_by("-unit")]
    assert {row["verdict"] for row in rows} == {"unfinished"}
    assert rows[0]["counts"]["expected"] == 2 and "rows" not in rows[0]
    rows = trays.builder.get("design-comparisons/", serial=trays.unit.serial).json()["results"]
    assert [(row["verdict"], row["counts"]["missing"]) for row in rows] == [("different", 1)]


def test_a_page_costs_the_same_for_3_and_40(trays: Trays) -> None:
    client, counts = supervisor_client(), []
    for quantity in (3, 40):
        order = make_order(trays.a, trays.one, quantity)
        for limit in (50, 50):  # the first time, a process reads each released definition
            with CaptureQueriesContext(connection) as queries:
                page = client.get(
                    "/api/v1/design-comparisons/", {"order": str(order.number), "limit": str(limit)}
                )
        assert len(page.json()["results"]) == quantity
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8, counts


def test_the_admin_leads_to_it(trays: Trays) -> None:
    client, page = superuser_client(), f"/units/{trays.unit.uid}/elevation/"
    row = trays.unit.order_units.get()
    for name, key in (
        ("workorders_orderunit_changelist", None),
        ("workorders_workorder_change", row.work_order_id),
    ):
        address = reverse(f"admin:{name}", args=[key] if key else [])
        assert f'href="{page}"' in client.get(address).content.decode()
    unit = client.get(reverse("admin:serials_unit_change", args=[trays.unit.pk])).content.decode()
    assert "Against its design" in unit
    action = reverse("admin:serials_unit_elevation", args=[trays.unit.pk])
    assert client.get(action)["Location"] == page
