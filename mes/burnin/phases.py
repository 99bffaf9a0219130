"""What the stress of a rack is at each moment of its soak: a list of steps, and where in it a run is.

The step a run is in follows from the soak time that is credited to it and from nothing else, so that pauses,
gaps and crashes need no care of their own. Pure: nothing here reads or writes the database, or a clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mes.burnin.models import BurnInPhase, BurnInProfile, BurnInRun

Kind = BurnInPhase.Kind
GapPolicy = BurnInProfile.GapPolicy
HALVES = frozenset({Kind.THERMAL_CYCLE, Kind.POWER_STEP})  # kinds whose cycles have two halves


@dataclass(frozen=True, slots=True)
class Step:
    """A time of constant load. Times are credited seconds of the soak; ``ends`` is that of its last moment.

    ``load_percent`` is None where the stressor runs as it does by itself, and 0 where the trays idle.
    """

    phase: str
    number: int
    of: int
    phase_begins: float
    ends: float
    load_percent: float | None = None
    stressor: str = ""
    stressors: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        """Return whether no stress is to run."""
        return self.load_percent == 0

    def stressor_of(self, unit_kind: str) -> str:
        """Return the name by which the agent on a kind of tray knows its stressor."""
        return self.stressors.get(unit_kind, self.stressor)

    def facts(self) -> dict[str, Any]:
        """Return what is told of the step in events."""
        return {"phase": self.phase, "step": self.number, "of": self.of, "load_percent": self.load_percent}


def plan_of(profile: BurnInProfile, phases: Iterable[BurnInPhase]) -> tuple[Step, ...]:
    """Return the steps of a profile in their order; without phases one, that lasts for the whole soak."""
    steps: list[Step] = []
    begins = 0.0
    for phase in phases:
        steps += _steps_of(phase, begins, profile.stressor)
        begins += phase.hours * 3600
    return tuple(steps) or (Step("", 1, 1, 0.0, profile.required_seconds, stressor=profile.stressor),)


def step_at(plan: Sequence[Step], credited_seconds: float) -> Step:
    """Return the step that a soak with a credit is in; the last one from its end on."""
    return next((step for step in plan if credited_seconds < step.ends), plan[-1])


def told_step(plan: Sequence[Step], run: BurnInRun) -> Step:
    """Return the step that the trays of a run were told last."""
    return next((step for step in plan if (step.phase, step.number) == (run.phase, run.step)), plan[0])


def credit_after_gap(
    profile: BurnInProfile, plan: Sequence[Step], credited_seconds: float, gap_seconds: float
) -> float | None:
    """Return what a gap leaves of the credit of a tray, in seconds; None when the tray fails by it."""
    patience = profile.max_gap_seconds if profile.gap_seconds is None else profile.gap_seconds
    if gap_seconds <= patience:
        return credited_seconds
    if profile.gap_policy == GapPolicy.RESTART_PHASE:
        return step_at(plan, credited_seconds).phase_begins
    if profile.gap_policy == GapPolicy.RESTART_RUN:
        return 0.0
    return None if profile.gap_policy == GapPolicy.FAIL else credited_seconds


def _steps_of(phase: BurnInPhase, begins: float, stressor: str) -> list[Step]:
    loads = _loads(phase)
    seconds = phase.hours * 3600
    return [
        Step(
            phase=phase.name,
            number=number,
            of=len(loads),
            phase_begins=begins,
            ends=begins + seconds * number / len(loads),
            load_percent=load,
            stressor=phase.stressor or stressor,
            stressors=phase.stressors,
        )
        for number, load in enumerate(loads, start=1)
    ]


def _loads(phase: BurnInPhase) -> list[float]:
    """Return the loads of a phase in percent, each for an equal part of its hours."""
    low, high = phase.load_percent, phase.to_load_percent or 0.0
    if phase.kind in HALVES:
        return [low, high] * phase.steps
    if phase.kind == Kind.RAMP:
        return [low + (high - low) * number / (phase.steps - 1) for number in range(phase.steps)]
    return [low]
