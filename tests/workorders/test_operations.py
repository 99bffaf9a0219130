"""A unit on its route: orders, gates at start and completion, tests, removal and what it repeats."""

from typing import Any

import pytest

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.products.models import PartRevision, Route
from mes.quality.services import place_hold, release_hold
from mes.serials.models import Unit
from mes.testing.models import TestRun
from mes.workorders.models import OperationRun
from mes.workorders.services import create_order, release_order
from tests.builders import (
    TESTER,
    Scanner,
    make_assembly,
    make_order,
    make_part,
    make_person,
    make_route,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    ordered_unit,
    supervisor_client,
)

pytestmark = pytest.mark.django_db
LIMIT = {"measurement": "gpu_power", "unit": "W", "low": 65, "high": 1500}


class Line:
    """A tray with one GPU slot; built at BUILD, tested at TEST to a limit, inspected at BUILD."""

    def __init__(self, **route: Any) -> None:
        self.gpu = make_part("gpu")
        self.tray = make_assembly("tray", level=10, takes={"GPU0": self.gpu}, slot_type="gpu")
        self.route = make_route(
            self.tray,
            operations=((10, "BUILD"), (20, "TEST"), (30, "BUILD")),
            tests={20: "tray_l10"},
            limits=(LIMIT,),
            repeats={"gpu": [20]},
            **route,
        )
        self.unit = ordered_unit(self.tray, self.route)
        self.builder = make_scanner(make_station("BUILD"))
        self.tester = make_scanner(make_station("TEST"))

    def act(self, scanner: Scanner, sequence: int, verb: str) -> Any:
        return scanner.post(f"units/{self.unit.uid}/operations/{sequence}/{verb}/")

    def install(self, gpu: Unit | None = None) -> Any:
        child = {"uid": str((gpu or make_unit(self.gpu)).uid)}
        return self.builder.post(f"units/{self.unit.uid}/install/", {"slot": "GPU0", "child": child})

    def report(self, outcome: str = "PASS", power: Any = 900, unit: str = "W") -> Any:
        body = {
            "unit": str(self.unit.uid),
            "procedure": "tray_l10",
            "outcome": outcome,
            "measurements": [{"name": "gpu_power", "value": power, "unit": unit}],
        }
        return self.tester.post("test-runs/", body)

    def build(self) -> None:
        self.act(self.builder, 10, "start")
        assert self.install().status_code == 201
        assert self.act(self.builder, 10, "complete").status_code == 200

    def finish(self) -> None:
        self.build()
        self.act(self.tester, 20, "start")
        self.report()
        self.act(self.tester, 20, "complete")
        self.act(self.builder, 30, "start")
        assert self.act(self.builder, 30, "complete").status_code == 200


@pytest.fixture
def line() -> Line:
    return Line()


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_order_makes_its_units_with_serials_of_its_own() -> None:
    tray = make_assembly("tray", level=10, takes={})
    tray.part.serial_prefix = "CT"
    tray.part.save()
    order = make_order(tray, make_route(tray), quantity=3)
    more = make_order(tray, Route.objects.get(), quantity=1)
    assert [row.unit.serial for row in order.order_units.order_by("pk")] == ["CT0001", "CT0002", "CT0003"]
    assert [row.unit.serial for row in more.order_units.all()] == ["CT0004"]


def test_order_to_a_draft_revision_is_not_released() -> None:
    draft = make_part("tray", level=10, released=False)
    route = make_route(draft)
    order = create_order(
        site=make_site(), number="WO-D", part_revision=draft, route=route, quantity=1, by=TESTER
    )
    with pytest.raises(RuleViolation) as refusal:
        release_order(order=order, by=TESTER)
    assert refusal.value.code == "definition_not_released"


