"""The machine: random acts, good and bad, done on the product and on the model, and compared after each."""

import copy
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mes.errors import RuleViolation
from mes.ledger.verification import verify_ledger
from mes.workorders import services
from tests.machine import acts, facts
from tests.machine.model import Model, Refused, Unit
from tests.machine.recipes import BUILT, CENTERS, SLOTS, SPARES, TRAYS, UNITS
from tests.machine.world import World, result_of

SEQUENCES = (5, 10, 20, 30, 99)
PROCEDURES = ("func", "leak", "power")
OUTCOMES = ("PASS", "PASS", "FAIL", "RETEST")
GATES = ("slots_filled", "tests_passed", "turn", "leave_me_alone")

units = st.sampled_from(UNITS)
built = st.sampled_from(BUILT)
slots = st.sampled_from(SLOTS)
centers = st.sampled_from(CENTERS)
sequences = st.sampled_from(SEQUENCES)
workers = st.sampled_from(("builder", "builder", "builder", "quality"))


class Floor(RuleBasedStateMachine):
    """Every act is predicted by the model: done, or refused with a code; then both must look the same."""

    world: ClassVar[World]
    start: ClassVar[Model]
    known: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.model = _copy(self.start)
        self.here = copy.copy(self.world)
        self.here.orders = dict(self.world.orders)
        self.versions = dict(self.known)
        self.shipped: int | None = None
        self.sandbox = transaction.atomic()
        self.sandbox.__enter__()

    @classmethod
    def grow(cls, world: World, model: Model) -> None:
        """Start from a rack that waits for its last test, four tested trays, and one half built."""
        cls.world, cls.start, cls.known = world, model, {}
        machine = cls()
        for name in (*TRAYS[:4], "R1"):
            while (step := machine.model.units[name].turn) and step.procedure != "power":
                machine.next_step(name, "builder")
        for _ in range(3):
            machine.next_step(TRAYS[4], "builder")
        machine.the_floor_is_as_expected()
        machine.sandbox.__exit__(None, None, None)
        cls.start, cls.known = machine.model, machine.versions

    def teardown(self) -> None:
        """Walk the whole ledger once, then undo everything."""
        try:
            verification = verify_ledger()
            assert verification.intact, verification.faults
        finally:
            transaction.set_rollback(True)
            self.sandbox.__exit__(None, None, None)

    def act(self, predict: Callable[[Model], None], do: Callable[[], Any]) -> Any:
        """Ask the model what must happen, let the product do it, and compare the answers."""
        wanted: set[str] = set()
        model = _copy(self.model)
        try:
            predict(model)
            self.model = model
        except Refused as refused:
            wanted = refused.codes
        try:
            with transaction.atomic():
                answer = do()
        except RuleViolation as violation:
            assert violation.code in wanted, (
                f"{violation.code}: {violation.detail}; expected {wanted or 'no refusal'}"
            )
            return None
        assert not wanted, f"done, although it had to be refused with {wanted}"
        return answer

    @invariant()
    def the_floor_is_as_expected(self) -> None:
        reading = facts.read(self.here)
        seen, wanted = facts.found(reading), facts.expected(self.model)
        assert seen == wanted, _difference(seen, wanted)
        facts.check_structure(reading)
        facts.check_states(reading)
        facts.check_counts(reading)
        touched = self._touched([*reading.units, *reading.orders, *reading.nonconformances])
        facts.check_chains(touched)
        facts.check_superseded(reading, touched)
        if self.shipped is not None:
            facts.check_shipping(reading, self.shipped)
            self.shipped = None

    def _touched(self, rows: list[facts.Tracked]) -> list[facts.Tracked]:
        touched = [row for row in rows if self.versions.get(row.stream) != row.version]
        self.versions.update({row.stream: row.version for row in touched})
        return touched

    # Work on a unit

    @rule(name=built, sequence=sequences, center=centers, who=workers)
    def start_any(self, name: str, sequence: int, center: str, who: str) -> None:
        self.begin(name, sequence, center, who)

    @rule(name=built, sequence=sequences, center=centers, who=workers)
    def complete_any(self, name: str, sequence: int, center: str, who: str) -> None:
        self.finish(name, sequence, center, who)

    @rule(name=built, who=workers, steps=st.integers(1, 4))
    def work_on(self, name: str, who: str, steps: int) -> None:
        """Do what is next on a unit, a few times."""
        for _ in range(steps):
            self.next_step(name, who)

    def next_step(self, name: str, who: str) -> None:
        unit = self.model.units[name]
        step = unit.turn if unit.row else None
        if step is None:
            return
        if unit.state_of(step) == "waiting":
            self.begin(name, step.sequence, step.center, who)
        elif step.fills and (wrong := self.model.misplaced(name)):
            self.remove(name, wrong[0], who)
        elif step.fills and (missing := [slot for slot in unit.recipe.places if slot not in unit.inside]):
            self.fill(name, missing[0], step.center, who)
        elif acts.tests_problem(self.model, name, step) == "test_missing":
            self.test(name, step.procedure, "PASS", who)
        else:
            self.finish(name, step.sequence, step.center, who)

    def fill(self, name: str, slot: str, center: str, who: str) -> None:
        part = self.model.units[name].recipe.places[slot].takes
        fitting = [each for each in self.model.units.values() if each.part == part and self.is_ready(each)]
        if fitting:
            self.put(name, slot, fitting[0].name, center, who)

    def is_ready(self, unit: Unit) -> bool:
        return (
            unit.state in {"in_stock", "finished"}
            and unit.place is None
            and not self.model.is_held(unit.name)
        )

    def begin(self, name: str, sequence: int, center: str, who: str) -> None:
        by, station = self.here.actor(who, center), self.here.stations[center]
        self.act(
            lambda model: acts.start(model, name, sequence, center, who),
            lambda: services.start_operation(
                unit=self.here.unit(name), sequence=sequence, station=station, by=by
            ),
        )

    def finish(self, name: str, sequence: int, center: str, who: str) -> None:
        by, station = self.here.actor(who, center), self.here.stations[center]
        self.act(
            lambda model: acts.complete(model, name, sequence, center, who),
            lambda: services.complete_operation(
                unit=self.here.unit(name), sequence=sequence, station=station, by=by
            ),
        )

    @rule(name=built, slot=slots, child=units, center=centers, who=workers)
    def install_any(self, name: str, slot: str, child: str, center: str, who: str) -> None:
        self.put(name, slot, child, center, who)

    def put(self, name: str, slot: str, child: str, center: str, who: str) -> None:
        self.act(
            lambda model: acts.install(model, name, slot, child, center, who),
            lambda: services.install_child(
                unit=self.here.unit(name),
                slot_name=slot,
                child=self.here.unit(child),
                station=self.here.stations[center],
                by=self.here.actor(who, center),
            ),
        )

    @rule(name=st.sampled_from((*BUILT, "gpu1")), slot=slots, who=workers)
    def remove_any(self, name: str, slot: str, who: str) -> None:
        self.remove(name, slot, who)

    def remove(self, name: str, slot: str, who: str) -> None:
        self.act(
            lambda model: acts.remove(model, name, slot),
            lambda: services.remove_child(
                unit=self.here.unit(name), slot_name=slot, reason="random", by=self.here.actor(who)
            ),
        )

    @rule(name=built, slot=slots, child=st.sampled_from((*TRAYS, *SPARES)), center=centers, who=workers)
    def swap_any(self, name: str, slot: str, child: str, center: str, who: str) -> None:
        self.swap(name, slot, child, center, who)

    def swap(self, name: str, slot: str, child: str, center: str, who: str) -> None:
        self.act(
            lambda model: acts.replace(model, name, slot, child, center, who),
            lambda: services.replace_child(
                unit=self.here.unit(name),
                slot_name=slot,
                child=self.here.unit(child),
                reason="random",
                station=self.here.stations[center],
                by=self.here.actor(who, center),
            ),
        )

    @rule(name=units, procedure=st.sampled_from(PROCEDURES), outcome=st.sampled_from(OUTCOMES), who=workers)
    def test_any(self, name: str, procedure: str, outcome: str, who: str) -> None:
        self.test(name, procedure, outcome, who)

    def test(self, name: str, procedure: str, outcome: str, who: str) -> None:
        result = result_of(procedure, outcome)
        self.act(
            lambda model: acts.report_test(model, name, procedure, outcome, who),
            lambda: services.report_test(unit=self.here.unit(name), result=result, by=self.here.actor(who)),
        )

    @rule(
        name=built, kind=st.sampled_from(("wet_break", "power_break")), slot=st.sampled_from(("", *SLOTS[:4]))
    )
    def break_open_any(self, name: str, kind: str, slot: str) -> None:
        self.break_open(name, kind, slot)

    def break_open(self, name: str, kind: str, slot: str) -> None:
        self.act(
            lambda model: acts.break_open(model, name, kind, slot),
            lambda: services.record_break(
                unit=self.here.unit(name),
                kind=kind,
                reason="random",
                slot_name=slot,
                by=self.here.actor("builder"),
            ),
        )

    @rule(
        name=built,
        sequence=sequences,
        gate=st.sampled_from(GATES),
        signer=st.sampled_from(("quality", "quality", "board")),
        allowed=st.sampled_from((1, 1, 2, 9)),
    )
    def release_gate_any(self, name: str, sequence: int, gate: str, signer: str, allowed: int) -> None:
        self.release_gate(name, sequence, gate, signer, allowed)

    def release_gate(self, name: str, sequence: int, gate: str, signer: str, allowed: int) -> None:
        self.act(
            lambda model: acts.release_gate(model, name, sequence, gate, signer, allowed),
            lambda: services.release_gate(
                unit=self.here.unit(name),
                sequence=sequence,
                gate=gate,
                reason="random",
                proof=self.here.proof(signer),
                by=self.here.actor(signer),
                allowed=allowed,
            ),
        )


def _copy(model: Model) -> Model:
    """A copy through pickle takes a tenth of the time of a deep copy."""
    copied: Model = pickle.loads(pickle.dumps(model))
    return copied


def _difference(seen: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Say where database and model differ."""
    lines = []
    for topic, value in wanted.items():
        found = seen[topic]
        if isinstance(value, dict):
            keys = [key for key in {**value, **found} if found.get(key) != value.get(key)]
            lines += [f"{key}: is {found.get(key)}, expected {value.get(key)}" for key in keys]
        elif found != value:
            lines.append(f"{topic}: is {found}, expected {value}")
    return "\n".join(lines)
