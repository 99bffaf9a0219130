"""One rack from its order to its shipment, with a failed tray, a leak and a change on its way."""

from collections.abc import Iterable
from typing import Any

import pytest

from mes.ledger.verification import verify_ledger
from mes.quality.models import Disposition, Nonconformance
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.testing.models import TestRun
from mes.workorders.models import ChangeMove, OperationRun, WorkOrder
from tests.workorders.walking import Factory, signature_of

pytestmark = pytest.mark.django_db


class Walk(Factory):
    """What happens to the rack, one method a chapter."""

    def build_trays(self) -> None:
        self.trays = self.order("WO-TRAYS", self.tray, 3)
        for tray in self.trays:
            self.start(tray, 10, "BUILD")
            self.fit(tray, "G0", self.stock(self.gpu))
            self.complete(tray, 10, "BUILD")
        for tray in self.trays[1:]:
            self.test_step(tray, 20, "func", "TEST")

    def fail_and_rework_a_tray(self) -> None:
        tray = self.trays[0]
        self.start(tray, 20, "TEST")
        self.test(tray, "func", "FAIL", "TEST")
        assert self.complete(tray, 20, "TEST", expected=422)["code"] == "unit_held"
        (found,) = self.read("nonconformances/", unit__uid=str(tray.uid))["results"]
        decision = {"kind": "rework", "reason": "GPU fails", "rework_route": "R1", "returns_to": "build20"}
        path = f"nonconformances/{found['number']}"
        unsigned = self.at("TEST", f"{path}/disposition/", decision, 422)
        assert unsigned["code"] == "signature_required"
        signed = {**decision, "signature": signature_of(self.board)}
        self.at("TEST", f"{path}/disposition/", signed, 201)
        self.start(tray, 10, "REPAIR")
        self.take_out(tray, "G0", "fails func", "REPAIR")
        self.fit(tray, "G0", self.stock(self.gpu), "REPAIR")
        self.at("REPAIR", f"{path}/repairs/", {"action": "GPU swapped", "slot": "G0", "minutes": 25}, 201)
        self.complete(tray, 10, "REPAIR")
        assert self.complete(tray, 20, "TEST", expected=422)["code"] == "operation_not_running"
        self.test_step(tray, 20, "func", "TEST")
        tray.refresh_from_db()
        assert tray.state == Unit.State.FINISHED

    def build_the_rack(self) -> None:
        (self.unit,) = self.order("WO-RACK", self.rack, 1)
        self.start(self.unit, 10, "BUILD")
        for slot, tray in zip(("U1", "U2", "U3"), self.trays, strict=True):
            self.fit(self.unit, slot, tray)
        self.fit(self.unit, "B1", self.stock(self.busbar))
        self.fit(self.unit, "M1", self.stock(self.manifold))
        self.complete(self.unit, 10, "BUILD")

    def leak(self) -> None:
        self.start(self.unit, 20, "LEAK")
        self.test(self.unit, "leak", "FAIL", "LEAK")
        (found,) = self.read("nonconformances/", unit__uid=str(self.unit.uid))["results"]
        decision = {"kind": "use_as_is", "reason": "fitting tightened", "signature": signature_of(self.board)}
        self.at("LEAK", f"nonconformances/{found['number']}/disposition/", decision, 201)
        self.test(self.unit, "leak", "PASS", "LEAK")
        self.complete(self.unit, 20, "LEAK")
        body = {"kind": "wet_break", "slot": "M1", "reason": "hose replaced after the leak"}
        opened = self.at("BUILD", f"units/{self.unit.uid}/breaks/", body)
        assert [(row["sequence"], row["because"]) for row in opened["repeat"]] == [(20, ["coolant opened"])]
        self.test_step(self.unit, 20, "leak", "LEAK")

    def change(self) -> None:
        body = {
            "site": "S1",
            "title": "better manifold",
            "reason": "leaks",
            "part": self.rack.part.number,
            "to_revision": "B",
            "to_route": "2",
            "orders": ["WO-RACK"],
        }
        self.eco = self.office("engineering-changes/", body, 201)["number"]
        path = f"engineering-changes/{self.eco}"
        preview = self.read(f"{path}/preview/")
        (moved,) = preview["units"]
        assert [row["slot"] for row in moved["remove"]] == ["M1"]
        assert [row["sequence"] for row in moved["repeat"]] == [10, 20]
        for person in (self.engineer, self.quality):
            signed = {"reason": "agreed", "signature": signature_of(person)}
            answer = self.office(f"{path}/approve/", signed)
        assert {row["digest"] for row in answer["approvals"]} == {preview["digest"]}
        self.office(f"{path}/apply/")
        self.start(self.unit, 10, "BUILD")
        assert self.complete(self.unit, 10, "BUILD", expected=422)["code"] == "wrong_child"
        self.take_out(self.unit, "M1", "changed")
        self.fit(self.unit, "M1", self.stock(self.better_manifold))
        self.complete(self.unit, 10, "BUILD")

    def finish_and_ship(self) -> None:
        self.test_step(self.unit, 20, "leak", "LEAK")
        self.test_step(self.unit, 30, "power", "POWER")
        path, to = f"units/{self.unit.uid}/ship/", {"to": "Demo customer, hall 1"}
        assert self.at("BUILD", path, to, 422)["code"] == "unit_not_finished"
        self.start(self.unit, 40, "BUILD")
        self.complete(self.unit, 40, "BUILD")
        assert self.at("BUILD", path, to)["state"] == "shipped"


