"""Engineering changes: what is shown, signed and done; what is carried, repeated, removed, refused."""

import time
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.verification import verify_ledger
from mes.products.models import PartRevision, Route
from mes.quality.models import Nonconformance
from mes.quality.services import place_hold
from mes.racks.models import Installation
from mes.racks.services import configuration_digest
from mes.serials.models import Unit
from mes.serials.services import create_units
from mes.testing.models import TestRun
from mes.workorders.change_plans import Plan
from mes.workorders.models import ChangeMove, EngineeringChange, OperationRun, Rework, WorkOrder
from mes.workorders.services import (
    apply_change,
    approve_change,
    cancel_change,
    cancel_order,
    draft_change,
    plan_change,
    position_of,
    release_order,
    split_order,
)
from tests.builders import (
    TESTER,
    make_assembly,
    make_order,
    make_part,
    make_person,
    make_route,
    make_site,
    make_unit,
    placed,
    release,
    supervisor_client,
)
from tests.racks.test_races import race
from tests.workorders.orders import draft as order_draft
from tests.workorders.recipes import (
    STEPS,
    Role,
    Trays,
    make_signer,
    next_revision,
    next_route,
    proof_by,
    signature_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def trays() -> Trays:
    return Trays()


def same_slots(trays: Trays, name: str = "B2") -> PartRevision:
    return next_revision(trays.a, name, {"GPU0": trays.gpu, "NIC0": trays.nic})


def codes(rows: list[dict[str, Any]]) -> list[str]:
    return [row["code"] for row in rows]


def only_unit(change: EngineeringChange) -> dict[str, Any]:
    (unit,) = plan_change(change).data["units"]
    return dict(unit)


def refusal(act: Any, **given: Any) -> RuleViolation:
    with pytest.raises(RuleViolation) as caught:
        act(**given)
    return caught.value


# --- the frozen recipe ---


def test_a_newer_release_changes_nothing_for_an_order(trays: Trays) -> None:
    trays.build()
    before = (trays.unit.part_revision_id, position_of(trays.unit).route)
    revision = next_revision(trays.a, "B2", {"GPU0": make_part("gpu")})
    next_route(revision, "2", {"build": (10, "BUILD"), "weigh": (15, "SCALE")})
    trays.unit.refresh_from_db()
    trays.order.refresh_from_db()
    assert (trays.unit.part_revision_id, position_of(trays.unit).route) == before
    assert (trays.order.part_revision, trays.order.route) == (trays.a, trays.one)
    trays.report()
    trays.do(20, 30)
    trays.unit.refresh_from_db()
    assert trays.unit.state == Unit.State.FINISHED


# --- preview ---


def test_preview_carries_what_is_equal(trays: Trays) -> None:
    trays.build_and_test()
    change = trays.draft(same_slots(trays), next_route(trays.a, "2"))
    unit = only_unit(change)
    assert codes(unit["carry"]) == ["build", "test"]
    assert unit["remove"] == unit["fill"] == unit["repeat"] == unit["new"] == unit["dropped"] == []
    assert (unit["from_revision"], unit["from_route"]) == ("B1", "1")


def test_preview_shows_what_must_come_out_and_what_it_repeats(trays: Trays) -> None:
    trays.build_and_test()
    wrong = placed(trays.unit, "GPU0").child
    revision = next_revision(trays.a, "B2", {"GPU0": make_part("gpu"), "NIC0": trays.nic})
    unit = only_unit(trays.draft(revision, next_route(revision, "2", repeats={"gpu": [20]})))
    assert [(row["slot"], row["serial"]) for row in unit["remove"]] == [("GPU0", wrong.serial)]
    assert [(row["code"], row["why"]) for row in unit["repeat"]] == [
        ("build", "slots: GPU0"),
        ("test", "retest rule swap"),
    ]
    assert unit["carry"] == []


def test_preview_of_a_slot_that_is_gone_and_one_that_is_new(trays: Trays) -> None:
    trays.build_and_test()
    revision = next_revision(trays.a, "B2", {"GPU0": trays.gpu, "NIC1": trays.nic})
    unit = only_unit(trays.draft(revision, next_route(revision, "2")))
    assert [(row["slot"], row["why"]) for row in unit["remove"]] == [("NIC0", "the slot is gone")]
    assert [row["slot"] for row in unit["fill"]] == ["NIC1"]
    assert codes(unit["repeat"]) == ["build"]
    assert codes(unit["carry"]) == ["test"]


def test_a_slot_that_takes_only_a_newer_revision(trays: Trays) -> None:
    trays.build()
    given = {"revisions": {trays.gpu.part_id: ["Z"]}}
    revision = next_revision(trays.a, "B2", {"GPU0": trays.gpu, "NIC0": trays.nic}, **given)
    unit = only_unit(trays.draft(revision, next_route(revision, "2")))
    assert [row["slot"] for row in unit["remove"]] == ["GPU0"]


def test_a_slot_that_lies_elsewhere_is_filled_again(trays: Trays) -> None:
    trays.build()
    given = {"NIC0": {"tray_index": 3}}
    revision = next_revision(trays.a, "B2", {"GPU0": trays.gpu, "NIC0": trays.nic}, **given)
    unit = only_unit(trays.draft(revision, next_route(revision, "2")))
    assert [(row["code"], row["why"]) for row in unit["repeat"]] == [("build", "slots: NIC0")]


def test_what_differs_in_an_operation_is_named_and_repeats_it(trays: Trays) -> None:
    trays.build_and_test()
    limit = {"measurement": "power", "unit": "W", "low": 100, "high": 1200}
    route = next_route(trays.a, "2", {**STEPS, "weigh": (15, "SCALE")}, limit=limit)
    unit = only_unit(trays.draft(same_slots(trays), route))
    assert [(row["code"], row["why"]) for row in unit["repeat"]] == [("test", "changed: limits")]
    assert (codes(unit["new"]), codes(unit["carry"])) == (["weigh"], ["build"])


def test_what_is_not_on_the_new_route_is_dropped(trays: Trays) -> None:
    trays.build_and_test()
    route = next_route(trays.a, "2", {"build": (10, "BUILD"), "look": (30, "BUILD")})
    assert codes(only_unit(trays.draft(same_slots(trays), route))["dropped"]) == ["test"]


def test_when_nothing_would_be_left_the_last_step_is_done_again(trays: Trays) -> None:
    trays.build_and_test()
    route = next_route(trays.a, "2", {"build": (10, "BUILD"), "test": (20, "TEST")})
    unit = only_unit(trays.draft(same_slots(trays), route))
    assert (codes(unit["carry"]), codes(unit["repeat"])) == (["build"], ["test"])


def test_what_runs_is_started_again(trays: Trays) -> None:
    trays.act(10, "start")
    unit = only_unit(trays.draft(same_slots(trays), next_route(trays.a, "2")))
    assert [(row["code"], row["why"]) for row in unit["repeat"]] == [("build", "it was running")]


def test_preview_reads_only_and_costs_the_same_for_many_units(trays: Trays) -> None:
    revision, route = same_slots(trays), next_route(trays.a, "2")
    counts = []
    for quantity in (2, 12):
        order = make_order(trays.a, trays.one, quantity)
        for row in order.order_units.all():
            trays.build(row.unit)
        change = trays.draft(revision, route, orders=[order])
        plan_change(change)
        events = Event.objects.count()
        with CaptureQueriesContext(connection) as queries:
            assert len(plan_change(change).data["units"]) == quantity
        assert not [query for query in queries if not query["sql"].startswith("SELECT")]
        assert Event.objects.count() == events
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- application ---


def test_applied_change_carries_runs_and_tests_and_the_unit_finishes(trays: Trays) -> None:
    trays.build()
    trays.report()
    digest = configuration_digest(trays.unit)
    done = OperationRun.objects.get(unit=trays.unit)
    revision, route = same_slots(trays), next_route(trays.a, "2")
    change = trays.draft(revision, route)
    trays.sign(change)
    (move,) = apply_change(change=change, by=TESTER)
    trays.unit.refresh_from_db()
    change.refresh_from_db()
    assert (change.state, trays.unit.part_revision, trays.unit.order_units.get().route) == (
        "applied",
        revision,
        route,
    )
    assert (move.from_revision, move.from_route, move.remove, move.repeat) == (trays.a, trays.one, [], [])
    carried = OperationRun.objects.get(unit=trays.unit, superseded_at__isnull=True)
    done.refresh_from_db()
    assert (carried.carried_from, carried.operation.route, carried.state) == (done, route, "complete")
    assert (carried.completed_by, carried.completed_at) == (done.completed_by, done.completed_at)
    assert done.superseded_because == f"moved by {change.number}"
    assert configuration_digest(trays.unit) == digest
    # The test was taken on the old route; its operation equals the new one, so it counts there.
    trays.do(20, 30)
    trays.unit.refresh_from_db()
    assert trays.unit.state == Unit.State.FINISHED
    assert TestRun.objects.filter(superseded_at__isnull=True).count() == 1
    kinds = set(Event.objects.values_list("kind", flat=True))
    assert {"change.drafted", "change.signed", "change.applied", "unit.changed"} <= kinds
    assert verify_ledger().intact


def test_carried_test_is_superseded_with_its_operation_even_two_changes_later(trays: Trays) -> None:
    trays.build_and_test()
    for name in ("2", "3"):
        change = trays.draft(same_slots(trays, f"B{name}"), next_route(trays.a, name, repeats={"gpu": [20]}))
        trays.sign(change)
        apply_change(change=change, by=TESTER)
    trays.unit.refresh_from_db()
    answer = trays.remove("GPU0").json()
    assert [row["sequence"] for row in answer["repeat"]] == [10, 20]
    assert not TestRun.objects.filter(superseded_at__isnull=True).exists()


def test_a_test_judged_by_other_limits_does_not_count(trays: Trays) -> None:
    trays.build_and_test()
    limit = {"measurement": "power", "unit": "W", "low": 100, "high": 800}
    change = trays.draft(same_slots(trays), next_route(trays.a, "2", limit=limit))
    trays.sign(change)
    apply_change(change=change, by=TESTER)
    assert TestRun.objects.get().superseded_because == change.number
    assert trays.act(20, "start").status_code == 200
    assert trays.act(20, "complete").json()["code"] == "test_missing"


def test_there_and_back_again(trays: Trays) -> None:
    trays.build_and_test()
    for revision, route in ((same_slots(trays), next_route(trays.a, "2")), (trays.a, trays.one)):
        change = trays.draft(revision, route)
        trays.sign(change)
        apply_change(change=change, by=TESTER)
    trays.unit.refresh_from_db()
    position = position_of(trays.unit)
    assert [position.state_of(each) for each in position.route] == ["complete", "complete", "waiting"]
    assert sorted(run.attempt for run in position.runs.values()) == [2, 2]
    trays.do(30)


def test_only_the_revision_changes(trays: Trays) -> None:
    trays.build_and_test()
    change = trays.draft(same_slots(trays), trays.one)
    trays.sign(change)
    apply_change(change=change, by=TESTER)
    assert not OperationRun.objects.filter(superseded_at__isnull=False).exists()
    trays.unit.refresh_from_db()
    trays.do(30)


def moved_to_other_gpu(trays: Trays) -> tuple[PartRevision, EngineeringChange]:
    trays.build_and_test()
    other = make_part("gpu")
    revision = next_revision(trays.a, "B2", {"GPU0": other, "NIC1": trays.nic})
    change = trays.draft(revision, next_route(revision, "2", repeats={"gpu": [20]}))
    trays.sign(change)
    apply_change(change=change, by=TESTER)
    trays.unit.refresh_from_db()
    return other, change


def test_wrong_child_stays_until_it_is_taken_out_and_replaced(trays: Trays) -> None:
    other, change = moved_to_other_gpu(trays)
    row = placed(trays.unit, "GPU0")
    assert row.slot.revision == trays.unit.part_revision
    closed = Installation.objects.get(child=row.child, removed_at__isnull=False)
    assert (closed.removal_reason, closed.removed_at) == (change.number, row.installed_at)
    assert trays.act(10, "start").status_code == 200
    assert trays.install("NIC1", make_unit(trays.nic)).status_code == 201
    refused = trays.act(10, "complete").json()
    assert (refused["code"], refused["wrong"]) == (
        "wrong_child",
        [{"slot": "GPU0", "serial": row.child.serial}],
    )
    assert trays.remove("GPU0").status_code == 200
    assert trays.install("GPU0", make_unit(trays.gpu)).json()["code"] == "wrong_part"
    assert trays.install("GPU0", make_unit(other)).status_code == 201
    assert trays.act(10, "complete").status_code == 200


def test_what_is_in_a_slot_that_is_gone_stops_the_last_operation(trays: Trays) -> None:
    other, _ = moved_to_other_gpu(trays)
    trays.act(10, "start")
    trays.remove("GPU0")
    trays.install("GPU0", make_unit(other))
    trays.install("NIC1", make_unit(trays.nic))
    assert trays.act(10, "complete").status_code == 200
    trays.report()
    trays.do(20)
    trays.act(30, "start")
    refused = trays.act(30, "complete").json()
    assert (refused["code"], refused["wrong"][0]["slot"]) == ("wrong_child", "NIC0")
    removed = trays.remove("nic0").json()
    assert (removed["slot"], removed["repeat"]) == ("NIC0", [])
    trays.report()
    assert trays.act(30, "complete").status_code == 200
    trays.unit.refresh_from_db()
    assert (trays.unit.state, trays.unit.live_children) == (Unit.State.FINISHED, 2)


def test_an_order_moves_with_all_its_units(trays: Trays) -> None:
    order = make_order(trays.a, trays.one, 3)
    begun, *_ = [row.unit for row in order.order_units.order_by("pk")]
    trays.build(begun)
    place_hold(unit=begun, reason="scratch", by=TESTER)
    revision, route = same_slots(trays), next_route(trays.a, "2")
    change = trays.draft(revision, route, orders=[order])
    data = plan_change(change).data
    assert [unit["held"] for unit in data["units"]] == [True, False, False]
    assert "moves all the same" in plan_change(change).lines()[0]
    trays.sign(change)
    assert len(apply_change(change=change, by=TESTER)) == 3
    order.refresh_from_db()
    assert (order.part_revision, order.route) == (revision, route)
    assert {row.unit.part_revision for row in order.order_units.all()} == {revision}
    assert {row.route for row in order.order_units.all()} == {route}
    event = Event.objects.get(kind="order.changed")
    assert event.payload["change"] == change.number


def test_units_that_are_there_already_stay(trays: Trays) -> None:
    order = make_order(trays.a, trays.one, 2)
    first, second = [row.unit for row in order.order_units.order_by("pk")]
    revision, route = same_slots(trays), next_route(trays.a, "2")
    change = trays.draft(revision, route, units=[first])
    trays.sign(change)
    apply_change(change=change, by=TESTER)
    change = trays.draft(revision, route, orders=[order])
    data = plan_change(change).data
    assert data["unchanged"] == [first.serial]
    assert [unit["serial"] for unit in data["units"]] == [second.serial]


# --- signatures ---


def test_two_people_of_both_kinds_sign(trays: Trays) -> None:
    change = trays.draft(same_slots(trays), next_route(trays.a, "2"))
    assert refusal(apply_change, change=change, by=TESTER).code == "change_not_approved"
    both = make_signer(Role.ENGINEER, Role.QUALITY)

    def sign(person: Any) -> EngineeringChange:
        return approve_change(change=change, reason="agreed", proof=proof_by(person), by=TESTER)

    assert sign(both).state == "draft"
    assert refusal(sign, person=both).code == "change_signed_by_you"
    assert refusal(sign, person=trays.engineer).code == "role_missing"
    assert sign(trays.quality).state == "approved"
    assert refusal(sign, person=trays.engineer).code == "change_approved"
    meanings = change.approvals.values_list("signature__meaning", flat=True)
    assert sorted(meanings) == ["engineering approval", "quality approval"]
    digests = set(change.approvals.values_list("signature__subject_digest", flat=True))
    assert digests == {plan_change(change).digest}


def test_the_drafter_does_not_sign(trays: Trays) -> None:
    change = draft_change(
        site=make_site(),
        title="t",
        reason="r",
        to_revision=same_slots(trays),
        to_route=next_route(trays.a, "2"),
        units=[trays.unit],
        by=trays.engineer.actor(),
    )
    given = {"change": change, "reason": "mine", "proof": proof_by(trays.engineer), "by": TESTER}
    assert refusal(approve_change, **given).code == "own_work"
    wrong = {**given, "proof": proof_by(trays.quality, "000000")}
    assert refusal(approve_change, **wrong).code == "pin_wrong"
    assert not change.approvals.exists()


def test_a_unit_that_moved_on_is_signed_anew(trays: Trays) -> None:
    change = trays.draft(same_slots(trays), next_route(trays.a, "2"))
    trays.sign(change)
    trays.build()
    assert refusal(apply_change, change=change, by=TESTER).code == "change_preview_changed"
    trays.unit.refresh_from_db()
    assert trays.unit.part_revision == trays.a
    assert not ChangeMove.objects.exists()
    trays.sign(change)
    apply_change(change=change, by=TESTER)
    change.refresh_from_db()
    assert (change.state, change.approvals.count()) == ("applied", 2)


# --- refusals ---


def test_any_unit_that_cannot_move_stops_all(trays: Trays) -> None:
    order = make_order(trays.a, trays.one, 2)
    first, second = [row.unit for row in order.order_units.order_by("pk")]
    change = trays.draft(same_slots(trays), next_route(trays.a, "2"), orders=[order])
    trays.sign(change)
    trays.build_and_test(first)
    trays.do(30, unit=first)
    found = refusal(apply_change, change=change, by=TESTER)
    assert found.code == "change_unit_refused"
    assert [(row["name"], row["code"]) for row in found.facts["refused"]] == [(first.serial, "unit_finished")]
    second.refresh_from_db()
    assert second.part_revision == trays.a


@pytest.mark.parametrize("state", ["finished", "shipped", "scrapped"])
def test_what_is_done_with_is_refused_at_once(trays: Trays, state: str) -> None:
    Unit.objects.filter(pk=trays.unit.pk).update(state=state)
    trays.unit.refresh_from_db()
    found = refusal(trays.draft, revision=same_slots(trays), route=next_route(trays.a, "2"))
    assert (found.code, found.facts["refused"][0]["code"]) == ("change_unit_refused", f"unit_{state}")
    assert not EngineeringChange.objects.exists()


def put_into_rack(trays: Trays) -> str:
    rack = make_assembly("rack", level=11, takes={"U1": trays.a})
    Installation.objects.create(
        parent=make_unit(rack),
        root=make_unit(rack),
        slot=rack.slots.get(),
        child=trays.unit,
        parent_level=11,
        child_level=10,
        installed_by="t",
    )
    return "unit_closed"


def leave_order(trays: Trays) -> str:
    trays.unit.order_units.update(closed_at=trays.unit.created_at)
    return "no_work_order"


def take_serial(trays: Trays) -> str:
    revision = PartRevision.objects.get(part=trays.a.part, revision="B2")
    create_units(site=make_site(), part_revision=revision, serials=[trays.unit.serial], by=TESTER, order="X")
    return "serial_exists"


def begin_rework(trays: Trays) -> str:
    row = Nonconformance.objects.create(
        site=make_site(), unit=trays.unit, number="NC-1", symptom="leak", opened_by="t"
    )
    Rework.objects.create(
        unit=trays.unit,
        nonconformance=row,
        route=trays.one,
        returns_to=trays.one.operations.get(code="build"),
    )
    return "unit_in_rework"


def become_other(trays: Trays) -> str:
    Unit.objects.filter(pk=trays.unit.pk).update(part_revision=make_part("tray", level=10))
    return "change_other_part"


@pytest.mark.parametrize("hinder", [put_into_rack, leave_order, take_serial, begin_rework, become_other])
def test_what_cannot_move_now_is_named(trays: Trays, hinder: Any) -> None:
    change = trays.draft(same_slots(trays), next_route(trays.a, "2"))
    code = hinder(trays)
    assert [row["code"] for row in plan_change(change).data["refused"]] == [code]
    given = {"change": change, "reason": "r", "proof": proof_by(trays.engineer), "by": TESTER}
    assert refusal(approve_change, **given).code == "change_unit_refused"


def test_closed_order_is_refused(trays: Trays) -> None:
    WorkOrder.objects.filter(pk=trays.order.pk).update(state="complete")
    trays.order.refresh_from_db()
    given = {"revision": same_slots(trays), "route": next_route(trays.a, "2"), "orders": [trays.order]}
    found = refusal(trays.draft, **given)
    assert found.facts["refused"][0]["code"] == "order_closed"


def draft_revision(trays: Trays) -> dict[str, Any]:
    return {"revision": PartRevision.objects.create(part=trays.a.part, revision="X"), "route": trays.one}


def draft_route(trays: Trays) -> dict[str, Any]:
    return {"revision": same_slots(trays), "route": next_route(trays.a, "2", released=False)}


def other_part(trays: Trays) -> dict[str, Any]:
    other = make_part("tray", level=10)
    return {"revision": other, "route": next_route(other, "1"), "orders": [trays.order]}


def other_route(trays: Trays) -> dict[str, Any]:
    other = make_part("tray", level=10)
    return {"revision": same_slots(trays), "route": make_route(other)}


def rework_route(trays: Trays) -> dict[str, Any]:
    route = next_route(trays.a, "R", released=False)
    Route.objects.filter(pk=route.pk).update(kind="rework", released_at=trays.one.released_at)
    route.refresh_from_db()
    return {"revision": same_slots(trays), "route": route}


def nothing_to_do(trays: Trays) -> dict[str, Any]:
    return {"revision": trays.a, "route": trays.one}


def no_targets(trays: Trays) -> dict[str, Any]:
    return {"revision": same_slots(trays), "route": trays.one, "units": []}


def other_site(trays: Trays) -> dict[str, Any]:
    there = make_unit(trays.a, site=make_site("S2"))
    return {"revision": same_slots(trays), "route": trays.one, "units": [there]}


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (draft_revision, "definition_not_released"),
        (draft_route, "definition_not_released"),
        (other_part, "change_other_part"),
        (other_route, "wrong_route"),
        (rework_route, "wrong_route"),
        (nothing_to_do, "change_changes_nothing"),
        (no_targets, "change_without_targets"),
        (other_site, "wrong_site"),
    ],
)
def test_draft_that_makes_no_sense(trays: Trays, ask: Any, code: str) -> None:
    assert refusal(trays.draft, **ask(trays)).code == code
    assert not EngineeringChange.objects.exists()


