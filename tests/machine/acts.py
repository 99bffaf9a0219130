"""What each act on a unit is expected to do to the model, or with which code it is refused."""

from collections.abc import Callable

from tests.machine import ordering
from tests.machine.model import Hold, Model, Nonconformance, Refused, Release, Rework, Run, Test, refuse
from tests.machine.recipes import OPENS, REWORK, ROLES, Place, Step


def start(model: Model, name: str, sequence: int, center: str, who: str) -> None:
    unit = model.units[name]
    order = model.order_of(name)
    step = unit.step(sequence)
    model.require_usable(name)
    model.require_out(name)
    ordering.require_state(order, "worked on")
    refuse(step.center != center, "wrong_station")
    state = unit.state_of(step)
    refuse(state != "waiting", f"operation_{state}")
    refuse(step != unit.turn, "operation_out_of_order")
    unit.runs[step.code] = Run("running", {who})
    unit.workers.add(who)
    unit.state = "in_work"
    if order.state == "released":
        order.state = "running"


def complete(model: Model, name: str, sequence: int, center: str, who: str) -> None:
    unit = model.units[name]
    model.require_row(name)
    step = unit.step(sequence)
    model.require_usable(name)
    refuse(step.center != center, "wrong_station")
    refuse(unit.state_of(step) != "running", "operation_not_running")
    refuse(step != unit.turn, "operation_out_of_order")
    model.require_nothing_held_inside(name)
    _require_right_children(model, name, step)
    used = _pass(model, name, step)
    for release in used:
        release.used += 1
    unit.runs[step.code].state = "complete"
    unit.workers.add(who)
    if unit.turn is not None:
        unit.state = "in_work"
    elif unit.rework:
        finish_rework(model, name)
    else:
        unit.state = "finished"
        ordering.count(model, name, "finished")


def _require_right_children(model: Model, name: str, step: Step) -> None:
    unit = model.units[name]
    is_last = all(unit.state_of(each) == "complete" for each in unit.steps if each != step)
    wrong = [
        slot
        for slot in model.misplaced(name)
        if is_last or unit.recipe.places[slot].filled_at == step.sequence
    ]
    refuse(bool(wrong), "wrong_child")


def _pass(model: Model, name: str, step: Step) -> list[Release]:
    """Ask the gates that may be released; return the releases that let the unit pass."""
    asked: tuple[tuple[str, Callable[[Model, str, Step], str]], ...] = (
        ("slots_filled", slots_problem),
        ("tests_passed", tests_problem),
    )
    used = []
    for gate, problem in asked:
        if code := problem(model, name, step):
            release = find_release(model, name, step, gate)
            if release is None:
                raise Refused(code)
            used.append(release)
    return used


def slots_problem(model: Model, name: str, step: Step) -> str:
    unit = model.units[name]
    filled = {slot for slot, place in unit.recipe.places.items() if place.filled_at == step.sequence}
    return "slots_empty" if step.fills and filled - unit.inside.keys() else ""


def tests_problem(model: Model, name: str, step: Step) -> str:
    if not step.procedure:
        return ""
    built = model.built(name)
    outcomes = [
        test.outcome
        for test in model.units[name].tests
        if (test.procedure, test.judged_by, test.built) == (step.procedure, step.code, built)
    ]
    if not outcomes:
        return "test_missing"
    return "" if outcomes[-1] == "PASS" else "test_failed"


def find_release(model: Model, name: str, step: Step, gate: str) -> Release | None:
    key = (name, model.units[name].revision, step.code, gate)
    return next(
        (
            each
            for each in model.releases
            if (each.unit, each.revision, each.code, each.gate) == key and each.used < each.allowed
        ),
        None,
    )


def install(model: Model, name: str, slot: str, child: str, center: str, who: str) -> None:
    unit = model.units[name]
    place = _place(model, name, slot)
    model.require_row(name)
    step = unit.turn if unit.rework else unit.step(place.filled_at)
    assert step is not None
    refuse(step.center != center, "wrong_station")
    refuse(unit.state_of(step) != "running", "operation_not_running")
    fitted = model.units[child]
    refuse(fitted.state == "in_stock" and bool(fitted.rows), "unit_not_finished")
    model.require_usable(name)
    model.require_usable(child)
    model.require_nothing_held_inside(child)
    refuse(model.units[child].part != place.takes, "wrong_part")
    refuse(model.units[child].state not in {"in_stock", "finished"}, "unit_not_finished")
    problems = ["already_installed"] if model.units[child].place else []
    problems += ["slot_occupied"] if slot in unit.inside else []
    refuse(bool(problems), *problems)
    unit.inside[slot] = child
    unit.workers.add(who)
    model.units[child].place = (name, slot)


