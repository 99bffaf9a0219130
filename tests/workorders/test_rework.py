"""Rework: off the route, through a rework route, back to the operation the board named."""

from decimal import Decimal
from typing import Any

import pytest

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.verification import verify_ledger
from mes.quality.models import Nonconformance, RepairRecord
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.testing.models import TestRun
from mes.testing.services import Result
from mes.workorders.models import OperationRun, Rework, WorkOrder
from mes.workorders.services import (
    complete_operation,
    install_child,
    places_to_fill,
    position_of,
    record_repair,
    remove_child,
    replace_child,
    report_test,
    start_operation,
)
from tests.builders import (
    TESTER,
    make_assembly,
    make_order,
    make_route,
    make_scanner,
    make_station,
    make_unit,
)
from tests.workorders.reworking import REPAIRER, Kind, Review, make_rework_route

pytestmark = pytest.mark.django_db


@pytest.fixture
def review() -> Review:
    return Review()


def live(unit: Unit, *, rework: bool = False) -> dict[int, str]:
    """Return the state of the live runs of a unit by sequence."""
    runs = OperationRun.objects.filter(unit=unit, superseded_at=None, rework__isnull=not rework)
    return dict(runs.values_list("operation__sequence", "state"))


def code_of(act: Any) -> str:
    with pytest.raises(RuleViolation) as refusal:
        act()
    return refusal.value.code


def test_from_failed_test_to_closed(review: Review) -> None:
    review.build()
    review.act(review.tester, 20, "start")
    review.report(power=2000)
    found = review.open(test_run=TestRun.objects.get())
    assert review.act(review.tester, 20, "complete").json()["code"] == "unit_held"
    review.dispose(found)
    found.refresh_from_db()
    assert (found.state, review.fresh().held, review.unit.state) == ("rework", False, "in_work")
    assert live(review.unit) == {10: "complete"}
    position = position_of(review.unit)
    assert [operation.code for operation in position.open_operations] == ["rw10"]
    assert review.act(review.tester, 20, "start").json()["code"] == "wrong_station"
    review.work(10, "REPAIR")
    review.work(20, "REPAIR")
    found.refresh_from_db()
    rework = Rework.objects.get()
    assert (found.state, rework.state) == ("closed", "complete")
    assert rework.ended_at is not None
    assert live(review.unit) == {10: "complete"}
    assert live(review.unit, rework=True) == {10: "complete", 20: "complete"}
    assert TestRun.objects.get().superseded_at is not None
    assert position_of(review.fresh()).open_operations == [review.operation(20)]
    kinds = Event.objects.filter(stream=found.stream).values_list("kind", flat=True)
    assert list(kinds) == ["nonconformance.opened", "nonconformance.disposed", "nonconformance.closed"]
    assert verify_ledger().intact


def test_of_a_finished_unit_opens_its_order_again(review: Review) -> None:
    review.finish()
    assert WorkOrder.objects.get().finished == 1
    review.rework()
    order = WorkOrder.objects.get()
    assert (order.finished, order.state) == (0, WorkOrder.State.RUNNING)
    assert live(review.unit) == {10: "complete", 30: "complete"}
    review.act(review.tester, 20, "start")
    assert review.act(review.tester, 20, "complete").json()["code"] == "test_missing"
    review.report()
    assert review.act(review.tester, 20, "complete").status_code == 200
    assert review.fresh().state == Unit.State.FINISHED
    assert WorkOrder.objects.get().finished == 1


def test_exactly_the_operation_named_is_repeated(review: Review) -> None:
    review.finish()
    review.rework(returns_to=review.operation(30))
    assert live(review.unit) == {10: "complete", 20: "complete"}
    assert TestRun.objects.get().superseded_at is None


def test_a_second_rework_by_the_same_route_runs_anew(review: Review) -> None:
    review.build()
    review.rework()
    review.rework()
    runs = OperationRun.objects.filter(rework__isnull=False).order_by("pk")
    assert [(run.operation.sequence, run.attempt, run.superseded_at is None) for run in runs] == [
        (10, 1, False),
        (20, 1, False),
        (10, 2, True),
        (20, 2, True),
    ]
    assert [run.rework_id for run in runs] == [
        pk for pk in Rework.objects.values_list("pk", flat=True) for _ in "ab"
    ]


