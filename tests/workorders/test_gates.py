"""Every gate is listed with its state; a release is signed, limited, counted and visible."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.ledger.models import Event
from mes.people.models import Qualification, User
from mes.people.services import record_training
from mes.products.models import Instruction, Operation
from mes.serials.models import Unit
from mes.stations.models import Tool
from mes.workorders.models import GateRelease, ToolUse
from tests.builders import (
    TESTER,
    Scanner,
    make_assembly,
    make_part,
    make_person,
    make_route,
    make_scanner,
    make_signer,
    make_site,
    make_unit,
    ordered_unit,
    signed_by,
    supervisor_client,
)

pytestmark = pytest.mark.django_db


class Line:
    """A tray on order whose first operation fills a slot and asks for what a test adds to it."""

    def __init__(
        self,
        *,
        tests: dict[int, str] | None = None,
        slots: int = 1,
        ask: Callable[[dict[int, Operation]], object] | None = None,
    ) -> None:
        self.gpu = make_part("gpu")
        tray = make_assembly("tray", level=10, takes={f"G{number}": self.gpu for number in range(slots)})
        self.route = make_route(tray, tests=tests, ask=ask)
        self.unit: Unit = ordered_unit(tray, self.route)
        self.person = make_person()
        self.scanner: Scanner = make_scanner(person=self.person)

    def post(self, act: str, body: Any = None, sequence: int = 10) -> Any:
        return self.scanner.post(f"units/{self.unit.uid}/operations/{sequence}/{act}/", body).json()

    def gates(self, sequence: int = 10) -> dict[str, dict[str, Any]]:
        answer = self.scanner.get(f"units/{self.unit.uid}/gates/", operation=sequence).json()
        return {f"{row['moment']}.{row['gate']}": row for row in answer["gates"]}

    def release(self, gate: str, signer: User, **more: Any) -> Any:
        body = {"operation": 10, "reason": "agreed at the line", **more}
        body.setdefault("signature", signed_by(signer))
        return self.scanner.post(f"units/{self.unit.uid}/gates/{gate}/release/", body)


def test_all_gates_of_an_operation_are_listed_with_their_state() -> None:
    line = Line(tests={20: "func"})
    gates = line.gates()
    assert gates["start.turn"]["state"] == "open"
    assert gates["complete.slots_filled"]["state"] == "blocked"
    assert gates["complete.slots_filled"]["code"] == "slots_empty"
    assert gates["complete.slots_filled"]["releasable_by"] == ["quality"]
    assert "signature" in gates["complete.slots_filled"]["release"]
    assert gates["complete.running"]["code"] == "operation_not_running"
    line.post("start")
    gates = line.gates()
    assert gates["start.not_started"]["state"] == "not_asked"
    assert gates["complete.running"]["state"] == "open"
    later = line.gates(sequence=20)
    assert later["start.turn"]["code"] == "operation_out_of_order"
    assert later["start.work_center"]["code"] == "wrong_station"
    assert later["complete.tests_passed"]["code"] == "test_missing"


def test_without_an_operation_the_one_at_hand_is_listed_and_people_may_look() -> None:
    line = Line()
    answer = supervisor_client().get(f"/api/v1/units/{line.unit.uid}/gates/").json()
    assert (answer["operation"], answer["serial"], answer["state"]) == (10, line.unit.serial, "waiting")
    assert {row["gate"]: row["state"] for row in answer["gates"]}["work_center"] == "open"
    bad = supervisor_client().get(f"/api/v1/units/{line.unit.uid}/gates/?operation=ten")
    assert bad.status_code == 400


def test_the_list_takes_the_same_queries_whatever_the_size() -> None:
    def queries(slots: int) -> int:
        line = Line(slots=slots)
        line.gates()
        with CaptureQueriesContext(connection) as found:
            line.gates()
        return len(found)

    assert queries(2) == queries(40) <= 25


def test_who_is_not_qualified_does_not_start() -> None:
    brazing = Qualification.objects.create(code="brazing", name="Brazing", valid_days=365)
    line = Line(ask=lambda made: made[10].qualifications.create(qualification=brazing))
    refused = line.post("start")
    assert (refused["code"], refused["gate"]) == ("not_qualified", "qualified")
    record_training(person=line.person, qualification=brazing, trainer="trainer", by=TESTER)
    assert line.post("start")["state"] == "running"


def test_an_overdue_tool_is_refused_at_start_and_a_missing_one_named() -> None:
    line = Line(ask=lambda made: made[10].tools.create(type="torque_driver"))
    assert line.post("start")["code"] == "tool_missing"
    assert (
        line.scanner.scan(line.unit.serial).json()["next"] == "Scan the label of the torque driver you use."
    )
    due = timezone.now() + timedelta(days=1)
    tool = Tool.objects.create(
        site=make_site(), code="TD-1", type="torque_driver", name="Torque driver 1", calibration_due_at=due
    )
    assert line.scanner.scan("TD-1").json()["outcome"] == "accepted"
    Tool.objects.filter(pk=tool.pk).update(calibration_due_at=timezone.now() - timedelta(minutes=1))
    refused = line.post("start")
    assert (refused["code"], refused["gate"]) == ("tool_overdue", "tools")
    Tool.objects.filter(pk=tool.pk).update(calibration_due_at=due)
    assert line.post("start")["state"] == "running"
    assert ToolUse.objects.get().calibration_due_at == due


def test_a_tool_scanned_during_the_work_is_noted_and_an_overdue_one_is_not() -> None:
    line = Line(ask=lambda made: made[10].tools.create(type="torque_driver"))
    first, second, late = (
        Tool.objects.create(
            site=make_site(),
            code=f"TD-{number}",
            type="torque_driver",
            name=f"Driver {number}",
            calibration_due_at=timezone.now() + timedelta(days=days),
        )
        for number, days in ((1, 1), (2, 1), (3, -1))
    )
    line.scanner.scan(first.code)
    line.scanner.scan(line.unit.serial)
    line.scanner.scan(second.code)
    assert line.scanner.scan(late.code).json()["code"] == "tool_overdue"
    assert set(ToolUse.objects.values_list("tool__code", flat=True)) == {"TD-1", "TD-2"}


def test_an_instruction_is_read_before_the_first_start_of_each_version() -> None:
    line = Line(ask=lambda made: Operation.objects.filter(pk=made[10].pk).update(instruction_code="WI-1"))
    Instruction.objects.create(code="WI-1", version="1", title="Seat a GPU", released_at=timezone.now())
    refused = line.post("start")
    assert (refused["code"], refused["version"]) == ("instruction_unread", "1")
    assert line.scanner.post("instructions/WI-1/read/").json()["version"] == "1"
    Instruction.objects.create(code="WI-1", version="2", title="Seat a GPU", released_at=timezone.now())
    assert line.post("start")["version"] == "2"
    asked = line.scanner.scan(line.unit.serial).json()
    assert (asked["outcome"], asked["code"]) == ("needs_more", "instruction_unread")
    assert "CMD:READ" in asked["next"]
    assert line.scanner.scan("CMD:READ").json()["title"] == "Read and understood"
    assert line.post("start")["state"] == "running"
    assert Event.objects.filter(kind="instruction.read", stream=line.person.stream).count() == 2


def test_quality_releases_a_gate_for_one_pass_and_everybody_sees_it() -> None:
    line = Line()
    line.post("start")
    assert line.post("complete")["code"] == "slots_empty"
    answer = line.release("slots_filled", make_signer("quality"))
    assert answer.status_code == 201, answer.json()
    assert line.gates()["complete.running"]["released"] is None
    row = line.gates()["complete.slots_filled"]
    release = GateRelease.objects.get()
    assert (row["state"], row["released"]["released_by"]) == ("released", release.released_by)
    assert (row["released"]["reason"], row["released"]["used"]) == ("agreed at the line", 0)
    assert line.post("complete")["state"] == "complete"
    release.refresh_from_db()
    assert (release.used, release.role, release.signature.reason) == (1, "quality", "agreed at the line")
    event = Event.objects.get(kind="operation.completed")
    assert event.payload["releases"] == [
        {"gate": "slots_filled", "release": release.pk, "by": release.released_by}
    ]
    listed = line.scanner.get("gate-releases/", unit__uid=str(line.unit.uid)).json()["results"]
    assert [(row["gate"], row["used"], row["allowed"]) for row in listed] == [("slots_filled", 1, 1)]


@pytest.mark.parametrize(
    ("gate", "role", "more", "code"),
    [
        ("slots_filled", "line_lead", {}, "role_missing"),
        ("turn", "quality", {}, "gate_not_releasable"),
        ("nothing", "quality", {}, "unknown_gate"),
        ("values", "quality", {}, "gate_open"),
        ("slots_filled", "quality", {"allowed": 99}, "release_too_wide"),
        ("slots_filled", "quality", {"hours": 1000}, "release_too_wide"),
    ],
)
def test_a_release_that_is_not_allowed_is_refused(
    gate: str, role: str, more: dict[str, Any], code: str
) -> None:
    line = Line()
    line.post("start")
    answer = line.release(gate, make_signer(role), **more)
    assert answer.json()["code"] == code
    assert not GateRelease.objects.exists()


def test_nobody_releases_their_own_work_or_with_a_wrong_pin() -> None:
    line = Line()
    line.person = make_signer("quality")
    line.scanner = make_scanner(person=line.person)
    line.post("start")
    assert line.release("slots_filled", line.person).json()["code"] == "own_work"
    other = make_signer("quality")
    wrong = line.release("slots_filled", other, signature=signed_by(other, "0000"))
    assert wrong.json()["code"] == "pin_wrong"
    assert not GateRelease.objects.exists()


def test_a_release_ends_by_time_and_by_use() -> None:
    line = Line()
    line.post("start")
    line.release("slots_filled", make_signer("quality"))
    GateRelease.objects.update(expires_at=timezone.now())
    assert line.post("complete")["code"] == "slots_empty"
    GateRelease.objects.update(expires_at=timezone.now() + timedelta(hours=1), used=1)
    assert line.post("complete")["code"] == "slots_empty"


def test_an_operation_for_two_takes_two() -> None:
    line = Line(ask=lambda made: Operation.objects.filter(pk=made[10].pk).update(people=2))
    line.scanner.scan(line.unit.serial)
    line.scanner.scan("G0")
    line.scanner.scan(make_unit(line.gpu).serial)
    alone = line.post("complete")
    assert (alone["code"], alone["people"]) == ("second_person_missing", [line.person.username])
    second = make_person()
    other = make_scanner(person=second)
    assert other.scan(line.unit.serial).json()["title"] == "Resumed"
    assert line.post("complete")["state"] == "complete"
    joined = Event.objects.get(kind="operation.joined")
    assert joined.actor == second.username


def test_a_reading_without_an_instruction_is_refused() -> None:
    line = Line()
    line.scanner.scan(line.unit.serial)
    assert line.scanner.scan("CMD:READ").json()["code"] == "no_instruction"


def test_a_release_without_proof_of_who_signs_is_refused() -> None:
    line = Line()
    line.post("start")
    answer = line.release("slots_filled", make_signer("quality"), signature={})
    assert answer.json()["code"] == "signature_missing"


def test_to_join_uses_a_release_once_and_says_so() -> None:
    brazing = Qualification.objects.create(code="brazing", name="Brazing", valid_days=365)
    line = Line(ask=lambda made: made[10].qualifications.create(qualification=brazing))
    line.release("qualified", make_signer("supervisor"), allowed=3)
    assert line.post("start")["state"] == "running"
    second = make_scanner(person=make_person())
    path = f"units/{line.unit.uid}/operations/10/join/"
    assert second.post(path).json()["code"] == "not_qualified"
    line.scanner = second
    assert line.release("qualified", make_signer("supervisor"), allowed=3).status_code == 201
    for _ in range(2):
        assert second.post(path).status_code == 200
    release = GateRelease.objects.latest("pk")
    assert release.used == 1
    joined = Event.objects.get(kind="operation.joined")
    assert [row["release"] for row in joined.payload["releases"]] == [release.pk]


def ask_two_tests(made: dict[int, Operation]) -> None:
    for procedure in ("leak", "torque"):
        made[10].gates.create(rule="test_passed", moment="complete", procedure=procedure)


def test_a_release_lets_pass_what_was_signed_and_nothing_else() -> None:
    line = Line(ask=ask_two_tests)
    line.scanner.scan(line.unit.serial)
    line.scanner.scan("G0")
    line.scanner.scan(make_unit(line.gpu).serial)
    assert line.release("tests_passed", make_signer("quality")).status_code == 201
    blocked = line.gates()["complete.tests_passed"]
    assert (blocked["state"], "torque" in blocked["detail"]) == ("blocked", True)
    assert line.post("complete")["procedure"] == "torque"
    assert not GateRelease.objects.filter(used__gt=0).exists()
    assert line.release("tests_passed", make_signer("quality")).status_code == 201
    assert line.post("complete")["state"] == "complete"
    holds = GateRelease.objects.order_by("pk").values_list("holds", "used")
    assert list(holds) == [("test_missing leak", 1), ("test_missing torque", 1)]


def test_who_took_no_part_completes_only_when_qualified() -> None:
    brazing = Qualification.objects.create(code="brazing", name="Brazing")
    line = Line(ask=lambda made: made[10].qualifications.create(qualification=brazing))
    record_training(person=line.person, qualification=brazing, trainer="trainer", by=TESTER)
    line.scanner.scan(line.unit.serial)
    other = make_scanner()
    refused = other.post(f"units/{line.unit.uid}/operations/10/complete/").json()
    assert (refused["code"], refused["gate"]) == ("not_qualified", "qualified")
