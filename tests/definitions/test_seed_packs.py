"""The seed packs beside the liquid-cooled rack: what they define, and that it can be built."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from mes.definitions.services import Sign, compare_pack, load_pack
from mes.products.models import BomLine, Operation, Part, PartRevision, RetestRule, Route, Slot
from mes.racks.services import as_built
from mes.serials.models import Unit
from mes.simulators.plan import plan, quantities, required_tests
from mes.stations.models import Station
from mes.workorders.models import ConsumableUse
from mes.workorders.services import create_child_orders, promise, release_order, remove_child, ship_unit
from tests.builders import TESTER
from tests.definitions.line import PackLine

pytestmark = pytest.mark.django_db

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
NVL72, ORV3, IMMERSION = FIXTURES / "nvl72", FIXTURES / "orv3", FIXTURES / "immersion"
EXPANSION = FIXTURES / "nvl72_expansion"


def serials_in(part: str) -> int:
    """Return how many serials a complete unit of a part has, its own among them."""
    return sum(quantities(plan(part)).values())


def units_inside(unit: Unit) -> int:
    return sum(1 for _ in as_built(unit=unit).walk())


def slots_filled(unit: Unit) -> int:
    return len(as_built(unit=unit).children)


def is_unchanged(path: Path) -> bool:
    return all(change.sign == Sign.UNCHANGED for change in compare_pack(path))


def check_as_defined() -> None:
    """Every quantity has its slots, and every operation of what is loaded finds a station."""
    for line in BomLine.objects.select_related("parent"):
        assert line.quantity == line.parent.slots.filter(accepts=line.part).count(), line
    centers = set(Operation.objects.values_list("work_center", flat=True))
    assert centers <= set(Station.objects.values_list("work_center", flat=True))


def test_the_air_cooled_rack_loads_alone_and_says_before_what_it_does() -> None:
    out = StringIO()
    call_command("load_definitions", str(ORV3), dry_run=True, stdout=out)
    printed = out.getvalue()
    assert "+ revision RK-3001 A (released)\n" in printed
    assert "268 added, 0 changed, 0 removed, 0 unchanged, 29 released; nothing was written" in printed
    assert not PartRevision.objects.exists()
    load_pack(ORV3)
    check_as_defined()
    assert is_unchanged(ORV3)


def test_the_air_cooled_rack_and_the_liquid_cooled_one_load_in_either_order() -> None:
    load_pack(ORV3)
    load_pack(NVL72)
    assert is_unchanged(ORV3) and is_unchanged(NVL72)
    check_as_defined()
    shared = BomLine.objects.filter(parent__part__number__endswith="-3001")
    assert not shared.exclude(part__number__endswith="-3001").exists()


def test_the_air_cooled_rack_has_the_published_numbers() -> None:
    load_pack(ORV3)
    assert {part: serials_in(part) for part in ("ND-3001", "PS-3001", "RK-3001")} == {
        "ND-3001": 75,
        "PS-3001": 8,
        "RK-3001": 1 + 4 * 75 + 3 * 8 + 2,
    }
    node = quantities(plan("ND-3001"))
    published = {"GPU": 8, "CPU": 2, "NVS": 2, "DIM": 32, "NIC": 8, "DPU": 2, "M2": 2, "U2": 8, "BMC": 1}
    assert {name: node[f"{name}-3001"] for name in published} == published
    slots = Slot.objects.filter(revision__part__number="RK-3001", face="front").order_by("position")
    rows = slots.values_list("type", "position", "height")
    units = [(kind, (at or 0) // 2, ((at or 0) + (high or 0)) // 2 - 1) for kind, at, high in rows]
    assert units == [
        ("gpu_node", 1, 10),
        ("gpu_node", 11, 20),
        *[("power_shelf", unit, unit) for unit in (21, 22, 23)],
        ("gpu_node", 24, 33),
        ("gpu_node", 34, 43),
        ("oob_switch", 44, 44),
    ]


def test_the_air_cooled_rack_has_no_step_with_liquid() -> None:
    load_pack(ORV3)
    operations = Operation.objects.filter(route__part__number="RK-3001")
    codes = set(operations.values_list("code", flat=True))
    assert {"power", "cabling", "inventory", "firmware", "burn_in", "final_qa"} <= codes
    assert not RetestRule.objects.filter(route__part__number="RK-3001", trigger="wet_break").exists()
    assert not operations.filter(consumables__isnull=False).exists()


def test_an_air_cooled_rack_is_built_along_its_route() -> None:
    load_pack(ORV3)
    line = PackLine()
    node = line.build("ND-3001", "WO-NODE")
    assert (node.state, units_inside(node)) == ("finished", 75)
    line.build("PS-3001", "WO-SHELF")
    rack = line.build("RK-3001", "WO-RACK")
    assert (rack.state, slots_filled(rack)) == ("finished", 9)
    assert units_inside(rack) == 327 - 3 * 74 - 2 * 7
    assert node.placements.get().root == rack


def test_a_power_test_of_the_air_cooled_rack_keeps_to_its_limits() -> None:
    load_pack(ORV3)
    line = PackLine()
    assembly = plan("RK-3001")
    operation = next(each for each in assembly.operations if each.code == "power_on")
    rack = line.ordered(assembly.revision, operation.route, "WO-RACK")
    good, bad = (
        line.test(rack, operation, "power_redundancy", load_one_shelf_off=watts) for watts in (56000, 66001)
    )
    assert (good.outcome, bad.outcome) == ("PASS", "FAIL")
    assert "load_one_shelf_off" in bad.reasons[0]


def test_the_immersion_tank_loads_alone_and_says_before_what_it_does() -> None:
    assert {change.sign for change in compare_pack(IMMERSION)} == {Sign.ADDED}
    load_pack(IMMERSION)
    check_as_defined()
    load_pack(NVL72)
    load_pack(ORV3)
    assert is_unchanged(IMMERSION)
    tank = Part.objects.get(number="TK-5001")
    assert (tank.kind, tank.level) == ("immersion_tank", 11)
    assert {part: serials_in(part) for part in ("SL-5001", "TK-5001")} == {
        "SL-5001": 22,
        "TK-5001": 12 * 22 + 15,
    }


def test_an_immersion_tank_is_filled_by_lot_and_built_along_its_route() -> None:
    load_pack(IMMERSION)
    line = PackLine()
    sled = line.build("SL-5001", "WO-SLED")
    assert (sled.state, units_inside(sled)) == ("finished", 22)
    tank = line.build("TK-5001", "WO-TANK")
    assert (tank.state, slots_filled(tank)) == ("finished", 26)
    assert units_inside(tank) == 279 - 11 * 21
    used = ConsumableUse.objects.get(run__unit=tank)
    assert (used.lot.part.kind, int(used.quantity), used.unit) == ("dielectric_fluid", 900, "L")
    changed = remove_child(unit=tank, slot_name="S07", reason="GPU failed", by=TESTER)
    assert [each.sequence for each in changed.repeated] == [90, 115, 120, 130, 150, 160]


def test_a_sled_drips_before_it_is_serviced() -> None:
    load_pack(IMMERSION)
    drips = Operation.objects.filter(route__kind="rework", sequence=10, data_fields__name="drip_minutes")
    routes = Route.objects.filter(part__number__endswith="-5001", kind="rework")
    assert {each.route for each in drips} == set(routes) != set()
    assert all(each.data_fields.get(name="drip_minutes").low == 30 for each in drips)


def test_a_rack_that_has_shipped_is_extended_and_keeps_what_it_had() -> None:
    load_pack(NVL72)
    load_pack(EXPANSION)
    check_as_defined()
    line = PackLine()
    rack = line.build("RK-1001", "WO-RACK", revision="B14")
    rack = ship_unit(unit=rack, to="demo customer", by=TESTER)
    before = {(node.slot, node.unit.pk) for node in as_built(unit=rack).children}
    assert len(before) == 45 - 5
    whole = plan("RK-1001", revision="B", route="X1")
    order = line.drafted(whole.revision, whole.operations[0].route, "WO-KIT", extends=rack)
    waits = [each for each in promise(order).waits_for if "-1001" in each]
    assert waits == [
        "1 of PS-1001 Power shelf 33 kW, not in stock",
        "4 of CT-1001 Compute tray, not in stock",
    ]
    rack = release_order(order=order, by=TESTER)[0]
    kit = create_child_orders(order=order, by=TESTER)
    assert {each.part_revision.part.number: each.quantity for each in kit} == {"CT-1001": 4, "PS-1001": 1}
    for operation in whole.operations:
        line.do(rack, operation, whole)
    rack.refresh_from_db()
    assert (rack.state, rack.part_revision.revision, slots_filled(rack)) == ("finished", "B", 45)
    after = {(node.slot, node.unit.pk) for node in as_built(unit=rack).children}
    assert before <= after
    assert {slot for slot, _ in after - before} == {"U31", "U32", "U33", "U34", "U39"}


def test_an_expansion_asks_for_the_tests_of_the_build_route() -> None:
    load_pack(NVL72)
    load_pack(EXPANSION)
    newest = plan("RK-1001", revision="B").operations
    extending = plan("RK-1001", revision="B", route="X1").operations
    assert {each.sequence: required_tests(each) for each in extending} == {
        10: [],
        **{each.sequence: required_tests(each) for each in newest if each.sequence >= 60},
    }
