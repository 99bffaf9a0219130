"""How much heat a coolant carries away, from what is defined of it."""

from bisect import bisect_right
from collections.abc import Sequence

from mes.cooling.models import Coolant
from mes.products.models import Part

SECONDS_PER_MINUTE = 60
LITRES_PER_M3 = 1000


def find_coolant(part: Part) -> Coolant | None:
    """Return what is defined of a coolant: the version released last."""
    released = Coolant.objects.filter(part=part, released_at__isnull=False)
    return released.order_by("-released_at", "-pk").first()


def heat_kw(coolant: Coolant, *, flow_l_min: float, supply_cel: float, return_cel: float) -> float:
    """Return the heat in kW that a flow takes up between supply and return: Q = V' * rho * cp * dT.

    Density and specific heat are those at the mean of both temperatures, on a line between the points
    defined; beyond them the nearest one counts.
    """
    mean = (supply_cel + return_cel) / 2
    density = _at(mean, coolant.temperatures_cel, coolant.densities_kg_m3)
    specific_heat = _at(mean, coolant.temperatures_cel, coolant.specific_heats_kj_kg_k)
    mass_kg_s = flow_l_min / SECONDS_PER_MINUTE / LITRES_PER_M3 * density
    return mass_kg_s * specific_heat * (return_cel - supply_cel)


def _at(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    if x <= xs[0] or x >= xs[-1]:
        return ys[0] if x <= xs[0] else ys[-1]
    right = bisect_right(xs, x)
    share = (x - xs[right - 1]) / (xs[right] - xs[right - 1])
    return ys[right - 1] + share * (ys[right] - ys[right - 1])
