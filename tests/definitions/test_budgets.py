"""Figures, budgets, rules and blind mates in packs: read, checked, and kept by what a pack releases."""

from pathlib import Path
from typing import Any

import pytest

from mes.definitions.services import BadPack, compare_pack, load_pack
from mes.products.models import Limit, PartRevision
from mes.products.services import asks_of, design_of, newest_release, reckon
from mes.simulators.measuring import FLOWS_L_MIN
from tests.definitions.packs import written
from tests.definitions.test_load import NVL72

pytestmark = pytest.mark.django_db

PACK = """\
parts:
  - {number: RACK, name: Rack, kind: rack, level: 11}
  - {number: TRAY, name: Tray, kind: tray, level: 10}
revisions:
  - part: TRAY
    revision: A
    weight_kg: 20
    power_w: 400
    mates: [busbar]
    properties: {generation: "1"}
    release: true
  - part: RACK
    revision: A
    empty_weight_kg: 100
    footprint_m2: 0.5
    release: true
    slots:
      - {name: T1, type: tray, face: left, filled_at: 0, order: 1, accepts: [TRAY], mates: [busbar]}
      - {name: T2, type: tray, face: right, filled_at: 0, order: 2, accepts: [TRAY], mates: [busbar]}
    budgets:
      - {name: power, figure: power_w, limit: 900, demand_slots: [tray]}
      - {name: floor, figure: floor_kg_m2, limit: 300}
    compatibility_rules:
      - {name: one generation, relation: same, kinds: [tray], property: generation}
"""
BAD = {
    "properties that are a list": (
        'properties: {generation: "1"}',
        "properties: [generation]",
        "10: properties must be texts by name ({name: text})",
    ),
    "a property that is a number": (
        'properties: {generation: "1"}',
        "properties: {generation: 1}",
        "10: properties must be text (in quotes)",
    ),
    "a property given twice": (
        'properties: {generation: "1"}',
        'properties: {generation: "1", generation: "2"}',
        "10: properties must not name anything twice",
    ),
    "a negative figure": ("power_w: 400", "power_w: -1", "8: power_w is refused: "),
    "a mate that no slot offers": (
        "mates: [busbar]\n    properties",
        "mates: [busbar, supply]\n    properties",
        "18: no revision of TRAY mates here: it needs supply",
    ),
    "a figure without supply or limit": (
        "figure: floor_kg_m2, limit: 300",
        "figure: weight_kg",
        "22: weight_kg is supplied by nothing: give a limit",
    ),
    "redundancy of a limit": ("limit: 900,", "limit: 900, redundancy: 1,", "21: redundancy is of supplies"),
    "a limit of nothing": ("limit: 900,", "limit: 0,", "21: limit must be greater than 0"),
    "a slot that is not there": (
        "demand_slots: [tray]",
        "demand_slots: [shelf]",
        "21: 'shelf' is neither a slot nor a type of slot",
    ),
    "a floor load on nothing": ("    footprint_m2: 0.5\n", "", "21: a floor load without footprint_m2"),
    "half a pair": (
        "relation: same, kinds: [tray], property: generation",
        'relation: pair, kinds: [tray], property: generation, value: "1"',
        "24: a pair needs value, other_kinds, other_property and other_values",
    ),
    "a same with another side": (
        "kinds: [tray], property: generation",
        'kinds: [tray], property: generation, value: "1"',
        "24: 'same' takes kinds and property only",
    ),
    "a kind that no part is of": ("kinds: [tray]", "kinds: [psu]", "24: no part is of kind 'psu'"),
}


def changed(old: str, new: str) -> str:
    assert PACK.count(old) == 1
    return PACK.replace(old, new)


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_named_with_its_line(what: str, tmp_path: Path) -> None:
    old, new, reason = BAD[what]
    path = written(tmp_path, changed(old, new))
    with pytest.raises(BadPack) as refused:
        compare_pack(path)
    assert any(str(problem).startswith(f"{path}:{reason}") for problem in refused.value.problems), str(
        refused.value
    )


def test_what_is_loaded_is_what_was_written(tmp_path: Path) -> None:
    load_pack(written(tmp_path, PACK))
    tray, rack = PartRevision.objects.order_by("pk").select_related("part")
    assert (tray.properties, tray.mates, tray.power_w) == ({"generation": "1"}, ["busbar"], 400)
    assert [(slot.face, slot.mates) for slot in rack.slots.all()] == [
        ("left", ["busbar"]),
        ("right", ["busbar"]),
    ]
    assert [budget.name for budget in asks_of(rack).budgets] == ["power", "floor"]
    assert {str(change.sign) for change in load_pack(written(tmp_path, PACK))} == {"="}