def test_a_test_of_an_earlier_rework_counts_no_more(review: Review) -> None:
    review.rework_route = make_rework_route(review.route, version="R2", tests={20: "tray_l10"})
    review.build()
    station = make_station("REPAIR")
    for _ in range(2):
        review.dispose(review.open())
        review.work(10, "REPAIR")
        start_operation(unit=review.unit, sequence=20, station=station, by=REPAIRER)
        repairer = make_scanner(station)
        assert review.act(repairer, 20, "complete").json()["code"] == "test_missing"
        review.report()
        assert TestRun.objects.latest("pk").operation == review.rework_route.operations.get(sequence=20)
        assert review.act(repairer, 20, "complete").status_code == 200


def test_another_problem_during_rework_takes_it_over(review: Review) -> None:
    review.finish()
    first = review.open("leak")
    review.dispose(first, returns_to=review.operation(10))
    start_operation(unit=review.unit, sequence=10, station=make_station("REPAIR"), by=REPAIRER)
    second = review.rework("bent_pin")
    states = list(Rework.objects.order_by("pk").values_list("state", flat=True))
    assert states == ["abandoned", "complete"]
    for found in (first, second):
        found.refresh_from_db()
        assert found.state == "closed"
    assert live(review.unit) == {30: "complete"}
    assert verify_ledger().intact


def test_while_installed_it_is_not_reworked(review: Review) -> None:
    review.finish()
    rack = make_assembly("rack", level=11, takes={"U01": review.tray})
    order = make_order(rack, make_route(rack))
    unit = order.order_units.get().unit
    builder = make_scanner()
    builder.scan(unit.serial)
    body = {"slot": "U01", "child": {"uid": str(review.unit.uid)}}
    assert builder.post(f"units/{unit.uid}/install/", body).status_code == 201
    found = review.open()
    complete = builder.post(f"units/{unit.uid}/operations/10/complete/")
    assert complete.json()["code"] == "child_held"
    assert code_of(lambda: review.dispose(found)) == "unit_closed"
    remove_child(unit=unit, slot_name="U01", reason="leak", by=REPAIRER)
    review.dispose(found)


def test_a_part_is_swapped_in_one_go_at_any_operation_of_the_rework(review: Review) -> None:
    swap, spare = Swap(review), make_unit(review.gpu)
    review.work(10, "REPAIR")
    _, installed = replace_child(
        unit=review.unit,
        slot_name="GPU0",
        child=spare,
        reason="broken",
        station=swap.station,
        by=REPAIRER,
    )
    assert (installed.child, installed.operation) == (spare, review.rework_route.operations.get(sequence=20))


class Swap:
    """A finished tray in rework, whose GPU is swapped."""

    def __init__(self, review: Review) -> None:
        self.review = review
        review.finish()
        self.old = Installation.objects.live().get().child
        self.found = review.open("gpu_ecc", location="gpu0")
        review.dispose(self.found, returns_to=review.operation(30))
        self.station = make_station("REPAIR")

    def start(self) -> None:
        start_operation(unit=self.review.unit, sequence=10, station=self.station, by=REPAIRER)

    def remove(self) -> list[int]:
        unit = self.review.unit
        removal = remove_child(unit=unit, slot_name="GPU0", reason="broken", by=REPAIRER)
        return [operation.sequence for operation in removal.repeated]

    def install(self, work_center: str = "REPAIR") -> Unit:
        gpu = make_unit(self.review.gpu)
        station = make_station(work_center)
        install_child(unit=self.review.unit, slot_name="GPU0", child=gpu, station=station, by=REPAIRER)
        return gpu


def test_a_part_is_swapped_at_an_operation_of_the_rework(review: Review) -> None:
    swap = Swap(review)
    assert swap.remove() == [20]
    assert code_of(swap.install) == "operation_not_running"
    swap.start()
    assert code_of(lambda: swap.install("BUILD")) == "wrong_station"
    position = position_of(review.fresh())
    running = position.open_operations[0]
    assert [place.slot.name for place in places_to_fill(position, running)] == ["GPU0"]
    swap.install()
    assert places_to_fill(position, running) == []
    assert Installation.objects.live().get().operation == running
    complete_operation(unit=review.unit, sequence=10, station=swap.station, by=REPAIRER)
    review.work(20, "REPAIR")
    assert live(review.unit) == {10: "complete"}


