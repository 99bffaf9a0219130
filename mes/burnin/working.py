"""What one tick works on, and what it decides. Nothing here is saved, and nothing decided."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mes.burnin.intents import Kind
from mes.burnin.judging import find_medians
from mes.burnin.meter_models import RunMeter
from mes.burnin.models import BurnInAttempt, BurnInProfile, BurnInRun, Gap, SeriesLimit, Violation
from mes.burnin.phases import Step, step_at, told_step
from mes.burnin.redfish import TrayReading
from mes.burnin.results import Results

State = BurnInRun.State
Tray = BurnInAttempt.State

# What a tray said: its reading, or in words why there is none.
Said = TrayReading | str

POLLED = frozenset({State.PREPARING, State.STARTING, State.SOAKING, State.PAUSED, State.STOPPING})
STRESSED = frozenset({State.STARTING, State.SOAKING, State.PAUSED})


@dataclass(slots=True)
class Intent:
    """Something the trays are to be told, once it is committed; ``again`` when told before.

    A start is of the step that the run is in then: where that is to idle, the trays are told to stop.
    """

    kind: Kind
    attempts: list[BurnInAttempt]
    again: bool = False


@dataclass(slots=True)
class Tick:
    """What a tick works on, and what it decides. Times are on the database's clock, ours plus ``skew``.

    ``said`` holds by attempt what came back; a tray that is not in it was not asked. ``told_to_stop`` holds
    by unit whether the stop was delivered; ``removed`` the attempts whose tray is in its slot no more.
    ``unlike`` says at the end what is in the rack otherwise than it was soaked.
    ``held`` are those that had failed before; ``stops_rack``: one failed by what no tray may go on beside.
    """

    run: BurnInRun
    attempts: list[BurnInAttempt]
    limits: dict[str, list[SeriesLimit]]
    names: dict[int, list[str]]
    now: datetime
    skew: timedelta = timedelta(0)
    told_to_stop: dict[int, bool] = field(default_factory=dict)
    removed: frozenset[int] = frozenset()
    held: frozenset[int] = field(init=False)
    plan: tuple[Step, ...] = ()
    results: Results = field(default_factory=dict)
    meters: list[RunMeter] = field(default_factory=list)
    said: dict[int, Said] = field(default_factory=dict)
    state: BurnInRun.State | None = None
    changes: list[dict[str, str]] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    stops_rack: bool = False
    has_new_step: bool = False
    unlike: list[str] = field(default_factory=list)
    _medians: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.held = frozenset(attempt.pk for attempt in self.failed())

    @property
    def profile(self) -> BurnInProfile:
        """Return how the rack is burned in."""
        return self.run.profile

    @property
    def is_overdue(self) -> bool:
        """Return whether the state has lasted longer than trays may take to start or stop."""
        return self.now - self.run.state_since > timedelta(seconds=self.profile.start_seconds)

    @property
    def holds(self) -> bool:
        """Return whether a failed tray is held while the others go on; before anything runs it never is."""
        policy = self.profile.on_failure == BurnInProfile.OnFailure.HOLD
        return policy and self.run.state in {State.STARTING, State.SOAKING, State.PAUSED}

    @property
    def endangers_rack(self) -> bool:
        """Return whether every tray must stop at once: one leaks, or broke a limit that stops the rack."""
        leaking = any(isinstance(said, TrayReading) and said.leak for said in self.said.values())
        return self.stops_rack or leaking

    def is_late(self, attempt: BurnInAttempt) -> bool:
        """Return whether a tray takes longer to come up than it may; one swapped in counts from the swap."""
        if self.run.state != State.SOAKING:
            return self.is_overdue
        return self.now - attempt.opened_at > timedelta(seconds=self.profile.start_seconds)

    @property
    def step(self) -> Step:
        """Return what the trays were told to do last."""
        return told_step(self.plan, self.run)

    def follow_plan(self) -> bool:
        """Go to the step that the run has soaked up to; return whether that is another one."""
        before, due = self.step, step_at(self.plan, self.run.credited_seconds)
        self.run.phase, self.run.step = due.phase, due.number
        self.has_new_step |= due != before
        return due != before

    def limits_of(self, attempt: BurnInAttempt) -> list[SeriesLimit]:
        """Return the limits for the kind of a tray that are watched in the phase."""
        limits = self.limits.get(attempt.unit.part_revision.part.kind, [])
        return [limit for limit in limits if not limit.phases or self.step.phase in limit.phases]

    def medians_of(self, attempt: BurnInAttempt) -> dict[str, float]:
        """Return the medians at this poll over the trays of a tray's kind, for its limits of a spread."""
        kind = attempt.unit.part_revision.part.kind
        if kind not in self._medians:
            alike = [each for each in self.attempts if each.unit.part_revision.part.kind == kind]
            told = [said for each in alike if isinstance(said := self.said.get(each.pk), TrayReading)]
            self._medians[kind] = find_medians(told, self.limits_of(attempt))
        return self._medians[kind]

    def failed(self) -> list[BurnInAttempt]:
        """Return the trays that failed, in this tick or before."""
        return [attempt for attempt in self.attempts if attempt.state == Tray.FAILED]

    def live(self) -> list[BurnInAttempt]:
        """Return the trays that can still pass."""
        return [attempt for attempt in self.attempts if attempt.state != Tray.FAILED]
