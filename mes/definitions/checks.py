"""The rules between the rows of a pack, and between them and what is stored. Each yields problems.

Those of routes are in ``route_checks``, those of burn-in in ``burn_in_checks``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import chain

from mes.burnin.services import find_contradictions
from mes.cabling.services import Drawn, End, Made, plan_faults
from mes.definitions.burn_in_checks import BURN_IN_CHECKS
from mes.definitions.route_checks import ROUTE_CHECKS
from mes.definitions.rows import Problem, Row, World
from mes.definitions.schema import Name
from mes.definitions.tables import (
    BOM_LINE,
    BUDGET,
    BURN_IN_PROFILE,
    CABLE_KIND,
    CABLE_PLAN,
    COMPATIBILITY_RULE,
    CONSUMABLE,
    COOLANT,
    COUPLING_TYPE,
    OPERATION,
    PACKING_RULE,
    PART,
    PLANNED_CABLE,
    REVISION,
    SAFETY_PLAN,
    SERIES_LIMIT,
    SLOT,
    TABLES,
)
from mes.products.models import Budget, CompatibilityRule
from mes.products.services import SUPPLIED

POSITIVE = (
    (BOM_LINE, ("quantity",)),
    (OPERATION, ("people",)),
    (CONSUMABLE, ("quantity",)),
    (BURN_IN_PROFILE, ("required_hours", "poll_seconds", "time_scale")),
    (SERIES_LIMIT, ("violations", "window")),
    (COUPLING_TYPE, ("maximum_mates",)),
    (PACKING_RULE, ("tolerance_percent",)),
    (PLANNED_CABLE, ("length_mm",)),
)
PLANNED = {"part", "length_mm", "a_device", "a_port", "b_device", "b_port", "checks"}


def check_rows(world: World) -> Iterator[Problem]:
    """Yield everything that is wrong with the rows of a pack."""
    yield from chain.from_iterable(check(world) for check in CHECKS)


def _references(world: World) -> Iterator[Problem]:
    for table in TABLES:
        for column, target in table.refers.items():
            for row in world.in_pack(table):
                for key in _named_keys(row, column):
                    if (target.kind, (key,)) not in world.rows:
                        yield row.problem(f"unknown {target.kind} '{key}'", column)


def _named_keys(row: Row, column: str) -> list[str]:
    named = row.own_key[column] if column in row.table.key else row.values.get(column)
    return named if isinstance(named, list) else [named] if named else []


def _bom_revisions(world: World) -> Iterator[Problem]:
    for line in world.in_pack(BOM_LINE):
        for revision in line.values.get("revisions", []):
            part = line.own_key["part"]
            if (REVISION.kind, (part, revision)) not in world.rows:
                yield line.problem(f"unknown revision '{revision}' of part {part}", "revisions")


def _bom_quantities(world: World) -> Iterator[Problem]:
    for line in world.in_pack(BOM_LINE):
        part, quantity = line.own_key["part"], line.values.get("quantity")
        slots = [slot for slot in world.beside(line, SLOT) if part in slot.values.get("accepts", [])]
        if slots and quantity is not None and quantity != len(slots):
            yield line.problem(
                f"quantity of {part} is {quantity}, but {len(slots)} slots accept it", "quantity"
            )


def _levels(world: World) -> Iterator[Problem]:
    levels = {row.key[0]: row.values.get("level") for row in world.of(PART)}
    for parent, child, row, column in _edges(world):
        above, below = levels.get(parent), levels.get(child)
        if above is None or below is None or below < above:
            continue
        reason = f"{child} of level {below} is not below {parent} of level {above}"
        source = next((each for each in (row, *_parts(world, child, parent)) if each.file), None)
        if source:
            yield source.problem(reason, column if source is row else "level")


def _parts(world: World, *numbers: str) -> Iterator[Row]:
    return (world.rows[PART.kind, (number,)] for number in numbers)


def _edges(world: World) -> Iterator[tuple[str, str, Row, str]]:
    """Yield each parent and child part, and the BOM line or, where there is none, the slot that says so."""
    lines = {(line.owner, line.own_key["part"]) for line in world.of(BOM_LINE)}
    for line in world.of(BOM_LINE):
        yield line.key[0], line.own_key["part"], line, "part"
    for slot in world.of(SLOT):
        for part in slot.values.get("accepts", []):
            if (slot.owner, part) not in lines:
                yield slot.key[0], part, slot, "accepts"


def _cycles(world: World) -> Iterator[Problem]:
    children: dict[str, set[str]] = defaultdict(set)
    for line in world.of(BOM_LINE):
        children[line.key[0]].add(line.own_key["part"])
    for line in world.in_pack(BOM_LINE):
        parent, child = line.key[0], line.own_key["part"]
        if path := _path(children, child, parent):
            yield line.problem(f"cycle in the BOM: {' > '.join([parent, *path])}", "part")


def _path(children: dict[str, set[str]], start: str, goal: str) -> list[str]:
    """Return the parts from ``start`` down to ``goal``, or nothing when none leads there."""
    came_from: dict[str, str] = {start: ""}
    waiting = [start]
    while waiting:
        part = waiting.pop()
        if part == goal:
            return _way_back(came_from, goal)
        for child in sorted(children[part] - came_from.keys()):
            came_from[child] = part
            waiting.append(child)
    return []


def _way_back(came_from: dict[str, str], goal: str) -> list[str]:
    path = [goal]
    while came_from[path[0]]:
        path.insert(0, came_from[path[0]])
    return path


def _positions(world: World) -> Iterator[Problem]:
    """A slot number, or tray index, that two slots report would let a swapped pair of trays pass."""
    seen: dict[tuple[Name | None, str, int], Row] = {}
    for slot in world.in_pack(SLOT):
        for column in ("slot_number", "tray_index"):
            number = slot.values.get(column)
            if number is None:
                continue
            first = seen.setdefault((slot.owner, column, number), slot)
            if first is not slot:
                yield slot.problem(f"{column} {number} is that of slot {first.own_key['name']} too", column)


def _positive(world: World) -> Iterator[Problem]:
    for table, columns in POSITIVE:
        for row in world.in_pack(table):
            for column in columns:
                if row.values.get(column, 1) <= 0:
                    yield row.problem(f"{column} must be greater than 0", column)


def _budgets(world: World) -> Iterator[Problem]:
    """A budget has a limit, or something that supplies it, and names slots of its own revision."""
    for budget in world.in_pack(BUDGET):
        figure, limit = budget.values.get("figure"), budget.values.get("limit")
        if "limit" in budget.values and limit is None and figure not in SUPPLIED:
            yield budget.problem(f"{figure} is supplied by nothing: give a limit", "limit")
        if limit is not None and budget.values.get("redundancy"):
            yield budget.problem("redundancy is of supplies: leave out the limit", "redundancy")
        if limit is not None and limit <= 0:
            yield budget.problem("limit must be greater than 0", "limit")
        yield from _slot_groups(world, budget)


def _slot_groups(world: World, budget: Row) -> Iterator[Problem]:
    slots = world.beside(budget, SLOT)
    known = {name for slot in slots for name in (slot.own_key["name"], slot.values.get("type"))}
    for column in ("demand_slots", "supply_slots"):
        for name in budget.values.get(column, []):
            if name not in known:
                yield budget.problem(f"'{name}' is neither a slot nor a type of slot", column)


def _footprints(world: World) -> Iterator[Problem]:
    for budget in world.in_pack(BUDGET):
        stated = world.rows[budget.head].values.get("footprint_m2")
        if budget.values.get("figure") == Budget.Figure.FLOOR and stated is None:
            yield budget.problem("a floor load without footprint_m2 of the revision", "figure")


def _compatibility_rules(world: World) -> Iterator[Problem]:
    kinds = {row.values.get("kind") for row in world.of(PART)}
    for rule in world.in_pack(COMPATIBILITY_RULE):
        values, value = rule.values, rule.own_key["value"]
        sides = [value, values.get("other_kinds"), values.get("other_property"), values.get("other_values")]
        if values.get("relation") == CompatibilityRule.Relation.PAIR and not all(sides):
            reason = "a pair needs value, other_kinds, other_property and other_values"
            yield rule.problem(reason, "relation")
        if values.get("relation") == CompatibilityRule.Relation.SAME and any(sides):
            yield rule.problem("'same' takes kinds and property only", "relation")
        for column in ("kinds", "other_kinds"):
            for kind in values.get(column, []):
                if kind not in kinds:
                    yield rule.problem(f"no part is of kind '{kind}'", column)


def _mates(world: World) -> Iterator[Problem]:
    """Of each part a slot takes, some revision mates with what the slot offers."""
    needs: dict[str, list[set[str]]] = defaultdict(list)
    for revision in world.of(REVISION):
        needs[revision.key[0]].append(set(revision.values.get("mates", [])))
    for slot in world.in_pack(SLOT):
        offered = set(slot.values.get("mates", []))
        for part in slot.values.get("accepts", []):
            if needs[part] and not any(needed <= offered for needed in needs[part]):
                missing = ", ".join(sorted(min(needs[part], key=len) - offered))
                yield slot.problem(f"no revision of {part} mates here: it needs {missing}", "mates")


def _series_limits(world: World) -> Iterator[Problem]:
    """A limit does not contradict itself: a headroom has no high, and what stops the rack is not sampled."""
    for limit in world.in_pack(SERIES_LIMIT):
        for column, why in find_contradictions(limit.values):
            yield limit.problem(why, column)


def _coolants(world: World) -> Iterator[Problem]:
    """The three lists of a coolant are of one length, its temperatures rise, and the rest is above 0."""
    for coolant in world.in_pack(COOLANT):
        cel, *others = (coolant.values.get(name, []) for name in COOLANT.items)
        if any(len(values) != len(cel) for values in others):
            yield coolant.problem("its lists are not of the same length", "temperatures_cel")
        if cel != sorted(cel):
            yield coolant.problem("temperatures_cel must rise", "temperatures_cel")
        if any(value <= 0 for values in others for value in values):
            yield coolant.problem("densities and specific heats are greater than 0", "densities_kg_m3")


def _safety_plans(world: World) -> Iterator[Problem]:
    """A misspelt kind would let nothing stay; it is better known before the rack is wheeled to the tester."""
    kinds = {part.values.get("kind") for part in world.of(PART)}
    for plan in world.in_pack(SAFETY_PLAN):
        for kind in plan.values.get("may_stay", []):
            if kind not in kinds:
                yield plan.problem(f"no part is of kind '{kind}'", "may_stay")


def _cable_plans(world: World) -> Iterator[Problem]:
    """Each port of a plan takes one cable, of a kind and length that the plan knows."""
    for plan in world.in_pack(CABLE_PLAN):
        cables = {row.own_key["label"]: row for row in world.inside(plan.name, PLANNED_CABLE)}
        kinds = {row.own_key["part"]: row for row in world.inside(plan.name, CABLE_KIND)}
        made = [
            Made(part, row.values.get("length_mm"), tuple(row.values.get("photo_checks", [])))
            for part, row in kinds.items()
        ]
        drawn = [_drawn(label, row) for label, row in cables.items() if row.values.keys() >= PLANNED]
        if len(drawn) == len(cables):
            for fault in plan_faults(drawn, made):
                yield (cables.get(fault.name) or kinds.get(fault.name) or plan).problem(fault.detail)


def _drawn(label: str, row: Row) -> Drawn:
    values = row.values
    ends = (End(values["a_device"], values["a_port"]), End(values["b_device"], values["b_port"]))
    return Drawn(label, values["part"], values["length_mm"], ends, tuple(values["checks"]))


CHECKS: tuple[Callable[[World], Iterator[Problem]], ...] = (
    _references,
    _bom_revisions,
    _bom_quantities,
    _levels,
    _cycles,
    _positions,
    _positive,
    _budgets,
    _footprints,
    _compatibility_rules,
    _mates,
    _series_limits,
    _coolants,
    _safety_plans,
    _cable_plans,
    *BURN_IN_CHECKS,
    *ROUTE_CHECKS,
)
