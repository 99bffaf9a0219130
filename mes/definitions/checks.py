"""The rules between the rows of a pack, and between them and what is stored. Each yields problems."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import chain

from mes.definitions.rows import Problem, Row, World
from mes.definitions.tables import (
    BOM_LINE,
    BURN_IN_PROFILE,
    GATE,
    LIMIT,
    OPERATION,
    PART,
    RETEST_RULE,
    REVISION,
    ROUTE,
    SERIES_LIMIT,
    SLOT,
    TABLES,
    Name,
)
from mes.products.models import Gate

POSITIVE = (
    (BOM_LINE, ("quantity",)),
    (BURN_IN_PROFILE, ("required_hours", "poll_seconds", "time_scale")),
    (SERIES_LIMIT, ("violations", "window")),
)
LARGEST_WINDOW = 32
ARRIVES_FILLED = 0


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


def _filling_operations(world: World) -> Iterator[Problem]:
    """A part of ours fills its slots at operations of a route; what has no route arrives filled."""
    sequences = _sequences_by_part(world)
    for slot in world.in_pack(SLOT):
        part, filled_at = slot.key[0], slot.values.get("filled_at")
        known = sequences.get(part, {ARRIVES_FILLED})
        if filled_at is not None and filled_at not in known:
            yield slot.problem(f"filled_at {filled_at} is no operation of a route of {part}", "filled_at")


def _sequences_by_part(world: World) -> dict[str, set[int]]:
    sequences: dict[str, set[int]] = defaultdict(set)
    for operation in world.of(OPERATION):
        sequences[operation.key[0]].add(operation.values.get("sequence", -1))
    return sequences


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


def _bounds(world: World) -> Iterator[Problem]:
    for row in [*world.in_pack(LIMIT), *world.in_pack(SERIES_LIMIT)]:
        if not {"low", "high"} <= row.values.keys():
            continue
        low, high = row.values["low"], row.values["high"]
        if low is None and high is None:
            yield row.problem(f"{row.table.kind} without a bound: give low, high or both")
        elif low is not None and high is not None and low > high:
            yield row.problem(f"low {low:g} is greater than high {high:g}", "low")


def _gates(world: World) -> Iterator[Problem]:
    for gate in world.in_pack(GATE):
        if gate.own_key["rule"] == Gate.Rule.TEST_PASSED and not gate.own_key["procedure"]:
            yield gate.problem("gate test_passed without 'procedure': it must name the test", "rule")


def _limited_tests(world: World) -> Iterator[Problem]:
    """A test is judged by the limits of the operation whose gate asks for it; others would say nothing."""
    for limit in world.in_pack(LIMIT):
        procedure = limit.own_key["procedure"]
        if procedure not in {gate.own_key["procedure"] for gate in world.beside(limit, GATE)}:
            yield limit.problem(f"no gate of the operation asks for the test '{procedure}'", "procedure")


def _retest_rules(world: World) -> Iterator[Problem]:
    types = _slot_types_by_part(world)
    for rule in world.in_pack(RETEST_RULE):
        known = {operation.values.get("sequence") for operation in world.beside(rule, OPERATION)}
        for sequence in rule.values.get("repeats", []):
            if sequence not in known:
                yield rule.problem(f"repeats {sequence}, which is no operation of the route", "repeats")
        part, slot_type = rule.key[0], rule.own_key["slot_type"]
        if slot_type not in types[part]:
            yield rule.problem(f"no slot of {part} is of type '{slot_type}'", "slot_type")


def _slot_types_by_part(world: World) -> dict[str, set[str]]:
    types: dict[str, set[str]] = defaultdict(set)
    for slot in world.of(SLOT):
        types[slot.key[0]].add(slot.values.get("type", ""))
    return types


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


def _windows(world: World) -> Iterator[Problem]:
    for limit in world.in_pack(SERIES_LIMIT):
        violations, window = limit.values.get("violations", 0), limit.values.get("window", LARGEST_WINDOW)
        if violations > window or window > LARGEST_WINDOW:
            reason = f"{violations} of {window} samples: violations <= window <= {LARGEST_WINDOW} must hold"
            yield limit.problem(reason, "window")


def _empty_routes(world: World) -> Iterator[Problem]:
    for route in world.in_pack(ROUTE):
        if not world.inside(route.name, OPERATION):
            yield route.problem("route without operations", "operations")


CHECKS: tuple[Callable[[World], Iterator[Problem]], ...] = (
    _references,
    _bom_revisions,
    _bom_quantities,
    _filling_operations,
    _levels,
    _cycles,
    _bounds,
    _gates,
    _limited_tests,
    _retest_rules,
    _positions,
    _positive,
    _windows,
    _empty_routes,
)
