"""As built against the design: installed, expected, missing, wrong, extra or permitted, at any depth."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.products.models import BomLine
from mes.quality.services import place_hold
from mes.racks.models import Installation
from mes.racks.services import install_unit
from mes.serials.models import Supplier, Unit
from mes.serials.services import receive_lot
from mes.workorders.models import ConsumableUse, OperationRun
from mes.workorders.services import (
    Comparison,
    SlotState,
    apply_change,
    compare_units,
    compare_with_design,
    revoke_deviation,
)
from tests.builders import (
    TESTER,
    make_assembly,
    make_order,
    make_part,
    make_revision,
    make_site,
    make_unit,
    ordered_unit,
    placed,
    release,
)
from tests.workorders.full_rack import FullRacks
from tests.workorders.recipes import Trays, next_revision, next_route
from tests.workorders.test_deviations import permit_part

pytestmark = pytest.mark.django_db


@pytest.fixture
def trays() -> Trays:
    return Trays()


def fresh(unit: Unit) -> Unit:
    return Unit.objects.select_related("part_revision__part").get(pk=unit.pk)


def compared(unit: Unit, **asked: Any) -> Comparison:
    return compare_with_design(unit=fresh(unit), **asked)


def states(found: Comparison) -> dict[str, str]:
    return {row.path: row.state.value for row in found.rows}


def put(parent: Unit, slot: str, child: Unit) -> Installation:
    """Put a child into a slot without asking whether it fits."""
    other = make_assembly("box", level=10, takes={slot: child.part_revision})
    holder = make_unit(other)
    row = install_unit(parent=holder, slot=other.slots.get(), child=child, by=TESTER)
    place = parent.part_revision.slots.get(name=slot)
    Installation.objects.filter(pk=row.pk).update(parent=parent, root=parent, slot=place)
    return row


def test_slots_of_work_to_come_are_expected(trays: Trays) -> None:
    found = compared(trays.unit)
    assert states(found) == {"GPU0": "expected", "NIC0": "expected"}
    assert [row.why for row in found.rows] == ["filled at 10 build"] * 2
    assert (found.verdict, found.as_designed) == ("unfinished", False)


def test_a_unit_built_as_designed(trays: Trays) -> None:
    trays.build()
    found = compared(trays.unit)
    assert states(found) == {"GPU0": "installed", "NIC0": "installed"}
    assert (found.verdict, found.as_designed, found.differences) == ("as_designed", True, [])


def test_a_slot_left_empty_by_work_that_is_done_is_missing(trays: Trays) -> None:
    trays.build()
    row = placed(trays.unit, "GPU0")
    Installation.objects.filter(pk=row.pk).update(removed_at=timezone.now())
    found = compared(trays.unit)
    assert states(found) == {"GPU0": "missing", "NIC0": "installed"}
    assert found.differences[0].why == "operation 10 is done"
    assert (found.verdict, found.as_designed) == ("different", False)


def test_a_slot_opened_by_its_act_is_expected_again(trays: Trays) -> None:
    trays.build()
    assert trays.remove("GPU0").status_code == 200
    assert states(compared(trays.unit))["GPU0"] == "expected"


def test_a_finished_unit_gets_nothing_more(trays: Trays) -> None:
    trays.build_and_test()
    trays.do(30)
    row = placed(trays.unit, "GPU0")
    Installation.objects.filter(pk=row.pk).update(removed_at=timezone.now())
    (lost,) = compared(trays.unit).differences
    assert (lost.state, lost.why) == ("missing", f"{trays.unit.serial} is finished, nothing is to come")


def test_another_part_and_another_revision_are_wrong(trays: Trays) -> None:
    old = make_revision(trays.gpu.part, "0")
    tray = next_revision(
        trays.a, "B9", {"GPU0": trays.gpu, "NIC0": trays.nic}, revisions={trays.gpu.part_id: ["A"]}
    )
    unit = make_unit(tray)
    put(unit, "GPU0", make_unit(old))
    put(unit, "NIC0", make_unit(trays.gpu))
    found = compared(unit)
    assert states(found) == {"GPU0": "wrong", "NIC0": "wrong"}
    gpu, nic = found.differences
    assert gpu.why == f"takes revision A of {trays.gpu.part}, holds {trays.gpu.part} 0"
    assert nic.why == f"takes nic, holds {trays.gpu}"


def test_what_sits_in_a_slot_of_an_earlier_revision_is_extra(trays: Trays) -> None:
    trays.build()
    before = timezone.now()
    new = next_revision(trays.a, "B2", {"GPU0": trays.gpu, "NIC1": trays.nic})
    change = trays.draft(new, next_route(new, "2"))
    trays.sign(change)
    apply_change(change=change, by=TESTER)
    found = compared(trays.unit)
    assert states(found) == {"GPU0": "installed", "NIC1": "expected", "NIC0": "extra"}
    assert found.differences[0].why == f"{new} has no slot NIC0"
    then = compared(trays.unit, at=before)
    assert (then.revision, then.verdict) == (trays.a, "as_designed")


def test_a_deviation_permits_by_its_number_what_the_slot_does_not_take(trays: Trays) -> None:
    other = make_part("other_gpu")
    deviation = permit_part(trays, other)
    trays.act(10, "start")
    assert trays.install("GPU0", make_unit(other)).status_code == 201
    assert trays.install("NIC0", make_unit(trays.nic)).status_code == 201
    revoke_deviation(deviation=deviation, reason="what it let pass stays", by=TESTER)
    found = compared(trays.unit)
    (row,) = found.only(SlotState.DEVIATION)
    assert (row.path, row.deviation) == ("GPU0", deviation.number)
    assert row.why == f"takes gpu, holds {other}, permitted by {deviation.number}"
    assert (found.verdict, found.as_designed, found.differences) == ("as_designed_with_deviations", True, [])


def test_a_use_elsewhere_permits_nothing_here(trays: Trays) -> None:
    other = make_part("other_gpu")
    permit_part(trays, other)
    trays.act(10, "start")
    child = make_unit(other)
    assert trays.install("GPU0", child).status_code == 201
    unit = make_unit(trays.a)
    Installation.objects.filter(child=child).update(parent=unit, root=unit)
    assert states(compared(unit))["GPU0"] == "wrong"


def test_at_a_time_it_is_what_was_built_and_done_then(trays: Trays) -> None:
    start = timezone.now()
    trays.build()
    built = timezone.now()
    trays.remove("GPU0")
    removed = timezone.now()
    assert states(compared(trays.unit, at=start)) == {"GPU0": "expected", "NIC0": "expected"}
    assert compared(trays.unit, at=built).verdict == "as_designed"
    assert states(compared(trays.unit, at=removed))["GPU0"] == "expected"
    assert states(compared(trays.unit, at=start - timedelta(days=1)))["GPU0"] == "missing"


def test_live_tests_of_what_is_inside_are_told(trays: Trays) -> None:
    rack = make_assembly("rack", level=11, takes={"U1": trays.a, "U2": trays.a})
    unit = make_unit(rack)
    trays.build_and_test()
    trays.do(30)
    other = make_unit(trays.a)
    for slot, child in (("U1", trays.unit), ("U2", other)):
        install_unit(parent=fresh(unit), slot=rack.slots.get(name=slot), child=fresh(child), by=TESTER)
    tests = {row.path: row.tested for row in compared(unit).rows if row.is_direct}
    assert tests == {"U1": "passed", "U2": ""}
    before = timezone.now()
    trays.unit.test_runs.update(outcome="FAIL")
    assert {row.tested for row in compared(unit).rows} == {"failed", ""}
    Installation.objects.filter(parent=trays.unit, slot__name="GPU0").update(removed_at=timezone.now())
    assert {row.tested for row in compared(unit).rows} == {""}, "another configuration was tested"
    assert {row.tested for row in compared(unit, at=before).rows} == {"failed", ""}


def test_what_is_on_hold_is_told(trays: Trays) -> None:
    trays.build()
    gpu = placed(trays.unit, "GPU0").child
    place_hold(unit=gpu, reason="suspect", by=TESTER)
    assert [row.held for row in compared(trays.unit).rows] == [True, False]


def loose_tray(quantity: int) -> Any:
    """Return a draft of a tray with one slot for a GPU and clips that have no slot."""
    gpu, clip = make_part("gpu"), make_part("clip", level=1)
    tray = make_part("tray", level=10, released=False)
    tray.slots.create(name="GPU0", type="gpu", filled_at=10, order=1).accepts.add(gpu.part)
    BomLine.objects.create(parent=tray, part=gpu.part, quantity=2)
    BomLine.objects.create(parent=tray, part=clip.part, quantity=quantity)
    return tray, gpu, clip


def test_quantities_without_slots_count_by_what_was_used_up() -> None:
    tray, gpu, clip = loose_tray(4)
    release(tray)
    route = next_route(tray, "1", released=False)
    build = route.operations.get(code="build")
    build.consumables.create(part=clip.part, quantity=4, unit="pcs")
    release(route)
    unit = ordered_unit(tray, route)
    found = compared(unit)
    assert states(found) == {
        "GPU0": "expected",
        gpu.part.number: "expected",
        clip.part.number: "expected",
    }
    assert found.rows[2].wanted == "4 × clip"
    run = OperationRun.objects.create(unit=unit, operation=build, state="complete", started_by="tester")
    OperationRun.objects.filter(pk=run.pk).update(completed_at=timezone.now())
    assert states(compared(unit))[clip.part.number] == "missing"
    supplier = Supplier.objects.create(code="DEMO", name="Demo supplier")
    lot = receive_lot(site=make_site(), part=clip.part, supplier=supplier, number="L1", by=TESTER)
    for quantity, state in ((3, "missing"), (1, "installed")):
        ConsumableUse.objects.create(run=run, lot=lot, quantity=quantity, unit="pcs", used_by="tester")
        assert states(compared(unit))[clip.part.number] == state
    run.superseded_at = timezone.now()
    run.save()
    assert states(compared(unit))[clip.part.number] == "expected"


def cost(act: Any) -> int:
    with CaptureQueriesContext(connection) as queries:
        act()
    return len(queries)


def test_a_full_rack_takes_at_most_five_queries() -> None:
    racks = FullRacks(done_up_to=80)
    racks.spoil()
    unit = racks.unit
    compare_with_design(unit=unit)  # a process reads each released definition once
    with CaptureQueriesContext(connection) as queries:
        found = compare_with_design(unit=unit)
    assert len(queries) <= 5, [query["sql"] for query in queries]
    assert found.counts == {
        "wrong": 1,
        "extra": 1,
        "missing": 2,
        "deviation": 0,
        "expected": 1,
        "installed": 516,
    }
    assert [row.path for row in found.differences] == ["U08/BMC", "U10/U09", "U08/SC0/GPU1", "U10/E1S3"]
    assert [row.path for row in found.only(SlotState.EXPECTED)] == ["U09"]


@pytest.mark.parametrize("build", [False, True])
def test_queries_do_not_grow_with_the_slots(build: bool) -> None:
    counts = []
    for slots in (3, 40):
        gpu = make_part("gpu")
        tray = make_assembly("tray", level=10, takes={f"G{number}": gpu for number in range(slots)})
        unit = ordered_unit(tray, next_route(tray, "1"))
        for slot in tray.slots.all() if build else ():
            install_unit(parent=fresh(unit), slot=slot, child=make_unit(gpu), by=TESTER)
        compared(unit)
        counts.append(cost(lambda unit=unit: compared(unit)))
    assert counts[0] == counts[1] <= 6, counts


def test_many_units_cost_what_one_does(trays: Trays) -> None:
    trays.build()
    make_order(trays.a, trays.one, 40)
    units = list(Unit.objects.select_related("part_revision__part").filter(level=10).order_by("pk"))
    compare_units(units=units)
    found = compare_units(units=units)
    assert [each.verdict for each in found] == ["as_designed"] + ["unfinished"] * 40
    assert cost(lambda: compare_units(units=units)) == cost(lambda: compare_units(units=units[1:4])) <= 4


def test_a_unit_and_what_is_in_it_side_by_side(trays: Trays) -> None:
    trays.build()
    gpu = placed(trays.unit, "GPU0").child
    tray, alone = compare_units(units=[fresh(trays.unit), fresh(gpu)])
    assert (len(tray.rows), alone.rows, alone.verdict) == (2, [], "as_designed")