def _place(model: Model, name: str, slot: str) -> Place:
    unit = model.units[name]
    recipe = unit.recipe if unit.rows else None
    if recipe is None or slot not in recipe.places:
        raise Refused("slot_not_in_assembly")
    return recipe.places[slot]


def remove(model: Model, name: str, slot: str) -> None:
    unit = model.units[name]
    place = _place(model, name, slot)
    model.require_row(name)
    model.require_here(name)
    model.require_out(name)
    refuse(slot not in unit.inside, "slot_empty")
    sequences = rule_sequences(model, name, "removed", {place.type})
    if not unit.rework:
        sequences.add(place.filled_at)
    child = model.units[unit.inside.pop(slot)]
    child.place = None
    unit.emptied.append((model.tick(), slot))
    named = [step for step in unit.recipe.steps if step.sequence in sequences]
    undone = [step for step in named if _is_undone(unit.state_of(step), step, place)]
    supersede(model, name, undone, tests_of=named)


def replace(model: Model, name: str, slot: str, child: str, center: str, who: str) -> None:
    """Remove, start what fills the slot, install; the caller drops the model when one of them is refused."""
    remove(model, name, slot)
    unit = model.units[name]
    step = unit.turn if unit.rework else unit.step(_place(model, name, slot).filled_at)
    assert step is not None
    if unit.state_of(step) != "running":
        start(model, name, step.sequence, center, who)
    install(model, name, slot, child, center, who)


def _is_undone(state: str, step: Step, place: Place) -> bool:
    return state == "complete" or (state == "running" and step.sequence != place.filled_at)


def rule_sequences(model: Model, name: str, trigger: str, slot_types: set[str]) -> set[int]:
    rules = model.units[name].recipe.rules
    fired = [rule for rule in rules if rule.trigger == trigger and rule.slot_type in slot_types]
    return {sequence for rule in fired for sequence in rule.repeats}


def supersede(model: Model, name: str, steps: list[Step], *, tests_of: list[Step]) -> None:
    unit = model.units[name]
    codes = {step.code for step in tests_of}
    kept = [test for test in unit.tests if test.judged_by not in codes]
    if not steps and len(kept) == len(unit.tests):
        return
    unit.tests = kept
    for step in steps:
        unit.runs.pop(step.code, None)
    was_finished = unit.state == "finished"
    unit.state = "in_work"
    if was_finished:
        ordering.count(model, name, "open")


def break_open(model: Model, name: str, kind: str, slot: str) -> None:
    unit = model.units[name]
    model.require_here(name)
    model.require_out(name)
    slot_type = _place(model, name, slot).type if slot else ""
    model.require_row(name)
    sequences = rule_sequences(model, name, kind, {"", slot_type})
    named = [step for step in unit.recipe.steps if step.sequence in sequences]
    supersede(model, name, [step for step in named if step.code in unit.runs], tests_of=named)


def report_test(model: Model, name: str, procedure: str, outcome: str, who: str) -> None:
    unit = model.units[name]
    steps = unit.recipe.steps if unit.row else ()
    judged_by = next((step.code for step in steps if step.procedure == procedure), "")
    unit.tests.append(Test(procedure, judged_by, model.built(name), outcome))
    known = [each.found_at for each in model.open_on(name) if each.symptom == procedure]
    found_at = (unit.revision, judged_by)
    opens = outcome == "FAIL" and judged_by and procedure in OPENS and unit.state not in ordering.GONE
    if opens and found_at not in known:
        open_nonconformance(model, name, procedure, who, found_at)


def open_nonconformance(
    model: Model, name: str, symptom: str, who: str, found_at: tuple[str, str] = ("", "")
) -> None:
    model.require_here(name)
    found = Nonconformance(name, symptom, found_at, who)
    model.nonconformances.append(found)
    model.holds.append(Hold(name, found))


def hold(model: Model, name: str) -> None:
    model.holds.append(Hold(name))


def release_hold(model: Model, number: int) -> None:
    held = model.holds[number]
    refuse(held.nonconformance is not None and held.nonconformance.state == "open", "nonconformance_open")
    refuse(not held.live, "hold_released")
    held.live = False


