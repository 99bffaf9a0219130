"""How much heat a coolant carries away, from what is defined of it."""

from mes.burnin.coolants import heat_kw
from mes.cooling.models import Coolant
from mes.products.models import Part

__all__ = ["find_coolant", "heat_kw"]


def find_coolant(part: Part) -> Coolant | None:
    """Return what is defined of a coolant: the version released last."""
    released = Coolant.objects.filter(part=part, released_at__isnull=False)
    return released.order_by("-released_at", "-pk").first()
