"""Routes that are more than a line: parallel, conditional and optional operations; faults are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.errors import RuleViolation
from mes.products.models import Operation, PartRevision, Route
from mes.products.services import Step, check_route, route_faults
from mes.serials.models import Unit
from mes.workorders.models import OperationRun
from mes.workorders.services import position_of
from tests.builders import (
    Scanner,
    make_assembly,
    make_order,
    make_part,
    make_route,
    make_scanner,
    make_station,
    make_unit,
    release,
)


def make_shaped_route(revision: PartRevision, *operations: dict[str, Any]) -> Route:
    """Make a released route of operations that have a work center each: BUILD for build, and so on."""
    route = Route.objects.create(part=revision.part, version="1", name="shaped")
    for given_operation in operations:
        code = given_operation["code"]
        Operation.objects.create(route=route, name=code, work_center=code.upper(), **given_operation)
    release(route)
    return route


def unit_on(route: Route, revision: PartRevision, **order: Any) -> Unit:
    return make_order(revision, route, **order).order_units.get().unit


def scanner_at(code: str) -> Scanner:
    return make_scanner(make_station(code.upper()))


def do(unit: Unit, code: str, sequence: int) -> None:
    scanner = scanner_at(code)
    for act in ("start", "complete"):
        answer = scanner.post(f"units/{unit.uid}/operations/{sequence}/{act}/")
        assert answer.status_code == 200, answer.json()


def open_codes(unit: Unit) -> list[str]:
    return [operation.code for operation in position_of(unit).open_operations]


@pytest.mark.django_db
def test_equal_sequences_run_at_once_and_both_gate_what_follows() -> None:
    rack = make_part("rack", level=11)
    route = make_shaped_route(
        rack,
        {"code": "left", "sequence": 10},
        {"code": "right", "sequence": 10},
        {"code": "last", "sequence": 20},
    )
    unit = unit_on(route, rack)
    left, right = scanner_at("left"), scanner_at("right")
    assert left.post(f"units/{unit.uid}/operations/10/start/").status_code == 200
    assert right.post(f"units/{unit.uid}/operations/10/start/").status_code == 200
    assert left.post(f"units/{unit.uid}/operations/10/complete/").status_code == 200
    early = scanner_at("last").post(f"units/{unit.uid}/operations/20/start/").json()
    assert (early["code"], early["open_operations"]) == ("operation_out_of_order", [10])
    assert right.post(f"units/{unit.uid}/operations/10/complete/").status_code == 200
    assert open_codes(unit) == ["last"]


@pytest.mark.django_db
def test_an_operation_follows_only_those_it_names() -> None:
    rack = make_part("rack", level=11)
    route = make_shaped_route(
        rack,
        {"code": "frame", "sequence": 10},
        {"code": "power", "sequence": 20},
        {"code": "coolant", "sequence": 30, "after": ["frame"]},
        {"code": "final", "sequence": 40},
    )
    unit = unit_on(route, rack)
    assert open_codes(unit) == ["frame"]
    do(unit, "frame", 10)
    assert open_codes(unit) == ["power", "coolant"]
    do(unit, "coolant", 30)
    assert open_codes(unit) == ["power"]
    do(unit, "power", 20)
    assert open_codes(unit) == ["final"]


@pytest.mark.django_db
def test_an_operation_for_an_option_applies_only_where_the_order_has_it() -> None:
    rack = make_part("rack", level=11)
    route = make_shaped_route(
        rack,
        {"code": "frame", "sequence": 10},
        {"code": "cdu", "sequence": 20, "after": ["frame"], "applies_when": "option:cdu"},
        {"code": "final", "sequence": 30, "after": ["cdu"]},
    )
    plain, with_cdu = unit_on(route, rack), unit_on(route, rack, options=["cdu"])
    assert open_codes(plain) == open_codes(with_cdu) == ["frame"]
    for unit in (plain, with_cdu):
        do(unit, "frame", 10)
    assert open_codes(plain) == ["final"]
    assert open_codes(with_cdu) == ["cdu"]
    refused = scanner_at("cdu").post(f"units/{plain.uid}/operations/20/start/").json()
    assert refused["code"] == "no_operation"


@pytest.mark.django_db
def test_an_operation_for_a_part_applies_once_it_is_installed() -> None:
    pump = make_part("pump")
    rack = make_assembly("rack", level=11, takes={"P1": pump})
    route = make_shaped_route(
        rack,
        {"code": "build", "sequence": 10},
        {"code": "prime", "sequence": 20, "applies_when": "part:pump"},
    )
    unit = unit_on(route, rack)
    assert [operation.code for operation in position_of(unit).operations] == ["build"]
    scanner = scanner_at("build")
    scanner.scan(unit.serial)
    scanner.scan("P1")
    assert scanner.scan(make_unit(pump).serial).json()["outcome"] == "accepted"
    assert [operation.code for operation in position_of(unit).operations] == ["build", "prime"]


@pytest.mark.django_db
def test_an_optional_operation_is_skipped_with_a_reason_and_others_are_not() -> None:
    rack = make_part("rack", level=11)
    route = make_shaped_route(
        rack,
        {"code": "frame", "sequence": 10},
        {"code": "polish", "sequence": 20, "optional": True},
    )
    unit = unit_on(route, rack)
    refused = scanner_at("frame").post(f"units/{unit.uid}/operations/10/skip/", {"reason": "no time"})
    assert refused.json()["code"] == "operation_not_optional"
    early = scanner_at("polish").post(f"units/{unit.uid}/operations/20/skip/", {"reason": "clean"})
    assert early.json()["code"] == "operation_out_of_order"
    do(unit, "frame", 10)
    polish = scanner_at("polish")
    assert polish.post(f"units/{unit.uid}/operations/20/skip/", {}).status_code == 400
    answer = polish.post(f"units/{unit.uid}/operations/20/skip/", {"reason": "clean as it is"}).json()
    assert (answer["state"], answer["sequence"]) == ("skipped", 20)
    assert OperationRun.objects.get(operation__code="polish").skipped_because == "clean as it is"
    unit.refresh_from_db()
    assert unit.state == Unit.State.FINISHED


@pytest.mark.django_db
def test_the_scanner_skips_too() -> None:
    rack = make_part("rack", level=11)
    route = make_shaped_route(rack, {"code": "polish", "sequence": 10, "optional": True})
    unit = unit_on(route, rack)
    scanner = scanner_at("polish")
    assert scanner.scan(unit.serial).json()["title"] == "Started"
    assert scanner.scan("CMD:SKIP:CLEAN").json()["title"] == "Skipped"
    assert OperationRun.objects.get(unit=unit).skipped_because == "CLEAN"
    unit.refresh_from_db()
    assert unit.state == Unit.State.FINISHED
    again = scanner.post(f"units/{unit.uid}/operations/10/skip/", {"reason": "twice"}).json()
    assert again["code"] == "order_complete"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([], "route_gap"),
        ([{"code": "a", "sequence": 10, "after": ["gone"]}], "route_gap"),
        ([{"code": "a", "sequence": 10, "after": ["b"]}, {"code": "b", "sequence": 20}], "route_cycle"),
        ([{"code": "a", "sequence": 10, "after": ["a"]}], "route_cycle"),
    ],
)
def test_a_route_with_a_gap_or_a_cycle_is_refused(operations: list[dict[str, Any]], code: str) -> None:
    route = Route.objects.create(part=make_part("rack", level=11).part, version="1", name="faulty")
    for row in operations:
        Operation.objects.create(route=route, name=row["code"], work_center="X", **row)
    with pytest.raises(RuleViolation) as refused:
        check_route(route)
    assert refused.value.code == code


steps = st.lists(
    st.builds(
        Step,
        code=st.sampled_from("abcdef"),
        sequence=st.integers(1, 4),
        after=st.lists(st.sampled_from("abcdef"), max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda step: step.code,
)


@given(steps)
def test_a_faultless_route_can_be_walked_to_its_end(route: list[Step]) -> None:
    codes = {step.code for step in route}
    done: set[str] = set()
    for _ in route:
        done |= {
            step.code
            for step in route
            if (set(step.after) or {each.code for each in route if each.sequence < step.sequence}) <= done
        }
    has_gap = any(code not in codes for step in route for code in step.after)
    assert (not list(route_faults(route))) == (done == codes and not has_gap)


@pytest.mark.django_db
def test_a_choice_that_offers_nothing_keeps_a_route_from_release() -> None:
    route = Route.objects.create(part=make_part("rack", level=11).part, version="1", name="faulty")
    operation = Operation.objects.create(route=route, sequence=10, code="a", name="A", work_center="X")
    operation.data_fields.create(name="colour", kind="choice", prompt="the colour")
    with pytest.raises(RuleViolation) as refused:
        check_route(route)
    assert refused.value.code == "choice_without_choices"


def side_by_side(made: dict[int, Operation]) -> None:
    Operation.objects.filter(pk=made[11].pk).update(sequence=10)


@pytest.mark.django_db
def test_equal_sequences_at_one_work_center_are_done_one_after_the_other() -> None:
    rack = make_part("rack", level=11)
    both = make_route(rack, operations=((10, "BUILD"), (11, "BUILD")), fills=(), ask=side_by_side)
    unit = unit_on(both, rack)
    do(unit, "build", 10)
    assert open_codes(unit) == ["op11"]
    do(unit, "build", 10)
    unit.refresh_from_db()
    assert unit.state == Unit.State.FINISHED


@pytest.mark.django_db
def test_a_test_is_judged_by_an_operation_that_applies_and_waits() -> None:
    rack = make_part("rack", level=11)
    route = make_route(
        rack,
        operations=((10, "WET"), (20, "DRY")),
        tests={10: "func", 20: "func"},
        fills=(),
        ask=lambda made: Operation.objects.filter(pk=made[10].pk).update(applies_when="option:cdu"),
    )
    unit = unit_on(route, rack)
    body = {"unit": str(unit.uid), "procedure": "func", "outcome": "PASS"}
    assert scanner_at("dry").post("test-runs/", body).status_code == 201
    do(unit, "dry", 20)


@pytest.mark.django_db
def test_a_unit_whose_last_open_operation_applies_no_more_is_finished_at_the_one_before() -> None:
    pump = make_part("pump")
    rack = make_assembly("rack", level=11, takes={"P1": pump})
    route = make_shaped_route(
        rack,
        {"code": "build", "sequence": 10},
        {"code": "look", "sequence": 20},
        {"code": "prime", "sequence": 30, "applies_when": "part:pump"},
    )
    unit = unit_on(route, rack)
    scanner = scanner_at("build")
    for raw in (unit.serial, "P1", make_unit(pump).serial):
        scanner.scan(raw)
    assert scanner.post(f"units/{unit.uid}/operations/10/complete/").status_code == 200
    do(unit, "look", 20)
    plain = PartRevision.objects.create(part=rack.part, revision="B", released_at=rack.released_at)
    Unit.objects.filter(pk=unit.pk).update(part_revision=plain)
    removed = scanner.post(f"units/{unit.uid}/remove/", {"slot": "P1", "reason": "gone"})
    assert [row["sequence"] for row in removed.json()["repeat"]] == [20]
    do(unit, "look", 20)
    unit.refresh_from_db()
    assert unit.state == Unit.State.FINISHED
