"""Every act on an order in the admin: offered while it is possible, asks why, and calls the service."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mes.ledger.models import Event
from mes.ledger.services import events_of
from mes.products.models import Slot
from mes.serials.models import Unit
from mes.workorders.models import GateRelease, WorkOrder
from tests.builders import make_assembly, make_order, make_part, make_route, make_signer, make_unit
from tests.test_admin_pages import staff_client, superuser_client
from tests.workorders.orders import draft, finish, make_tray, start, tray_order, units_of
from tests.workorders.reworking import Review
from tests.workorders.test_admin import page_of
from tests.workorders.test_order_states import filled_order

pytestmark = pytest.mark.django_db
ACTS = ("change_terms", "hold", "resume", "split", "draft_children", "close", "cancel")


def post(order: WorkOrder, act: str, **given: Any) -> str:
    answer = superuser_client().post(page_of(order, act), given, follow=True)
    order.refresh_from_db()
    return answer.content.decode()


def last_kind(order: WorkOrder) -> str:
    return list(events_of(order))[-1].kind


def test_priority_and_due_date_are_changed_with_a_reason() -> None:
    order = tray_order(1, customer="demo customer")
    given = {"priority": 3, "due_at_0": "2027-01-15", "due_at_1": "12:00:00", "customer": "demo customer"}
    assert "This field is required" in post(order, "change_terms", **given)
    assert order.priority == 50
    assert "is changed" in post(order, "change_terms", reason="promised earlier", **given)
    assert (order.priority, order.due_at is None, order.customer) == (3, False, "demo customer")
    assert last_kind(order) == "order.changed"


def test_an_order_is_held_and_resumed_with_reasons() -> None:
    order = tray_order(1)
    assert "This field is required" in post(order, "hold")
    assert "Hold order" in post(order, "hold", reason="no parts")
    assert order.state == "held"
    assert superuser_client().post(page_of(order, "hold"), {"reason": "x"}).status_code == 403
    post(order, "resume", reason="parts are here")
    assert (order.state, last_kind(order)) == ("released", "order.resumed")


def test_units_that_are_not_started_are_split_off() -> None:
    order = tray_order(3)
    start(units_of(order)[0])
    given = {"number": "WO-S", "quantity": 3, "reason": "two customers"}
    assert "cannot be split off" in post(order, "split", **given)
    assert not WorkOrder.objects.filter(number="WO-S").exists()
    assert "went to order WO-S" in post(order, "split", **{**given, "quantity": 2})
    assert WorkOrder.objects.get(number="WO-S").order_units.count() == 2


def test_child_orders_are_drafted() -> None:
    tray, _ = make_tray()
    rack = make_assembly("rack", level=11, takes={"U1": tray, "U2": tray})
    order = draft(rack, make_route(rack), "WO-R")
    assert "Drafted: WO-R.1" in post(order, "draft_children")
    assert order.children.get().quantity == 4
    assert "WO-R.1" in superuser_client().get(page_of(order)).content.decode()
    assert Slot.objects.filter(revision=rack).count() == 2


def test_a_complete_order_is_closed_and_asks_why_while_units_stay() -> None:
    order = tray_order(1)
    assert page_of(order, "close") not in superuser_client().get(page_of(order)).content.decode()
    finish(units_of(order)[0])
    post(order, "close")
    assert order.state == "complete"
    assert Event.objects.get(kind="act.refused").payload["refusal"]["code"] == "units_not_shipped"
    post(order, "close", reason="kept for a fair")
    assert order.state == "closed"


def test_a_unit_ships_and_another_is_scrapped_from_their_pages() -> None:
    _, unit = filled_order()
    client = superuser_client()
    ship = f"/admin/workorders/orderunit/units/{unit.pk}/ship/"
    assert client.get(f"/admin/serials/unit/{unit.pk}/ship", follow=True).status_code == 200
    assert "has shipped" in client.post(ship, {"to": "demo site"}, follow=True).content.decode()
    unit.refresh_from_db()
    assert (unit.state, unit.shipped_to) == ("shipped", "demo site")
    other = units_of(tray_order(1))[0]
    scrap = f"/admin/workorders/orderunit/units/{other.pk}/scrap/"
    assert "is scrapped" in client.post(scrap, {"reason": "bent"}, follow=True).content.decode()
    assert Unit.objects.get(pk=other.pk).state == "scrapped"
    assert staff_client("view_unit").post(scrap, {"reason": "x"}).status_code == 403


def test_a_gate_is_released_from_the_page_of_a_unit_by_role_and_password() -> None:
    line = Review()
    line.act(line.builder, 10, "start")
    path = reverse("admin:workorders_unit_gate", args=[line.unit.pk])
    given = {
        "gate": "10:slots_filled",
        "reason": "agreed",
        "allowed": 1,
        "hours": 2,
        "password": "a long word",
    }

    def page(*roles: str, **more: Any) -> str:
        person = make_signer(*roles, is_staff=True, is_superuser=True, password="a long word")
        client = Client()
        client.force_login(person)
        assert "10 Step 10: slots filled" in client.get(path).content.decode()
        return client.post(path, {**given, **more}, follow=True).content.decode()

    page()
    assert Event.objects.get(kind="act.refused").payload["refusal"]["code"] == "role_missing"
    assert "is not the password" in page("quality", password="wrong")
    assert "Select a valid choice" in page("quality", gate="10:turn")
    assert not GateRelease.objects.exists()
    assert "may pass slots_filled 1 times" in page("quality")
    assert GateRelease.objects.get().reason == "agreed"
    assert line.act(line.builder, 10, "complete").status_code == 200
    staff = staff_client("view_unit")
    assert staff.post(path, given).status_code == 403


def test_a_unit_that_no_order_builds_has_no_gates() -> None:
    unit = make_unit(make_part())
    path = reverse("admin:workorders_unit_gate", args=[unit.pk])
    assert "No order builds" in superuser_client().get(path, follow=True).content.decode()


@pytest.mark.parametrize("act", ACTS)
def test_who_may_only_look_does_none_of_it(act: str) -> None:
    order = make_order(*make_tray())
    client = staff_client("view_workorder")
    assert client.post(page_of(order, act), {"reason": "x"}).status_code == 403
    assert page_of(order, act) not in client.get(page_of(order)).content.decode()