def test_cancelled_is_closed(trays: Trays) -> None:
    change = trays.draft(same_slots(trays), next_route(trays.a, "2"))
    cancel_change(change=change, reason="not needed", by=TESTER)
    assert refusal(cancel_change, change=change, reason="again", by=TESTER).code == "change_closed"
    assert refusal(apply_change, change=change, by=TESTER).code == "change_closed"


# --- over REST ---


def test_over_rest(trays: Trays) -> None:
    trays.build()
    same_slots(trays)
    next_route(trays.a, "2")
    client = supervisor_client()
    body = {
        "site": "S1",
        "title": "better tray",
        "reason": "field failures",
        "part": trays.a.part.number,
        "to_revision": "B2",
        "to_route": "2",
        "units": [str(trays.unit.uid)],
    }
    made = client.post("/api/v1/engineering-changes/", body, format="json")
    assert made.status_code == 201, made.json()
    number = made.json()["number"]
    assert number.startswith("ECO-0")
    url = f"/api/v1/engineering-changes/{number}/"
    preview = client.get(f"{url}preview/").json()
    assert codes(preview["units"][0]["carry"]) == ["build"]
    for person in (trays.engineer, trays.quality):
        signed = client.post(
            f"{url}approve/", {"reason": "agreed", "signature": signature_of(person)}, format="json"
        )
        assert signed.status_code == 200, signed.json()
    assert signed.json()["state"] == "approved"
    assert {row["digest"] for row in signed.json()["approvals"]} == {preview["digest"]}
    applied = client.post(f"{url}apply/", format="json").json()
    assert (applied["state"], applied["units"][0]["serial"]) == ("applied", trays.unit.serial)
    assert client.post(f"{url}cancel/", {"reason": "late"}, format="json").json()["code"] == "change_closed"
    listed = client.get("/api/v1/engineering-changes/", {"state": "applied"}).json()["results"]
    assert [row["number"] for row in listed] == [number]


