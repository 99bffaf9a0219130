"""What comes back from the field returns to the order that built it, so that all of it stays one history.

A unit that shipped is finished again: its order has it, nothing of its route is undone. What is wrong with it
then decides, as with any finished unit, what is done again. What was taken out of a shipped unit at the
customer's never left its own order; its place in that unit is closed.
"""

from typing import Any

from django.db import transaction

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.racks.services import paths_of, remove_in_field
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.stations.services import require_sign_on
from mes.workorders.models import OrderUnit

Outcome = OrderUnit.Outcome


@transaction.atomic
def take_back_from_field(*, unit: Unit, reason: str, by: Actor) -> dict[str, Any]:
    """Bring a shipped unit, or one that was inside a shipped unit, back into the factory.

    Returns what was true before: ``shipped_at``, ``shipped_to``, and ``taken_from`` (the topmost unit) and
    ``slot`` (the path there) when it was inside another. Refuses with ``device_not_signed_on`` or
    ``unit_not_shipped``.
    """
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    if unit.state == Unit.State.SHIPPED:
        return _reopen(unit, reason, by)
    path = paths_of([unit.pk]).get(unit.pk)
    remove_in_field(child=unit, reason=reason, by=by)
    assert path is not None  # noqa: S101 - it was just taken out of there
    top = Unit.objects.get(pk=path.root_id)
    return {
        "shipped_at": top.shipped_at,
        "shipped_to": top.shipped_to,
        "taken_from": top,
        "slot": path.slots,
    }


def _reopen(unit: Unit, reason: str, by: Actor) -> dict[str, Any]:
    built = OrderUnit.objects.select_related("work_order").filter(unit=unit, outcome=Outcome.FINISHED)
    last = built.filter(closed_at__isnull=False).order_by("-closed_at").first()
    if last is None:
        raise RuleViolation(
            "unit_not_shipped",
            f"No order of {unit.serial} has shipped it.",
            rule="what comes back from the field has shipped",
            next_step="Scan the serial label again; find the unit by it.",
            unit=str(unit.uid),
        )
    before = {"shipped_at": unit.shipped_at, "shipped_to": unit.shipped_to}
    order = locked(last.work_order)
    OrderUnit.objects.filter(pk=last.pk).update(closed_at=None)
    payload = {**before, "order": order.number, "reason": reason}
    back = {"state": Unit.State.FINISHED, "shipped_at": None, "shipped_to": ""}
    record(
        advance(unit, "unit.returned_from_field", by=by, payload=payload, **back),
        advance(order, "order.unit_came_back", by=by, payload={"unit": unit.serial, "reason": reason}),
    )
    return before
