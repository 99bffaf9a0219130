"""How a unit stands in electrical safety: each kind of test, all that was recorded, and who is at it now."""

from dataclasses import dataclass

from mes.electrical.hipots import foreign_inside
from mes.electrical.models import HipotSession, SafetyPlan, SafetyTest
from mes.electrical.readings import planned_points
from mes.electrical.recording import plan_of
from mes.racks.services import configuration_digest, paths_of
from mes.serials.models import Unit
from mes.testing.models import TestRun


@dataclass(frozen=True, slots=True)
class KindStanding:
    """How a unit stands in one kind of test: the words, whether it is alarming, the test that counts."""

    kind: SafetyTest.Kind
    word: str
    is_wrong: bool
    test: SafetyTest | None
    points: list[str]


@dataclass(frozen=True, slots=True)
class InTheWay:
    """Something inside a unit that comes out before a hipot, and the slots from the topmost unit down."""

    unit: Unit
    slots: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything about the electrical safety of a unit, newest first."""

    plan: SafetyPlan | None
    live: HipotSession | None
    kinds: list[KindStanding]
    tests: list[SafetyTest]
    sessions: list[HipotSession]
    in_the_way: list[InTheWay]


def overview_of(unit: Unit) -> Overview:
    """Return how a unit stands in electrical safety. Seven queries, however much was recorded."""
    rows = SafetyTest.objects.filter(unit=unit).select_related("tool", "test_run", "session")
    tests = list(rows.prefetch_related("points").order_by("-pk"))
    sessions = list(HipotSession.objects.filter(unit=unit).select_related("tool").order_by("-pk"))
    plan, built = plan_of(unit), configuration_digest(unit)
    inside = list(foreign_inside(unit, plan))
    where = paths_of([each.pk for each in inside])
    return Overview(
        plan=plan,
        live=next((each for each in sessions if each.state == HipotSession.State.LIVE), None),
        kinds=[_standing(kind, tests, plan, built) for kind in SafetyTest.Kind],
        tests=tests,
        sessions=sessions,
        in_the_way=[InTheWay(each, where[each.pk].slots) for each in inside],
    )


def _standing(
    kind: SafetyTest.Kind, tests: list[SafetyTest], plan: SafetyPlan | None, built: str
) -> KindStanding:
    points = planned_points(kind, plan)
    last = next((test for test in tests if test.kind == kind), None)
    if last is None:
        return KindStanding(kind, "– not tested", False, None, points)
    if last.test_run.superseded_at is not None:
        return KindStanding(kind, "▶ to be repeated", False, last, points)
    if last.test_run.outcome != TestRun.Outcome.PASS:
        return KindStanding(kind, "✕ failed", True, last, points)
    if last.test_run.configuration != built:
        return KindStanding(kind, "✓ passed, before it was changed inside", False, last, points)
    return KindStanding(kind, "✓ passed", False, last, points)
