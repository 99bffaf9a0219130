"""What the phases of a profile must keep to."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mes.burnin.models import BurnInPhase, BurnInProfile
from mes.errors import RuleViolation

Kind = BurnInPhase.Kind
BETWEEN_LOADS = frozenset({Kind.RAMP, Kind.POWER_STEP})  # these go from one load to another
PHASE_COLUMNS = ("name", "kind", "hours", "load_percent", "to_load_percent", "steps")


def require_sound_phases(profile: BurnInProfile) -> None:
    """Refuse with ``phases_unsound`` phases that do not make up the soak, or limits for phases unknown."""
    phases = list(profile.phases.values(*PHASE_COLUMNS))
    faults = find_phase_faults(profile.required_hours, phases)
    known = {phase["name"] for phase in phases}
    for limit in profile.limits.exclude(phases=None):
        faults += [f"{limit}: no phase is called {name}" for name in limit.phases or [] if name not in known]
    if faults:
        raise RuleViolation(
            "phases_unsound",
            f"The phases of {profile} do not fit: {'; '.join(faults)}.",
            rule="the phases of a profile make up its soak",
            next_step="Correct the phases of the draft.",
        )


def find_phase_faults(required_hours: float, phases: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with the phases of a profile, each given by its columns; having none is right."""
    faults = [fault for phase in phases for fault in _faults_of(phase)]
    hours = sum(phase["hours"] for phase in phases)
    if phases and not math.isclose(hours, required_hours, abs_tol=1e-6):
        faults.append(f"the phases last {hours:g} h, but required_hours is {required_hours:g}")
    return faults


def _faults_of(phase: Mapping[str, Any]) -> list[str]:
    name, kind, steps = phase["name"], phase["kind"], phase["steps"]
    loads = [phase["load_percent"], phase["to_load_percent"]]
    faults = []
    if phase["hours"] <= 0:
        faults.append(f"{name}: hours must be greater than 0")
    if any(load is not None and not 0 <= load <= 100 for load in loads):
        faults.append(f"{name}: a load is from 0 to 100 %")
    if (loads[1] is None) == (kind in BETWEEN_LOADS):
        faults.append(f"{name}: {kind} takes {'' if kind in BETWEEN_LOADS else 'no '}to_load_percent")
    if (kind == Kind.STEADY and steps != 1) or steps < (2 if kind == Kind.RAMP else 1):
        faults.append(f"{name}: {kind} takes {'one step' if kind == Kind.STEADY else 'more steps'}")
    return faults