def test_a_slot_left_empty_is_filled_on_the_route_again(review: Review) -> None:
    swap = Swap(review)
    swap.remove()
    review.work(10, "REPAIR")
    review.work(20, "REPAIR")
    assert live(review.unit) == {}
    assert position_of(review.fresh()).open_operations == [review.operation(10)]


def test_the_scanner_leads_through_the_swap(review: Review) -> None:
    swap, scanner = Swap(review), make_scanner(make_station("REPAIR"))
    assert scanner.scan(review.unit.serial).json()["title"] == "Started"
    swap.remove()
    assert scanner.scan("SLOT:GPU0").json()["next"] == "Scan the gpu for GPU0."
    gpu = make_unit(review.gpu)
    assert scanner.scan(gpu.serial).json()["title"] == "Installed"
    assert scanner.scan("CMD:DONE").json()["operation"]["name"] == "Rework 20"


def test_a_repair_says_what_was_swapped(review: Review) -> None:
    swap = Swap(review)
    swap.start()
    swap.remove()
    fitted = swap.install()
    repair = record_repair(
        nonconformance=swap.found, action="swapped the GPU", slot="gpu0", minutes=Decimal(35), by=REPAIRER
    )
    assert (repair.slot, repair.removed, repair.fitted) == ("GPU0", swap.old, fitted)
    assert (repair.symptom, repair.repaired_by) == ("gpu_ecc", "repairer")
    event = Event.objects.get(kind="nonconformance.repaired")
    assert event.payload["fitted"] == fitted.serial


def test_repairs_are_recorded_in_rework_only(review: Review) -> None:
    found = review.open()
    repair: dict[str, Any] = {"nonconformance": found, "action": "tightened", "by": REPAIRER}
    assert code_of(lambda: record_repair(**repair)) == "not_in_rework"
    review.dispose(found, Kind.REPAIR)
    assert code_of(lambda: record_repair(**repair, slot="GPU9")) == "slot_not_in_assembly"
    other = report_test(unit=make_unit(review.gpu), result=Result("x", "FAIL"), by=TESTER)
    assert code_of(lambda: record_repair(**repair, failed_test=other)) == "test_not_failed"
    assert code_of(lambda: record_repair(**{**repair, "by": type(TESTER)()})) == "device_not_signed_on"
    record_repair(**repair)
    review.work(10, "REPAIR")
    review.work(20, "REPAIR")
    assert code_of(lambda: record_repair(**repair)) == "not_in_rework"
    assert RepairRecord.objects.count() == 1


def test_repairs_over_rest(review: Review) -> None:
    found, scanner = review.open(), make_scanner()
    review.dispose(found)
    path = f"nonconformances/{found.number}/repairs/"
    assert scanner.post(path, {}).status_code == 400
    assert scanner.post(path, {"action": "x", "minutes": -1}).status_code == 400
    answer = scanner.post(path, {"action": "new hose", "minutes": 12.5})
    assert answer.status_code == 201
    assert (answer.json()["minutes"], answer.json()["symptom"]) == ("12.5", "leak")
    shown = scanner.get(f"nonconformances/{found.number}/").json()
    assert [repair["action"] for repair in shown["repairs"]] == ["new hose"]
    assert shown["reworks"][0]["state"] == "running"
    assert Nonconformance.State(shown["state"]) == Nonconformance.State.REWORK


def test_a_swap_in_one_act_is_done_at_the_operation_of_the_rework(review: Review) -> None:
    review.rework_route = make_rework_route(review.route, ((5, "REPAIR"),), "R2")
    swap, scanner = Swap(review), make_scanner(make_station("REPAIR"))
    gpu = make_unit(review.gpu)
    body = {"slot": "GPU0", "child": str(gpu.uid), "reason": "broken"}
    answer = scanner.post(f"units/{review.unit.uid}/replace/", body)
    assert answer.status_code == 200, answer.json()
    assert Installation.objects.live().get().child == gpu
    assert live(review.unit, rework=True) == {5: "running"}
    assert swap.old.placements.get().removal_reason == "broken"
