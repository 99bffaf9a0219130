"""What filling and emptying a slot means to the coolant loop."""

from mes.cooling.couplings import count_slot_mates
from mes.cooling.loop import read_loop, require_dry
from mes.cooling.models import Coupling
from mes.ledger.services import Actor
from mes.products.models import Slot
from mes.racks.models import Installation
from mes.serials.models import Unit

WET_MATES = {"supply", "return"}


def count_mates(installation: Installation, by: Actor) -> None:
    """Count a mate of the couplings behind a slot with blind mates, where any are fitted.

    Refuses with ``coupling_worn_out``.
    """
    slot, parent = installation.slot, installation.parent
    if WET_MATES & set(slot.mates):
        count_slot_mates(parent=parent, slot_name=slot.name, mated_with=installation.child, by=by)


def refuse_wet_removal(unit: Unit, slot: Slot) -> None:
    """Refuse with ``loop_filled`` to take out a part of a filled loop, such as a manifold with couplings.

    A tray behind quick-disconnects is taken out wet: they close.
    """
    inside = Installation.objects.live().filter(parent=unit, slot=slot).values("child")
    if Coupling.objects.filter(manifold__in=inside, removed_at__isnull=True).exists():
        require_dry(read_loop(unit), f"what is in {slot.name} is part of it")
