"""Opening a unit or changing its firmware repeats exactly what the route's rules name, and says why."""

from typing import Any

import pytest

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.services import StaleRow
from mes.products.models import Operation
from mes.racks.services import install_unit
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.workorders.models import OperationRun
from mes.workorders.services import change_firmware, record_break
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_route,
    make_scanner,
    make_station,
    make_unit,
    ordered_unit,
)

pytestmark = pytest.mark.django_db
STEPS = ((10, "BUILD"), (20, "LEAK"), (30, "FILL"), (40, "POWER"), (50, "FIRMWARE"))


class Rack:
    """A finished rack with one tray, on a route with a rule for each trigger."""

    def __init__(self, **repeats: list[int]) -> None:
        self.tray = make_part("tray", level=10)
        revision = make_assembly("rack", level=11, takes={"U1": self.tray}, slot_type="tray")
        self.route = make_route(
            revision,
            operations=STEPS,
            repeats=repeats or {"tray": [10, 40]},
            ask=lambda made: self.rule(made[10]),
        )
        self.unit: Unit = ordered_unit(revision, self.route)
        self.child = make_unit(self.tray)
        for sequence, work_center in STEPS:
            self.at(work_center).scan(self.unit.serial)
            if sequence == 10:
                self.at("BUILD").post(
                    self.path("install"), {"slot": "U1", "child": {"raw": self.child.serial}}
                )
            answer = self.post(work_center, f"operations/{sequence}/complete")
            assert answer.status_code == 200, answer.json()

    def rule(self, operation: Operation) -> None:
        rules = operation.route.retest_rules
        rules.create(name="wet break", trigger="wet_break", repeats=[20, 30])
        rules.create(name="power break", trigger="power_break", repeats=[40])
        rules.create(name="new firmware", trigger="firmware_change", slot_type="tray", repeats=[50])

    def at(self, work_center: str) -> Any:
        return make_scanner(make_station(work_center))

    def path(self, act: str) -> str:
        return f"units/{self.unit.uid}/{act}/"

    def post(self, work_center: str, act: str, body: Any = None) -> Any:
        return self.at(work_center).post(self.path(act), body)

    def superseded(self) -> set[int]:
        rows = OperationRun.objects.filter(unit=self.unit, superseded_at__isnull=False)
        return set(rows.values_list("operation__sequence", flat=True))


@pytest.mark.parametrize(
    ("kind", "rule", "sequences"),
    [("wet_break", "wet break", {20, 30}), ("power_break", "power break", {40})],
)
def test_a_break_repeats_what_its_rule_names_and_nothing_else(
    kind: str, rule: str, sequences: set[int]
) -> None:
    rack = Rack()
    answer = rack.post("BUILD", "breaks", {"kind": kind, "reason": "hose replaced"}).json()
    assert {row["sequence"] for row in answer["repeat"]} == sequences == rack.superseded()
    assert all(row["because"] == [rule] for row in answer["repeat"])
    assert answer["rules"] == [rule]
    rack.unit.refresh_from_db()
    assert rack.unit.state == Unit.State.IN_WORK
    assert Event.objects.filter(stream=rack.unit.stream, kind=f"unit.{kind}").count() == 1
    assert OperationRun.objects.filter(unit=rack.unit).count() == len(STEPS)


def test_a_break_can_be_scanned() -> None:
    rack = Rack()
    scanner = rack.at("BUILD")
    rack.post("BUILD", "breaks", {"kind": "power_break", "reason": "shelf swapped"})
    scanner.scan(rack.unit.serial)
    scanner = rack.at("POWER")
    scanner.scan(rack.unit.serial)
    said = scanner.scan("CMD:WETBREAK:HOSE").json()
    assert (said["title"], said["detail"]) == (
        "Opened",
        "To be repeated: 20 Step 20, 30 Step 30 (wet break).",
    )


def test_a_first_record_of_firmware_repeats_nothing_and_a_change_does() -> None:
    rack = Rack()
    scanner = rack.at("FIRMWARE")
    path = f"units/{rack.child.uid}/firmware/"
    first = scanner.post(path, {"component": "BMC", "version": "1.0"}).json()
    same = scanner.post(path, {"component": "BMC", "version": "1.0"}).json()
    assert first["repeat"] == same["repeat"] == []
    assert not rack.superseded()
    changed = scanner.post(path, {"component": "BMC", "version": "1.1"}).json()
    assert [row["sequence"] for row in changed["repeat"]] == [50]
    assert rack.superseded() == {50}
    run = OperationRun.objects.get(unit=rack.unit, superseded_at__isnull=False)
    assert run.superseded_because == f"new firmware: BMC of {rack.child.serial} from 1.0 to 1.1"


