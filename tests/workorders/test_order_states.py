"""The states of an order: every act from every state, and the counts that move it."""

from collections.abc import Callable

import pytest
from django.db import connection

from mes.ledger.services import events_of
from mes.racks.models import Installation
from mes.racks.services import install_unit
from mes.serials.models import Unit
from mes.workorders.models import WorkOrder
from mes.workorders.order_states import FROM
from mes.workorders.services import (
    cancel_order,
    change_order,
    close_order,
    complete_operation,
    create_child_orders,
    hold_order,
    release_order,
    remove_child,
    resume_order,
    scrap_ordered_unit,
    ship_unit,
    split_order,
)
from tests.builders import TESTER, make_assembly, make_order, make_part, make_unit, supervisor_client
from tests.racks.test_races import race
from tests.workorders.orders import counts, draft, finish, make_tray, refused, start, stations, tray_order
from tests.workorders.orders import units_of as made_by

pytestmark = pytest.mark.django_db
ACTS: dict[str, Callable[[WorkOrder], object]] = {
    "released": lambda order: release_order(order=order, by=TESTER),
    "changed": lambda order: change_order(order=order, reason="x", by=TESTER, priority=1),
    "given child orders": lambda order: create_child_orders(order=order, by=TESTER),
    "split": lambda order: split_order(order=order, number="WO-S", quantity=1, reason="x", by=TESTER),
    "held": lambda order: hold_order(order=order, reason="x", by=TESTER),
    "resumed": lambda order: resume_order(order=order, reason="x", by=TESTER),
    "closed": lambda order: close_order(order=order, by=TESTER),
    "cancelled": lambda order: cancel_order(order=order, reason="x", by=TESTER, fates={}),
}
ILLEGAL = [(act, state) for act in ACTS for state in WorkOrder.State if state not in FROM[act]]


@pytest.mark.parametrize(("act", "state"), ILLEGAL)
def test_an_act_from_a_wrong_state_is_refused_by_the_name_of_the_state(act: str, state: str) -> None:
    order = draft(*make_tray())
    WorkOrder.objects.update(state=state)
    refusal = refused(lambda: ACTS[act](order))
    assert refusal.code == f"order_{state}"
    assert refusal.facts["order"] == order.number
    assert len(list(events_of(order))) == 1


def kinds(order: WorkOrder) -> list[str]:
    return [event.kind for event in events_of(order)]


def test_an_order_from_draft_to_closed() -> None:
    order = draft(*make_tray(), quantity=1)
    unit = release_order(order=order, by=TESTER)[0]
    assert counts(order) == ("released", 0, 0, 0)
    start(unit)
    assert counts(order) == ("running", 0, 0, 0)
    complete_operation(unit=unit, sequence=10, station=stations()[0], by=TESTER)
    start(unit, 20)
    complete_operation(unit=unit, sequence=20, station=stations()[1], by=TESTER)
    assert counts(order) == ("complete", 1, 0, 0)
    assert order.completed_at
    ship_unit(unit=unit, to="demo data centre", by=TESTER)
    close_order(order=order, by=TESTER)
    assert counts(order) == ("closed", 1, 0, 0)
    steps = ("created", "released", "started", "unit_finished", "unit_shipped", "closed")
    assert kinds(order) == [f"order.{step}" for step in steps]


def test_a_held_order_starts_nothing_and_says_who_resumes_it() -> None:
    order = tray_order(2)
    first, second = made_by(order)
    start(first)
    client = supervisor_client()
    held = client.post(f"/api/v1/work-orders/{order.number}/hold/", {"reason": "recall"}, format="json")
    assert held.json()["state"] == "held"
    refusal = refused(lambda: start(second))
    assert (refusal.code, refusal.release) == ("order_held", "A supervisor resumes the order with a reason.")
    complete_operation(unit=first, sequence=10, station=stations()[0], by=TESTER)
    back = client.post(f"/api/v1/work-orders/{order.number}/resume/", {"reason": "clear"}, format="json")
    assert back.json()["state"] == "running"
    start(second)


