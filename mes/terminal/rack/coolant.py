"""The liquid cooling record of a unit as a page: the state of its loop first, then what was recorded."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse

from mes.cooling.models import CoolantStep, Coupling, LeakSensorExercise, LeakTest
from mes.cooling.services import CurveDrawing, Loop, LoopState, ResultState, Standing, draw_curve, read_loop
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.terminal.rack.access import unit_page
from mes.terminal.rack.page import bounds, unit_response

SHOWN, DRAWN = 20, 3
WORDS = {
    LoopState.DRY: "Dry",
    LoopState.LEAK_TESTED: "Dry, leak-tested",
    LoopState.FILLED: "Filled",
    LoopState.DRAINED: "Drained",
    LoopState.CHARGED: "Charged with nitrogen",
}
MARKS = {
    ResultState.PASSED: "✓ passed",
    ResultState.FAILED: "✕ failed",
    ResultState.REOPENED: "▶ to be repeated",
    ResultState.MISSING: "– not done",
}
OUTCOMES = {"PASS": "✓ PASS", "FAIL": "✕ FAIL", "RETEST": "▶ RETEST"}


@dataclass(frozen=True, slots=True)
class StandingRow:
    """A procedure and how its last result stands, in words."""

    standing: Standing

    @property
    def name(self) -> str:
        """Return the procedure in words."""
        return self.standing.procedure.replace("_", " ").capitalize()

    @property
    def word(self) -> str:
        """Return mark and word of the state."""
        return MARKS[self.standing.state]

    @property
    def is_alarm(self) -> bool:
        """Return whether something is wrong, not just open."""
        return self.standing.state == ResultState.FAILED


@dataclass(frozen=True, slots=True)
class TestRow:
    """A leak test, and its curve if it is drawn."""

    test: LeakTest
    drawing: CurveDrawing | None

    @property
    def word(self) -> str:
        """Return mark and word of the verdict, and whether it still counts."""
        return outcome_word(self.test)

    @property
    def limits(self) -> str:
        """Return the limit that judged it, in words, with its route."""
        run = self.test.test_run
        judged = [row for row in run.measurements.all() if row.verdict != "NONE"]
        limits = [f"{row.name.replace('_', ' ')} {bounds(row.low, row.high)} {row.unit}" for row in judged]
        route = f" ({run.operation.route}, operation {run.operation.sequence})" if run.operation else ""
        return f"{', '.join(limits)}{route}" if limits else ""


def outcome_word(row: LeakTest | LeakSensorExercise | CoolantStep) -> str:
    """Return mark and word of the verdict of a record; one that counts no more says so."""
    run = row.test_run
    word = OUTCOMES.get(run.outcome, f"✕ {run.outcome}")
    return f"{word}, no longer counts" if run.superseded_at else word


@unit_page
def coolant(request: HttpRequest, unit: Unit) -> HttpResponse:
    """Show the state of a unit's loop, what is open and why, and its record."""
    loop = read_loop(unit)
    return unit_response(
        request,
        unit,
        "terminal/rack/coolant.html",
        state=WORDS[loop.state],
        loop=loop,
        next_open=_next_open(loop),
        standings=[StandingRow(each) for each in loop.standings.values()],
        tests=list(_tests(unit)),
        exercises=[(row, outcome_word(row)) for row in _exercises(unit)],
        steps=[(row, outcome_word(row)) for row in _steps(unit)],
        couplings=_couplings(unit),
    )


def _next_open(loop: Loop) -> str:
    names = [row.name for row in map(StandingRow, loop.standings.values()) if not row.word.startswith("✓")]
    return ", ".join(names).lower()


def _tests(unit: Unit) -> Iterable[TestRow]:
    """Yield the latest leak tests, newest first; the first few with their curve. Three queries."""
    rows = LeakTest.objects.filter(unit=unit).select_related(
        "instrument", "calibration", "test_run__operation__route"
    )
    shown = rows.defer("curve").prefetch_related("test_run__measurements").order_by("-pk")[:SHOWN]
    curves = {test.pk: test for test in LeakTest.objects.filter(unit=unit).order_by("-pk")[:DRAWN]}
    for test in shown:
        yield TestRow(test, draw_curve(curves[test.pk]) if test.pk in curves else None)


def _exercises(unit: Unit) -> Iterable[LeakSensorExercise]:
    rows = LeakSensorExercise.objects.filter(unit=unit).select_related("test_run")
    return rows.prefetch_related("results").order_by("-pk")[:SHOWN]


def _steps(unit: Unit) -> Iterable[CoolantStep]:
    rows = CoolantStep.objects.filter(unit=unit).select_related("test_run", "lot")
    return rows.prefetch_related("branches", "readings").order_by("-pk")[:SHOWN]


def _couplings(unit: Unit) -> list[Coupling]:
    """Return the couplings on a unit and on what is inside it."""
    inside = Installation.objects.live().filter(root=unit).values_list("child", flat=True)
    fitted = Coupling.objects.filter(removed_at__isnull=True, manifold__in=[unit.pk, *inside])
    return list(fitted.select_related("type", "manifold").order_by("manifold", "place"))
