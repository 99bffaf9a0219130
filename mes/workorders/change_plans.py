"""What an engineering change would do to each unit: read beforehand, signed, and done, by the same plan."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db.models import Q
from django.db.models.functions import Upper

from mes.ledger.services import canonical_json
from mes.products.models import Operation, RetestRule
from mes.products.services import Place
from mes.racks.models import Installation
from mes.racks.services import Misplaced, misplaced
from mes.serials.models import Unit
from mes.workorders.comparing import Recipe, changed_slots, differences, limits_of
from mes.workorders.deviations import excused_children, is_excused
from mes.workorders.models import EngineeringChange, OperationRun, OrderUnit, Rework, WorkOrder
from mes.workorders.position import DONE, RUNNING, applying

CLOSED_ORDERS = {WorkOrder.State.COMPLETE, WorkOrder.State.CLOSED, WorkOrder.State.CANCELLED}
OURS = {OrderUnit.Outcome.OPEN, OrderUnit.Outcome.FINISHED}
GONE = {Unit.State.FINISHED, Unit.State.SHIPPED, Unit.State.SCRAPPED}
ASKED_AGAIN = "so that the gates of the new route are asked"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an order or a unit cannot be moved."""

    name: str
    code: str
    detail: str


@dataclass(slots=True)
class Step:
    """An operation of the new route, the equal or changed one of the old, its live run there, and why."""

    operation: Operation
    old: Operation
    run: OperationRun | None
    why: list[str]
    restarted: bool = False

    @property
    def is_equal(self) -> bool:
        """Return whether the step is the same work as before, so that its tests count on."""
        return not self.why


@dataclass(slots=True)
class UnitPlan:
    """What a change does to one unit."""

    order_unit: OrderUnit
    before: Recipe
    remove: list[Misplaced] = field(default_factory=list)
    fill: list[Place] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    new: list[Operation] = field(default_factory=list)
    dropped: list[OperationRun] = field(default_factory=list)

    @property
    def unit(self) -> Unit:
        """Return the unit."""
        return self.order_unit.unit

    @property
    def carry(self) -> list[Step]:
        """Return what stays as it is: what is done and equal."""
        return [step for step in self.steps if step.run and step.is_equal and not step.restarted]

    @property
    def repeat(self) -> list[Step]:
        """Return what was done or begun and is done again."""
        return [step for step in self.steps if step.run and (step.why or step.restarted)]

    def data(self) -> dict[str, Any]:
        """Return the plan of the unit as JSON-ready data."""
        unit, row = self.unit, self.order_unit
        return {
            "uid": str(unit.uid),
            "serial": unit.serial,
            "order": row.work_order.number,
            "state": unit.state,
            "held": unit.held,
            "from_revision": unit.part_revision.revision,
            "from_route": row.route.version,
            "remove": [_removal(each) for each in self.remove],
            "fill": [{"slot": place.slot.name, "takes": place.wanted} for place in self.fill],
            "repeat": [{**_named(step.operation), "why": _why(step)} for step in self.repeat],
            "new": [_named(operation) for operation in self.new],
            "dropped": [_named(run.operation) for run in self.dropped],
            "carry": [_named(step.operation) for step in self.carry],
        }


def _named(operation: Operation) -> dict[str, Any]:
    return {"sequence": operation.sequence, "code": operation.code, "name": operation.name}


def _removal(each: Misplaced) -> dict[str, Any]:
    child = each.installation.child
    return {
        "slot": each.slot.name,
        "serial": child.serial,
        "part": child.part_revision.part.number,
        "revision": child.part_revision.revision,
        "why": f"the slot takes {each.place.wanted}" if each.place else "the slot is gone",
    }


def _why(step: Step) -> str:
    is_running = step.run is not None and step.run.state == RUNNING
    return "; ".join(step.why) or ("it was running" if is_running else ASKED_AGAIN)


def _in_words(unit: dict[str, Any]) -> str:
    parts = (
        ("on hold", ["moves all the same"] if unit["held"] else []),
        ("remove", [f"{row['slot']} ({row['serial']}: {row['why']})" for row in unit["remove"]]),
        ("fill", [row["slot"] for row in unit["fill"]]),
        ("repeat", [f"{row['sequence']} {row['name']} ({row['why']})" for row in unit["repeat"]]),
        ("new", [f"{row['sequence']} {row['name']}" for row in unit["new"]]),
        ("dropped", [f"{row['sequence']} {row['name']}" for row in unit["dropped"]]),
        ("stays done", [f"{row['sequence']} {row['name']}" for row in unit["carry"]]),
    )
    said = "; ".join(f"{title}: {', '.join(names)}" for title, names in parts if names)
    return f"{unit['serial']}: {said or 'nothing was done yet'}."