def test_order_over_rest_is_for_people_who_may() -> None:
    tray = make_assembly("tray", level=10, takes={})
    make_route(tray)
    body = {
        "number": "WO-R",
        "part": tray.part.number,
        "revision": "A",
        "quantity": 2,
        "site": make_site().code,
    }
    assert make_scanner().post("work-orders/", body).status_code == 403
    supervisor = supervisor_client()
    assert supervisor.post("/api/v1/work-orders/", body, format="json").status_code == 201
    released = supervisor.post("/api/v1/work-orders/WO-R/release/").json()
    assert (released["state"], len(released["units"])) == ("released", 2)
    assert supervisor.post("/api/v1/work-orders/WO-R/release/").json()["code"] == "order_released"


def test_whole_route_finishes_unit_and_order(line: Line) -> None:
    line.finish()
    line.unit.refresh_from_db()
    order = line.unit.order_units.get().work_order
    assert (line.unit.state, order.state, order.finished) == ("finished", "complete", 1)


def test_start_twice_is_refused(line: Line) -> None:
    line.act(line.builder, 10, "start")
    assert code_of(line.act(line.builder, 10, "start")) == (422, "operation_running")


def test_complete_without_start_is_refused(line: Line) -> None:
    assert code_of(line.act(line.builder, 10, "complete")) == (422, "operation_not_running")


def test_work_at_another_work_center_is_refused(line: Line) -> None:
    assert code_of(line.act(line.tester, 10, "start")) == (422, "wrong_station")


def test_held_unit_neither_starts_nor_completes(line: Line) -> None:
    hold = place_hold(unit=line.unit, reason="scratched", by=TESTER)
    assert code_of(line.act(line.builder, 10, "start")) == (422, "unit_held")
    release_hold(hold=hold, reason="polished", by=TESTER)
    line.act(line.builder, 10, "start")
    line.install()
    place_hold(unit=line.unit, reason="again", by=TESTER)
    assert code_of(line.act(line.builder, 10, "complete")) == (422, "unit_held")


def test_missing_test_blocks_completion_and_names_it(line: Line) -> None:
    line.build()
    line.act(line.tester, 20, "start")
    answer = line.act(line.tester, 20, "complete")
    assert code_of(answer) == (422, "test_missing")
    assert answer.json()["next"] == "Run tray_l10."


@pytest.mark.parametrize("outcome", ["FAIL", "ERROR", "SKIP", "RETEST"])
def test_only_a_pass_opens_the_gate(line: Line, outcome: str) -> None:
    line.build()
    line.act(line.tester, 20, "start")
    line.report("PASS")
    line.report(outcome)
    assert code_of(line.act(line.tester, 20, "complete")) == (422, "test_failed")
    line.report("PASS")
    assert line.act(line.tester, 20, "complete").status_code == 200


@pytest.mark.parametrize("power", [64.9, 1500.1, "nan", None, True, "900 W"])
def test_value_outside_the_limits_of_the_route_is_a_fail(line: Line, power: Any) -> None:
    run = line.report("PASS", power).json()
    assert (run["said"], run["outcome"]) == ("PASS", "FAIL")
    assert run["reasons"][0].startswith("gpu_power is ")
    assert (run["measurements"][0]["low"], run["measurements"][0]["high"]) == (65, 1500)


@pytest.mark.parametrize("power", [65, 1500])
def test_bounds_belong_to_the_good_range(line: Line, power: float) -> None:
    assert line.report("PASS", power).json()["outcome"] == "PASS"


def test_value_in_another_unit_than_the_limit_is_a_fail(line: Line) -> None:
    assert line.report("PASS", 900, "kW").json()["reasons"] == ["gpu_power is in kW; the limit is in W."]


def test_value_the_route_asks_for_and_nobody_measured_is_a_fail(line: Line) -> None:
    body = {"unit": str(line.unit.uid), "procedure": "tray_l10", "outcome": "PASS"}
    run = line.tester.post("test-runs/", body).json()
    assert run["outcome"] == "FAIL"
    assert run["reasons"] == ["gpu_power was not measured; the limit is at least 65 and at most 1500 W."]


def test_pass_that_did_not_complete_is_an_error(line: Line) -> None:
    body = {"unit": str(line.unit.uid), "procedure": "other", "outcome": "PASS", "status": "ERROR"}
    assert line.tester.post("test-runs/", body).json()["outcome"] == "ERROR"


