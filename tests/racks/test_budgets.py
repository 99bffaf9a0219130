"""Budgets of units: installed and expected, nested shelves, redundancy, and the queries they take."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.template.loader import render_to_string
from django.test.utils import CaptureQueriesContext

from mes.errors import RuleViolation
from mes.products.models import PartRevision, Slot
from mes.products.models.parts import FIGURES
from mes.products.services import check_design
from mes.racks.services import budgets_of, remove_unit
from mes.serials.models import Unit
from tests.builders import TESTER, make_scanner, make_site, make_station, make_unit, supervisor_client
from tests.racks.loads import again, assembly, part, put

pytestmark = pytest.mark.django_db
POSITIONS = {"S1": 2, "S2": 4, "T1": 6, "T2": 8}
NPLUS1 = {"name": "N+1", "figure": "power_w", "redundancy": 1, "supply_slots": ["shelf"]}


class Rack:
    """Two shelves of two PSUs of 5 kW each (11 kg with PSUs of 2 kg), and two trays of 4 kW and 20 kg."""

    def __init__(self, *budgets: dict[str, Any], **figures: Any) -> None:
        self.psu = part("psu", power_supplied_w=5000, weight_kg=2)
        self.shelf = assembly({"PSU1": self.psu, "PSU2": self.psu}, kind="shelf", level=10, empty_weight_kg=7)
        self.tray = part("tray", level=10, power_w=4000, weight_kg=20)
        self.revision = assembly(
            {"S1": self.shelf, "S2": self.shelf, "T1": self.tray, "T2": self.tray},
            budgets=budgets,
            places={name: {"position": at, "height": 2} for name, at in POSITIONS.items()},
            **figures,
        )
        self.unit = make_unit(self.revision)

    def filled_shelf(self, *psus: PartRevision) -> Unit:
        shelf = make_unit(self.shelf)
        for number, psu in enumerate(psus or (self.psu, self.psu), 1):
            put(shelf, f"PSU{number}", psu)
        return Unit.objects.get(pk=shelf.pk)

    def put(self, slot: str, what: PartRevision | Unit) -> Unit:
        return put(Unit.objects.get(pk=self.unit.pk), slot, what)

    def line(self) -> dict[str, Any]:
        (line,) = read(self.unit)["budgets"]
        return dict(line)


def read(unit: Unit) -> Any:
    answer = supervisor_client().get(f"/api/v1/units/{unit.uid}/budgets/")
    assert answer.status_code == 200
    return answer.json()


def numbers(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in ("installed", "installed_limit", "expected", "limit", "state"))


def test_an_empty_rack_expects_what_it_was_designed_with() -> None:
    rack = Rack({"name": "weight", "figure": "weight_kg", "limit": 200}, empty_weight_kg=100)
    assert numbers(rack.line()) == (100, 200, 162, 200, "kept")
    rack.put("S1", rack.filled_shelf())
    rack.put("T1", rack.tray)
    assert numbers(rack.line()) == (131, 200, 162, 200, "kept")


def test_a_shelf_with_an_empty_bay_counts_what_is_in_it_and_expects_the_rest() -> None:
    rack = Rack({"name": "weight", "figure": "weight_kg", "limit": 200}, empty_weight_kg=100)
    rack.put("S1", rack.filled_shelf(rack.psu))
    assert numbers(rack.line()) == (109, 200, 162, 200, "kept")


def test_redundancy_is_asked_of_the_complete_rack_and_shown_as_it_stands() -> None:
    rack = Rack(NPLUS1)
    assert numbers(rack.line()) == (0, 0, 8000, 10000, "kept")
    rack.put("T1", rack.tray)
    assert numbers(rack.line()) == (4000, 0, 8000, 10000, "not_now")
    rack.put("S1", rack.filled_shelf())
    assert numbers(rack.line()) == (4000, 0, 8000, 10000, "no_redundancy")
    rack.put("S2", rack.filled_shelf())
    assert numbers(rack.line()) == (4000, 10000, 8000, 10000, "kept")


def test_taking_a_supply_out_is_not_refused_but_shown() -> None:
    rack = Rack(NPLUS1)
    for slot in ("S1", "S2"):
        rack.put(slot, rack.filled_shelf())
    for slot in ("T1", "T2"):
        rack.put(slot, rack.tray)
    assert rack.line()["state"] == "kept"
    shelf = Slot.objects.get(revision=rack.revision, name="S2")
    remove_unit(parent=Unit.objects.get(pk=rack.unit.pk), slot=shelf, reason="failed", by=TESTER)
    assert numbers(rack.line()) == (8000, 0, 8000, 10000, "no_redundancy")


def test_totals_and_the_centre_of_gravity_are_said_for_any_unit() -> None:
    rack = Rack(empty_weight_kg=100, empty_centre_mm=500)
    rack.put("T2", rack.tray)
    told = read(rack.unit)
    assert told["budgets"] == []
    assert {each["figure"]: (each["installed"], each["expected"]) for each in told["totals"]} == {
        "weight_kg": (120, 162),
        "power_w": (4000, 8000),
        "power_supplied_w": (None, 20000),
    }
    # T2 stands in U4, its middle 7 half units above U1's edge: (100 * 500 + 20 * 155.575) / 120
    assert told["centre_of_gravity"]["height_mm"] == pytest.approx(442.5958, abs=0.001)
    shelf = rack.filled_shelf(rack.psu)
    assert read(shelf)["centre_of_gravity"] == {"height_mm": None, "left_out_kg": 9}


def test_every_figure_is_told() -> None:
    stated: dict[str, Any] = {name: number for number, name in enumerate(FIGURES, 1)}
    told = read(make_unit(assembly({"A": part(**stated)})))["totals"]
    assert {each["figure"]: each["expected"] for each in told} == stated


def test_the_expected_part_is_the_latest_released_revision() -> None:
    rack = Rack({"name": "power", "figure": "power_w", "limit": 10000})
    assert rack.line()["expected"] == 8000
    again(rack.tray, power_w=4500)
    assert rack.line()["expected"] == 9000


def test_a_rack_installed_in_nothing_and_a_tray_inside_both_answer() -> None:
    rack = Rack()
    shelf = rack.put("S1", rack.filled_shelf())
    totals = {each["figure"]: each["installed"] for each in read(shelf)["totals"]}
    assert totals == {"weight_kg": 11, "power_supplied_w": 10000}


def test_budgets_of_another_site_are_not_shown() -> None:
    rack = Rack()
    there = make_scanner(make_station(site=make_site("S2")))
    assert there.get(f"units/{rack.unit.uid}/budgets/").status_code == 404


@pytest.mark.parametrize("slots", [3, 40])
def test_reading_takes_as_many_queries_for_3_slots_as_for_40(slots: int) -> None:
    tray = part("tray", level=10, power_w=10)
    budget = {"name": "power", "figure": "power_w", "limit": 1000}
    unit = make_unit(assembly({f"U{number}": tray for number in range(slots)}, budgets=(budget,)))
    for number in range(slots):
        put(Unit.objects.get(pk=unit.pk), f"U{number}", tray)
    budgets_of(unit=unit)
    with CaptureQueriesContext(connection) as found:
        (line,) = budgets_of(unit=unit).lines
    assert len(found) == 2
    assert line.now.demand == slots * 10


def test_the_part_of_a_page_says_states_in_words() -> None:
    rack = Rack(NPLUS1, {"name": "weight", "figure": "weight_kg", "limit": 200}, empty_weight_kg=100)
    rack.put("T1", rack.tray)
    page = render_to_string("terminal/parts/budgets.html", {"budgets": budgets_of(unit=rack.unit)})
    assert "▶ not kept as it stands, kept when complete" in page and "✓ kept" in page
    assert "162.0 kg" in page
    bare = render_to_string("terminal/parts/budgets.html", {"budgets": budgets_of(unit=make_unit(rack.psu))})
    assert bare.strip() == ""


WRONG_BUDGETS: dict[str, dict[str, Any]] = {
    "no limit and no supply": {"figure": "weight_kg"},
    "redundancy of a limit": {"figure": "power_w", "limit": 10, "redundancy": 1},
    "a limit of nothing": {"figure": "power_w", "limit": 0},
}


@pytest.mark.parametrize("what", WRONG_BUDGETS)
def test_the_database_refuses_budgets_without_sense(what: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        assembly({}, budgets=({"name": "b", **WRONG_BUDGETS[what]},))


def test_the_database_refuses_half_a_pair_rule_and_negative_figures() -> None:
    rule = {"name": "r", "relation": "pair", "kinds": ["nic"], "property": "speed", "value": "400G"}
    with pytest.raises(IntegrityError), transaction.atomic():
        assembly({}, rules=(rule,))
    with pytest.raises(IntegrityError), transaction.atomic():
        part(power_w=-1)


UNSOUND: dict[str, dict[str, Any]] = {
    "a slot that is not there": {
        "budgets": ({"name": "b", "figure": "power_w", "limit": 9, "demand_slots": ["X"]},)
    },
    "no footprint": {"budgets": ({"name": "b", "figure": "floor_kg_m2", "limit": 9},)},
    "no kinds": {"rules": ({"name": "r", "relation": "same", "kinds": [], "property": "maker"},)},
    "no others": {
        "rules": (
            {
                **{"name": "r", "relation": "pair", "kinds": ["nic"], "property": "speed"},
                **{"value": "1", "other_property": "speed"},
            },
        )
    },
}


@pytest.mark.parametrize("what", UNSOUND)
def test_an_unsound_budget_or_rule_is_not_released(what: str) -> None:
    with pytest.raises(RuleViolation) as refused:
        check_design(assembly({"A": part()}, **UNSOUND[what]))
    assert refused.value.code == "budget_unsound"


def test_a_design_that_breaks_its_own_budget_is_not_released() -> None:
    tray = part("tray", level=10, power_w=60)
    budget = {"name": "power", "figure": "power_w", "limit": 100}
    check_design(assembly({"A": tray}, budgets=(budget,)))
    with pytest.raises(RuleViolation) as refused:
        check_design(assembly({"A": tray, "B": tray}, budgets=(budget,)))
    assert refused.value.code == "design_exceeds_budget"
    assert "power comes to 120.0 W when filled as designed, of 100.0 W" in refused.value.detail
