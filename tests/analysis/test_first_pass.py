"""First pass is the first conclusive result; set-up faults are neither; what nobody measured is unknown."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from mes.analysis.services import By, Scope, Yield, first_pass, most_repeated, rework, rolled
from mes.products.models import Gate, Operation, Route
from mes.stations.models import Shift
from tests.analysis.histories import START, Floor, Said, make_floor, worked_out, write
from tests.builders import make_revision, make_site, make_station

pytestmark = pytest.mark.django_db
COUNTS = (
    "inspected",
    "first_pass",
    "without_retest",
    "good",
    "runs",
    "failures",
    "retests",
    "errors",
    "skips",
)


def counts(row: Yield) -> dict[str, int]:
    return {name: number for name in COUNTS if (number := getattr(row, name))}


def at_step(floor: Floor, said: list[Said]) -> Yield:
    write(floor, said)
    (row,) = first_pass(Scope(), By.OPERATION)
    return row


def test_a_retest_is_neither_pass_nor_fail() -> None:
    row = at_step(make_floor(), [Said(0, 0, "RETEST"), Said(0, 0, "PASS"), Said(1, 0, "PASS")])
    assert (row.inspected, row.first_pass, row.without_retest, row.retests) == (2, 2, 1, 1)
    assert (row.first_pass_yield, row.without_retest_yield) == (1.0, 0.5)


def test_tested_until_it_worked_is_no_first_pass() -> None:
    row = at_step(make_floor(), [Said(0, 0, "FAIL"), Said(0, 0, "FAIL"), Said(0, 0, "PASS")])
    assert (row.inspected, row.first_pass, row.good, row.failures) == (1, 0, 1, 2)
    assert (row.first_pass_yield, row.quality_ratio) == (0.0, 1.0)


def test_a_superseded_run_was_an_attempt_and_a_later_one_is_no_new_first() -> None:
    row = at_step(make_floor(), [Said(0, 0, "FAIL", superseded=True), Said(0, 0, "PASS")])
    assert (row.inspected, row.first_pass) == (1, 0)


def test_nothing_conclusive_is_unknown_neither_0_nor_100() -> None:
    row = at_step(make_floor(), [Said(0, 0, "RETEST"), Said(1, 0, "ERROR"), Said(2, 0, "SKIP")])
    assert (row.inspected, row.retests, row.errors, row.skips) == (0, 1, 1, 1)
    assert (row.first_pass_yield, row.quality_ratio) == (None, None)
    assert rolled(Scope()) == []
    assert rework(Scope()).rework_ratio is None


def test_a_first_attempt_before_the_window_is_not_counted_again_within_it() -> None:
    write(make_floor(), [Said(0, 0, "FAIL", hour=0), Said(0, 0, "PASS", hour=48)])
    (row,) = first_pass(Scope(since=START + timedelta(hours=24)), By.OPERATION)
    assert (row.inspected, row.runs) == (0, 1)


def test_another_version_of_the_route_gives_no_second_first_attempt() -> None:
    floor = make_floor()
    write(floor, [Said(0, 0, "FAIL")])
    old = floor.operations[0].route
    new = Route.objects.create(part=make_revision(old.part, "B").part, version="2", name="newer")
    floor.operations[0].pk, floor.operations[0].route = None, new
    floor.operations[0].save()
    write(floor, [Said(0, 0, "PASS")])
    assert sum(row.inspected for row in first_pass(Scope(), By.OPERATION)) == 1


def test_rolled_yield_is_the_product_and_unknown_while_a_test_is_unmeasured() -> None:
    floor = make_floor(4)
    write(floor, [Said(0, 0, "PASS"), Said(1, 0, "PASS"), Said(2, 0, "PASS"), Said(3, 0, "FAIL")])
    (route,) = rolled(Scope())
    assert route.rolled_throughput_yield is None
    assert [step.first_pass_yield for step in route.steps] == [0.75, None]
    write(floor, [Said(0, 1, "PASS"), Said(1, 1, "FAIL")])
    (route,) = rolled(Scope())
    assert route.rolled_throughput_yield == pytest.approx(0.375)
    assert [(step.inspected, step.first_pass) for step in route.steps] == [(4, 3), (2, 1)]


def test_optional_operations_nobody_came_to_are_left_out() -> None:
    floor = make_floor()
    route = Route.objects.create(part=floor.operations[0].route.part, version="2", name="with an option")
    for sequence, optional in ((20, False), (30, True)):
        operation = Operation.objects.create(
            route=route,
            sequence=sequence,
            code=f"new{sequence}",
            name="x",
            work_center="T",
            optional=optional,
        )
        gate = {"rule": "test_passed", "moment": "complete", "procedure": ("leak", "func")[optional]}
        Gate.objects.create(operation=operation, **gate)
        floor.operations[optional] = operation
    write(floor, [Said(0, 0, "PASS"), Said(1, 0, "FAIL")])
    assert [row.rolled_throughput_yield for row in rolled(Scope())] == [0.5]
    write(floor, [Said(0, 1, "FAIL")])
    assert [row.rolled_throughput_yield for row in rolled(Scope())] == [0.0]


def test_shifts_are_of_the_site_and_run_past_midnight() -> None:
    site = make_site()
    Shift.objects.create(site=site, name="early", starts="06:00", ends="14:00")
    Shift.objects.create(site=site, name="night", starts="22:00", ends="06:00")
    Shift.objects.create(site=make_site("S2"), name="elsewhere", starts="00:00", ends="23:59")
    floor = make_floor()
    write(floor, [Said(0, 0, "PASS", hour=0), Said(1, 0, "FAIL", hour=8), Said(2, 0, "PASS", hour=23)])
    rows = {row.key["shift"]: row.first_pass_yield for row in first_pass(Scope(), By.SHIFT)}
    assert rows == {"early": 1.0, "": 0.0, "night": 1.0}
    assert [row.inspected for row in first_pass(Scope(shift="night"), By.STATION)] == [1]


def test_filters_narrow() -> None:
    floor = make_floor()
    station = make_station("TEST")
    write(floor, [Said(0, 0, "PASS", station=station.code), Said(1, 1, "FAIL", station="ELSEWHERE")])
    unit = floor.units[0]
    order = unit.order_units.get().work_order
    narrowed: tuple[dict[str, Any], ...] = (
        {"station": station.code},
        {"line": station.line.code},
        {"procedure": "leak"},
        {"operation": "op20"},
        {"site": make_site(), "part": unit.part_revision.part.number, "operation": "op20"},
        {"revision": unit.part_revision.revision, "procedure": "leak"},
        {"order": order.number, "station": station.code},
    )
    for filters in narrowed:
        assert [row.first_pass for row in first_pass(Scope(**filters), By.STATION)] == [1], filters
    for nothing in (
        {"site": make_site("S2")},
        {"order": "X"},
        {"customer": "X"},
        {"supplier": "X"},
        {"lot": "X"},
    ):
        assert first_pass(Scope(**nothing), By.LINE) == [], nothing


def test_units_tested_most_often_come_first() -> None:
    floor = make_floor()
    tries = ("FAIL", "RETEST", "ERROR", "PASS")
    write(floor, [Said(1, 0, "PASS"), Said(2, 1, "FAIL"), Said(2, 1, "FAIL")])
    write(floor, [Said(0, 0, outcome) for outcome in tries])
    first, second = most_repeated(Scope())
    assert (first.serial, first.operation, first.runs) == (floor.units[0].serial, "op20", 4)
    assert (first.failures, first.retests, first.errors, first.last) == (1, 1, 1, "PASS")
    assert (second.serial, second.runs, second.last) == (floor.units[2].serial, 2, "FAIL")


@pytest.mark.parametrize(("by", "most"), [(by, 4 if by is By.SHIFT else 2) for by in By])
def test_twenty_thousand_runs_cost_as_many_queries_as_none(by: By, most: int) -> None:
    floor = make_floor(100)
    outcomes = ("PASS", "PASS", "RETEST", "FAIL", "ERROR", "PASS", "SKIP")
    said = [
        Said(n % 100, n // 100 % 2, outcomes[n * 7919 % 7], station=f"ST{n % 9}", hour=n % 500)
        for n in range(20_000 if by is By.OPERATION else 1_000)
    ]
    write(floor, said)
    with CaptureQueriesContext(connection) as queries:
        rows = first_pass(Scope(), by)
    assert len(queries) <= most
    assert sum(row.inspected for row in rows) == 200
    if by is By.OPERATION:
        expected = worked_out(said, lambda row: ("op20", "op30")[row.step])
        assert {row.key["operation"]: counts(row) for row in rows} == expected


runs = st.builds(
    Said,
    unit=st.integers(0, 2),
    step=st.integers(0, 1),
    outcome=st.sampled_from(["PASS", "FAIL", "RETEST", "ERROR", "SKIP"]),
    station=st.sampled_from(["ST1", "ST2"]),
    hour=st.integers(0, 72),
    superseded=st.booleans(),
    asked=st.booleans(),
)


class SmallHistories(TestCase):
    """The database and plain Python agree on every small history."""

    @classmethod
    def setUpTestData(cls) -> None:
        cls.floor = make_floor()

    floor: Floor

    @given(st.lists(runs, max_size=14))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_agree(self, said: list[Said]) -> None:
        write(self.floor, said)
        stations = {row.key["station"]: counts(row) for row in first_pass(Scope(), By.STATION)}
        assert stations == worked_out(said, lambda row: row.station)
        window = Scope(since=START + timedelta(hours=24), until=START + timedelta(hours=48))
        procedures = {row.key["procedure"]: counts(row) for row in first_pass(window, By.PROCEDURE)}
        within = worked_out(said, lambda row: ("leak", "func")[row.step], lambda row: 24 <= row.hour < 48)
        assert procedures == within
        days = {row.key["day"]: counts(row) for row in first_pass(Scope(), By.DAY)}
        assert days == worked_out(said, lambda row: str((START + timedelta(hours=row.hour)).date()))
