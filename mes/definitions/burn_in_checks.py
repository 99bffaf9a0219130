"""The rules between the rows of burn-in profiles in a pack. Each yields problems."""

from collections.abc import Callable, Iterator

from mes.burnin.models import BurnInProfile
from mes.definitions.rows import Problem, World
from mes.definitions.tables import BURN_IN_PROFILE


def _soak_clocks(world: World) -> Iterator[Problem]:
    """The least that a new tray soaks is a part of the whole soak, and only ``continue`` asks for it."""
    for profile in world.in_pack(BURN_IN_PROFILE):
        least, whole = profile.values.get("swap_min_hours"), profile.values.get("required_hours")
        if least is None or whole is None:
            continue
        if profile.values.get("soak_clock") != BurnInProfile.SoakClock.CONTINUE:
            yield profile.problem("only soak_clock 'continue' takes swap_min_hours", "swap_min_hours")
        if not 0 <= least <= whole:
            yield profile.problem(f"swap_min_hours must be from 0 to {whole:g}", "swap_min_hours")


BURN_IN_CHECKS: tuple[Callable[[World], Iterator[Problem]], ...] = (_soak_clocks,)
