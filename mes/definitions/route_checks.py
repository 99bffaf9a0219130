"""The rules of routes: operations, gates, limits, data fields and retest rules. Each yields problems."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from mes.definitions.rows import Problem, World
from mes.definitions.tables import (
    DATA_FIELD,
    GATE,
    INSTRUCTION,
    LIMIT,
    OPERATION,
    RETEST_RULE,
    ROUTE,
    SERIES_LIMIT,
    SLOT,
)
from mes.products.models import DataField, Gate, RetestRule, Route
from mes.products.services import Step, route_faults

LARGEST_WINDOW = 32
ARRIVES_FILLED = 0


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
    rework = {route.name for route in world.of(ROUTE) if route.values.get("kind") == Route.Kind.REWORK}
    for operation in world.of(OPERATION):
        if operation.owner not in rework:
            sequences[operation.key[0]].add(operation.values.get("sequence", -1))
    return sequences


def _bounds(world: World) -> Iterator[Problem]:
    for row in [*world.in_pack(LIMIT), *world.in_pack(SERIES_LIMIT)]:
        if not {"low", "high"} <= row.values.keys():
            continue
        low, high = row.values["low"], row.values["high"]
        if low is None and high is None:
            yield row.problem(f"{row.table.kind} without a bound: give low, high or both")
        elif low is not None and high is not None and low > high:
            yield row.problem(f"low {low:g} is greater than high {high:g}", "low")


def _route_order(world: World) -> Iterator[Problem]:
    """Operations of a route lead from start to end: what they follow exists, and none waits for itself."""
    for route in world.in_pack(ROUTE):
        operations = {row.own_key["code"]: row for row in world.inside(route.name, OPERATION)}
        steps = [
            Step(code, row.values.get("sequence", 0), row.values.get("after", []))
            for code, row in operations.items()
        ]
        for fault in route_faults(steps) if steps else ():
            yield operations.get(fault.operation, route).problem(f"{fault.code}: {fault.detail}", "after")


def _conditions(world: World) -> Iterator[Problem]:
    for operation in world.in_pack(OPERATION):
        condition = operation.values.get("applies_when", "")
        if condition and not condition.startswith(("option:", "part:")):
            yield operation.problem("applies_when is option:NAME or part:KIND", "applies_when")


def _instructions(world: World) -> Iterator[Problem]:
    known = {row.own_key["code"] for row in world.of(INSTRUCTION)}
    for operation in world.in_pack(OPERATION):
        code = operation.values.get("instruction_code", "")
        if code and code not in known:
            yield operation.problem(f"unknown instruction '{code}'", "instruction_code")


def _data_fields(world: World) -> Iterator[Problem]:
    for field in world.in_pack(DATA_FIELD):
        low, high = field.values.get("low"), field.values.get("high")
        if (low is not None or high is not None) and not field.values.get("unit"):
            yield field.problem("a limit with no unit: say in which unit it is", "unit")
        if low is not None and high is not None and low > high:
            yield field.problem(f"low {low:g} is greater than high {high:g}", "low")
        if field.values.get("kind") == DataField.Kind.CHOICE and not field.values.get("choices"):
            yield field.problem("a choice without choices", "choices")


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
        if not slot_type and rule.own_key["trigger"] == RetestRule.Trigger.REMOVED:
            yield rule.problem("a rule for what is removed without 'slot_type'", "slot_type")
        elif slot_type and slot_type not in types[part]:
            yield rule.problem(f"no slot of {part} is of type '{slot_type}'", "slot_type")


def _slot_types_by_part(world: World) -> dict[str, set[str]]:
    types: dict[str, set[str]] = defaultdict(set)
    for slot in world.of(SLOT):
        types[slot.key[0]].add(slot.values.get("type", ""))
    return types


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


ROUTE_CHECKS: tuple[Callable[[World], Iterator[Problem]], ...] = (
    _filling_operations,
    _bounds,
    _gates,
    _limited_tests,
    _retest_rules,
    _windows,
    _empty_routes,
    _route_order,
    _conditions,
    _instructions,
    _data_fields,
)