def test_over_rest_refuses_bad_input_and_strangers(trays: Trays) -> None:
    client = supervisor_client()
    answer = client.post("/api/v1/engineering-changes/", {"part": "none"}, format="json")
    assert answer.status_code == 400
    change = trays.draft(same_slots(trays), next_route(trays.a, "2"))
    url = f"/api/v1/engineering-changes/{change.number}/"
    stranger = supervisor_client()
    stranger.force_login(make_person())
    for act in ("apply/", "cancel/", "approve/"):
        assert stranger.post(url + act, {"reason": "r"}, format="json").status_code == 403
    assert trays.builder.post(url.removeprefix("/api/v1/") + "apply/").status_code == 403


def test_list_costs_the_same_however_long(trays: Trays) -> None:
    client = supervisor_client()
    revision, route = same_slots(trays), next_route(trays.a, "2")
    counts = []
    for _ in range(2):
        for _ in range(3):
            trays.sign(trays.draft(revision, route))
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/api/v1/engineering-changes/").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_numbers_are_never_given_twice(trays: Trays) -> None:
    revision, route = same_slots(trays), next_route(trays.a, "2")
    numbers = [trays.draft(revision, route).number for _ in range(3)]
    assert numbers == ["ECO-0001", "ECO-0002", "ECO-0003"]


