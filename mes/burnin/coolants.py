"""How much heat a coolant carries away, from its density and specific heat. Pure: no database."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

SECONDS_PER_MINUTE = 60
LITRES_PER_M3 = 1000


class Properties(Protocol):
    """What is known of a coolant: density in kg/m3 and specific heat in kJ/(kg K) at rising temperatures."""

    temperatures_cel: Sequence[float]
    densities_kg_m3: Sequence[float]
    specific_heats_kj_kg_k: Sequence[float]


@dataclass(slots=True)
class CoolantTable:
    """The properties of a coolant, with where they are from."""

    name: str
    source: str
    temperatures_cel: Sequence[float]
    densities_kg_m3: Sequence[float]
    specific_heats_kj_kg_k: Sequence[float]


WATER = CoolantTable(
    "water",
    "CRC Handbook of Chemistry and Physics, properties of water at 101.325 kPa",
    (0, 10, 20, 30, 40, 50, 60),
    (999.84, 999.70, 998.21, 995.65, 992.22, 988.04, 983.20),
    (4.2199, 4.1955, 4.1844, 4.1801, 4.1796, 4.1815, 4.1851),
)
PG25 = CoolantTable(
    "PG25",
    "Airedale DeltaChill technical manual, propylene glycol 25 %, design data",
    (0, 5, 10, 15, 20, 25, 30, 35, 40, 45),
    (1031.0, 1029.4, 1027.6, 1025.7, 1023.7, 1021.5, 1019.2, 1016.8, 1014.3, 1011.6),
    (3.86, 3.87, 3.89, 3.90, 3.91, 3.92, 3.94, 3.95, 3.96, 3.97),
)
TABLES = {"water": WATER, "pg25": PG25}


def heat_kw(coolant: Properties, *, flow_l_min: float, supply_cel: float, return_cel: float) -> float:
    """Return the heat in kW that a flow takes up between supply and return: Q = V' * rho * cp * dT.

    This is the first law for a steady flow without work. Density and specific heat are those at the mean of
    both temperatures, on a line between the points defined; beyond them the nearest one counts.
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
