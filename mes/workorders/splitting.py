"""Units that change their order: split off into a new one, or moved into another one."""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, StaleRow, advance, locked, record
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.workorders.counting import counted, standing
from mes.workorders.models import OrderUnit, WorkOrder
from mes.workorders.order_states import require_state
from mes.workorders.orders import create_order

State, Outcome = WorkOrder.State, OrderUnit.Outcome
KEPT = ("customer", "contract", "program", "priority", "due_at", "options", "parent", "firmware_baseline")


@transaction.atomic
def split_order(
    *, order: WorkOrder, number: str, quantity: int, reason: str, by: Actor, units: Sequence[Unit] = ()
) -> WorkOrder:
    """Move units that are not started, and their quantity, into a new order: ``units``, else the last ones.

    The units keep their serials. Refuses with the order's state, e.g. ``order_held``, with ``order_exists``,
    ``units_to_split``, ``units_started`` or ``split_leaves_nothing``.
    """
    moving = _lock_chosen(order, quantity, units)
    order = locked(order)
    require_state(order, "split")
    _require_rest(order, quantity)
    _require_movable(order, quantity, moving)
    new = create_order(
        site=order.site,
        number=number,
        part_revision=order.part_revision,
        route=order.route,
        quantity=quantity,
        by=by,
        **{name: getattr(order, name) for name in KEPT},
    )
    _move_rows(moving, new)
    serials = [unit.serial for unit in moving]
    payload = {"reason": reason, "to": number, "quantity": quantity, "units": serials}
    was_draft, rest = order.state == State.DRAFT, order.quantity - quantity
    changes = {"quantity": rest, **standing(order, counted(order), rest)}
    record(advance(order, "order.split", by=by, payload=payload, **changes))
    if not was_draft:
        released = {"state": State.RELEASED, "released_at": timezone.now()}
        payload = {"split_from": order.number, "units": serials}
        record(advance(new, "order.released", by=by, payload=payload, **released))
    return new


def _lock_chosen(order: WorkOrder, quantity: int, units: Sequence[Unit]) -> list[Unit]:
    rows = OrderUnit.objects.filter(work_order=order, closed_at__isnull=True)
    planned = rows.filter(unit__state=Unit.State.PLANNED).order_by("-pk")
    chosen = [unit.pk for unit in units] or list(planned.values_list("unit", flat=True)[:quantity])
    return list(lock_units(*chosen).values())


def _require_rest(order: WorkOrder, quantity: int) -> None:
    if not 0 < quantity < order.quantity:
        raise RuleViolation(
            "split_leaves_nothing",
            f"Order {order.number} has {order.quantity} units; {quantity} cannot be split off.",
            rule="a split leaves both orders something to build",
            next_step=f"Split off 1 to {order.quantity - 1} units.",
        )


def _require_movable(order: WorkOrder, quantity: int, units: list[Unit]) -> None:
    if order.state == State.DRAFT and not units:
        return
    started = [unit.serial for unit in units if unit.state != Unit.State.PLANNED]
    if started:
        raise RuleViolation(
            "units_started",
            f"{', '.join(started[:6])} of order {order.number} are started already.",
            rule="only units that are not started are split off",
            next_step="Choose units that are not started.",
            units=started,
        )
    rows = OrderUnit.objects.filter(work_order=order, closed_at__isnull=True, unit__in=units)
    if len(units) != quantity or rows.count() != quantity:
        raise RuleViolation(
            "units_to_split",
            f"{rows.count()} units of order {order.number} can be split off, not {quantity}.",
            rule="a split moves as many units as it says",
            next_step="Choose units of this order that are not started, and their number.",
        )


def _move_rows(units: list[Unit], to: WorkOrder) -> None:
    """Give units another order; each keeps the route it follows, which a change of its own may have set."""
    rows = OrderUnit.objects.filter(unit__in=units, closed_at__isnull=True)
    routes = dict(rows.values_list("unit", "route"))
    if rows.update(outcome=Outcome.MOVED, closed_at=timezone.now()) != len(units):
        raise StaleRow(to.stream)
    for unit in units:
        OrderUnit.objects.update_or_create(
            work_order=to,
            unit=unit,
            defaults={"route_id": routes[unit.pk], "outcome": Outcome.OPEN, "closed_at": None},
        )


def move_units(units: list[Unit], *, to: WorkOrder, from_order: str, by: Actor) -> None:
    """Move units that the caller has locked into another open order, whose quantity grows by them.

    Refuses with the state of that order, e.g. ``order_closed``.
    """
    to = locked(to)
    require_state(to, "joined")
    _move_rows(units, to)
    started = any(unit.state != Unit.State.PLANNED for unit in units)
    payload = {"from": from_order, "units": [unit.serial for unit in units]}
    changes = {"quantity": to.quantity + len(units), "state": State.RUNNING if started else to.state}
    record(advance(to, "order.units_joined", by=by, payload=payload, **changes))
