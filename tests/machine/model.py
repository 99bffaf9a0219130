"""What the floor is expected to look like, in plain Python that knows nothing of the product."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.machine.recipes import RECIPES, REWORK, Recipe, Step

GONE = {"shipped", "scrapped", "returned", "cancelled"}


class Refused(Exception):  # noqa: N818 - the word of the floor
    """The act is refused with one of these codes."""

    def __init__(self, *codes: str) -> None:
        super().__init__(*codes)
        self.codes = set(codes)


def refuse(when: bool, *codes: str) -> None:
    if when:
        raise Refused(*codes)


@dataclass
class Run:
    """The live run of an operation."""

    state: str
    people: set[str]


@dataclass
class Test:
    """A result that still counts, if it is of what is built now."""

    __test__ = False

    procedure: str
    judged_by: str
    built: frozenset[tuple[str, str, str]]
    outcome: str


@dataclass
class Nonconformance:
    unit: str
    symptom: str
    found_at: tuple[str, str]
    opened_by: str
    state: str = "open"


@dataclass
class Hold:
    unit: str
    nonconformance: Nonconformance | None = None
    live: bool = True


@dataclass
class Rework:
    nonconformance: Nonconformance
    returns_to: str
    since: int
    state: str = "running"


@dataclass
class Release:
    unit: str
    revision: str
    code: str
    gate: str
    allowed: int
    used: int = 0


@dataclass
class Change:
    """An engineering change to revision B of a part, for an order or for a unit."""

    part: str
    order: str = ""
    unit: str = ""
    signed: dict[str, str] = field(default_factory=dict)
    state: str = "draft"


@dataclass
class Row:
    """A unit of an order."""

    order: str
    outcome: str = "open"
    live: bool = True


@dataclass
class Order:
    number: str
    part: str
    revision: str
    quantity: int
    state: str = "released"
    before: str = ""
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("finished", "scrapped", "cancelled"), 0)
    )

    @property
    def done(self) -> int:
        return sum(self.counts.values())


@dataclass
class Unit:
    name: str
    part: str
    revision: str = "A"
    state: str = "in_stock"
    rows: list[Row] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    tests: list[Test] = field(default_factory=list)
    reworks: list[Rework] = field(default_factory=list)
    holds: dict[str, str] = field(default_factory=dict)
    inside: dict[str, str] = field(default_factory=dict)
    place: tuple[str, str] | None = None
    emptied: list[tuple[int, str]] = field(default_factory=list)
    workers: set[str] = field(default_factory=set)

    @property
    def row(self) -> Row | None:
        return next((row for row in self.rows if row.live), None)

    @property
    def recipe(self) -> Recipe:
        return RECIPES[self.part, self.revision]

    @property
    def rework(self) -> Rework | None:
        return next((rework for rework in self.reworks if rework.state == "running"), None)

    @property
    def steps(self) -> tuple[Step, ...]:
        return REWORK if self.rework else self.recipe.steps

    def state_of(self, step: Step) -> str:
        run = self.runs.get(step.code)
        return run.state if run else "waiting"

    @property
    def turn(self) -> Step | None:
        """What may be done now: the first operation that is not complete."""
        return next((step for step in self.steps if self.state_of(step) != "complete"), None)

    @property
    def is_busy(self) -> bool:
        return any(run.state == "running" for run in self.runs.values())

    def step(self, sequence: int) -> Step:
        found = next((step for step in self.steps if step.sequence == sequence), None)
        if found is None:
            raise Refused("no_operation")
        return found


@dataclass
class Model:
    """All of the floor."""

    units: dict[str, Unit] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    nonconformances: list[Nonconformance] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    clock: int = 0

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def is_held(self, name: str) -> bool:
        return any(hold.live and hold.unit == name for hold in self.holds)

    def below(self, name: str) -> Iterator[str]:
        for child in self.units[name].inside.values():
            yield child
            yield from self.below(child)

    def root(self, name: str) -> str:
        place = self.units[name].place
        return self.root(place[0]) if place else name

    def built(self, name: str) -> frozenset[tuple[str, str, str]]:
        """What is inside a unit: each place and what is in it."""
        units = [name, *self.below(name)]
        return frozenset(
            (unit, slot, child) for unit in units for slot, child in self.units[unit].inside.items()
        )

    def open_on(self, *names: str) -> list[Nonconformance]:
        return [each for each in self.nonconformances if each.unit in names and each.state != "closed"]

    def misplaced(self, name: str) -> list[str]:
        """Slots that hold what the unit's revision does not take."""
        unit = self.units[name]
        takes = {slot: place.takes for slot, place in unit.recipe.places.items()}
        return [slot for slot, child in unit.inside.items() if takes[slot] != self.units[child].part]

    def order_of(self, name: str) -> Order:
        row = self.require_row(name)
        return self.orders[row.order]

    def require_row(self, name: str) -> Row:
        row = self.units[name].row
        if row is None:
            self.require_here(name)
            raise Refused("no_work_order")
        return row

    def require_here(self, name: str) -> None:
        state = self.units[name].state
        refuse(state in GONE, f"unit_{state}")

    def require_usable(self, name: str) -> None:
        refuse(self.is_held(name), "unit_held")
        self.require_here(name)

    def require_out(self, name: str) -> None:
        refuse(self.units[name].place is not None, "unit_closed")

    def require_nothing_held_inside(self, name: str) -> None:
        """What is inside an installed unit counts for the top unit, as the product asks it."""
        if self.units[name].place is None:
            refuse(any(map(self.is_held, self.below(name))), "child_held")
