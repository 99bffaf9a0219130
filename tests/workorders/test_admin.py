"""Orders in the admin: drafted and released through the services."""

from typing import Any

from django.urls import reverse

from mes.ledger.models import Event
from mes.ledger.services import events_of
from mes.products.models import PartRevision, Route
from mes.workorders.models import WorkOrder
from mes.workorders.services import create_order
from tests.builders import (
    TESTER,
    make_order,
    make_part,
    make_route,
    make_site,
)
from tests.test_admin_pages import staff_client, superuser_client

ADD = reverse("admin:workorders_workorder_add")


def page_of(order: WorkOrder, page: str = "change") -> str:
    return reverse(f"admin:workorders_workorder_{page}", args=[order.pk])


def form_of(revision: PartRevision, route: Route, **more: Any) -> dict[str, Any]:
    given = {"number": "WO-A", "site": make_site().pk, "part_revision": revision.pk, "route": route.pk}
    return {**given, "quantity": 2, "priority": 50, "options": "[]", **more}


def draft_of(revision: PartRevision, route: Route) -> WorkOrder:
    return create_order(
        site=make_site(), number="WO-A", part_revision=revision, route=route, quantity=2, by=TESTER
    )


def test_an_order_is_drafted(db: None) -> None:
    revision = make_part("tray", level=10)
    given = form_of(revision, make_route(revision), customer="demo customer")
    response = superuser_client().post(ADD, given)
    order = WorkOrder.objects.get()
    assert response["Location"] == page_of(order)
    assert (order.state, order.quantity, order.customer) == ("draft", 2, "demo customer")
    assert [event.kind for event in events_of(order)] == ["order.created"]


def test_a_refused_draft_is_explained_and_stays_typed(db: None) -> None:
    revision, other = make_part("tray", level=10), make_part("rack", level=11)
    response = superuser_client().post(ADD, form_of(revision, make_route(other)), follow=True)
    page = response.content.decode()
    assert "is no build route of" in page
    assert "Choose a build route of this part." in page
    assert response.context["adminform"].form.initial["number"] == "WO-A"
    assert not WorkOrder.objects.exists()
    assert Event.objects.get(kind="act.refused").payload["refusal"]["code"] == "wrong_route"


def test_release_asks_first_then_creates_the_units(db: None) -> None:
    revision = make_part("tray", level=10)
    order, client = draft_of(revision, make_route(revision)), superuser_client()
    assert "get serials and may be built" in client.get(page_of(order, "release")).content.decode()
    assert not order.order_units.exists()
    response = client.post(page_of(order, "release"), follow=True)
    serials = [row.unit.serial for row in order.order_units.all()]
    assert len(serials) == 2
    assert all(serial in response.content.decode() for serial in serials)
    assert [event.kind for event in events_of(order)] == ["order.created", "order.released"]


def test_an_order_to_a_draft_is_not_released(db: None) -> None:
    revision = make_part("tray", level=10, released=False)
    order = draft_of(revision, make_route(revision))
    response = superuser_client().post(page_of(order, "release"), follow=True)
    assert f"{revision} is a draft. Ask engineering to release it." in response.content.decode()
    order.refresh_from_db()
    assert order.state == WorkOrder.State.DRAFT
    assert not order.order_units.exists()


def test_a_released_order_offers_no_release(db: None) -> None:
    revision = make_part("tray", level=10)
    order, client = make_order(revision, make_route(revision)), superuser_client()
    assert page_of(order, "release") not in client.get(page_of(order)).content.decode()
    assert client.post(page_of(order, "release")).status_code == 403


def test_releasing_needs_the_permission_to_change_orders(db: None) -> None:
    revision = make_part("tray", level=10)
    order = draft_of(revision, make_route(revision))
    client = staff_client("view_workorder", "add_workorder")
    assert client.post(page_of(order, "release")).status_code == 403
    order.refresh_from_db()
    assert order.state == WorkOrder.State.DRAFT
