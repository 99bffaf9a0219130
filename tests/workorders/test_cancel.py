"""Cancelling an order: what becomes of each unit in progress is asked."""

from typing import Any

import pytest
from django.db import connection

from mes.ledger.services import events_of
from mes.products.models import Route
from mes.racks.services import install_unit
from mes.serials.models import Unit
from mes.workorders.models import WorkOrder
from mes.workorders.services import cancel_order, complete_operation, install_child, start_operation
from tests.builders import (
    TESTER,
    make_assembly,
    make_order,
    make_part,
    make_route,
    make_unit,
    supervisor_client,
)
from tests.racks.test_races import race
from tests.test_admin_pages import superuser_client
from tests.workorders.orders import (
    counts,
    do,
    draft,
    finish,
    make_tray,
    refused,
    start,
    stations,
    tray_order,
    units_of,
)
from tests.workorders.test_admin import page_of

pytestmark = pytest.mark.django_db


def cancel(order: WorkOrder, **fates: str) -> WorkOrder:
    return cancel_order(order=order, reason="customer left", by=TESTER, fates=fates)


def state_of(unit: Unit) -> str:
    unit.refresh_from_db()
    return unit.state


def test_a_draft_is_cancelled_and_done() -> None:
    order = draft(*make_tray())
    cancel(order)
    assert counts(order) == ("cancelled", 0, 0, 0)


def test_units_that_are_not_started_are_cancelled_with_their_order() -> None:
    order = tray_order(3)
    first, second, _ = units_of(order)
    finish(first)
    cancel(order)
    assert counts(order) == ("cancelled", 1, 0, 2)
    assert (state_of(first), state_of(second)) == ("finished", "cancelled")
    assert [row.outcome for row in order.order_units.order_by("pk")] == ["finished", "cancelled", "cancelled"]
    assert list(events_of(second))[-1].kind == "unit.cancelled"


def test_a_cancelled_unit_is_never_installed_nor_worked_on() -> None:
    order = tray_order(1)
    unit = units_of(order)[0]
    cancel(order)
    unit.refresh_from_db()
    rack = make_assembly("rack", level=11, takes={"U1": order.part_revision})
    parent, slot = make_unit(rack), rack.slots.get()
    placed = refused(lambda: install_unit(parent=parent, slot=slot, child=unit, by=TESTER))
    assert placed.code == "unit_cancelled"
    begun = refused(lambda: start_operation(unit=unit, sequence=10, station=stations()[0], by=TESTER))
    assert begun.code == "unit_cancelled"


def test_missing_fates_are_asked_for_with_what_is_allowed_for_each() -> None:
    gpu = make_part("gpu")
    tray, route = make_tray({"G0": gpu})
    order, other = make_order(tray, route, quantity=4), make_order(tray, route)
    bare, running, filled, _ = units_of(order)
    for unit in (bare, filled):
        start(unit)
        install_unit(parent=unit, slot=tray.slots.get(), child=make_unit(gpu), by=TESTER)
    start(running)
    path = f"/api/v1/work-orders/{order.number}/cancel/"
    answer = supervisor_client().post(path, {"reason": "customer left"}, format="json").json()
    assert answer["code"] == "units_undecided"
    asked = {unit["serial"]: unit for unit in answer["units"]}
    move = f"move:{other.number}"
    assert asked.keys() == {bare.serial, running.serial, filled.serial}
    assert asked[running.serial]["allowed"] == ["scrap", move]
    assert asked[running.serial]["not_allowed"] == {"return_to_stock": "Step 10 is running"}
    assert asked[filled.serial]["allowed"] == [move]
    assert counts(order) == ("running", 0, 0, 0)
    assert [row.outcome for row in order.order_units.all()] == ["open"] * 4


def test_each_fate_is_carried_out() -> None:
    order = tray_order(4)
    other = make_order(order.part_revision, order.route)
    scrapped, stocked, moved, planned = units_of(order)
    for unit in (scrapped, stocked, moved):
        do(unit, 10)
    fates = {
        str(scrapped.uid): "scrap",
        str(stocked.uid): "return_to_stock",
        str(moved.uid): f"move:{other.number}",
    }
    body = {"reason": "customer left", "fates": fates}
    answer = supervisor_client().post(f"/api/v1/work-orders/{order.number}/cancel/", body, format="json")
    assert answer.status_code == 200, answer.json()
    assert counts(order) == ("cancelled", 0, 1, 3)
    assert [state_of(unit) for unit in (scrapped, stocked, moved, planned)] == [
        *("scrapped", "in_stock", "in_work", "cancelled")
    ]
    outcomes = [unit["outcome"] for unit in answer.json()["units"]]
    assert outcomes == ["scrapped", "cancelled", "moved", "cancelled"]
    other.refresh_from_db()
    assert (other.state, other.quantity) == ("running", 2)
    do(moved, 20)
    assert counts(other) == ("running", 1, 0, 0)


