"""What is built against what was designed: every slot of a unit, at any depth, and the state it is in.

The design is that of the revision each unit is built to; released revisions are kept in the process. What is
read from the database is the same few tables for a tray and for a full rack: see ``DesignFacts``.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from django.db.models import TextChoices

from mes.products.models import PartRevision, Slot
from mes.products.services import Loose, Place
from mes.racks.models import Installation
from mes.racks.services import AsBuilt, as_built_of, configurations_of, takes
from mes.serials.models import Unit
from mes.testing.services import FAIL, PASS, outcomes_of
from mes.workorders.design_facts import DesignFacts, by_slot, read_facts


class SlotState(TextChoices):
    """How a slot stands against the design, the worst first."""

    WRONG = "wrong", "holds what the design does not take"
    EXTRA = "extra", "holds something, but the design has no such slot"
    MISSING = "missing", "empty, although nothing is to come that fills it"
    DEVIATION = "deviation", "holds another part, which an approved deviation permits"
    EXPECTED = "expected", "empty, and the operation that fills it is to come"
    INSTALLED = "installed", "as designed"


class Verdict(TextChoices):
    """What a comparison comes to."""

    DIFFERENT = "different", "something is wrong, extra or missing"
    UNFINISHED = "unfinished", "nothing is wrong, but slots are still to be filled"
    DEVIATING = "as_designed_with_deviations"
    AS_DESIGNED = "as_designed"


class Tested(StrEnum):
    """What the live tests of a unit, as it is built, come to."""

    PASSED = "passed"
    FAILED = "failed"


DIFFERENT = (SlotState.WRONG, SlotState.EXTRA, SlotState.MISSING)


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A slot of a unit, or a quantity of its bill of material that has no slot, against what is in it.

    ``path`` are the slots from the compared unit down; ``wanted`` is what belongs here, in words; ``place``
    is None where the design has no such slot, ``placement`` where nothing is in it; ``why`` says what is not
    as designed; ``tested`` is empty where no live test says anything.
    """

    parent: Unit
    path: str
    state: SlotState
    wanted: str
    place: Place | None = None
    placement: Installation | None = None
    why: str = ""
    deviation: str = ""
    tested: str = ""

    @property
    def slot(self) -> Slot | None:
        """Return the slot, of the design or, for what is extra, of an earlier one; None for a quantity."""
        if self.place is not None:
            return self.place.slot
        return self.placement.slot if self.placement else None

    @property
    def child(self) -> Unit | None:
        """Return what is in it."""
        return self.placement.child if self.placement else None

    @property
    def held(self) -> bool:
        """Return whether what is in it is on hold."""
        return self.child is not None and self.child.held

    @property
    def is_direct(self) -> bool:
        """Return whether the slot is one of the compared unit itself."""
        return "/" not in self.path


@dataclass(frozen=True, slots=True)
class Comparison:
    """A unit against its design, now or at a time: its slots from the top down, in filling order."""

    unit: Unit
    revision: PartRevision
    at: datetime | None
    rows: list[SlotRow]

    @property
    def counts(self) -> dict[str, int]:
        """Return how many slots are in each state."""
        found = Counter(row.state for row in self.rows)
        return {state.value: found[state] for state in SlotState}

    @property
    def verdict(self) -> Verdict:
        """Return what it comes to; the worst counts."""
        states = {row.state for row in self.rows}
        if states & set(DIFFERENT):
            return Verdict.DIFFERENT
        if SlotState.EXPECTED in states:
            return Verdict.UNFINISHED
        return Verdict.DEVIATING if SlotState.DEVIATION in states else Verdict.AS_DESIGNED

    @property
    def as_designed(self) -> bool:
        """Return whether every slot holds what the design takes, or what a deviation permits."""
        return self.verdict in {Verdict.AS_DESIGNED, Verdict.DEVIATING}

    @property
    def differences(self) -> list[SlotRow]:
        """Return what is wrong, extra or missing, in this order."""
        return self.only(*DIFFERENT)

    def only(self, *states: SlotState) -> list[SlotRow]:
        """Return the rows in some states, sorted by them."""
        return [row for state in states for row in self.rows if row.state == state]


