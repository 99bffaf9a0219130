"""The named rules that an operation must meet to start and to complete, and which of them may be released.

Each rule is a function that raises RuleViolation. ``pass_gates`` asks them all and stops at the first that
holds the unit and is not released; ``list_gates`` asks them all and says the state of each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mes.errors import NOBODY, RuleViolation
from mes.ledger.services import Actor
from mes.products.models import Gate, Operation
from mes.products.services import find_instruction, has_read
from mes.racks.services import require_nothing_held_inside, require_out
from mes.serials.services import require_usable
from mes.stations.models import RoleAssignment, Station
from mes.stations.services import require_sign_on
from mes.workorders import needs
from mes.workorders.children import require_right_children
from mes.workorders.models import GateRelease, WorkOrder
from mes.workorders.order_states import require_state
from mes.workorders.position import RUNNING, Position
from mes.workorders.releases import holds_of, live_releases, use_release
from mes.workorders.rework import places_to_fill

Moment = Gate.Moment
Role = RoleAssignment.Role


@dataclass(frozen=True, slots=True)
class Ask:
    """What a rule looks at: a unit's position, the operation, where, who; no station when only looking.

    ``excused`` is what releases let pass; a rule goes on to what else holds the unit.
    """

    position: Position
    operation: Operation
    by: Actor
    station: Station | None = None
    excused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its name, what asks it, and the roles that may release it; none: nobody may."""

    name: str
    check: Callable[[Ask], None]
    releasable_by: tuple[Role, ...] = ()


class State(StrEnum):
    """How a gate stands."""

    OPEN = "open"
    BLOCKED = "blocked"
    RELEASED = "released"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class GateState:
    """A gate of an operation: its name, when it is asked, how it stands and, if it holds the unit, why."""

    gate: str
    moment: str
    state: State
    releasable_by: list[str] = field(default_factory=list)
    violation: RuleViolation | None = None
    release: GateRelease | None = None


def require_order_running(position: Position) -> None:
    """Refuse with ``order_not_released``, or the order's state as ``order_held``, unless it is worked on."""
    if position.order.state == WorkOrder.State.DRAFT:
        raise RuleViolation(
            "order_not_released",
            f"Order {position.order.number} is {position.order.state}.",
            rule="work belongs to a released order",
            release="A supervisor releases the order.",
            next_step="Take a unit of a released order.",
        )
    require_state(position.order, "worked on")


def require_work_center(operation: Operation, work_center: str) -> None:
    """Refuse with ``wrong_station`` where the operation is not done."""
    if operation.work_center != work_center:
        raise RuleViolation(
            "wrong_station",
            f"{operation} is done at {operation.work_center}, not at {work_center or 'no station'}.",
            rule="an operation is done at its work center",
            next_step=f"Take the unit to a station of {operation.work_center}.",
            work_center=operation.work_center,
        )


def require_running(position: Position, operation: Operation) -> None:
    """Refuse with ``operation_not_running`` unless the operation was started and is not complete."""
    if position.state_of(operation) != RUNNING:
        raise RuleViolation(
            "operation_not_running",
            f"{operation} of {position.unit.serial} is {position.state_of(operation)}.",
            rule="work is started before it is done",
            next_step="Scan the unit to start it."
            if operation in position.open_operations
            else _turn(position),
        )


def require_waiting(position: Position, operation: Operation) -> None:
    """Refuse with ``operation_running`` or ``operation_complete`` when it was started before."""
    state = position.state_of(operation)
    if state != "waiting":
        raise RuleViolation(
            "operation_running" if state == RUNNING else "operation_complete",
            f"{operation} of {position.unit.serial} is {state} already.",
            rule="one live run per operation",
            next_step=_turn(position),
        )