def test_a_changed_property_of_a_draft_is_shown(tmp_path: Path) -> None:
    draft = PACK.replace("    release: true\n", "")
    load_pack(written(tmp_path, draft))
    found = compare_pack(written(tmp_path, draft.replace('generation: "1"', 'generation: "2"')))
    shown = [str(change) for change in found if change.values]
    assert shown == ["~ revision TRAY A: properties {'generation': '1'} -> {'generation': '2'}"]


def test_a_design_that_breaks_its_own_budget_is_not_loaded(tmp_path: Path) -> None:
    path = written(tmp_path, changed("power_w: 400", "power_w: 500"))
    with pytest.raises(BadPack) as refused:
        load_pack(path)
    assert str(refused.value) == (
        f"{path}:12: design_exceeds_budget: RACK A cannot be released: power comes to 1000.0 W when filled as"
        " designed, of 900.0 W."
    )


def test_a_newer_heavier_part_does_not_make_what_is_released_unloadable(tmp_path: Path) -> None:
    load_pack(written(tmp_path, PACK))
    heavier = "revisions:\n  - {part: TRAY, revision: B, power_w: 500, release: true}\n"
    load_pack(written(tmp_path, heavier, "more.yaml"))
    load_pack(written(tmp_path, PACK))


def margins(part: str) -> dict[str, float]:
    revision = PartRevision.objects.select_related("part").get(part__number=part, revision="B")
    items = design_of(revision, newest_release()).items
    budgets = asks_of(revision).budgets
    return {budget.name: float(round(reckon(budget, revision, items).margin, 1)) for budget in budgets}


def test_the_seed_rack_keeps_its_budgets_as_designed() -> None:
    load_pack(NVL72)
    assert margins("RK-1001") == {
        "rack weight": 31,
        "floor load": 123.4,
        "crate": 171,
        "centre of gravity": 96.2,
        "rack power": 900,
        "busbar with one shelf failed": 112200,
        "lower feed alone": 13200,
        "upper feed alone": 13200,
        "coolant flow": 82.5,
        "heat into liquid": 9200,
        "heat into air": 1700,
    }
    assert margins("PS-1001") == {"shelf output": 0}


def test_the_seed_rack_needs_gets_and_is_limited_to_the_same_flow() -> None:
    load_pack(NVL72)
    revision = PartRevision.objects.select_related("part").get(part__number="RK-1001", revision="B")
    items = design_of(revision, newest_release()).items
    budgets = {budget.name: reckon(budget, revision, items) for budget in asks_of(revision).budgets}
    coolant, kilowatts = budgets["coolant flow"], float(budgets["rack power"].demand) / 1000
    limit = Limit.objects.get(operation__route__part=revision.part, measurement="flow_per_kw")
    assert limit.low is not None and limit.high is not None
    assert limit.low * kilowatts <= coolant.demand, "what the trays need is within the limit"
    assert limit.high * kilowatts <= coolant.limit, "what the limit allows is supplied"
    kinds = [item.revision.part.kind for item in items]
    played = sum(flow * kinds.count(kind) for kind, flow in FLOWS_L_MIN.items())
    assert coolant.demand <= played <= limit.high * kilowatts, "what the demo measures is between"


def test_what_of_the_seed_rack_has_no_public_source_says_so() -> None:
    load_pack(NVL72)
    figures: Any = PartRevision.objects.exclude(weight_kg=None).values_list("part__number", "assumption")
    assert all(assumption for _, assumption in figures)


def test_revision_b_of_the_seed_rack_is_loaded_beside_revision_a(tmp_path: Path) -> None:
    earlier = """\
parts:
  - {number: PSU-1001, name: PSU 5.5 kW, kind: psu, level: 2, maker: Demo maker, maker_number: DEMO-PSU}
revisions:
  - {part: PSU-1001, revision: A, release: true}
"""
    load_pack(written(tmp_path, earlier))
    load_pack(NVL72)
    released = PartRevision.objects.filter(part__number="PSU-1001", released_at__isnull=False)
    assert sorted(released.values_list("revision", flat=True)) == ["A", "B"]
    assert margins("PS-1001") == {"shelf output": 0}, "the latest released revision is expected"
