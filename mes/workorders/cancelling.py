"""Cancelling an order: what happens to each unit in progress is asked, never guessed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, StaleRow, advance, locked, record
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.workorders.counting import counted
from mes.workorders.expansion import give_back, what_keeps_here
from mes.workorders.models import OperationRun, OrderUnit, Rework, WorkOrder
from mes.workorders.order_states import FROM, require_state
from mes.workorders.rework import abandon_rework
from mes.workorders.splitting import move_units

Outcome = OrderUnit.Outcome
SCRAP, STOCK, MOVE, BACK = "scrap", "return_to_stock", "move:", "back_to_customer"


@dataclass(slots=True)
class Choice:
    """What may become of a unit in progress: the fates that are possible, and why others are not."""

    unit: Unit
    allowed: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return it as it is answered over REST."""
        return {
            "uid": str(self.unit.uid),
            "serial": self.unit.serial,
            "allowed": self.allowed,
            "not_allowed": self.refused,
        }


def choices_of(order: WorkOrder) -> list[Choice]:
    """Return each unit in progress of an order with what may become of it if the order is cancelled.

    Units that are not started are none of them: they are cancelled with the order. Six queries.
    """
    rows = _open_rows(order).exclude(unit__state=Unit.State.PLANNED).select_related("unit")
    return _choices(order, [row.unit for row in rows])


def _open_rows(order: WorkOrder) -> Any:
    return OrderUnit.objects.filter(work_order=order, outcome=Outcome.OPEN, closed_at=None).order_by("pk")


def _choices(order: WorkOrder, units: list[Unit]) -> list[Choice]:
    runs = OperationRun.objects.filter(unit__in=units, superseded_at=None, state=OperationRun.State.RUNNING)
    reworks = Rework.objects.filter(unit__in=units, state=Rework.State.RUNNING)
    running = dict(runs.values_list("unit", "operation__name"))
    in_rework = set(reworks.values_list("unit", flat=True))
    installed = set(Installation.objects.live().filter(child__in=units).values_list("child", flat=True))
    moves = [f"{MOVE}{number}" for number in _orders_to_join(order)]
    found = []
    for unit in units:
        choice = Choice(unit)
        in_use = "units are installed in it" if unit.live_children else ""
        in_use = in_use or ("it is installed" if unit.pk in installed else "")
        busy = f"{running[unit.pk]} is running" if unit.pk in running else ""
        busy = busy or ("it is in rework" if unit.pk in in_rework else "")
        fates = [(SCRAP, in_use), (STOCK, in_use or busy)]
        if order.kind == WorkOrder.Kind.EXPANSION:
            fates.append((BACK, busy or what_keeps_here(unit)))
        for fate, why in fates:
            if why:
                choice.refused[fate] = why
            else:
                choice.allowed.append(fate)
        choice.allowed += moves
        found.append(choice)
    return found


def _orders_to_join(order: WorkOrder) -> list[str]:
    alike = WorkOrder.objects.filter(
        site=order.site_id,
        part_revision=order.part_revision_id,
        route=order.route_id,
        kind=WorkOrder.Kind.BUILD,
        state__in=FROM["joined"],
    )
    rows = alike.exclude(pk=order.pk).order_by("number").values_list("number", "options")
    return [number for number, options in rows if set(options) == set(order.options)]


@transaction.atomic
def cancel_order(*, order: WorkOrder, reason: str, by: Actor, fates: Mapping[str, str]) -> WorkOrder:
    """Cancel an order. Units not started are cancelled with it; finished ones stay finished.

    ``fates`` says of each unit in progress, by its uid: ``scrap``, ``return_to_stock`` or
    ``move:ORDER_NUMBER``; of an extended one also ``back_to_customer``, as it came. Refuses with the order's
    state, e.g. ``order_complete``, with ``units_undecided``, ``fate_not_allowed`` or ``unit_not_in_order``;
    then nothing is done to any unit.
    """
    open_units = list(_open_rows(order).values_list("unit", flat=True))
    units = list(lock_units(*open_units).values())
    order = locked(order)
    require_state(order, "cancelled")
    if set(_open_rows(order).values_list("unit", flat=True)) != set(open_units):
        raise StaleRow(order.stream)
    planned = [unit for unit in units if unit.state == Unit.State.PLANNED]
    choices = _choices(order, [unit for unit in units if unit.state != Unit.State.PLANNED])
    _require_decided(order, choices, fates)
    groups = _by_fate(choices, fates)
    outcomes = [Outcome.CANCELLED] * len(planned)
    outcomes += [Outcome.SCRAPPED if fate == SCRAP else Outcome.CANCELLED for fate in fates.values()]
    counts = counted(order, after=outcomes)
    payload = {
        "reason": reason,
        "planned": [unit.serial for unit in planned],
        "fates": {choice.unit.serial: fates[str(choice.unit.uid)] for choice in choices},
    }
    state = WorkOrder.State.CANCELLED
    record(advance(order, "order.cancelled", by=by, payload=payload, state=state, **counts))
    _leave(order, planned, Unit.State.CANCELLED, reason, by)
    for fate, group in groups.items():
        _carry_out(order, fate, group, reason, by)
    return order