def require_turn(position: Position, operation: Operation) -> None:
    """Refuse with ``operation_out_of_order`` while what comes before is not done."""
    if operation not in position.open_operations:
        raise RuleViolation(
            "operation_out_of_order",
            f"{operation} comes later; to be done first: {_names(position.open_operations)}.",
            rule="operations follow their sequence",
            next_step=_turn(position),
            open_operations=[item.sequence for item in position.open_operations],
        )


def _require_station(ask: Ask) -> None:
    require_work_center(ask.operation, ask.station.work_center if ask.station else ask.operation.work_center)


def _require_read(ask: Ask) -> None:
    code = ask.operation.instruction_code
    instruction = find_instruction(code) if code else None
    if instruction is None or not instruction.must_be_read:
        return
    if not has_read(person=ask.by.person, instruction=instruction):
        raise RuleViolation(
            "instruction_unread",
            f"{ask.by.person or 'Nobody'} has not confirmed reading {instruction}.",
            rule="work instructions are read and understood",
            next_step="Read the instruction beside the step, then scan CMD:READ.",
            instruction=instruction.code,
            version=instruction.version,
        )


def _require_slots(ask: Ask) -> None:
    if not any(gate.rule == Gate.Rule.SLOTS_FILLED for gate in ask.operation.gates.all()):
        return
    names = [place.slot.name for place in places_to_fill(ask.position, ask.operation)]
    if names:
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        raise RuleViolation(
            "slots_empty",
            f"{ask.operation} leaves {len(names)} slot{'s' if len(names) > 1 else ''} empty: {shown}.",
            rule=str(Gate.Rule.SLOTS_FILLED),
            next_step=f"Scan slot {names[0]} and the unit that goes there.",
            slots=names,
        )


START = (
    Rule("person", lambda ask: require_sign_on(ask.by)),
    Rule("unit_usable", lambda ask: require_usable(ask.position.unit)),
    Rule("unit_out", lambda ask: require_out(ask.position.unit)),
    Rule("order_running", lambda ask: require_order_running(ask.position)),
    Rule("work_center", _require_station),
    Rule("not_started", lambda ask: require_waiting(ask.position, ask.operation)),
    Rule("turn", lambda ask: require_turn(ask.position, ask.operation)),
    Rule("qualified", lambda ask: needs.require_qualification(ask.operation, ask.by), (Role.SUPERVISOR,)),
    Rule("instruction_read", _require_read, (Role.LINE_LEAD, Role.SUPERVISOR)),
    Rule("tools", lambda ask: needs.require_tools(ask.operation, ask.station, ask.excused), (Role.QUALITY,)),
    Rule(
        "tests_before",
        lambda ask: needs.require_tests(ask.position.unit, ask.operation, Moment.START, ask.excused),
        (Role.QUALITY,),
    ),
)
COMPLETION = (
    Rule("person", lambda ask: require_sign_on(ask.by)),
    Rule("unit_usable", lambda ask: require_usable(ask.position.unit)),
    Rule("work_center", _require_station),
    Rule("running", lambda ask: require_running(ask.position, ask.operation)),
    Rule("turn", lambda ask: require_turn(ask.position, ask.operation)),
    Rule(
        "qualified",
        lambda ask: needs.require_qualified_worker(ask.position, ask.operation, ask.by),
        (Role.SUPERVISOR,),
    ),
    Rule("nothing_held_inside", lambda ask: require_nothing_held_inside(ask.position.unit)),
    Rule("right_children", lambda ask: require_right_children(ask.position, ask.operation)),
    Rule("slots_filled", _require_slots, (Role.QUALITY,)),
    Rule("people", lambda ask: needs.require_people(ask.position, ask.operation), (Role.SUPERVISOR,)),
    Rule(
        "consumables",
        lambda ask: needs.require_consumables(ask.position, ask.operation, ask.excused),
        (Role.QUALITY,),
    ),
    Rule(
        "values",
        lambda ask: needs.require_values(ask.position, ask.operation, ask.excused),
        (Role.QUALITY,),
    ),
    Rule(
        "tests_passed",
        lambda ask: needs.require_tests(ask.position.unit, ask.operation, Moment.COMPLETE, ask.excused),
        (Role.QUALITY,),
    ),
)
JOIN, REJOIN = "join", "rejoin"
JOINED_BY = {"person", "unit_usable", "work_center", "running", "qualified", "instruction_read"}
LISTED: dict[str, tuple[Rule, ...]] = {Moment.START: START, Moment.COMPLETE: COMPLETION}
BY_NAME = {rule.name: rule for rule in (*COMPLETION, *START)}
JOINED = tuple(rule for name, rule in BY_NAME.items() if name in JOINED_BY)
RULES = {**LISTED, JOIN: JOINED, REJOIN: tuple(rule for rule in JOINED if not rule.releasable_by)}


