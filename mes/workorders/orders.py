"""Orders: drafted, changed, released, held and closed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.products.models import FirmwareBaseline, PartRevision, Route
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.serials.services import create_units, next_serials
from mes.stations.models import Site
from mes.workorders.counting import (
    counted,
    note_finished,
    note_reopened,
    note_scrapped,
    note_started,
    standing,
)
from mes.workorders.expansion import require_expandable, take_back
from mes.workorders.models import OrderUnit, WorkOrder
from mes.workorders.order_states import require_state

__all__ = [
    "change_order",
    "close_order",
    "create_order",
    "hold_order",
    "note_finished",
    "note_reopened",
    "note_scrapped",
    "note_started",
    "release_order",
    "resume_order",
]

State, Kind = WorkOrder.State, WorkOrder.Kind
DRAFT_ONLY = {"quantity", "options"}
CHANGEABLE = {"customer", "contract", "program", "priority", "due_at", *DRAFT_ONLY}
NUMBER_LENGTH = 40


@transaction.atomic
def create_order(
    *,
    site: Site,
    number: str,
    part_revision: PartRevision,
    route: Route,
    quantity: int,
    by: Actor,
    firmware_baseline: FirmwareBaseline | None = None,
    customer: str = "",
    contract: str = "",
    program: str = "",
    priority: int = 50,
    due_at: datetime | None = None,
    options: Sequence[str] = (),
    parent: WorkOrder | None = None,
    extends: Unit | None = None,
) -> WorkOrder:
    """Draft an order; with ``extends`` one that extends a shipped unit.

    Refuses with ``order_exists``, ``order_number_too_long``, ``wrong_route``, ``wrong_site``; of a parent
    that takes no more child orders with its state, e.g. ``order_closed``; and as ``require_expandable``.
    """
    _require_new_number(number)
    kind = Kind.EXPANSION if extends else Kind.BUILD
    _require_route(route, part_revision, kind)
    if parent is not None:
        parent = locked(parent)
        require_state(parent, "given child orders")
        _require_site(site, parent.site, f"order {parent.number}")
    if extends is not None:
        _require_site(site, extends.site, extends.serial)
        require_expandable(unit=extends, to=part_revision, route=route)
    order = WorkOrder.objects.create(
        site=site,
        number=number,
        kind=kind,
        part_revision=part_revision,
        route=route,
        quantity=1 if extends else quantity,
        firmware_baseline=firmware_baseline,
        customer=customer,
        contract=contract,
        program=program,
        priority=priority,
        due_at=due_at,
        options=list(options),
        parent=parent,
        extends=extends,
    )
    record(advance(order, "order.created", by=by, payload=_facts(order)))
    return order


def _facts(order: WorkOrder) -> dict[str, Any]:
    facts = {name: getattr(order, name) for name in ("number", "kind", *sorted(CHANGEABLE))}
    return {
        **facts,
        "part": order.part_revision.part.number,
        "revision": order.part_revision.revision,
        "route": order.route.version,
        "parent": order.parent.number if order.parent else "",
        "extends": order.extends.serial if order.extends else "",
    }


def _require_new_number(number: str) -> None:
    if len(number) > NUMBER_LENGTH:
        raise RuleViolation(
            "order_number_too_long",
            f"The order number {number} has more than {NUMBER_LENGTH} characters.",
            rule=f"an order number has at most {NUMBER_LENGTH} characters",
            next_step="Take a shorter number.",
        )
    if WorkOrder.objects.filter(number=number).exists():
        raise RuleViolation(
            "order_exists",
            f"There is an order {number} already.",
            rule="an order number is used once",
            next_step="Take another number.",
        )


def _require_route(route: Route, part_revision: PartRevision, kind: str) -> None:
    if route.part_id != part_revision.part_id or route.kind != kind:
        raise RuleViolation(
            "wrong_route",
            f"{route} is no {kind} route of {part_revision.part.number}; it is a route for {route.kind}.",
            rule="an order follows a route of its part and its kind",
            next_step=f"Choose a {kind} route of this part.",
        )


def _require_site(site: Site, other: Site, name: str) -> None:
    if site.pk != other.pk:
        raise RuleViolation(
            "wrong_site",
            f"{name} belongs to site {other}, not to {site}.",
            rule="an order is built at one site",
            next_step=f"Draft the order at {other}.",
        )


@transaction.atomic
def change_order(*, order: WorkOrder, reason: str, by: Actor, **changes: Any) -> WorkOrder:
    """Change customer, contract, program, priority or due_at; of a draft quantity and options too.

    Refuses with the order's state, e.g. ``order_closed``, or with ``nothing_changed``.
    """
    if unknown := changes.keys() - CHANGEABLE:
        raise TypeError(f"an order keeps its {', '.join(sorted(unknown))}")
    order = locked(order)
    require_state(order, "changed")
    new = {name: value for name, value in changes.items() if getattr(order, name) != value}
    if new.keys() & DRAFT_ONLY:
        require_state(order, "redrafted")
    if not new:
        raise RuleViolation(
            "nothing_changed",
            f"Order {order.number} is so already.",
            rule="a change changes something",
            next_step="Nothing more to do.",
        )
    payload = {"reason": reason, "from": {name: getattr(order, name) for name in new}, "to": new}
    record(advance(order, "order.changed", by=by, payload=payload, **new))
    return order


@transaction.atomic
def release_order(*, order: WorkOrder, by: Actor) -> list[Unit]:
    """Release an order: create its units, or take the unit that it extends back to work.

    Refuses with the order's state, e.g. ``order_released``, with ``definition_not_released``, and for an
    expansion as ``require_expandable``.
    """
    order = locked(order)
    require_state(order, "released")
    _require_released(order)
    units = [take_back(order=order, by=by)] if order.extends else _create_units(order, by)
    OrderUnit.objects.bulk_create(
        OrderUnit(work_order=order, unit=unit, route_id=order.route_id) for unit in units
    )
    payload = {"units": [unit.serial for unit in units]}
    changes = {"state": State.RELEASED, "released_at": timezone.now()}
    record(advance(order, "order.released", by=by, payload=payload, **changes))
    return units


def _require_released(order: WorkOrder) -> None:
    for definition in (order.part_revision, order.route, order.firmware_baseline):
        if definition is not None and not definition.is_released:
            raise RuleViolation(
                "definition_not_released",
                f"{definition} is a draft.",
                rule="an order builds to frozen definitions",
                release="Engineering releases the definition.",
                next_step="Ask engineering to release it.",
            )


def _create_units(order: WorkOrder, by: Actor) -> list[Unit]:
    part = order.part_revision.part
    return create_units(
        site=order.site,
        part_revision=order.part_revision,
        serials=next_serials(prefix=part.serial_prefix or f"{part.number}-", count=order.quantity),
        by=by,
        order=order.number,
    )


@transaction.atomic
def hold_order(*, order: WorkOrder, reason: str, by: Actor) -> WorkOrder:
    """Stop an order: none of its operations starts until it is resumed. Refuses with the order's state."""
    order = locked(order)
    require_state(order, "held")
    changes = {"state": State.HELD, "state_before_hold": order.state}
    record(advance(order, "order.held", by=by, payload={"reason": reason}, **changes))
    return order


