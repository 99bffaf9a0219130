"""Orders: their fields, what may change, the list over REST, splitting."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mes.ledger.models import Event
from mes.ledger.services import events_of
from mes.products.models import Route
from mes.workorders.models import OrderUnit, WorkOrder
from mes.workorders.services import change_order, release_order, split_order
from tests.builders import TESTER, make_part, make_route, make_scanner, make_site, supervisor_client
from tests.workorders.orders import (
    counts,
    do,
    draft,
    finish,
    make_tray,
    refused,
    start,
    tray_order,
    units_of,
)

pytestmark = pytest.mark.django_db
DUE = datetime(2027, 1, 15, 12, tzinfo=UTC)
FIELDS = {
    "customer": "demo customer",
    "contract": "C-1",
    "program": "P-1",
    "priority": 10,
    "options": ["liquid"],
    "quantity": 3,
}


def post(path: str, body: dict[str, Any] | None = None) -> Any:
    return supervisor_client().post(f"/api/v1/work-orders/{path}", body or {}, format="json")


def test_every_field_is_kept_over_rest() -> None:
    tray, _ = make_tray()
    body = {"number": "WO-1", "part": tray.part.number, "revision": "A", "site": make_site().code}
    made = post("", {**body, **FIELDS, "due_at": DUE.isoformat()})
    assert made.status_code == 201, made.json()
    shown = supervisor_client().get("/api/v1/work-orders/WO-1/").json()
    assert {name: shown[name] for name in FIELDS} == FIELDS
    assert (shown["due_at"], shown["state"], shown["kind"]) == ("2027-01-15T12:00:00Z", "draft", "build")
    assert Event.objects.get(kind="order.created").payload["contract"] == "C-1"


def test_quantity_and_priority_are_checked() -> None:
    tray, _ = make_tray()
    body = {"number": "WO-1", "part": tray.part.number, "revision": "A", "site": make_site().code}
    assert post("", body).json()["fields"] == {"quantity": ["This field is required."]}
    assert "priority" in post("", {**body, "quantity": 1, "priority": 100}).json()["fields"]


def test_priority_and_due_date_change_with_a_reason_and_an_event() -> None:
    order = tray_order()
    answer = post(f"{order.number}/change/", {"reason": "late", "priority": 5, "due_at": DUE.isoformat()})
    assert (answer.json()["priority"], answer.json()["due_at"]) == (5, "2027-01-15T12:00:00Z")
    event = list(events_of(order))[-1]
    assert (event.kind, event.payload["reason"]) == ("order.changed", "late")
    assert (event.payload["from"]["priority"], event.payload["to"]["priority"]) == (50, 5)
    again = post(f"{order.number}/change/", {"reason": "late", "priority": 5})
    assert again.json()["code"] == "nothing_changed"
    assert "reason" in post(f"{order.number}/change/", {"priority": 5}).json()["fields"]


def test_quantity_changes_only_in_a_draft() -> None:
    order = draft(*make_tray())
    change_order(order=order, reason="more", by=TESTER, quantity=5, options=["liquid"])
    assert len(release_order(order=order, by=TESTER)) == 5
    late = refused(lambda: change_order(order=order, reason="more", by=TESTER, quantity=6))
    assert late.code == "order_released"


def test_a_number_is_short_and_a_route_builds() -> None:
    tray, route = make_tray()
    assert refused(lambda: draft(tray, route, "W" * 41)).code == "order_number_too_long"
    rework = Route.objects.create(part=tray.part, version="R", name="rework", kind=Route.Kind.REWORK)
    assert refused(lambda: draft(tray, rework)).code == "wrong_route"


def test_only_who_may_change_orders_acts_on_them() -> None:
    order = tray_order()
    for act in ("change", "hold", "resume", "close", "cancel", "split", "children", "release"):
        assert make_scanner().post(f"work-orders/{order.number}/{act}/", {}).status_code == 403


def test_orders_of_another_site_are_not_found() -> None:
    elsewhere = draft(*make_tray(), site=make_site("S2"))
    assert make_scanner().get(f"work-orders/{elsewhere.number}/").status_code == 404
    assert make_scanner().get(f"work-orders/{elsewhere.number}/promise/").status_code == 404


def listed(**query: Any) -> list[str]:
    answer = supervisor_client().get("/api/v1/work-orders/", query)
    assert answer.status_code == 200, answer.json()
    return [row["number"] for row in answer.json()["results"]]


def test_the_list_is_filtered_and_ordered() -> None:
    tray, route = make_tray()
    parent = draft(tray, route, "WO-1", priority=20, customer="demo a", contract="C-1", program="P-1")
    draft(tray, route, "WO-2", priority=10, due_at=DUE, parent=parent)
    for query in (
        {"customer": "demo a"},
        {"contract": "C-1"},
        {"program": "P-1"},
        {"priority": 20},
        {"priority__gte": 15},
    ):
        assert listed(**query) == ["WO-1"], query
    for query in (
        {"due_at__gte": "2027-01-01", "due_at__lte": "2027-02-01"},
        {"parent__number": "WO-1"},
        {"priority__lte": 15},
    ):
        assert listed(**query) == ["WO-2"], query
    assert listed(state__in="draft,held", kind="build", ordering="priority") == ["WO-2", "WO-1"]
    assert listed(state="closed") == []


def test_the_list_costs_the_same_however_long() -> None:
    client, found = supervisor_client(), []
    for _ in range(2):
        parent = tray_order(quantity=3)
        draft(*make_tray(), number=f"{parent.number}.1", parent=parent)
        client.get("/api/v1/work-orders/")
        with CaptureQueriesContext(connection) as queries:
            client.get("/api/v1/work-orders/")
        found.append(len(queries))
    assert found[0] == found[1] <= 8


def test_a_split_moves_the_last_units_that_are_not_started() -> None:
    order = tray_order(5)
    units = units_of(order)
    start(units[4])
    made = post(f"{order.number}/split/", {"reason": "second truck", "number": "WO-S", "quantity": 2}).json()
    assert [unit["serial"] for unit in made["units"]] == [units[2].serial, units[3].serial]
    assert (made["state"], made["quantity"]) == ("released", 2)
    order.refresh_from_db()
    assert (order.state, order.quantity) == ("running", 3)
    moved = OrderUnit.objects.filter(work_order=order, outcome="moved")
    assert moved.count() == 2 and all(row.closed_at for row in moved)
    finish(units[2])
    assert counts(WorkOrder.objects.get(number="WO-S")) == ("running", 1, 0, 0)


def test_a_split_completes_an_order_whose_other_units_are_done() -> None:
    order = tray_order(2)
    first, last = units_of(order)
    finish(first)
    chosen = {"reason": "later", "number": "WO-S", "quantity": 1, "units": [str(last.uid)]}
    assert post(f"{order.number}/split/", chosen).status_code == 200
    assert counts(order) == ("complete", 1, 0, 0)


def test_a_draft_is_split_by_its_quantity() -> None:
    order = draft(*make_tray(), quantity=5)
    new = split_order(order=order, number="WO-S", quantity=2, reason="later", by=TESTER)
    order.refresh_from_db()
    assert (order.quantity, new.quantity, new.state) == (3, 2, "draft")


def test_what_cannot_be_split_is_refused_and_nothing_moves() -> None:
    order = tray_order(3)
    units = units_of(order)
    do(units[0], 10)

    def split(quantity: int, *chosen: Any) -> str:
        given: dict[str, Any] = {"number": "WO-S", "reason": "x", "by": TESTER, "units": chosen}
        return refused(lambda: split_order(order=order, quantity=quantity, **given)).code

    assert split(3) == "split_leaves_nothing"
    assert split(1, units[0]) == "units_started"
    assert split(2, units[1]) == "units_to_split"
    other = units_of(tray_order(1))[0]
    assert split(1, other) == "units_to_split"
    assert not WorkOrder.objects.filter(number="WO-S").exists()
    assert other.order_units.get().closed_at is None


def test_a_new_part_has_no_order_at_another_site() -> None:
    part = make_part("tray", level=10)
    parent = draft(part, make_route(part), "WO-1", site=make_site("S2"))
    child = refused(lambda: draft(part, Route.objects.get(), "WO-2", parent=parent))
    assert child.code == "wrong_site"