def find_rule(name: str) -> Rule | None:
    """Return a gate by its name."""
    return BY_NAME.get(name)


def pass_gates(ask: Ask, moment: str) -> list[GateRelease]:
    """Ask every rule of a moment; return the releases that were used up to pass. Refuses as the rules do."""

    def use(gate: str, holds: str) -> GateRelease | None:
        return use_release(unit=ask.position.unit, operation=ask.operation, gate=gate, holds=holds)

    used = []
    for rule in RULES[moment]:
        released, violation = _check(rule, ask, use)
        if violation is not None:
            raise _named(violation, rule) from violation
        used += [release for release, _ in released]
    return used


Released = list[tuple[GateRelease, RuleViolation]]


def _check(
    rule: Rule, ask: Ask, find: Callable[[str, str], GateRelease | None]
) -> tuple[Released, RuleViolation | None]:
    """Ask a rule until nothing but what releases let pass holds the unit; return them, and what else does."""
    released: Released = []
    while True:
        try:
            rule.check(ask)
        except RuleViolation as violation:
            holds = holds_of(violation)
            if holds in ask.excused:
                return released, None
            release = find(rule.name, holds)
            if release is None:
                return released, violation
            released.append((release, violation))
            ask = replace(ask, excused=ask.excused | {holds})
        else:
            return released, None


def list_gates(ask: Ask) -> Iterator[GateState]:
    """Yield every gate of an operation with its state; nothing is used up."""
    live = live_releases(unit=ask.position.unit, operation=ask.operation)
    releases = {(row.gate, row.holds): row for row in live}
    for moment, rules in LISTED.items():
        for rule in rules:
            yield _look(rule, moment, ask, releases)


def _look(rule: Rule, moment: str, ask: Ask, releases: dict[tuple[str, str], GateRelease]) -> GateState:
    roles = [str(role) for role in rule.releasable_by]
    if rule.name == "not_started" and ask.position.state_of(ask.operation) == RUNNING:
        return GateState(rule.name, moment, State.NOT_ASKED, roles)
    released, violation = _check(rule, ask, lambda gate, holds: releases.get((gate, holds)))
    if violation is not None:
        return GateState(rule.name, moment, State.BLOCKED, roles, _named(violation, rule))
    if released:
        release, let_pass = released[0]
        return GateState(rule.name, moment, State.RELEASED, roles, _named(let_pass, rule), release)
    return GateState(rule.name, moment, State.OPEN, roles)


def _named(violation: RuleViolation, rule: Rule) -> RuleViolation:
    """Add which gate refused and who may release it."""
    violation.facts["gate"] = rule.name
    if rule.releasable_by and violation.release == NOBODY:
        violation.release = _who(rule.releasable_by)
    return violation


def _who(roles: tuple[Role, ...]) -> str:
    return f"{' or '.join(role.label for role in roles)}, with a reason and a signature."


def _turn(position: Position) -> str:
    turn = position.open_operations
    places = [f"{operation} at {operation.work_center}" for operation in turn]
    return f"Do {' and '.join(places)}." if turn else "All operations are complete."


def _names(operations: list[Operation]) -> str:
    return " and ".join(str(operation) for operation in operations)