def test_removal_repeats_what_the_rules_name_and_what_fills_the_slot(line: Line) -> None:
    line.finish()
    body = {"slot": "GPU0", "reason": "uncorrectable ECC"}
    answer = line.builder.post(f"units/{line.unit.uid}/remove/", body).json()
    assert [row["sequence"] for row in answer["repeat"]] == [10, 20]
    assert answer["rules"] == ["gpu swap"]
    line.unit.refresh_from_db()
    assert (line.unit.state, line.unit.order_units.get().work_order.finished) == ("in_work", 0)
    assert TestRun.objects.get(procedure="tray_l10").superseded_at is not None
    line.build()
    line.act(line.tester, 20, "start")
    assert code_of(line.act(line.tester, 20, "complete")) == (422, "test_missing")
    line.report()
    line.act(line.tester, 20, "complete")
    line.unit.refresh_from_db()
    assert (line.unit.state, line.unit.order_units.get().work_order.finished) == ("finished", 1)
    assert OperationRun.objects.filter(unit=line.unit).count() == 5


def test_removed_unit_may_be_installed_again(line: Line) -> None:
    line.act(line.builder, 10, "start")
    gpu = make_unit(line.gpu)
    line.install(gpu)
    line.builder.post(f"units/{line.unit.uid}/remove/", {"slot": "GPU0", "reason": "wrong hand"})
    assert line.install(gpu).status_code == 201


def test_removal_from_an_empty_slot(line: Line) -> None:
    answer = line.builder.post(f"units/{line.unit.uid}/remove/", {"slot": "GPU0", "reason": "?"})
    assert code_of(answer) == (422, "slot_empty")


def test_install_by_the_label_as_scanned(line: Line) -> None:
    line.act(line.builder, 10, "start")
    gpu = make_unit(line.gpu)
    label = f"[)>\x1e06\x1d1P{line.gpu.part.number}\x1dS{gpu.serial}\x1e\x04"
    body = {"slot": "GPU0", "child": {"raw": label}}
    assert line.builder.post(f"units/{line.unit.uid}/install/", body).json()["serial"] == gpu.serial


def test_operator_named_in_the_body_by_badge(line: Line) -> None:
    make_person("lee", badge="BADGE-LEE")
    scanner = make_scanner(make_station("BUILD"), signed_on=False)
    path = f"units/{line.unit.uid}/operations/10/start/"
    assert code_of(scanner.post(path)) == (422, "device_not_signed_on")
    assert scanner.post(path, {"operator": "badge-lee"}).json()["started_by"] == "lee"
    assert code_of(scanner.post(path, {"operator": "nobody"})) == (422, "unknown_badge")


def test_every_act_is_an_event_of_the_unit(line: Line) -> None:
    line.finish()
    kinds = list(Event.objects.filter(stream=line.unit.stream).order_by("seq").values_list("kind", flat=True))
    assert kinds == [
        "unit.created",
        "operation.started",
        "unit.child_installed",
        "operation.completed",
        "operation.started",
        "unit.tested",
        "operation.completed",
        "operation.started",
        "operation.completed",
    ]


def test_parallel_operations_of_one_sequence_are_told_apart_by_work_center() -> None:
    rack: PartRevision = make_assembly("rack", level=11, takes={})
    route = Route.objects.create(part=rack.part, version="1", name="parallel")
    for code, center in (("power", "POWER"), ("water", "WATER")):
        route.operations.create(sequence=10, code=code, name=code, work_center=center)
    route.operations.create(sequence=20, code="last", name="last", work_center="POWER")
    route.released_at = rack.released_at
    route.save()
    unit = ordered_unit(rack, route)
    power, water = make_scanner(make_station("POWER")), make_scanner(make_station("WATER"))
    assert water.scan(unit.serial).json()["operation"]["name"] == "water"
    assert power.scan(unit.serial).json()["operation"]["name"] == "power"
    water.scan("CMD:DONE")
    path = f"units/{unit.uid}/operations/20/start/"
    assert code_of(power.post(path)) == (422, "operation_out_of_order")
    power.scan("CMD:DONE")
    assert power.post(path).status_code == 200