def test_wrong_fates_are_refused_and_nothing_is_done() -> None:
    order = tray_order(2)
    first, second = units_of(order)
    start(first)
    do(second, 10)
    good = {str(second.uid): "return_to_stock"}

    def code(**fates: str) -> str:
        return refused(lambda: cancel(order, **{**good, **fates})).code

    assert code() == "units_undecided"
    for fate in ("return_to_stock", "melt", "move:WO-NONE", f"move:{order.number}"):
        assert code(**{str(first.uid): fate}) == "fate_not_allowed"
    assert code(**{str(first.uid): "scrap", "somebody": "scrap"}) == "unit_not_in_order"
    assert (counts(order)[0], state_of(first), state_of(second)) == ("running", "in_work", "in_work")


def test_units_move_only_to_an_open_order_of_the_same_route() -> None:
    order = tray_order(1)
    unit = units_of(order)[0]
    do(unit, 10)
    route = Route.objects.create(part=order.part_revision.part, version="2", name="other")
    drafted = draft(order.part_revision, order.route, "WO-DRAFT")
    other = draft(order.part_revision, route, "WO-OTHER")
    for to in (drafted, other):
        assert refused(lambda to=to: cancel(order, **{str(unit.uid): f"move:{to.number}"})).code == (  # type: ignore[misc]
            "fate_not_allowed"
        )


def test_the_admin_asks_for_each_fate(db: None) -> None:
    order, client = tray_order(2), superuser_client()
    unit = units_of(order)[0]
    do(unit, 10)
    page = client.get(page_of(order, "cancel")).content.decode()
    assert f"What becomes of {unit.serial}" in page
    client.post(page_of(order, "cancel"), {"reason": "customer left"})
    assert counts(order)[0] == "running"
    client.post(page_of(order, "cancel"), {"reason": "customer left", str(unit.uid): "return_to_stock"})
    assert counts(order) == ("cancelled", 0, 0, 2)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_rival_cancels_and_finishes_keep_the_counts_exact() -> None:
    order = tray_order(10)
    units = units_of(order)
    for unit in units[:5]:
        do(unit, 10)
        start(unit, 20)
    fates = {str(unit.uid): "scrap" for unit in units[:5]}
    calls: list[Any] = [
        lambda unit=unit: complete_operation(unit=unit, sequence=20, station=stations()[1], by=TESTER)
        for unit in units[:5]
    ]
    calls += [lambda: cancel(order, **fates)] * 5 + [lambda: cancel(order)] * 10
    race(calls)
    state, finished, scrapped, cancelled = counts(order)
    states = list(Unit.objects.values_list("state", flat=True))
    assert (finished, scrapped, cancelled) == tuple(
        states.count(name) for name in ("finished", "scrapped", "cancelled")
    )
    assert state == ("cancelled" if cancelled else "running")


def test_an_unfinished_unit_in_stock_is_not_installed() -> None:
    order = tray_order(1)
    (unit,) = units_of(order)
    do(unit, 10)
    cancel(order, **{str(unit.uid): "return_to_stock"})
    rack = make_assembly("rack", level=11, takes={"U1": order.part_revision})
    made = make_order(rack, make_route(rack))
    (parent,) = units_of(made)
    start(parent)
    placed = refused(
        lambda: install_child(unit=parent, slot_name="U1", child=unit, station=stations()[0], by=TESTER)
    )
    assert placed.code == "unit_not_finished"


def test_units_move_to_an_order_of_the_same_options_only() -> None:
    order = tray_order(1, options=["cdu"])
    other = make_order(order.part_revision, order.route)
    start(units_of(order)[0])
    asked = refused(lambda: cancel(order))
    assert asked.facts["units"][0]["allowed"] == ["scrap"]
    alike = make_order(order.part_revision, order.route, options=["cdu"])
    asked = refused(lambda: cancel(order))
    assert asked.facts["units"][0]["allowed"] == ["scrap", f"move:{alike.number}"]
    assert other.options == []
