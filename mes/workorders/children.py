"""What is installed in a unit and does not belong there, as an engineering change can leave it."""

from mes.errors import RuleViolation
from mes.products.models import Operation
from mes.racks.services import Misplaced, live_children, misplaced
from mes.serials.models import Unit
from mes.workorders.deviations import excused_children, is_excused
from mes.workorders.position import Position


def wrong_children(unit: Unit) -> list[Misplaced]:
    """Return what a unit holds that its revision does not take and no deviation let in. At most 2 queries."""
    wrong = misplaced(live_children(unit=unit), unit.part_revision)
    if not wrong:
        return []
    excused = excused_children([unit.pk]).get(unit.pk, {})
    return [each for each in wrong if not is_excused(each, excused)]


def require_right_children(position: Position, operation: Operation) -> None:
    """Refuse with ``wrong_child`` while a slot holds what the unit's revision does not take.

    Asked of the slots that an operation fills, and of all of them when it is the last one of the route.
    """
    others = [each for each in position.operations if each != operation]
    is_last = all(position.is_done(each) for each in others)
    wrong = [
        each
        for each in wrong_children(position.unit)
        if is_last or (each.place and each.slot.filled_at == operation.sequence)
    ]
    if wrong:
        raise _wrong_child(position.unit, wrong)


def _wrong_child(unit: Unit, wrong: list[Misplaced]) -> RuleViolation:
    first = wrong[0]
    child = first.installation.child
    takes = (
        f"which takes {first.place.wanted}" if first.place else f"which {unit.part_revision} does not have"
    )
    return RuleViolation(
        "wrong_child",
        f"{child.part_revision} {child.serial} is in {first.slot.name}, {takes}.",
        rule="a unit holds what its revision takes",
        release="Engineering, by a new revision of the assembly.",
        next_step=f"Remove {child.serial} from {first.slot.name}"
        + (f" and install {first.place.wanted}." if first.place else "."),
        wrong=[{"slot": each.slot.name, "serial": each.installation.child.serial} for each in wrong],
    )