def compare_with_design(*, unit: Unit, at: datetime | None = None) -> Comparison:
    """Return a unit and everything in it against the design, with what live tests say. At most five queries.

    Tree, open orders, live runs, deviations and tests: one query each, and only those that are needed. With
    ``at`` it is what was built, done, permitted and tested then, against the revision whose slots were used
    then (one query more where that is another than today's); what is on hold is told as of today.
    """
    (tree,) = as_built_of([unit], at=at)
    (comparison,) = _compare([tree], at)
    outcomes = outcomes_of(configurations_of(tree), at)
    said = {pk: _tested(set(found.values())) for pk, found in outcomes.items()}
    rows = [replace(row, tested=said.get(row.child.pk, "")) if row.child else row for row in comparison.rows]
    return replace(comparison, rows=rows)


def compare_units(*, units: Collection[Unit], at: datetime | None = None) -> list[Comparison]:
    """Return units against their designs, without what tests say. As many queries for one as for all."""
    return _compare(as_built_of(units, at=at), at)


def _compare(trees: list[AsBuilt], at: datetime | None) -> list[Comparison]:
    facts = read_facts(trees, at)
    return [
        Comparison(tree.unit, facts.revision_of(tree), at, list(_rows(tree, "", facts))) for tree in trees
    ]


def _tested(outcomes: set[str]) -> str:
    if FAIL in outcomes:
        return Tested.FAILED
    return Tested.PASSED if outcomes == {PASS} else ""


def _rows(node: AsBuilt, path: str, facts: DesignFacts) -> Iterator[SlotRow]:
    """Yield the slots of a unit and, below each, those of what is in it; then what is left over."""
    design = facts.design_of(node)
    inside = by_slot(node)
    for place in design.places:
        here, child = _join(path, place.slot.name), inside.pop(place.slot.pk, None)
        yield _filled(node, here, place, child, facts) if child else _empty(node, here, place, facts)
        if child:
            yield from _rows(child, here, facts)
    for child in inside.values():
        here = _join(path, child.slot)
        why = f"{facts.revision_of(node)} has no slot {child.slot}"
        yield SlotRow(node.unit, here, SlotState.EXTRA, "", None, child.placement, why)
        yield from _rows(child, here, facts)
    for loose in design.loose:
        yield _loose(node, path, loose, facts)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _filled(node: AsBuilt, path: str, place: Place, child: AsBuilt, facts: DesignFacts) -> SlotRow:
    row = SlotRow(node.unit, path, SlotState.INSTALLED, place.wanted, place, child.placement)
    held = facts.revision_of(child)
    if takes(place, held):
        return row
    why = f"takes {_wanted(place, held)}, holds {held}"
    number = facts.permitted_by(node, child, place)
    if number:
        return replace(row, state=SlotState.DEVIATION, why=f"{why}, permitted by {number}", deviation=number)
    return replace(row, state=SlotState.WRONG, why=why)


def _wanted(place: Place, held: PartRevision) -> str:
    """Return what a slot takes; where only the revision differs, the revisions."""
    if held.part_id not in place.part_ids:
        return place.wanted
    return f"revision {', '.join(place.revisions[held.part_id])} of {held.part}"


def _empty(node: AsBuilt, path: str, place: Place, facts: DesignFacts) -> SlotRow:
    coming = facts.filling(node, place)
    state = SlotState.EXPECTED if coming else SlotState.MISSING
    why = f"filled at {coming}" if coming else facts.why_nothing_comes(node, place.slot.filled_at)
    return SlotRow(node.unit, path, state, place.wanted, place, why=why)


def _loose(node: AsBuilt, path: str, loose: Loose, facts: DesignFacts) -> SlotRow:
    """Return a quantity without slots, which is built in when the work records that much as used up."""
    used, coming = facts.used_up(node, loose.part), facts.using(node, loose.part)
    wanted = f"{loose.quantity} × {loose.part.name}"
    if used >= loose.quantity:
        state, why = SlotState.INSTALLED, f"{used.normalize():f} recorded as used"
    else:
        state = SlotState.EXPECTED if coming else SlotState.MISSING
        why = f"{used.normalize():f} of {loose.quantity} recorded as used"
    return SlotRow(node.unit, _join(path, loose.part.number), state, wanted, why=why)
