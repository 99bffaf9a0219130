"""Installs that break a budget or a compatibility rule: refused by name, at the floor's own door."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.errors import RuleViolation
from mes.people.services import prove
from mes.products.models import PartRevision, Slot
from mes.racks.models import Installation
from mes.racks.services import install_unit
from mes.serials.models import Unit
from mes.workorders.models import DeviationUse
from mes.workorders.services import PartException, open_deviation
from tests.builders import (
    PIN,
    TESTER,
    make_route,
    make_scanner,
    make_signer,
    make_unit,
    ordered_unit,
)
from tests.racks.loads import again, assembly, part, put

pytestmark = pytest.mark.django_db
POWER = {"name": "rack power", "figure": "power_w", "limit": 100}
ONE_MAKER = {"name": "one maker", "relation": "same", "kinds": ["psu"], "property": "maker"}


class Floor:
    """An assembly on its route at its build, and a scanner there."""

    def __init__(self, revision: PartRevision) -> None:
        self.unit = ordered_unit(revision, make_route(revision))
        self.scanner = make_scanner()
        self.scanner.scan(self.unit.serial)

    def install(self, slot: str, child: Unit | PartRevision) -> Any:
        unit = child if isinstance(child, Unit) else make_unit(child)
        body = {"slot": slot, "child": {"uid": str(unit.uid)}}
        return self.scanner.post(f"units/{self.unit.uid}/install/", body)

    def installed(self) -> int:
        return Installation.objects.live().filter(parent=self.unit).count()

    def permit(self, slot_part: PartRevision, instead: PartRevision) -> None:
        engineer = make_signer("engineer")
        open_deviation(
            target=self.unit,
            exception=PartException(slot_part.part, instead),
            quantity=1,
            expires_at=timezone.now() + timedelta(days=1),
            reason="shortage",
            proof=prove(badge=engineer.badge, pin=PIN),
            by=TESTER,
        )


def refusal(answer: Any) -> Any:
    assert answer.status_code == 422, answer.json()
    return answer.json()


def two_trays(**more: Any) -> tuple[PartRevision, PartRevision, Floor]:
    """Make a rack of two trays expected to draw 40 W of 100 W, and a heavier tray of 65 W that fits too."""
    tray = part("tray", level=10, power_w=40)
    heavy = again(tray, "A2", power_w=65)
    again(tray, "A3", power_w=40)
    return tray, heavy, Floor(assembly({"T1": tray, "T2": tray}, budgets=(POWER,), **more))


def test_what_would_break_a_budget_when_complete_is_refused_by_name() -> None:
    tray, heavy, floor = two_trays()
    told = refusal(floor.install("T1", heavy))
    assert told["code"] == "budget_exceeded"
    words = f"rack power of {floor.unit.serial} would come to 105.0 W when complete, of 100.0 W"
    assert told["detail"].startswith(words)
    facts = {"budget": "rack power", "unit_of_measure": "W", "projected": 105, "limit": 100, "margin": -5}
    assert facts.items() <= told.items()
    assert told["rule"] == f"budget rack power of {floor.unit.part_revision}"
    assert told["release"] == "Engineering, by a new revision or a deviation."
    assert "call engineering" in told["next"]
    assert floor.installed() == 0
    assert floor.install("T1", tray).status_code == 201


def test_an_empty_slot_counts_as_what_is_expected_and_a_filled_one_as_what_is_in_it() -> None:
    tray = part("tray", level=10, power_w=40)
    light, heavy = again(tray, "L", power_w=20), again(tray, "H", power_w=70)
    again(tray, "Z", power_w=40)
    floor = Floor(assembly({"T1": tray, "T2": tray}, budgets=(POWER,)))
    assert refusal(floor.install("T2", heavy))["projected"] == 110
    assert floor.install("T1", light).status_code == 201
    assert floor.install("T2", heavy).status_code == 201


def test_weaker_supplies_that_leave_nothing_to_spare_are_refused() -> None:
    psu = part("psu", power_supplied_w=50)
    weak = again(psu, "W", power_supplied_w=30)
    again(psu, "Z", power_supplied_w=50)
    tray = part("tray", level=10, power_w=90)
    budget = {"name": "N+1", "figure": "power_w", "redundancy": 1}
    floor = Floor(assembly({"P1": psu, "P2": psu, "P3": psu, "T": tray}, budgets=(budget,)))
    told = refusal(floor.install("P1", weak))
    assert (told["budget"], told["projected"], told["limit"], told["redundancy"]) == ("N+1", 90, 80, 1)
    assert "without its largest supply" in told["detail"]
    assert floor.install("P1", psu).status_code == 201


def test_a_rack_without_any_shelf_yet_takes_its_trays() -> None:
    psu, tray = part("psu", power_supplied_w=50), part("tray", level=10, power_w=90)
    budget = {"name": "N+1", "figure": "power_w", "redundancy": 1}
    floor = Floor(assembly({"P1": psu, "P2": psu, "P3": psu, "T": tray}, budgets=(budget,)))
    assert floor.install("T", tray).status_code == 201


def test_a_top_heavy_install_is_refused() -> None:
    block = part("block", level=10, weight_kg=10)
    lead = again(block, "LEAD", weight_kg=90)
    again(block, "Z", weight_kg=10)
    places = {"LOW": {"position": 2, "height": 2}, "HIGH": {"position": 82, "height": 2}}
    budget = {"name": "tilt", "figure": "centre_mm", "limit": 1000}
    floor = Floor(assembly({"LOW": block, "HIGH": block}, places=places, budgets=(budget,)))
    told = refusal(floor.install("HIGH", lead))
    # (10 * 22.225 + 90 * 1800.225) / 100
    assert (told["budget"], told["projected"]) == ("tilt", 1622.425)
    assert floor.install("LOW", lead).status_code == 201


def test_an_assembly_whose_design_became_too_heavy_takes_nothing_that_breaks_it() -> None:
    tray, _, floor = two_trays()
    newest = again(tray, "A4", power_w=60)
    assert refusal(floor.install("T1", newest))["projected"] == 120
    assert floor.install("T1", tray).status_code == 201, "40 W and the 60 W expected keep the budget"
    assert floor.install("T2", newest).status_code == 201


def test_what_makes_room_or_takes_none_is_installed_although_newer_parts_are_too_heavy() -> None:
    tray, psu = part("tray", level=10, power_w=40), part("psu", power_supplied_w=9)
    floor = Floor(assembly({"T1": tray, "T2": tray, "P": psu}, budgets=(POWER,)))
    newest = again(tray, "A4", power_w=90)
    assert floor.install("P", psu).status_code == 201
    assert refusal(floor.install("T1", newest))["projected"] == 180
    assert floor.install("T1", tray).status_code == 201, "130 W of 100 W, but less than before"
    assert floor.install("T2", tray).status_code == 201


def test_a_deviation_permits_what_breaks_a_budget_and_the_rest_is_built_as_designed() -> None:
    tray, heavy, floor = two_trays()
    floor.permit(tray, heavy)
    answer = floor.install("T1", heavy)
    assert (answer.status_code, answer.json()["deviation"]) == (201, "DEV-0001")
    assert DeviationUse.objects.count() == 1
    assert refusal(floor.install("T2", heavy))["code"] == "budget_exceeded"
    assert floor.install("T2", tray).status_code == 201, "as designed it makes nothing worse"


def shelf_of_psus() -> tuple[PartRevision, PartRevision, Floor]:
    ours, theirs = part("psu", maker="Ours"), part("psu", maker="Theirs")
    return ours, theirs, Floor(assembly({"P1": [ours, theirs], "P2": [ours, theirs]}, rules=(ONE_MAKER,)))


def test_mixed_makers_are_refused_with_rule_and_other_part() -> None:
    ours, theirs, floor = shelf_of_psus()
    mine, other = make_unit(ours), make_unit(theirs)
    assert floor.install("P1", mine).status_code == 201
    told = refusal(floor.install("P2", other))
    assert told["code"] == "parts_incompatible"
    detail = f"psu {other.serial} (maker Theirs) does not go with psu {mine.serial} (maker Ours): one maker."
    assert told["detail"] == detail
    facts = {"rule": "one maker", "other": str(mine.uid), "other_part": ours.part.number}
    assert facts.items() <= told.items()
    assert told["release"] == "Engineering, by a new revision or a deviation."
    assert floor.install("P2", ours).status_code == 201


def test_a_deviation_permits_a_mix_once() -> None:
    ours, theirs, floor = shelf_of_psus()
    floor.install("P1", ours)
    floor.permit(ours, theirs)
    assert floor.install("P2", theirs).json()["deviation"] == "DEV-0001"


def test_parts_are_compared_at_any_depth_and_what_is_mixed_in_itself_is_refused() -> None:
    ours, theirs = part("psu", maker="Ours"), part("psu", maker="Theirs")
    shelf = assembly({"P1": [ours, theirs], "P2": [ours, theirs]}, kind="shelf", level=10)
    floor = Floor(assembly({"S1": shelf, "S2": shelf}, rules=(ONE_MAKER,)))

    def filled(*psus: PartRevision) -> Unit:
        unit = make_unit(shelf)
        for slot, psu in zip(("P1", "P2"), psus, strict=True):
            put(Unit.objects.get(pk=unit.pk), slot, psu)
        return unit

    assert refusal(floor.install("S1", filled(ours, theirs)))["code"] == "parts_incompatible"
    assert floor.install("S1", filled(ours, ours)).status_code == 201
    assert refusal(floor.install("S2", filled(theirs, theirs)))["values"] == ["Ours", "Theirs"]
    assert floor.install("S2", filled(ours, ours)).status_code == 201


def test_generations_of_different_kinds_are_compared_and_what_states_none_is_not() -> None:
    tray = part("tray", level=10, properties={"generation": "2"})
    shelf, unknown = part("shelf", level=10, properties={"generation": "1"}), part("shelf", level=10)
    rule = {
        "name": "one generation",
        "relation": "same",
        "kinds": ["tray", "shelf"],
        "property": "generation",
    }
    floor = Floor(assembly({"T": tray, "S": [shelf, unknown]}, rules=(rule,)))
    assert floor.install("T", tray).status_code == 201
    assert "(generation 1) does not go with" in refusal(floor.install("S", shelf))["detail"]
    assert floor.install("S", unknown).status_code == 201


@pytest.mark.parametrize("first", ["nic", "switch"])
def test_a_pair_is_refused_whichever_comes_first(first: str) -> None:
    nic = part("nic", properties={"speed": "400G"})
    slow, fast = (part("switch", level=3, properties={"link": speed}) for speed in ("100G", "800G"))
    rule = {
        **{"name": "NIC and switch", "relation": "pair", "kinds": ["nic"], "property": "speed"},
        **{"value": "400G", "other_kinds": ["switch"], "other_property": "link"},
        "other_values": ["400G", "800G"],
    }
    floor = Floor(assembly({"N": nic, "S": [slow, fast]}, rules=(rule,)))
    pair = [("N", nic), ("S", slow)]
    (one, other) = pair if first == "nic" else reversed(pair)
    assert floor.install(*one).status_code == 201
    told = refusal(floor.install(*other))
    assert (told["rule"], told["values"]) == ("NIC and switch", ["400G", "100G"])
    assert "speed 400G" in told["detail"] and "link 100G" in told["detail"]
    if first == "nic":
        assert floor.install("S", fast).status_code == 201


def test_a_nic_of_another_speed_is_not_in_the_table() -> None:
    nic, slow = part("nic", properties={"speed": "100G"}), part("switch", properties={"link": "100G"})
    rule = {
        **{"name": "NIC and switch", "relation": "pair", "kinds": ["nic"], "property": "speed"},
        **{"value": "400G", "other_kinds": ["switch"], "other_property": "link"},
        "other_values": ["400G"],
    }
    floor = Floor(assembly({"N": nic, "S": slow}, rules=(rule,)))
    assert floor.install("N", nic).status_code == floor.install("S", slow).status_code == 201


def test_a_tray_that_mates_blind_needs_a_slot_that_offers_it() -> None:
    tray = part("tray", level=10, mates=["busbar", "supply", "return"])
    places: dict[str, Any] = {
        "T1": {"mates": ["busbar"]},
        "T2": {"mates": ["return", "busbar", "supply"], "face": "left"},
    }
    floor = Floor(assembly({"T1": tray, "T2": tray}, places=places))
    told = refusal(floor.install("T1", tray))
    assert (told["code"], told["missing"]) == ("blind_mate_missing", ["supply", "return"])
    assert "mates blind with supply, return, which T1 does not offer" in told["detail"]
    assert floor.install("T2", tray).status_code == 201


EXTRA = 2  # the stamp of the released revisions, and what is in both units


@pytest.mark.parametrize("slots", [3, 40])
def test_budgets_and_rules_cost_two_statements_whatever_the_size(slots: int) -> None:
    tray = part("tray", level=10, power_w=1)
    takes: dict[str, Any] = {f"U{number}": tray for number in range(slots)}
    rule = {"name": "one tray maker", "relation": "same", "kinds": ["tray"], "property": "maker"}
    counts = []
    asked: dict[str, Any] = {"budgets": (POWER,), "rules": (rule,)}
    for asks in ({}, asked):
        unit = make_unit(assembly(takes, **asks))
        for name in list(takes)[1:]:
            put(Unit.objects.get(pk=unit.pk), name, tray)
        slot, child = Slot.objects.get(revision=unit.part_revision, name="U0"), make_unit(tray)
        with CaptureQueriesContext(connection) as found:
            install_unit(parent=unit, slot=slot, child=child, by=TESTER)
        counts.append(len(found))
    assert counts[1] - counts[0] == EXTRA


def test_the_door_itself_refuses() -> None:
    tray, heavy, _ = two_trays()
    unit = make_unit(assembly({"T1": tray, "T2": tray}, budgets=(POWER,)))
    with pytest.raises(RuleViolation) as refused:
        put(unit, "T1", heavy)
    assert refused.value.code == "budget_exceeded"