def test_firmware_of_a_free_unit_is_only_recorded() -> None:
    unit = make_unit(make_part("tray", level=10))
    scanner = make_scanner()
    for version in ("1", "2"):
        answer = scanner.post(f"units/{unit.uid}/firmware/", {"component": "BMC", "version": version})
        assert (answer.json()["repeat"], answer.json()["version"]) == ([], version)


def test_a_swap_in_one_act_repeats_what_the_rule_names() -> None:
    rack = Rack()
    spare = make_unit(rack.tray)
    answer = rack.post("BUILD", "replace", {"slot": "U1", "child": str(spare.uid), "reason": "failed L10"})
    body = answer.json()
    assert (body["child"], body["slot"]) == (str(spare.uid), "U1")
    assert [(row["sequence"], row["because"]) for row in body["repeat"]] == [
        (10, ["tray swap"]),
        (40, ["tray swap"]),
    ]
    assert body["rules"] == ["tray swap"]
    rack.child.refresh_from_db()
    assert not rack.child.placements.filter(removed_at__isnull=True).exists()


def test_a_removal_says_why_without_a_rule_too() -> None:
    rack = Rack(psu=[40])
    answer = rack.post("BUILD", "remove", {"slot": "U1", "reason": "failed L10"}).json()
    assert answer["repeat"] == [{"sequence": 10, "name": "Step 10", "because": ["fills U1"]}]
    assert answer["rules"] == []


def test_a_swap_that_cannot_be_done_leaves_everything_as_it_was() -> None:
    rack = Rack()
    wrong = make_unit(make_part("psu", level=3))
    refused = rack.post("BUILD", "replace", {"slot": "U1", "child": str(wrong.uid), "reason": "x"}).json()
    assert refused["code"] == "wrong_part"
    assert rack.child.placements.filter(removed_at__isnull=True).exists()
    assert not rack.superseded()


def test_breaks_that_cannot_be_are_refused() -> None:
    rack = Rack()
    assert rack.post("BUILD", "breaks", {"kind": "earthquake", "reason": "x"}).status_code == 400
    nowhere = {"kind": "wet_break", "slot": "U9", "reason": "x"}
    assert rack.post("BUILD", "breaks", nowhere).json()["code"] == "slot_not_in_assembly"
    path = f"units/{rack.child.uid}/breaks/"
    inside = rack.at("BUILD").post(path, {"kind": "wet_break", "reason": "x"}).json()
    assert inside["code"] == "unit_closed"
    free = make_unit(rack.tray)
    answer = rack.at("BUILD").post(f"units/{free.uid}/breaks/", {"kind": "wet_break", "reason": "x"}).json()
    assert answer["code"] == "no_work_order"
    with pytest.raises(RuleViolation) as refused:
        record_break(unit=rack.unit, kind="earthquake", reason="x", by=TESTER)
    assert refused.value.code == "unknown_break"
    Unit.objects.filter(pk=rack.unit.pk).update(state=Unit.State.SHIPPED)
    shipped = rack.post("BUILD", "breaks", {"kind": "wet_break", "reason": "x"}).json()
    assert shipped["code"] == "unit_shipped"
    assert not rack.superseded()


def test_a_unit_that_is_installed_meanwhile_is_decided_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    tray = make_part("tray", level=10)
    unit = make_unit(tray)
    rack = make_assembly("rack", level=11, takes={"U1": tray})
    parent, slot = make_unit(rack), rack.slots.get()

    def lock_after_rival(*pks: int) -> dict[int, Unit]:
        monkeypatch.undo()
        install_unit(parent=parent, slot=slot, child=unit, by=TESTER)
        return lock_units(*pks)

    monkeypatch.setattr("mes.workorders.retests.lock_units", lock_after_rival)
    with pytest.raises(StaleRow):
        change_firmware(unit=unit, component="BMC", version="1", by=TESTER)
