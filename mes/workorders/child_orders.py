"""Child orders: the sub-assemblies that an order needs, one level of the bill of material at a time."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.products.models import BomLine, Operation, PartRevision, Route
from mes.workorders.models import WorkOrder
from mes.workorders.order_states import require_state
from mes.workorders.orders import create_order
from mes.workorders.waits import parts_in


@transaction.atomic
def create_child_orders(*, order: WorkOrder, by: Actor, recursive: bool = False) -> list[WorkOrder]:
    """Draft an order for each part of the bill of material that has a released build route and revision.

    An order that extends a shipped unit needs only what is not in that unit yet. They are due when the order
    must start to be in time: its due date minus the known standard time of its route. Refuses with the
    order's state, e.g. ``order_held``, with ``children_exist`` or ``nothing_to_make``.
    """
    order = locked(order)
    require_state(order, "given child orders")
    _require_no_children(order)
    children = _draft_children(order, by)
    if not children:
        raise RuleViolation(
            "nothing_to_make",
            f"No part of {order.part_revision} has a released revision and a released build route.",
            rule="a child order builds a part that we make",
            next_step="Release a route of the part to make, or receive it from a supplier.",
        )
    payload = {"children": [child.number for child in children]}
    record(advance(locked(order), "order.children_created", by=by, payload=payload))
    return children + (_descend(children, by) if recursive else [])


def _require_no_children(order: WorkOrder) -> None:
    there = order.children.exclude(state=WorkOrder.State.CANCELLED).order_by("pk")
    numbers = list(there.values_list("number", flat=True))
    if numbers:
        raise RuleViolation(
            "children_exist",
            f"Order {order.number} has child orders already: {', '.join(numbers[:6])}.",
            rule="child orders are drafted once",
            next_step="Draft what is missing by hand with this order as parent.",
            children=numbers,
        )


def _descend(children: Iterable[WorkOrder], by: Actor) -> list[WorkOrder]:
    found: list[WorkOrder] = []
    for child in children:
        below = _draft_children(child, by)
        found += below + _descend(below, by)
    return found


def _draft_children(order: WorkOrder, by: Actor) -> list[WorkOrder]:
    needed = [(line, quantity) for line, quantity in _needed(order) if quantity > 0]
    makeable = [(quantity, *found) for line, quantity in needed if (found := _how_to_make(line))]
    first = order.children.count() + 1
    due_at = _start_by(order)
    return [
        create_order(
            site=order.site,
            number=f"{order.number}.{number}",
            part_revision=revision,
            route=route,
            quantity=quantity,
            by=by,
            firmware_baseline=order.firmware_baseline,
            customer=order.customer,
            contract=order.contract,
            program=order.program,
            priority=order.priority,
            due_at=due_at,
            options=order.options,
            parent=order,
        )
        for number, (quantity, revision, route) in enumerate(makeable, first)
    ]


def _needed(order: WorkOrder) -> Iterable[tuple[BomLine, int]]:
    lines = list(order.part_revision.bom_lines.select_related("part").order_by("pk"))
    there = parts_in([order.extends] if order.extends else [], [line.part_id for line in lines])
    return [(line, line.quantity * order.quantity - there[line.part_id]) for line in lines]


def _how_to_make(line: BomLine) -> tuple[PartRevision, Route] | None:
    revisions = line.part.revisions.filter(released_at__isnull=False).select_related("part")
    if line.revisions:
        revisions = revisions.filter(revision__in=line.revisions)
    routes = line.part.routes.filter(released_at__isnull=False, kind=Route.Kind.BUILD)
    revision, route = (rows.order_by("-released_at", "-pk").first() for rows in (revisions, routes))
    return (revision, route) if isinstance(revision, PartRevision) and isinstance(route, Route) else None


def _start_by(order: WorkOrder) -> datetime | None:
    if order.due_at is None:
        return None
    times = Operation.objects.filter(route=order.route_id).values_list("standard_minutes", flat=True)
    return order.due_at - timedelta(minutes=float(sum(filter(None, times), Decimal(0))))
