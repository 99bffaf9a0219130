"""The counts of an order: each of its units is open, finished, scrapped, cancelled or moved away."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from mes.ledger.services import Actor, advance, locked, record
from mes.workorders.models import OrderUnit, WorkOrder
from mes.workorders.order_states import require_state, state_after

Outcome = OrderUnit.Outcome
COUNTS = ("finished", "scrapped", "cancelled")
COUNTED_AS = {
    Outcome.FINISHED: "finished",
    Outcome.SCRAPPED: "scrapped",
    Outcome.CANCELLED: "cancelled",
    Outcome.MOVED: "cancelled",
}


def note_started(order_unit: OrderUnit, by: Actor) -> None:
    """Note that an operation of a unit starts: the first one starts the order.

    The caller has locked the unit. Refuses with the order's state when it was held or cancelled meanwhile.
    """
    if order_unit.work_order.state == WorkOrder.State.RUNNING:
        return
    order = locked(order_unit.work_order)
    require_state(order, "worked on")
    if order.state == WorkOrder.State.RELEASED:
        payload = {"unit": order_unit.unit.serial}
        record(advance(order, "order.started", by=by, payload=payload, state=WorkOrder.State.RUNNING))


def note_finished(order_unit: OrderUnit, by: Actor) -> None:
    """Count a unit that finished its route; the last one completes the order. Unit locked by the caller."""
    _count(order_unit, Outcome.FINISHED, "order.unit_finished", by)


def note_reopened(order_unit: OrderUnit, by: Actor) -> None:
    """Count a finished unit as open again; its order runs again, even one that was closed or cancelled."""
    _count(order_unit, Outcome.OPEN, "order.unit_reopened", by)


def note_scrapped(order_unit: OrderUnit, by: Actor) -> None:
    """Count a unit that was scrapped; it leaves the order."""
    _count(order_unit, Outcome.SCRAPPED, "order.unit_scrapped", by, closed_at=timezone.now())


def _count(order_unit: OrderUnit, outcome: Outcome, kind: str, by: Actor, **closing: Any) -> None:
    order = locked(order_unit.work_order)
    row = OrderUnit.objects.select_related("unit").get(pk=order_unit.pk)
    if row.outcome == outcome:
        return
    counts = counted(order, [Outcome(row.outcome)], [outcome])
    OrderUnit.objects.filter(pk=row.pk).update(outcome=outcome, **closing)
    payload = {"unit": row.unit.serial}
    record(advance(order, kind, by=by, payload=payload, **counts, **standing(order, counts)))
    order_unit.outcome, order_unit.work_order = outcome, order


def counted(
    order: WorkOrder, before: Sequence[Outcome] = (), after: Sequence[Outcome] = ()
) -> dict[str, int]:
    """Return the counts of an order once units with the outcomes ``before`` have those of ``after``."""
    counts = {name: getattr(order, name) for name in COUNTS}
    for outcomes, step in ((before, -1), (after, 1)):
        for name in (COUNTED_AS[outcome] for outcome in outcomes if outcome in COUNTED_AS):
            counts[name] += step
    return counts


def standing(order: WorkOrder, counts: dict[str, int], quantity: int = 0) -> dict[str, Any]:
    """Return what changes of an order's state when its counts, or its quantity, become these."""
    state = state_after(order, sum(counts.values()), quantity or order.quantity)
    if state == order.state:
        return {}
    return {"state": state, "completed_at": timezone.now() if state == WorkOrder.State.COMPLETE else None}