def test_an_order_whose_last_unit_was_done_while_held_is_complete_when_resumed() -> None:
    order = tray_order(1)
    unit = made_by(order)[0]
    start(unit)
    complete_operation(unit=unit, sequence=10, station=stations()[0], by=TESTER)
    start(unit, 20)
    hold_order(order=order, reason="x", by=TESTER)
    complete_operation(unit=unit, sequence=20, station=stations()[1], by=TESTER)
    assert counts(order) == ("held", 1, 0, 0)
    resume_order(order=order, reason="x", by=TESTER)
    assert counts(order) == ("complete", 1, 0, 0)
    assert order.completed_at and order.state_before_hold == ""


def filled_order() -> tuple[WorkOrder, Unit]:
    """Return an order for one tray with a GPU, finished."""
    gpu = make_part("gpu")
    tray, route = make_tray({"G0": gpu})
    order = make_order(tray, route)
    unit = made_by(order)[0]
    start(unit)
    install_unit(parent=unit, slot=tray.slots.get(), child=make_unit(gpu), by=TESTER)
    complete_operation(unit=unit, sequence=10, station=stations()[0], by=TESTER)
    start(unit, 20)
    complete_operation(unit=unit, sequence=20, station=stations()[1], by=TESTER)
    return order, unit


@pytest.mark.parametrize("state", ["complete", "closed", "cancelled"])
def test_opening_a_finished_unit_brings_its_order_back_to_work(state: str) -> None:
    order, unit = filled_order()
    WorkOrder.objects.filter(pk=order.pk).update(state=state)
    remove_child(unit=unit, slot_name="G0", reason="broken", by=TESTER)
    assert counts(order) == ("running", 0, 0, 0)
    assert order.completed_at is None
    assert order.order_units.get().outcome == "open"


def test_scrapping_counts_and_the_last_one_completes_the_order() -> None:
    order = tray_order(2)
    first, second = made_by(order)
    finish(first)
    client = supervisor_client()
    answer = client.post(f"/api/v1/units/{second.uid}/scrap/", {"reason": "burnt"}, format="json")
    assert answer.json()["state"] == "scrapped"
    assert counts(order) == ("complete", 1, 1, 0)
    scrap_ordered_unit(unit=first, reason="burnt too", by=TESTER)
    assert counts(order) == ("complete", 0, 2, 0)
    assert all(row.outcome == "scrapped" and row.closed_at for row in order.order_units.all())
    assert kinds(order)[-2:] == ["order.unit_scrapped"] * 2


def test_a_unit_without_an_order_is_scrapped_too() -> None:
    unit = scrap_ordered_unit(unit=make_unit(make_part()), reason="burnt", by=TESTER)
    assert unit.state == "scrapped"


def test_finished_units_that_stay_need_a_reason_to_close() -> None:
    order = tray_order(1)
    unit = made_by(order)[0]
    finish(unit)
    refusal = refused(lambda: close_order(order=order, by=TESTER))
    assert (refusal.code, refusal.facts["units"]) == ("units_not_shipped", [unit.serial])
    client = supervisor_client()
    closed = client.post(f"/api/v1/work-orders/{order.number}/close/", {"reason": "spare"}, format="json")
    assert closed.json()["state"] == "closed"


def test_installed_units_are_gone_when_an_order_closes() -> None:
    order, tray = filled_order()
    rack = make_assembly("rack", level=11, takes={"U1": tray.part_revision})
    install_unit(parent=make_unit(rack), slot=rack.slots.get(), child=tray, by=TESTER)
    assert Installation.objects.live().filter(child=tray).exists()
    close_order(order=order, by=TESTER)
    assert counts(order)[0] == "closed"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_rival_scraps_and_finishes_keep_the_counts_exact() -> None:
    order = tray_order(20)
    units = made_by(order)
    for unit in units:
        start(unit)
        complete_operation(unit=unit, sequence=10, station=stations()[0], by=TESTER)
        start(unit, 20)
    calls: list[Callable[[], object]] = []
    for unit in units:
        calls.append(
            lambda unit=unit: complete_operation(  # type: ignore[misc]
                unit=unit, sequence=20, station=stations()[1], by=TESTER
            )
        )
        calls.append(lambda unit=unit: scrap_ordered_unit(unit=unit, reason="x", by=TESTER))  # type: ignore[misc]
    race(calls)
    _, finished, scrapped, cancelled = counts(order)
    states = list(Unit.objects.values_list("state", flat=True))
    assert (finished, scrapped, cancelled) == (states.count("finished"), states.count("scrapped"), 0)
    assert order.state == ("complete" if finished + scrapped == 20 else "running")