class History:
    """What the events of a unit say, and nothing else."""

    def __init__(self, walk: Walk, unit: Unit) -> None:
        self.unit = unit
        self.events = walk.read_all(f"units/{unit.uid}/events/", ordering="seq")
        assert [event["seq"] for event in self.events] == list(range(1, len(self.events) + 1))

    def of(self, *kinds: str) -> Iterable[tuple[Any, dict[str, Any]]]:
        return ((event, event["payload"]) for event in self.events if event["kind"] in kinds)

    def installations(self) -> list[tuple[str, str, str]]:
        """Replay what went into and out of its slots: slot, child and, once it is out, why."""
        rows: list[list[str]] = []
        for event, payload in self.of("unit.child_installed", "unit.child_removed", "unit.changed"):
            live = [row for row in rows if not row[2]]
            if event["kind"] == "unit.child_installed":
                rows.append([payload["slot"], payload["child"], ""])
            elif event["kind"] == "unit.child_removed":
                found = [row for row in live if row[:2] == [payload["slot"], payload["child"]]]
                found[0][2] = payload["reason"]
            else:
                for row in live:
                    row[2] = payload["change"]
                rows += [[slot, child, ""] for slot, child, _ in live]
        return [(slot, child, reason) for slot, child, reason in rows]

    def runs(self) -> list[tuple[str, int, str, str]]:
        """Replay its operations: code, attempt, state and, when it counts no more, why."""
        rows: list[dict[str, Any]] = []
        for event, payload in self.of(*RUN_EVENTS):
            live = [row for row in rows if not row["why"]]
            if event["kind"] == "operation.started":
                rows.append({**payload, "state": "running", "why": ""})
            elif event["kind"] == "operation.completed":
                mine = [row for row in live if row["operation"] == payload["operation"]]
                mine[0]["state"] = "complete"
            elif event["kind"] == "operations.superseded":
                for row in live:
                    is_meant = row["sequence"] in payload["sequences"] and "rework" not in row
                    row["why"] = payload["because"] if is_meant else ""
            else:
                for row in live:
                    row["why"] = payload["change"]
        return [(row["operation"], row["attempt"], row["state"], row["why"]) for row in rows]

    def tests(self) -> list[tuple[str, str, str]]:
        return [
            (payload["test_run"], payload["procedure"], payload["outcome"])
            for _, payload in self.of("unit.tested")
        ]


RUN_EVENTS = ("operation.started", "operation.completed", "operations.superseded", "unit.changed")


def assert_as_in_the_tables(history: History) -> None:
    unit = history.unit
    installed = Installation.objects.filter(parent=unit).order_by("pk").select_related("slot", "child")
    rows = [(row.slot.name, str(row.child.uid), row.removal_reason) for row in installed]
    assert sorted(history.installations()) == sorted(rows)
    tests = TestRun.objects.filter(unit=unit).order_by("pk")
    assert history.tests() == [(str(run.uid), run.procedure, run.outcome) for run in tests]


@pytest.fixture
def walk() -> Walk:
    walk = Walk()
    walk.build_trays()
    walk.fail_and_rework_a_tray()
    walk.build_the_rack()
    walk.leak()
    walk.change()
    walk.finish_and_ship()
    return walk


