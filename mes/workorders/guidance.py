"""The one line that tells an operator what to do now, the same on every screen and scanner."""

from collections.abc import Sequence

from mes.products.models import Operation, Slot
from mes.products.services import Place
from mes.workorders.position import RUNNING, Position

SIGN_ON = "Scan your badge."
TAKE_UP = "Scan the unit you build."


def next_step(
    position: Position,
    operation: Operation | None,
    *,
    empty: Sequence[Place],
    chosen: Slot | None,
    work_center: str,
) -> str:
    """Return what to do now with a unit at a station.

    ``operation`` is the one at hand, ``empty`` are the places that are left for it to fill, in order, and
    ``chosen`` is the slot scanned last.
    """
    unit = position.unit
    if operation is None:
        return f"{unit.serial} has finished its route. Scan the next unit."
    is_here = operation.work_center == work_center
    if position.state_of(operation) == RUNNING:
        return _to_do(empty, chosen) if is_here else f"{operation} runs at {operation.work_center}."
    if is_here:
        return f"Scan {unit.serial} to start {operation}."
    return f"Take {unit.serial} to {operation.work_center} for {operation}."


def _to_do(empty: Sequence[Place], chosen: Slot | None) -> str:
    if chosen is not None:
        wanted = next((place.wanted for place in empty if place.slot.pk == chosen.pk), "unit")
        return f"Scan the {wanted} for {chosen.name}."
    if empty:
        return f"Scan slot {empty[0].slot.name}, then the {empty[0].wanted}."
    return "Finish the work, then scan CMD:DONE."
