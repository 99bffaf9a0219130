"""Acts that are chosen because they are likely to be done, so that sequences get far."""

from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.machine import acts
from tests.machine.model import Unit
from tests.machine.office import OfficeFloor
from tests.machine.recipes import BUILT, RACKS

T = TypeVar("T")
picks = st.integers(0, 23)
ranks = st.integers(0, 3)


def chosen(pick: int, among: list[T]) -> list[T]:
    """Return one of them in a list, or none."""
    return [among[pick % len(among)]] if among else []


class LikelyFloor(OfficeFloor):
    """The floor, with good choices among the random ones."""

    @property
    def open_units(self) -> list[Unit]:
        """Units that may be worked on: of an order, here, and not installed."""
        return [unit for unit in self.model.units.values() if unit.row and unit.place is None]

    @rule(pick=picks)
    def take_something_out(self, pick: int) -> None:
        filled = [(unit.name, slot) for unit in self.open_units for slot in unit.inside]
        for name, slot in chosen(pick, filled):
            self.remove(name, slot, "builder")

    @rule(pick=picks, rank=ranks)
    def swap_something(self, pick: int, rank: int) -> None:
        filled = [(unit, slot) for unit in self.open_units for slot in unit.inside]
        for unit, slot in chosen(pick, filled):
            part = unit.recipe.places[slot].takes
            ready = [
                each.name for each in self.model.units.values() if each.part == part and self.is_ready(each)
            ]
            for child in chosen(rank, ready):
                self.swap(unit.name, slot, child, "REPAIR" if unit.rework else "BUILD", "builder")

    @rule(pick=picks, kind=st.sampled_from(("wet_break", "power_break")))
    def open_something(self, pick: int, kind: str) -> None:
        for unit in chosen(pick, [unit for unit in self.open_units if len(unit.runs) > 1]):
            self.break_open(unit.name, kind, "T0" if unit.part == "rack" else "")

    @rule(pick=picks, allowed=st.sampled_from((1, 1, 2)), is_used=st.booleans())
    def let_something_pass(self, pick: int, allowed: int, is_used: bool) -> None:
        """Release a gate that holds a running operation, and mostly pass it."""
        asked = (("slots_filled", acts.slots_problem), ("tests_passed", acts.tests_problem))
        held = [
            (unit.name, step, gate)
            for unit in self.open_units
            for step in unit.steps
            for gate, problem in asked
            if step == unit.turn and problem(self.model, unit.name, step)
        ]
        for name, step, gate in chosen(pick, held):
            self.release_gate(name, step.sequence, gate, "quality", allowed)
            if is_used:
                if self.model.units[name].state_of(step) == "waiting":
                    self.begin(name, step.sequence, step.center, "builder")
                self.finish(name, step.sequence, step.center, "builder")

    @rule(pick=picks)
    def fail_a_test(self, pick: int) -> None:
        for name in chosen(pick, [unit.name for unit in self.open_units]):
            self.test(name, "leak" if name in RACKS else "func", "FAIL", "builder")

    @rule(
        pick=picks,
        kind=st.sampled_from(("rework", "rework", "use_as_is", "scrap")),
        returns_to=st.sampled_from((10, 20)),
        agreed=st.booleans(),
    )
    def decide_something(self, pick: int, kind: str, returns_to: int, agreed: bool) -> None:
        if not any(each.state == "open" for each in self.model.nonconformances):
            for unit in chosen(pick, self.open_units):
                self.find_fault(unit.name, "builder")
        waiting = [at for at, each in enumerate(self.model.nonconformances) if each.state == "open"]
        for number in chosen(pick, waiting):
            self.decide(number, kind, "board", "quality" if agreed else "", returns_to)

    @rule(pick=picks)
    def hold_twice(self, pick: int) -> None:
        name = BUILT[pick % len(BUILT)]
        self.hold(name)
        self.hold(name)

    @rule(pick=picks)
    def release_something(self, pick: int) -> None:
        waiting = [each for each in self.model.nonconformances if each.state == "open"]
        live = [at for at, each in enumerate(self.model.holds) if each.live]
        free = [at for at in live if self.model.holds[at].nonconformance not in waiting]
        for number in chosen(pick, free):
            self.release(number)

    @rule(pick=picks)
    def finish_something(self, pick: int) -> None:
        """Do all that is left on a unit, as far as it goes."""
        for unit in chosen(pick, [unit for unit in self.open_units if unit.turn]):
            for _ in range(6):
                self.next_step(unit.name, "builder")

    @rule(pick=picks)
    def ship_something(self, pick: int) -> None:
        for unit in chosen(pick, [unit for unit in self.open_units if unit.state == "finished"]):
            self.ship(unit.name, "customer")
