"""The rules between the rows of burn-in profiles in a pack. Each yields problems."""

from collections.abc import Callable, Iterator
from typing import Any

from mes.burnin.models import BurnInProfile
from mes.burnin.services import PHASE_COLUMNS, find_phase_faults
from mes.definitions.rows import Problem, Row, World
from mes.definitions.tables import BURN_IN_PHASE, BURN_IN_PROFILE, SERIES_LIMIT


def _soak_clocks(world: World) -> Iterator[Problem]:
    """The least that a new tray soaks is a part of the whole soak, and only ``continue`` asks for it."""
    for profile in world.in_pack(BURN_IN_PROFILE):
        least, whole = profile.values.get("swap_min_hours"), profile.values.get("required_hours")
        if least is None and profile.values.get("soak_clock") == BurnInProfile.SoakClock.CONTINUE:
            yield profile.problem("soak_clock 'continue' needs swap_min_hours", "soak_clock")
        if least is None or whole is None:
            continue
        if profile.values.get("soak_clock") != BurnInProfile.SoakClock.CONTINUE:
            yield profile.problem("only soak_clock 'continue' takes swap_min_hours", "swap_min_hours")
        if not 0 < least <= whole:
            yield profile.problem(f"swap_min_hours must be more than 0, at most {whole:g}", "swap_min_hours")


def _gap_policies(world: World) -> Iterator[Problem]:
    """A gap is what lasts longer than ``max_gap_seconds``; a policy for shorter ones would never be asked."""
    for profile in world.in_pack(BURN_IN_PROFILE):
        longest = profile.values.get("max_gap_seconds", 60)
        if (seconds := profile.values.get("gap_seconds")) is not None and seconds < longest:
            yield profile.problem(f"gap_seconds must be at least max_gap_seconds, {longest:g}", "gap_seconds")


def _phases(world: World) -> Iterator[Problem]:
    """The phases of a profile make up its soak, each in a place of its own, and its limits name them."""
    for profile in world.in_pack(BURN_IN_PROFILE):
        phases, hours = world.inside(profile.name, BURN_IN_PHASE), profile.values.get("required_hours")
        columns = [_columns(phase) for phase in phases]
        if hours is not None and all(column in each for each in columns for column in PHASE_COLUMNS):
            yield from (profile.problem(fault, "phases") for fault in find_phase_faults(hours, columns))
        orders = [each.get("order") for each in columns]
        if len(set(orders)) != len(orders):
            yield profile.problem("two phases have the same order", "phases")


def _limited_phases(world: World) -> Iterator[Problem]:
    for limit in world.in_pack(SERIES_LIMIT):
        known = {phase.own_key["name"] for phase in world.beside(limit, BURN_IN_PHASE)}
        for name in limit.values.get("phases") or []:
            if name not in known:
                yield limit.problem(f"no phase is called '{name}'", "phases")


def _columns(phase: Row) -> dict[str, Any]:
    return {**phase.own_key, **phase.values}


BURN_IN_CHECKS: tuple[Callable[[World], Iterator[Problem]], ...] = (
    _soak_clocks,
    _gap_policies,
    _phases,
    _limited_phases,
)
