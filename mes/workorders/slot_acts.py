"""What apps above this one ask before a slot is emptied, and do once a slot was filled."""

from collections.abc import Callable

from mes.ledger.services import Actor
from mes.products.models import Slot
from mes.racks.models import Installation
from mes.serials.models import Unit

RemovalCheck = Callable[[Unit, Slot], None]
InstallAct = Callable[[Installation, Actor], None]
CHECKS: list[RemovalCheck] = []
ACTS: list[InstallAct] = []


def add_removal_check(check: RemovalCheck) -> None:
    """Let an app above this one refuse that a slot is emptied; call it once, when the app is ready.

    The check gets the unit, locked, and its slot, and raises RuleViolation.
    """
    CHECKS.append(check)


def add_install_act(act: InstallAct) -> None:
    """Let an app above this one act once a slot was filled, in the same transaction; call it once."""
    ACTS.append(act)


def check_removal(unit: Unit, slot: Slot) -> None:
    """Ask what was added whether a slot may be emptied. Refuses as they do."""
    for check in CHECKS:
        check(unit, slot)


def act_on_install(installation: Installation, by: Actor) -> None:
    """Do what was added for a slot that was filled. Refuses as they do."""
    for act in ACTS:
        act(installation, by)
