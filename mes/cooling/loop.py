"""How a unit's cooling loop stands: what its facts say, and what must come first."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mes.cooling.models import CoolantStep, LeakTest
from mes.errors import RuleViolation
from mes.serials.models import Unit
from mes.testing.models import TestRun

RACK_LEVEL = 11  # L11: tested rack; below it trays and what goes into them
SENSORS = "leak_sensors"
Kind = CoolantStep.Kind
PASS = TestRun.Outcome.PASS
RULE = "each step of the cooling loop follows those before it"


class LoopState(StrEnum):
    """What is in the loop."""

    DRY = "dry"
    LEAK_TESTED = "leak_tested"
    FILLED = "filled"
    DRAINED = "drained"
    CHARGED = "charged"


class ResultState(StrEnum):
    """How the last result of a procedure stands."""

    PASSED = "passed"
    FAILED = "failed"
    REOPENED = "reopened"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Standing:
    """The last result of a procedure on a unit, if there is one, and whether it still counts."""

    procedure: str
    run: TestRun | None

    @property
    def state(self) -> ResultState:
        """Return how it stands."""
        if self.run is None:
            return ResultState.MISSING
        if self.run.superseded_at is not None:
            return ResultState.REOPENED
        return ResultState.PASSED if self.run.outcome == PASS else ResultState.FAILED

    @property
    def why(self) -> str:
        """Return in words why it does not count; empty when it does."""
        if self.run is None:
            return "not done yet"
        if self.state == ResultState.REOPENED:
            return self.run.superseded_because
        return "" if self.state == ResultState.PASSED else " ".join(self.run.reasons) or self.run.outcome


@dataclass(frozen=True, slots=True)
class Loop:
    """A unit's loop: its standings in the order of the steps, and its last fill, if there was one."""

    standings: Mapping[str, Standing]
    last_fill: CoolantStep | None
    leak_procedure: str

    @property
    def open_fill(self) -> CoolantStep | None:
        """Return the fill that is in the loop now."""
        return self.last_fill if self.last_fill and self.last_fill.drained_at is None else None

    @property
    def state(self) -> LoopState:
        """Return what is in the loop: the last fill, unless it was drained."""
        if self.open_fill:
            return LoopState.FILLED
        if self.has_passed(Kind.NITROGEN_CHARGE):
            return LoopState.CHARGED
        if self.last_fill:
            return LoopState.DRAINED
        return LoopState.LEAK_TESTED if self.has_passed(self.leak_procedure) else LoopState.DRY

    def has_passed(self, procedure: str) -> bool:
        """Return whether the last result of a procedure counts and is a PASS."""
        return self.standings[procedure].state == ResultState.PASSED


def leak_procedure_of(unit: Unit) -> str:
    """Return the leak test of a unit: that of racks from L11 on, else that of trays and their parts."""
    return LeakTest.Scope.RACK if unit.level >= RACK_LEVEL else LeakTest.Scope.TRAY


def read_loop(unit: Unit) -> Loop:
    """Return how a unit's loop stands. Two queries."""
    leak = str(leak_procedure_of(unit))
    procedures = [leak, SENSORS, *(str(kind) for kind in Kind)]
    rows = TestRun.objects.filter(unit=unit, procedure__in=procedures).select_related("operation")
    runs = {run.procedure: run for run in rows.defer("details").order_by("id")}
    standings = {name: Standing(name, runs.get(name)) for name in procedures}
    fills = CoolantStep.objects.filter(unit=unit, kind=Kind.FILL).select_related("lot__part", "test_run")
    return Loop(standings, fills.order_by("-id").first(), leak)


def require_leak_tested(loop: Loop) -> None:
    """Refuse with ``leak_test_missing`` or ``leak_test_failed`` unless the last one passed and counts."""
    standing = loop.standings[loop.leak_procedure]
    if standing.state == ResultState.FAILED:
        raise RuleViolation(
            "leak_test_failed",
            f"The last leak test did not pass: {standing.why}",
            rule=RULE,
            next_step=f"Find the leak, repair it, and test again ({loop.leak_procedure}).",
        )
    if standing.state != ResultState.PASSED:
        raise RuleViolation(
            "leak_test_missing",
            f"There is no leak test that counts: {standing.why}.",
            rule=RULE,
            next_step=f"Test for leaks first ({loop.leak_procedure}).",
        )


def require_sensors_exercised(loop: Loop) -> None:
    """Refuse with ``leak_sensors_missing`` or ``leak_sensors_failed`` unless all were seen to trip."""
    standing = loop.standings[SENSORS]
    if standing.state == ResultState.FAILED:
        raise RuleViolation(
            "leak_sensors_failed",
            f"The leak sensors did not all work: {standing.why}",
            rule=RULE,
            next_step="Repair what did not trip, and exercise all sensors again.",
        )
    if standing.state != ResultState.PASSED:
        raise RuleViolation(
            "leak_sensors_missing",
            f"No exercise of the leak sensors counts: {standing.why}.",
            rule=RULE,
            next_step="Exercise every leak sensor first.",
        )


def require_flushed(loop: Loop) -> None:
    """Refuse with ``not_flushed`` or ``flush_failed`` unless the last flush passed and still counts."""
    standing = loop.standings[Kind.FLUSH]
    if standing.state == ResultState.FAILED:
        raise RuleViolation(
            "flush_failed",
            f"The last flush did not pass: {standing.why}",
            rule=RULE,
            next_step="Flush again.",
        )
    if standing.state != ResultState.PASSED:
        raise RuleViolation(
            "not_flushed", f"No flush counts: {standing.why}.", rule=RULE, next_step="Flush the loop first."
        )


def require_filled(loop: Loop) -> CoolantStep:
    """Return the fill in the loop; refuse with ``not_filled`` or ``fill_failed`` unless it passed."""
    standing = loop.standings[Kind.FILL]
    if loop.open_fill and standing.state == ResultState.FAILED:
        raise RuleViolation(
            "fill_failed",
            f"What was filled in did not pass: {standing.why}",
            rule=RULE,
            next_step="Drain the loop, flush it and fill it again.",
        )
    if loop.open_fill is None or standing.state != ResultState.PASSED:
        why = standing.why or "it was drained"
        raise RuleViolation(
            "not_filled",
            f"The loop holds no fill that counts: {why}.",
            rule=RULE,
            next_step="Drain what is in the loop, if anything is, and fill it.",
        )
    return loop.open_fill


def require_not_filled(loop: Loop) -> None:
    """Refuse with ``already_filled`` while coolant is in the loop."""
    if loop.open_fill:
        raise RuleViolation(
            "already_filled",
            f"The loop holds {loop.open_fill.volume_l:g} L of lot {loop.open_fill.lot}.",
            rule="a loop is filled once until it is drained",
            next_step="Drain it first.",
        )


def require_dry(loop: Loop, doing: str) -> None:
    """Refuse with ``loop_filled`` what is not done while coolant is in the loop."""
    if loop.open_fill:
        raise RuleViolation(
            "loop_filled",
            f"The loop holds {loop.open_fill.volume_l:g} L of coolant; {doing}.",
            rule="a filled loop is drained before it is opened or tested with gas",
            next_step="Drain it first.",
        )