@transaction.atomic
def resume_order(*, order: WorkOrder, reason: str, by: Actor) -> WorkOrder:
    """Let a held order go on; it is complete if its last unit was done meanwhile. Refuses with its state."""
    order = locked(order)
    require_state(order, "resumed")
    order.state = order.state_before_hold
    changes = {"state": order.state, "state_before_hold": "", **standing(order, counted(order))}
    record(advance(order, "order.resumed", by=by, payload={"reason": reason}, **changes))
    return order


@transaction.atomic
def close_order(*, order: WorkOrder, by: Actor, reason: str = "") -> WorkOrder:
    """Close a complete order. Finished units that neither shipped nor are installed need a reason.

    Refuses with the order's state, e.g. ``order_running``, or with ``units_not_shipped``.
    """
    order = locked(order)
    require_state(order, "closed")
    rows = OrderUnit.objects.filter(work_order=order, unit__state=Unit.State.FINISHED, closed_at=None)
    installed = Installation.objects.live().values("child")
    left = list(rows.exclude(unit__in=installed).order_by("pk").values_list("unit__serial", flat=True))
    if left and not reason:
        raise RuleViolation(
            "units_not_shipped",
            f"{len(left)} finished units of order {order.number} have not shipped: {', '.join(left[:6])}.",
            rule="an order is closed when its units are gone",
            release="A supervisor, with a reason.",
            next_step="Ship them, or say why they stay.",
            units=left,
        )
    payload = {"reason": reason, "not_shipped": left}
    record(advance(order, "order.closed", by=by, payload=payload, state=State.CLOSED))
    return order