def test_a_rack_is_walked_to_shipment_and_read_back_from_its_history(walk: Walk) -> None:
    assert verify_ledger().intact
    for unit in (walk.unit, *walk.trays):
        assert_as_in_the_tables(History(walk, unit))
    read_back_the_tray(walk, History(walk, walk.trays[0]))
    read_back_the_rack(walk, History(walk, walk.unit))
    read_back_the_order(walk)


def read_back_the_tray(walk: Walk, history: History) -> None:
    """The failed test, who decided what, the rework, the swapped part, and what was done again."""
    tray = history.unit
    assert [outcome for _, _, outcome in history.tests()] == ["FAIL", "PASS"]
    found = Nonconformance.objects.get(unit=tray)
    ((held, why),) = history.of("unit.held")
    assert (held["actor"], why["reason"]) == (found.opened_by, f"{found.number}: {found.symptom}")
    ((began, rework),) = history.of("unit.rework_started")
    decided = Disposition.objects.get(nonconformance=found)
    assert began["actor"] == decided.signature.signer == walk.board.username
    assert (rework["nonconformance"], rework["returns_to"]) == (found.number, "build20")
    (old, new) = history.installations()
    assert (old[0], old[2], new[0], new[2]) == ("G0", "fails func", "G0", "")
    ((_, ended),) = history.of("unit.rework_completed")
    assert ended["nonconformances"] == [found.number]
    runs = OperationRun.objects.filter(unit=tray).order_by("pk").select_related("operation")
    assert history.runs() == [
        (run.operation.code, run.attempt, run.state, run.superseded_because) for run in runs
    ]
    chain = walk.read_all("events/", stream=found.stream)
    told = {event["kind"]: event for event in chain}
    assert told["nonconformance.opened"]["payload"]["test_run"] == history.tests()[0][0]
    assert told["nonconformance.disposed"]["payload"]["signed_by"] == walk.board.username
    assert told["nonconformance.repaired"]["payload"]["fitted"] == Unit.objects.get(uid=new[1]).serial
    assert "nonconformance.closed" in told


def read_back_the_rack(walk: Walk, history: History) -> None:
    """The leak, what was done again and why, the change, the better manifold, and the shipment."""
    rack = history.unit
    rack.refresh_from_db()
    tests = [(procedure, outcome) for _, procedure, outcome in history.tests()]
    passed = [("leak", "PASS")] * 3
    assert tests == [("leak", "FAIL"), *passed, ("power", "PASS")]
    ((_, broken),) = history.of("unit.wet_break")
    assert broken == {"reason": "hose replaced after the leak", "slot": "M1"}
    repeated = [
        (payload["sequences"], payload["because"]) for _, payload in history.of("operations.superseded")
    ]
    assert repeated[0] == ([20], "coolant opened: hose replaced after the leak")
    ((_, moved),) = history.of("unit.changed")
    move = ChangeMove.objects.get(order_unit__unit=rack)
    assert (moved["change"], moved["from_revision"], moved["to_revision"]) == (walk.eco, "A", "B")
    assert [row["sequence"] for row in moved["repeat"]] == move.repeat == [10, 20]
    assert [row["slot"] for row in moved["remove"]] == move.remove == ["M1"]
    live = {slot: child for slot, child, reason in history.installations() if not reason}
    assert live["M1"] == str(Installation.objects.live().get(parent=rack, slot__name="M1").child.uid)
    assert [live[slot] for slot in ("U1", "U2", "U3")] == [str(tray.uid) for tray in walk.trays]
    ((shipped, to),) = history.of("unit.shipped")
    assert to == {"order": "WO-RACK", "to": rack.shipped_to}
    assert history.events[-1] == shipped
    done = {code for code, _, state, why in history.runs() if state == "complete" and not why}
    assert done == {"build10", "build20", "build30", "build40"}


def read_back_the_order(walk: Walk) -> None:
    """What became of the order: released for a customer, moved by the change, finished, shipped."""
    order = WorkOrder.objects.get(number="WO-RACK")
    events = sorted(walk.read_all("events/", stream=order.stream), key=lambda event: event["at"])
    assert [event["kind"] for event in events] == [
        *("order.created", "order.released", "order.started"),
        *("order.changed", "order.unit_finished", "order.unit_shipped"),
    ]
    assert events[0]["payload"]["customer"] == order.customer == "Demo customer"
    assert events[3]["payload"]["change"] == walk.eco
    assert (order.state, order.finished, order.part_revision.revision) == ("complete", 1, "B")