@dataclass
class Plan:
    """What a change does to all of its units, whom it cannot move, and who is there already."""

    change: EngineeringChange
    orders: list[WorkOrder]
    units: list[UnitPlan] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unchanged: list[Unit] = field(default_factory=list)

    @property
    def orders_to_move(self) -> list[WorkOrder]:
        """Return the orders that are not of the new revision and route yet."""
        change = self.change
        there = (change.to_revision_id, change.to_route_id)
        return [order for order in self.orders if (order.part_revision_id, order.route_id) != there]

    @cached_property
    def data(self) -> dict[str, Any]:
        """Return the plan as JSON-ready data: the preview, and what is signed."""
        change = self.change
        return {
            "change": change.number,
            "to_revision": str(change.to_revision),
            "to_route": change.to_route.version,
            "orders": [
                {
                    "order": order.number,
                    "from_revision": order.part_revision.revision,
                    "from_route": order.route.version,
                }
                for order in self.orders_to_move
            ],
            "units": [unit.data() for unit in self.units],
            "refused": [
                {"name": each.name, "code": each.code, "detail": each.detail} for each in self.refused
            ],
            "unchanged": [unit.serial for unit in self.unchanged],
        }

    def lines(self) -> list[str]:
        """Return the plan in words, a sentence for each unit and each that cannot be moved."""
        moved = [line for unit in self.units for line in [_in_words(unit.data())]]
        refused = [f"Refused ({each.code}): {each.detail}" for each in self.refused]
        there = [f"{unit.serial} is there already." for unit in self.unchanged]
        return [*moved, *refused, *there]

    @property
    def digest(self) -> str:
        """Return the SHA-256 (hex) of the plan, which signatures are bound to."""
        return hashlib.sha256(canonical_json(self.data).encode()).hexdigest()


@dataclass(slots=True)
class Facts:
    """What is on record about the units of a change, read with one query a table."""

    runs: dict[int, list[OperationRun]]
    installations: dict[int, list[Installation]]
    placed: dict[int, Installation]
    in_rework: set[int]
    serials: dict[str, set[int]]
    excused: Mapping[int, dict[int, dict[int, str]]]
    after: Recipe
    before: dict[tuple[int, int], Recipe]


def plan_change(change: EngineeringChange) -> Plan:
    """Return what a change would do now. Reads only; the number of queries does not depend on the units.

    A route with operations conditional on parts takes one more query a unit.
    """
    orders, units = _targets(change)
    rows = _order_units(orders, units)
    facts = _read(change, rows, units)
    plan = Plan(change, orders, refused=[_order_refused(o) for o in orders if o.state in CLOSED_ORDERS])
    for unit in sorted({row.unit: None for row in rows.values()} | units, key=lambda unit: unit.pk):
        _plan(plan, unit, rows.get(unit.pk), facts)
    return plan


def _targets(change: EngineeringChange) -> tuple[list[WorkOrder], dict[Unit, None]]:
    targets = change.targets.select_related(
        "order__part_revision__part", "order__route", "unit__part_revision__part"
    ).order_by("order__number", "unit__pk")
    rows = list(targets)
    orders = [row.order for row in rows if row.order]
    return orders, {row.unit: None for row in rows if row.unit}


def _order_units(orders: Iterable[WorkOrder], units: Iterable[Unit]) -> dict[int, OrderUnit]:
    of_orders = Q(work_order__in=list(orders), outcome__in=OURS)
    of_units = Q(unit__in=list(units), closed_at__isnull=True)
    rows = OrderUnit.objects.filter(of_orders | of_units).select_related(
        "work_order", "route", "unit__part_revision__part"
    )
    return {row.unit_id: row for row in rows.order_by("pk")}


def _read(change: EngineeringChange, rows: dict[int, OrderUnit], units: Iterable[Unit]) -> Facts:
    everyone = {*rows, *(unit.pk for unit in units)}
    recipes = {(row.unit.part_revision_id, row.route_id): row for row in rows.values()}
    limits = limits_of({change.to_route_id, *(route for _, route in recipes)})
    rules = RetestRule.objects.filter(route=change.to_route, trigger=RetestRule.Trigger.REMOVED)
    runs: dict[int, list[OperationRun]] = {}
    live = OperationRun.objects.filter(unit__in=everyone, superseded_at__isnull=True)
    for run in live.select_related("operation").order_by("operation__sequence", "pk"):
        runs.setdefault(run.unit_id, []).append(run)
    installations: dict[int, list[Installation]] = {}
    inside = Installation.objects.live().filter(parent__in=everyone)
    for placed in inside.select_related("slot", "child__part_revision__part").order_by("slot__order", "pk"):
        installations.setdefault(placed.parent_id, []).append(placed)
    outside = Installation.objects.live().filter(child__in=everyone).select_related("parent", "slot")
    reworks = Rework.objects.filter(unit__in=everyone, state=Rework.State.RUNNING)
    serials: dict[str, set[int]] = {}
    named = [row.unit.serial.upper() for row in rows.values()]
    taken = Unit.objects.filter(part_revision=change.to_revision).annotate(name=Upper("serial"))
    for name, pk in taken.filter(name__in=named).values_list("name", "pk"):
        serials.setdefault(name, set()).add(pk)
    return Facts(
        runs=runs,
        installations=installations,
        placed={row.child_id: row for row in outside},
        in_rework=set(reworks.values_list("unit", flat=True)),
        serials=serials,
        excused=excused_children(everyone),
        after=Recipe(change.to_revision, change.to_route, limits, list(rules.order_by("pk"))),
        before={key: Recipe(row.unit.part_revision, row.route, limits) for key, row in recipes.items()},
    )