def dispose(
    model: Model,
    number: int,
    kind: str,
    signer: str,
    returns_to: int = 0,
    quality: str = "",
    fitting: bool = True,
) -> None:
    found = model.nonconformances[number]
    unit = model.units[found.unit]
    refuse(found.state == "closed", "nonconformance_closed")
    refuse(found.state == "rework", "already_disposed")
    if kind == "rework":
        _require_rework(model, found.unit, returns_to, fitting)
    _sign(model, found, signer, "review_board", set())
    if quality:
        _sign(model, found, quality, "quality", {signer})
    elif kind == "rework":
        refuse(len(unit.reworks) >= unit.recipe.most_reworks, "rework_limit")
    if kind == "rework":
        start_rework(model, found, returns_to)
        return
    if kind == "scrap" and unit.state != "scrapped":
        ordering.scrap(model, found.unit)
    if kind == "return_to_supplier":
        ordering.return_to_supplier(model, found.unit)
    if kind != "use_as_is":
        ordering.abandon_rework(model, found.unit)
    close(model, found)


def _require_rework(model: Model, name: str, returns_to: int, fitting: bool) -> None:
    model.require_row(name)
    model.require_here(name)
    model.require_out(name)
    refuse(not fitting, "wrong_route")
    sequences = {step.sequence for step in model.units[name].recipe.steps}
    refuse(returns_to not in sequences, "no_operation")


def _sign(model: Model, found: Nonconformance, signer: str, role: str, before: set[str]) -> None:
    refuse(role not in ROLES[signer], "role_missing")
    refuse(signer in {found.opened_by, *model.units[found.unit].workers, *before}, "own_work")


def start_rework(model: Model, found: Nonconformance, returns_to: int) -> None:
    unit = model.units[found.unit]
    found.state = "rework"
    ordering.release_holds_of(model, found)
    ordering.end_reworks(unit, "abandoned")
    stopped = [step for step in REWORK if step.code in unit.runs]
    stopped += [step for step in unit.recipe.steps if unit.state_of(step) == "running"]
    supersede(model, found.unit, stopped, tests_of=list(REWORK))
    code = next(step.code for step in unit.recipe.steps if step.sequence == returns_to)
    unit.reworks.append(Rework(found, code, model.tick()))
    if unit.state == "finished":
        ordering.count(model, found.unit, "open")
    unit.state = "in_work"


def finish_rework(model: Model, name: str) -> None:
    unit = model.units[name]
    ordering.end_reworks(unit, "complete")
    taken_over = [each for each in unit.reworks if each.nonconformance.state == "rework"]
    since = min(each.since for each in taken_over)
    emptied = {slot for at, slot in unit.emptied if at >= since} - unit.inside.keys()
    refilled = {unit.recipe.places[slot].filled_at for slot in emptied}
    codes = {each.returns_to for each in taken_over}
    steps = [step for step in unit.recipe.steps if step.code in codes or step.sequence in refilled]
    done = [step for step in steps if step.code in unit.runs]
    supersede(model, name, done, tests_of=[step for step in steps if step.code in codes])
    unit.state = "in_work"
    for found in {id(each.nonconformance): each.nonconformance for each in taken_over}.values():
        close(model, found)


def close(model: Model, found: Nonconformance) -> None:
    ordering.close(model, found)


def release_gate(model: Model, name: str, sequence: int, gate: str, signer: str, allowed: int) -> None:
    unit = model.units[name]
    model.require_row(name)
    step = unit.step(sequence)
    problems = {"slots_filled": slots_problem, "tests_passed": tests_problem}
    refuse(gate == "leave_me_alone", "unknown_gate")
    refuse(gate == "turn", "gate_not_releasable")
    is_open = not problems[gate](model, name, step) or find_release(model, name, step, gate) is not None
    refuse(is_open, "gate_open")
    refuse(not 1 <= allowed <= 3, "release_too_wide")
    refuse("quality" not in ROLES[signer], "role_missing")
    run = unit.runs.get(step.code)
    refuse(run is not None and signer in run.people, "own_work")
    model.releases.append(Release(name, unit.revision, step.code, gate, allowed))


def ship(model: Model, name: str, to: str) -> None:
    refuse(not to, "destination_missing")
    model.require_usable(name)
    row = model.require_row(name)
    refuse(model.units[name].state != "finished", "unit_not_finished")
    model.require_out(name)
    model.require_nothing_held_inside(name)
    refuse(bool(model.open_on(name, *model.below(name))), "nonconformance_open")
    ordering.require_state(model.orders[row.order], "shipped from")
    row.live = False
    model.units[name].state = "shipped"
