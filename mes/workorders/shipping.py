"""How a unit leaves its order for good: shipped, or scrapped."""

from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, StaleRow, advance, locked, record
from mes.quality.services import require_no_open_nonconformance
from mes.racks.services import require_nothing_held_inside, require_out, units_inside
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_usable, scrap_unit
from mes.stations.services import require_sign_on
from mes.workorders.counting import note_scrapped
from mes.workorders.models import OrderUnit
from mes.workorders.order_states import require_state
from mes.workorders.position import order_unit_of
from mes.workorders.rework import abandon_rework
from mes.workorders.ship_holds import require_no_ship_hold

ShipCheck = Callable[[Unit], None]
CHECKS: list[ShipCheck] = []


def add_ship_check(check: ShipCheck) -> None:
    """Let an app above this one refuse that a unit ships; call it once, when the app is ready.

    The check gets the unit, locked with everything in it, and raises RuleViolation.
    """
    CHECKS.append(check)


@transaction.atomic
def ship_unit(*, unit: Unit, to: str, by: Actor) -> Unit:
    """Ship a finished unit with everything in it.

    Refuses with ``device_not_signed_on``, ``destination_missing``, ``unit_held``, ``unit_shipped``,
    ``unit_scrapped``, ``no_work_order``, ``unit_not_finished``, ``unit_closed``, ``child_held``,
    ``nonconformance_open``, ``order_held``, ``ship_hold``, or as a check that was added.
    """
    require_sign_on(by)
    _require_destination(to)
    unit = _lock_with_contents(unit)
    require_usable(unit)
    order_unit = order_unit_of(unit)
    _require_finished(unit)
    require_out(unit)
    require_nothing_held_inside(unit)
    require_no_open_nonconformance(unit)
    order = locked(order_unit.work_order)
    require_state(order, "shipped from")
    require_no_ship_hold(unit, order)
    for check in CHECKS:
        check(unit)
    now = timezone.now()
    OrderUnit.objects.filter(pk=order_unit.pk).update(closed_at=now)
    payload = {"order": order.number, "to": to}
    changes = {"state": Unit.State.SHIPPED, "shipped_at": now, "shipped_to": to}
    record(
        advance(unit, "unit.shipped", by=by, payload=payload, **changes),
        advance(order, "order.unit_shipped", by=by, payload={"unit": unit.serial, "to": to}),
    )
    return unit


def _lock_with_contents(unit: Unit) -> Unit:
    inside = set(units_inside(unit).values_list("pk", flat=True))
    units = lock_units(unit.pk, *inside)
    if set(units_inside(unit).values_list("pk", flat=True)) != inside:
        raise StaleRow(unit.stream)
    return units[unit.pk]


def _require_destination(to: str) -> None:
    if not to.strip():
        raise RuleViolation(
            "destination_missing",
            "Where the unit goes is missing.",
            rule="a unit ships to somebody",
            next_step="Say where it goes.",
        )


def _require_finished(unit: Unit) -> None:
    if unit.state != Unit.State.FINISHED:
        raise RuleViolation(
            "unit_not_finished",
            f"{unit.serial} is {unit.state}; it has not finished its route.",
            rule="only finished units ship",
            next_step="Complete the open operations of its route.",
            unit=str(unit.uid),
        )


@transaction.atomic
def scrap_ordered_unit(*, unit: Unit, reason: str, by: Actor) -> Unit:
    """Take a unit out of use for good, and count it in the order that has it, if any.

    Refuses with ``unit_in_use``, ``unit_scrapped``, ``unit_cancelled`` or ``unit_shipped``.
    """
    unit = scrap_unit(unit=unit, reason=reason, by=by)
    rows = OrderUnit.objects.select_related("work_order", "unit")
    order_unit = rows.filter(unit=unit, closed_at__isnull=True).first()
    if order_unit is not None:
        abandon_rework(unit, reason, by)
        note_scrapped(order_unit, by)
    return unit
