"""What engineering changes are expected to do: who is refused, what is repeated, what stays done."""

from tests.machine.model import Change, Model, Refused, Unit, refuse
from tests.machine.recipes import RECIPES, ROLES, Step

ROLES_OF_SIGNERS = {"engineer", "quality"}
CLOSED = {"complete", "closed", "cancelled"}
GONE = {"finished", "shipped", "scrapped"}
FOR_GOOD = {"unit_finished", "unit_shipped", "unit_scrapped", "order_closed", "change_other_part"}


def draft(model: Model, change: Change) -> None:
    refuse(bool(change.order) and model.orders[change.order].part != change.part, "change_other_part")
    refused = _refused(model, change)
    refuse(bool(refused & FOR_GOOD), "change_unit_refused")
    is_there = not change.order or model.orders[change.order].revision == "B"
    refuse(is_there and not refused and not _to_move(model, change), "change_changes_nothing")
    model.changes.append(change)


def _targets(model: Model, change: Change) -> list[Unit]:
    """The units of a change: that of a unit, or those an order builds or has built."""
    if change.unit:
        return [model.units[change.unit]]
    return [
        unit
        for unit in model.units.values()
        if any(row.order == change.order and row.outcome in {"open", "finished"} for row in unit.rows)
    ]


def _has_row(unit: Unit, change: Change) -> bool:
    return unit.row is not None or bool(change.order)


def _is_there(unit: Unit, change: Change) -> bool:
    return _has_row(unit, change) and (unit.part, unit.revision) == (change.part, "B")


def _to_move(model: Model, change: Change) -> list[Unit]:
    return [unit for unit in _targets(model, change) if not _is_there(unit, change)]


def _refused(model: Model, change: Change) -> set[str]:
    orders = {"order_closed"} if change.order and model.orders[change.order].state in CLOSED else set[str]()
    found = {_why_not(unit, change) for unit in _to_move(model, change)}
    return orders | {code for code in found if code}


def _why_not(unit: Unit, change: Change) -> str:
    reasons = (
        (unit.state in GONE, f"unit_{unit.state}"),
        (not _has_row(unit, change), "no_work_order"),
        (unit.part != change.part, "change_other_part"),
        (unit.place is not None, "unit_closed"),
        (unit.rework is not None, "unit_in_rework"),
    )
    return next((code for applies, code in reasons if applies), "")


def approve_last(model: Model, signer: str) -> None:
    change = model.changes[-1]
    refuse(bool(_refused(model, change)), "change_unit_refused")
    missing = ROLES_OF_SIGNERS - change.signed.keys()
    refuse(not missing, "change_approved")
    refuse(signer in change.signed.values(), "change_signed_by_you")
    role = next((role for role in ROLES[signer] if role in missing), "")
    refuse(not role, "role_missing")
    change.signed[role] = signer
    change.state = "approved" if len(change.signed) == 2 else "draft"


def apply_last(model: Model) -> None:
    change = model.changes[-1]
    refuse(change.state == "draft", "change_not_approved")
    if _refused(model, change):
        raise Refused("change_unit_refused")
    for unit in _to_move(model, change):
        _move(model, unit)
    if change.order:
        model.orders[change.order].revision = "B"
    change.state = "applied"


def _move(model: Model, unit: Unit) -> None:
    """Move a unit to revision B; what is equal stays done, what was begun or differs is done again."""
    old = {step.code: step for step in unit.recipe.steps}
    unit.revision = "B"
    new = unit.recipe.steps
    changed = {
        step.code for step in new if step.code in old and _is_changed(model, unit, old[step.code], step)
    }
    again = {step.code for step in new if unit.state_of(step) == "running"} | changed
    kept = {step.code: unit.runs[step.code] for step in new if step.code in unit.runs.keys() - again}
    if len(kept) == len(new):
        kept.pop(new[-1].code)
    unit.runs = kept
    unit.tests = [test for test in unit.tests if test.judged_by not in changed]


def _is_changed(model: Model, unit: Unit, old: Step, new: Step) -> bool:
    places = RECIPES[unit.part, "B"].places
    wrong = model.misplaced(unit.name)
    opened = {places[slot].type for slot in wrong}
    fired = [rule for rule in unit.recipe.rules if rule.trigger == "removed" and rule.slot_type in opened]
    is_opened = any(places[slot].filled_at == new.sequence for slot in wrong)
    return old != new or is_opened or any(new.sequence in rule.repeats for rule in fired)