def _plan(plan: Plan, unit: Unit, row: OrderUnit | None, facts: Facts) -> None:
    change = plan.change
    if row and (unit.part_revision_id, row.route_id) == (change.to_revision_id, change.to_route_id):
        plan.unchanged.append(unit)
        return
    refused = _refused(unit, row, facts)
    if refused is not None:
        plan.refused.append(Refused(unit.serial, *refused))
    elif row is not None:
        plan.units.append(_plan_unit(row, facts))


def _order_refused(order: WorkOrder) -> Refused:
    detail = f"Order {order.number} is {order.state}; its recipe is not changed any more."
    return Refused(order.number, "order_closed", detail)


def _refused(unit: Unit, row: OrderUnit | None, facts: Facts) -> tuple[str, str] | None:
    """Return the code and the sentence why a unit is not moved; None if it may. Held units may move."""
    serial, to = unit.serial, facts.after.revision
    placed = facts.placed.get(unit.pk)
    where = f"{placed.slot.name} of {placed.parent.serial}" if placed else ""
    same = facts.serials.get(serial.upper(), set()) - {unit.pk}
    is_other = unit.part_revision.part_id != to.part_id
    other = f"{serial} is {unit.part_revision}, not {to.part.number}."
    in_rework = f"{serial} is in rework; it returns to its route first."
    reasons = (
        (unit.state in GONE, f"unit_{unit.state}", f"{serial} is {unit.state}."),
        (row is None, "no_work_order", f"No order builds {serial}."),
        (is_other, "change_other_part", other),
        (placed is not None, "unit_closed", f"{serial} is installed in {where}."),
        (unit.pk in facts.in_rework, "unit_in_rework", in_rework),
        (bool(same), "serial_exists", f"{to} with serial {serial} exists already."),
    )
    return next(((code, detail) for applies, code, detail in reasons if applies), None)


def _plan_unit(row: OrderUnit, facts: Facts) -> UnitPlan:
    unit, after = row.unit, facts.after
    before = facts.before[unit.part_revision_id, row.route_id]
    installed = facts.installations.get(unit.pk, [])
    excused = facts.excused.get(unit.pk, {})
    wrong = [each for each in misplaced(installed, after.revision) if not is_excused(each, excused)]
    taken = {placed.slot.name for placed in installed}
    fill = [place for name, place in after.places.items() if name not in before.places.keys() | taken]
    plan = UnitPlan(row, before, remove=wrong, fill=fill)
    runs = {run.operation_id: run for run in facts.runs.get(unit.pk, [])}
    for operation in applying(after.operations, row.work_order, unit):
        old = before.by_code.get(operation.code)
        if old is None:
            plan.new.append(operation)
        else:
            plan.steps.append(_step(operation, old, runs.get(old.pk), plan, after))
    kept = {step.old.pk for step in plan.steps}
    plan.dropped = [run for run in runs.values() if run.operation_id not in kept]
    _leave_something_to_do(plan)
    return plan


def _step(
    operation: Operation, old: Operation, run: OperationRun | None, plan: UnitPlan, after: Recipe
) -> Step:
    why = []
    if changed := differences(old, operation, plan.before, after):
        why.append(f"changed: {', '.join(changed)}")
    slots = changed_slots(old, operation, plan.before, after) | _wrong_at(old, operation, plan, after)
    if slots:
        why.append(f"slots: {', '.join(sorted(slots))}")
    opened = {each.slot.type for each in plan.remove}
    fired = [rule for rule in after.rules if rule.slot_type in opened]
    if rules := [rule.name for rule in fired if operation.sequence in rule.repeats]:
        why.append(f"retest rule {', '.join(rules)}")
    if run and run.state == OperationRun.State.SKIPPED and not operation.optional:
        why.append("it may not be skipped any more")
    return Step(operation, old, run, why, restarted=bool(run and run.state == RUNNING))


def _wrong_at(old: Operation, new: Operation, plan: UnitPlan, after: Recipe) -> set[str]:
    names = plan.before.filled_at(old).keys() | after.filled_at(new).keys()
    return {each.slot.name for each in plan.remove} & names


def _leave_something_to_do(plan: UnitPlan) -> None:
    """Let the last step be done again when all would be done: a unit is finished by an act, at its gates."""
    waits = [step for step in plan.steps if step.why or not step.run or step.run.state not in DONE]
    if plan.steps and not waits and not plan.new:
        plan.steps[-1].restarted = True
