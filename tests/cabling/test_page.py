"""The cables of a unit as a page."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.builders import make_part, make_unit
from tests.cabling.builders import Hall
from tests.cabling.test_port_map import RIGHT, report
from tests.terminal.test_unit_pages import office

pytestmark = pytest.mark.django_db


def page(client: Client, unit: object) -> str:
    answer = client.get(f"/units/{unit.uid}/cables/")  # type: ignore[attr-defined]
    assert answer.status_code == 200
    return answer.content.decode()


def test_differences_come_first_then_the_list_then_what_to_cut() -> None:
    hall = Hall()
    hall.connect("N8")
    hall.post("cables/checks", label="N8", kind="seat", passed=False)
    report(hall, {**RIGHT, "U08/NIC2": "", "U08/NIC1": "LEAF-1/2", "U09/NIC1": "LEAF-1/1"})
    hall.post("port-map/verify")
    said = page(office("view_unit"), hall.unit)
    order = [
        "N8 and N9 are swapped",
        "T8: no link at U08/NIC2",
        "seat failed",
        ">Cables</h2>",
        ">Cut list</h2>",
    ]
    places = [said.index(text) for text in order]
    assert places == sorted(places)
    assert "✕ swapped" in said and "✕ FAIL" in said and "– not connected" in said


def test_without_a_plan_the_page_says_so() -> None:
    said = page(office("view_unit"), make_unit(make_part("rack", level=11)))
    assert "has no released cable plan" in said


def test_the_page_costs_the_same_however_many_cables() -> None:
    counts, client = [], office("view_unit")
    for many in (3, 40):
        cables = [(f"N{n}", f"U08/P{n}", f"LEAF-1/{n}", "DAC", 2000, ["seat"]) for n in range(many)]
        hall = Hall(cables=cables)
        hall.lay_all()
        page(client, hall.unit)
        with CaptureQueriesContext(connection) as queries:
            page(client, hall.unit)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 22
