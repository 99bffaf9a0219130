"""Child orders, cluster orders and expansion orders."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from mes.ledger.services import events_of
from mes.products.models import Operation, Slot
from mes.quality.services import place_hold, release_hold
from mes.racks.models import Installation
from mes.racks.services import as_built
from mes.serials.models import Unit
from mes.workorders.services import (
    complete_operation,
    create_child_orders,
    install_child,
    release_order,
    ship_unit,
)
from tests.builders import (
    TESTER,
    make_assembly,
    make_revision,
    make_route,
    make_unit,
    supervisor_client,
)
from tests.workorders.orders import draft, make_tray, refused, start, stations
from tests.workorders.test_order_states import filled_order

pytestmark = pytest.mark.django_db


def test_a_cluster_order_drafts_its_racks_and_their_trays() -> None:
    tray, _ = make_tray()
    rack = make_assembly("rack", level=11, takes={"U1": tray, "U2": tray})
    make_route(rack)
    cluster = make_assembly("cluster", level=12, takes={"R1": rack, "R2": rack, "R3": rack})
    route = make_route(cluster)
    due = datetime(2027, 1, 15, 12, tzinfo=UTC)
    order = draft(cluster, route, "WO-C", quantity=1, due_at=due, customer="demo", priority=7)
    path = "/api/v1/work-orders/WO-C/children/"
    shown = supervisor_client().post(path, {"recursive": True}, format="json").json()
    assert [(each["number"], each["quantity"]) for each in shown["children"]] == [("WO-C.1", 3)]
    racks = order.children.get()
    trays = racks.children.get()
    assert (trays.number, trays.quantity, trays.customer, trays.priority) == ("WO-C.1.1", 6, "demo", 7)
    assert refused(lambda: create_child_orders(order=order, by=TESTER)).code == "children_exist"
    assert refused(lambda: create_child_orders(order=trays, by=TESTER)).code == "nothing_to_make"


def test_child_orders_are_due_before_the_parents_work() -> None:
    tray, _ = make_tray()
    rack = make_assembly("rack", level=11, takes={"U1": tray})
    route = make_route(rack)
    new = route.part.routes.create(version="2", name="timed")
    Operation.objects.create(
        route=new, sequence=10, code="a", name="A", work_center="BUILD", standard_minutes=90
    )
    due = datetime(2027, 1, 15, 12, tzinfo=UTC)
    order = draft(rack, new, "WO-R", due_at=due)
    assert create_child_orders(order=order, by=TESTER)[0].due_at == due - timedelta(minutes=90)


class Expansion:
    """A shipped tray of one GPU that came back to get a second one."""

    def __init__(self) -> None:
        _, self.unit = filled_order()
        self.old = self.unit.part_revision
        self.gpu = Installation.objects.live().get(root=self.unit).child
        ship_unit(unit=self.unit, to="demo site", by=TESTER)
        new = self.old.part.revisions.create(revision="D")
        for index, name in enumerate(("G0", "G1")):
            slot = Slot.objects.create(revision=new, name=name, type="place", filled_at=10, order=index)
            slot.accepts.add(self.gpu.part_revision.part)
        new.released_at = timezone.now()
        new.save()
        route = self.old.part.routes.create(version="X", name="expansion", kind="expansion")
        for sequence, name in ((10, "Extend"), (20, "Look")):
            Operation.objects.create(
                route=route, sequence=sequence, code=name.lower(), name=name, work_center="BUILD"
            )
        route.released_at = timezone.now()
        route.save()
        self.unit.refresh_from_db()
        self.shipped_at = self.unit.shipped_at
        self.order = draft(new, route, "WO-X", extends=self.unit)
        release_order(order=self.order, by=TESTER)
        self.unit = Unit.objects.get(pk=self.unit.pk)

    def cancel(self, fate: str) -> Any:
        body = {"reason": "customer withdrew", "fates": {str(self.unit.uid): fate} if fate else {}}
        return supervisor_client().post("/api/v1/work-orders/WO-X/cancel/", body, format="json").json()


def test_a_cancelled_expansion_goes_back_as_it_came() -> None:
    expansion = Expansion()
    asked = expansion.cancel("")
    assert asked["code"] == "units_undecided"
    assert "back to its customer" in asked["next"]
    assert asked["units"][0]["allowed"] == ["back_to_customer"]
    assert expansion.cancel("back_to_customer")["state"] == "cancelled"
    unit = Unit.objects.get(pk=expansion.unit.pk)
    assert (unit.state, unit.shipped_to, unit.shipped_at) == ("shipped", "demo site", expansion.shipped_at)
    assert (unit.part_revision, unit.live_children) == (expansion.old, 1)
    live = Installation.objects.live().get(child=expansion.gpu)
    assert (live.slot.name, live.slot.revision, live.root) == ("G0", expansion.old, unit)
    row = expansion.order.order_units.get()
    assert row.outcome == "cancelled"
    assert row.closed_at
    assert list(events_of(unit))[-1].kind == "unit.expansion_given_up"
    again = draft(expansion.order.part_revision, expansion.order.route, "WO-Y", extends=unit)
    release_order(order=again, by=TESTER)


def test_an_expansion_that_was_begun_or_is_held_does_not_go_back() -> None:
    expansion = Expansion()
    unit = expansion.unit
    hold = place_hold(unit=unit, reason="dent", by=TESTER)
    refused_back = expansion.cancel("back_to_customer")
    assert (refused_back["code"], "on hold" in refused_back["detail"]) == ("fate_not_allowed", True)
    release_hold(hold=hold, reason="looked at", by=TESTER)
    start(unit)
    running = expansion.cancel("back_to_customer")
    assert running["not_allowed"]["back_to_customer"] == "Extend is running"
    install_child(
        unit=unit,
        slot_name="G1",
        child=make_unit(expansion.gpu.part_revision),
        station=stations()[0],
        by=TESTER,
    )
    complete_operation(unit=unit, sequence=10, station=stations()[0], by=TESTER)
    changed = expansion.cancel("back_to_customer")
    assert changed["not_allowed"]["back_to_customer"] == "G1 changed since it came back"
    unit.refresh_from_db()
    assert unit.state == "in_work"


def test_an_expansion_brings_a_shipped_unit_back_with_everything_in_it() -> None:
    _, unit = filled_order()
    old = unit.part_revision
    gpu = Installation.objects.live().get(root=unit).child
    bigger, smaller = make_revision(old.part, "B"), make_revision(old.part, "C")
    route = old.part.routes.create(
        version="X", name="expansion", kind="expansion", released_at=timezone.now()
    )
    assert refused(lambda: draft(old, route)).code == "wrong_route"
    assert refused(lambda: draft(bigger, route, extends=unit)).code == "unit_not_shipped"
    ship_unit(unit=unit, to="demo site", by=TESTER)
    unit.refresh_from_db()
    assert refused(lambda: draft(old, route, extends=unit)).code == "wrong_expansion"
    lost = refused(lambda: draft(smaller, route, extends=unit))
    assert (lost.code, lost.facts["slots"]) == ("expansion_loses_slots", ["G0"])
    open_revision = old.part.revisions.create(revision="D")
    for index, name in enumerate(("G0", "G1")):
        slot = Slot.objects.create(revision=open_revision, name=name, type="place", filled_at=10, order=index)
        slot.accepts.add(gpu.part_revision.part)
    open_revision.released_at = timezone.now()
    open_revision.save()
    before = timezone.now()
    order = draft(open_revision, route, "WO-X", extends=unit)
    assert (order.kind, order.quantity) == ("expansion", 1)
    release_order(order=order, by=TESTER)
    unit = Unit.objects.get(pk=unit.pk)
    assert (unit.state, unit.part_revision, unit.live_children) == ("in_work", open_revision, 1)
    closed, live = Installation.objects.filter(child=gpu).order_by("pk")
    assert (closed.slot.revision, closed.removal_reason) == (old, "expansion WO-X")
    assert (live.slot.revision, live.root, live.removed_at) == (open_revision, unit, None)
    for at in (before, timezone.now()):
        assert [node.unit.pk for node in as_built(unit=unit, at=at).children] == [gpu.pk]