def test_a_unit_moved_alone_keeps_its_route_in_another_order(trays: Trays) -> None:
    order = make_order(trays.a, trays.one, quantity=3)
    moved, begun, _ = [row.unit for row in order.order_units.order_by("pk")]
    revision = same_slots(trays)
    change = trays.draft(revision, next_route(revision, "2"), units=[moved, begun])
    trays.sign(change)
    apply_change(change=change, by=TESTER)
    split = split_order(order=order, number="WO-S", quantity=1, reason="early", by=TESTER, units=[moved])
    assert split.order_units.get().route == change.to_route
    other = make_order(trays.a, trays.one)
    assert trays.act(10, "start", begun).status_code == 200
    fates = {str(begun.uid): f"move:{other.number}"}
    cancel_order(order=order, reason="gone", by=TESTER, fates=fates)
    assert position_of(begun).order_unit.route == change.to_route
    assert position_of(begun).order == other


def test_what_is_in_a_slot_that_is_gone_stops_the_skip_of_the_last_operation(trays: Trays) -> None:
    trays.build_and_test()
    revision = next_revision(trays.a, "B2", {"GPU0": trays.gpu})
    route = next_route(revision, "2", released=False)
    route.operations.filter(code="look").update(optional=True)
    release(route)
    change = trays.draft(revision, route)
    trays.sign(change)
    apply_change(change=change, by=TESTER)
    trays.do(10)
    skip = f"units/{trays.unit.uid}/operations/30/skip/"
    assert trays.builder.post(skip, {"reason": "clean"}).json()["code"] == "wrong_child"
    place_hold(unit=placed(trays.unit, "GPU0").child, reason="suspect", by=TESTER)
    assert trays.builder.post(skip, {"reason": "clean"}).json()["code"] == "child_held"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_an_order_released_while_it_is_moved_makes_units_of_the_new_revision(
    trays: Trays, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_draft(trays.a, trays.one)
    revision = same_slots(trays)
    change = trays.draft(revision, next_route(revision, "2"), orders=[order])
    trays.sign(change)

    def plan_slowly(given: EngineeringChange) -> Plan:
        plan = plan_change(given)
        time.sleep(0.5)
        return plan

    def release_soon() -> None:
        time.sleep(0.2)
        release_order(order=order, by=TESTER)

    monkeypatch.setattr("mes.workorders.changes.plan_change", plan_slowly)
    ends = race([lambda: apply_change(change=change, by=TESTER), release_soon, *[lambda: None] * 8])
    order.refresh_from_db()
    assert (ends["won"], order.part_revision) == (10, revision)
    rows = order.order_units.values_list("unit__part_revision", "route")
    assert set(rows) == {(revision.pk, change.to_route_id)}