def _require_decided(order: WorkOrder, choices: list[Choice], fates: Mapping[str, str]) -> None:
    by_uid = {str(choice.unit.uid): choice for choice in choices}
    if strange := sorted(fates.keys() - by_uid.keys()):
        raise RuleViolation(
            "unit_not_in_order",
            f"{', '.join(strange[:3])} is no unit in progress of order {order.number}.",
            rule="a fate is asked for units in progress",
            next_step="Leave it out.",
        )
    undecided = [choice for uid, choice in by_uid.items() if uid not in fates]
    if undecided:
        names = ", ".join(choice.unit.serial for choice in undecided[:6])
        raise RuleViolation(
            "units_undecided",
            f"{len(undecided)} units of order {order.number} are in progress: {names}.",
            rule="what happens to a unit in progress is asked, never guessed",
            next_step=f"Say of each: {_ways(undecided)}.",
            units=[choice.facts() for choice in undecided],
        )
    for uid, choice in by_uid.items():
        _require_allowed(choice, fates[uid])


def _ways(choices: list[Choice]) -> str:
    fates = {fate for choice in choices for fate in (*choice.allowed, *choice.refused)}
    back = ", back to its customer" if BACK in fates else ""
    return f"scrap, return to stock{back}, or move to another order"


def _require_allowed(choice: Choice, fate: str) -> None:
    if fate not in choice.allowed:
        why = choice.refused.get(fate, "there is no such choice")
        raise RuleViolation(
            "fate_not_allowed",
            f"{choice.unit.serial} cannot be given the fate {fate}: {why}.",
            rule="bare units are scrapped or returned to stock; units move to an open order of their kind",
            next_step=f"Choose {' or '.join(choice.allowed)}."
            if choice.allowed
            else "Take out what is in it.",
            **choice.facts(),
        )


def _by_fate(choices: list[Choice], fates: Mapping[str, str]) -> dict[str, list[Unit]]:
    groups: dict[str, list[Unit]] = {}
    for choice in choices:
        groups.setdefault(fates[str(choice.unit.uid)], []).append(choice.unit)
    return dict(sorted(groups.items()))


def _carry_out(order: WorkOrder, fate: str, units: list[Unit], reason: str, by: Actor) -> None:
    if fate == BACK:
        for unit in units:
            give_back(order=order, unit=unit, reason=reason, by=by)
        OrderUnit.objects.filter(work_order=order, unit__in=units).update(
            outcome=Outcome.CANCELLED, closed_at=timezone.now()
        )
        return
    if fate.startswith(MOVE):
        to = WorkOrder.objects.get(number=fate.removeprefix(MOVE))
        move_units(units, to=to, from_order=order.number, by=by)
        payload = {"from": order.number, "to": to.number, "reason": reason}
        record(*(advance(unit, "unit.moved_to_order", by=by, payload=payload) for unit in units))
        return
    for unit in units:
        abandon_rework(unit, reason, by)
    state = Unit.State.SCRAPPED if fate == SCRAP else Unit.State.IN_STOCK
    _leave(order, units, state, reason, by)


EVENTS = {
    Unit.State.CANCELLED: "unit.cancelled",
    Unit.State.SCRAPPED: "unit.scrapped",
    Unit.State.IN_STOCK: "unit.returned_to_stock",
}


def _leave(order: WorkOrder, units: list[Unit], state: Unit.State, reason: str, by: Actor) -> None:
    outcome = Outcome.SCRAPPED if state == Unit.State.SCRAPPED else Outcome.CANCELLED
    rows = OrderUnit.objects.filter(work_order=order, unit__in=units)
    rows.update(outcome=outcome, closed_at=timezone.now())
    payload = {"order": order.number, "reason": reason}
    record(*(advance(unit, EVENTS[state], by=by, payload=payload, state=state) for unit in units))
