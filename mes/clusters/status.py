"""One status of a cluster: its places and racks, what is coming, its acceptance tests, one word with why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from mes.burnin.models import BurnInRun
from mes.errors import RuleViolation
from mes.products.models import Gate, Operation
from mes.products.services import layout_of
from mes.quality.models import Hold, Nonconformance
from mes.racks.models import Installation
from mes.racks.services import configuration_digest, live_children, paths_of
from mes.serials.models import Unit
from mes.testing.models import TestRun
from mes.workorders.models import OrderUnit, WorkOrder
from mes.workorders.services import Position, positions_of

SHOWN = 6


class Word(StrEnum):
    """How a cluster stands, in one word."""

    PLANNED = "planned"
    ASSEMBLING = "assembling"
    TESTING = "testing"
    ACCEPTED = "accepted"
    HELD = "held"
    SHIPPED = "shipped"


HOLDABLE = {Word.PLANNED, Word.ASSEMBLING, Word.TESTING, Word.ACCEPTED}


@dataclass(slots=True)
class RackStanding:
    """A rack of a cluster: where it is on its own route, its last burn-in, and what stops it."""

    unit: Unit
    step: str
    burn_in: str = ""
    holds: list[str] = field(default_factory=list)
    nonconformances: list[str] = field(default_factory=list)

    @property
    def is_stopped(self) -> bool:
        """Return whether something holds it or anything inside it."""
        return bool(self.holds or self.nonconformances)


@dataclass(frozen=True, slots=True)
class PlaceStanding:
    """A place in the rows of a cluster: what it takes, and the rack that stands there, if one does."""

    name: str
    takes: str
    rack: RackStanding | None


@dataclass(frozen=True, slots=True)
class TestStanding:
    """A test that an operation of the cluster's route asks for: passed, failed or open."""

    sequence: int
    operation: str
    procedure: str
    state: str
    test_run: UUID | None


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster as it stands. ``coming`` are racks of its child orders that are not placed yet."""

    unit: Unit
    word: str
    why: str
    order: str
    places: list[PlaceStanding]
    coming: list[RackStanding]
    tests: list[TestStanding]
    holds: list[str]
    nonconformances: list[str]

    @property
    def planned(self) -> int:
        """Return how many places there are."""
        return len(self.places)

    @property
    def filled(self) -> int:
        """Return how many places have their rack."""
        return sum(place.rack is not None for place in self.places)


def status_of(unit: Unit) -> ClusterStatus:
    """Return how a cluster stands. The number of queries does not depend on how many racks there are.

    Refuses with ``not_a_cluster``.
    """
    if unit.level < Unit.CLUSTER_LEVEL:
        raise RuleViolation(
            "not_a_cluster",
            f"{unit.serial} is a {unit.part_revision.part.name}, not a cluster.",
            rule=f"a cluster is a unit of level {Unit.CLUSTER_LEVEL}",
            next_step="Ask for the cluster it stands in.",
        )
    placed = {row.slot_id: row.child for row in live_children(unit=unit)}
    order_unit = OrderUnit.objects.select_related("work_order").filter(unit=unit).order_by("-pk").first()
    coming = _coming(order_unit.work_order, unit) if order_unit else []
    positions = positions_of([unit, *placed.values(), *coming])
    racks = _standings([*placed.values(), *coming], positions)
    own = _note_problems(unit, placed, coming, racks)
    layout = layout_of(unit.part_revision)
    places = [
        PlaceStanding(
            place.slot.name,
            place.wanted,
            racks[placed[place.slot.pk].pk] if place.slot.pk in placed else None,
        )
        for place in layout
    ]
    position = positions.get(unit.pk)
    word, why = _word(unit, position, places, len(coming))
    if word in HOLDABLE and (stops := _stops(own, places)):
        word, why = Word.HELD, f"On hold: {_shown(stops, '; ')}. {why}"
    return ClusterStatus(
        unit=unit,
        word=word,
        why=why,
        order=order_unit.work_order.number if order_unit else "",
        places=places,
        coming=[racks[each.pk] for each in coming],
        tests=_tests(unit, position),
        holds=own.holds,
        nonconformances=own.nonconformances,
    )


def _coming(order: WorkOrder, cluster: Unit) -> list[Unit]:
    """Return the racks that child orders build for a cluster and that stand in no cluster yet."""
    parts = {part for place in layout_of(cluster.part_revision) for part in place.part_ids}
    outcomes = (OrderUnit.Outcome.OPEN, OrderUnit.Outcome.FINISHED)
    rows = OrderUnit.objects.filter(
        work_order__parent=order, outcome__in=outcomes, unit__part_revision__part__in=parts
    )
    free = rows.exclude(unit__in=Installation.objects.live().values("child"))
    return [row.unit for row in free.select_related("unit__part_revision__part").order_by("unit__serial")]


def _standings(racks: Iterable[Unit], positions: Mapping[int, Position]) -> dict[int, RackStanding]:
    found = {rack.pk: RackStanding(rack, _step(rack, positions.get(rack.pk))) for rack in racks}
    runs = BurnInRun.objects.filter(unit__in=found).order_by("pk").values_list("unit_id", "state")
    for unit_id, state in runs:
        found[unit_id].burn_in = state
    return found


def _step(rack: Unit, position: Position | None) -> str:
    """Return in words where a rack is on its own route."""
    if position is None or rack.state not in {Unit.State.PLANNED, Unit.State.IN_WORK}:
        return str(rack.get_state_display())
    done, total = position.steps
    upcoming = position.open_operations
    return f"{done} of {total} done, next {upcoming[0]}" if upcoming else f"{done} of {total} done"


def _note_problems(
    cluster: Unit, placed: Mapping[int, Unit], coming: Sequence[Unit], racks: dict[int, RackStanding]
) -> RackStanding:
    """Write to each rack what is wrong with it or in it; return what is wrong with the cluster itself."""
    roots = [cluster.pk, *(each.pk for each in coming)]
    inside = Installation.objects.live().filter(root__in=roots).values("child")
    about = Q(unit__in=roots) | Q(unit__in=inside)
    holds = Hold.objects.filter(about, released_at__isnull=True).select_related("unit")
    open_ones = Nonconformance.objects.filter(about).exclude(state=Nonconformance.State.CLOSED)
    problems: list[tuple[Unit, str, str]] = [
        *((row.unit, "holds", row.reason) for row in holds.order_by("pk") if row.unit),
        *(
            (row.unit, "nonconformances", f"{row.number}: {row.symptom}")
            for row in open_ones.select_related("unit").order_by("pk")
        ),
    ]
    own = RackStanding(cluster, "")
    ways = paths_of({unit.pk for unit, _, _ in problems})
    layout = layout_of(cluster.part_revision)
    by_place = {each.slot.name: placed[each.slot.pk] for each in layout if each.slot.pk in placed}
    for unit, kind, text in problems:
        way = ways.get(unit.pk)
        rack = unit if unit.pk in racks else None
        if rack is None and way is not None:
            first = way.slots.partition("/")[0]
            rack = by_place.get(first) if way.root_id == cluster.pk else racks[way.root_id].unit
        about_unit = "" if rack is None or unit.pk == rack.pk else f"{unit.serial}: "
        getattr(racks[rack.pk] if rack else own, kind).append(about_unit + text)
    return own


def _tests(unit: Unit, position: Position | None) -> list[TestStanding]:
    operations = position.operations if position else ()
    runs = TestRun.objects.filter(
        unit=unit,
        operation__in=[each.pk for each in operations],
        configuration=configuration_digest(unit),
        superseded_at__isnull=True,
    ).order_by("pk")
    last = {(run.operation_id, run.procedure): run for run in runs}
    asked = {
        (operation, gate.procedure): last.get((operation.pk, gate.procedure))
        for operation in operations
        for gate in operation.gates.all()
        if gate.rule == Gate.Rule.TEST_PASSED
    }
    return [_test_standing(operation, procedure, run) for (operation, procedure), run in asked.items()]


def _test_standing(operation: Operation, procedure: str, run: TestRun | None) -> TestStanding:
    state = "open"
    if run is not None:
        state = "passed" if run.outcome == TestRun.Outcome.PASS else "failed"
    return TestStanding(operation.sequence, operation.name, procedure, state, run.uid if run else None)


def _word(
    unit: Unit, position: Position | None, places: Sequence[PlaceStanding], coming: int
) -> tuple[str, str]:
    empty = [place.name for place in places if place.rack is None]
    if unit.state == Unit.State.SHIPPED:
        at = timezone.localtime(unit.shipped_at).strftime("%Y-%m-%d") if unit.shipped_at else ""
        return Word.SHIPPED, f"Handed over to {unit.shipped_to} on {at}."
    if unit.state in Unit.GONE or position is None:
        return unit.state, f"It is {unit.get_state_display().lower()}; no order builds it."
    done, total = position.steps
    if unit.state == Unit.State.FINISHED:
        return Word.ACCEPTED, f"All {total} operations of its route are done."
    if not position.runs and len(empty) == len(places):
        return Word.PLANNED, f"No rack is placed; {coming} of {len(places)} racks are on order."
    if empty:
        filled = f"{len(places) - len(empty)} of {len(places)} places filled"
        return Word.ASSEMBLING, f"{filled}; empty: {_shown(empty, ', ')}."
    left = ", ".join(str(operation) for operation in position.operations if not position.is_done(operation))
    return Word.TESTING, f"All racks are placed; {done} of {total} operations done, left: {left}."


def _stops(own: RackStanding, places: Sequence[PlaceStanding]) -> list[str]:
    """Return the holds of a cluster, then those of what is placed in it by place."""
    placed = [(place.name, text) for place in places if place.rack for text in place.rack.holds]
    return [*own.holds, *(f"{name}: {text}" for name, text in placed)]


def _shown(texts: Sequence[str], between: str) -> str:
    more = len(texts) - SHOWN
    return between.join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")
