"""What is unlike the last racks. Pure: numbers in, remarks out.

A value is compared with the median of the same series in the same slot of the racks before, in units of a
robust spread. The median absolute deviation (MAD) times 1.4826 estimates sigma for normal noise and, unlike
the standard deviation, does not grow with the outliers it is to find (Rousseeuw and Croux, J. Am. Stat.
Assoc. 88, 1993; Leys et al., J. Exp. Soc. Psychol. 49, 2013). Of five racks a single MAD is far too
uncertain: alone it flags 7 % of plain noise at 4 sigma. So the spread of a series is the largest of three:

- its own MAD over the racks;
- the MAD of all series of its limit group, each around its own median;
- a floor of 0.25 % of the value or of the limit, so that sensors that hardly move raise no remark under 1 %.

Deviations of n racks from their own median are smaller than those of a new rack: both are widened by
``n / (n - 1.3)``, which brings the shared MAD of plain noise to within 2 % of sigma for n from 5 to 20, and
by ``sqrt(1 + pi / 2n)`` for the median's own error.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

SIGMAS = 4.0
LEAST_RACKS = 5
NORMAL = 1.4826  # sigma of normal noise by its MAD
FLOOR = 0.0025  # of the value or the limit
LOST = 1.3  # of n deviations, by taking them around their own median


@dataclass(frozen=True, slots=True)
class Value:
    """A statistic ("mean" or "max") of one series of a tray in a slot."""

    slot: str
    series: str
    statistic: str
    value: float


Key = tuple[str, str, str]  # slot, series, statistic


@dataclass(frozen=True, slots=True)
class Outlier:
    """A value far from those of the last racks: so many spreads above their median, or below (negative)."""

    at: Value
    median: float
    spread: float
    sigmas: float
    racks: int


def find_outliers(
    values: Sequence[Value], history: Mapping[Key, Sequence[float]], *, size: float
) -> list[Outlier]:
    """Return the values of one limit group that are at least 4 spreads from the racks before, furthest first.

    ``history`` has by slot, series and statistic the values of those racks; fewer than five say nothing.
    ``size`` is the largest bound of the limit, in the unit of the values.
    """
    known = {key: past for key, past in history.items() if len(past) >= LEAST_RACKS}
    shared = {statistic: _shared(known, statistic) for statistic in {key[2] for key in known}}
    compared = [_compare(each, known.get(key_of(each)), shared, size) for each in values]
    found = [each for each in compared if each is not None and abs(each.sigmas) >= SIGMAS]
    return sorted(found, key=lambda each: -abs(each.sigmas))


def key_of(value: Value) -> Key:
    """Return where a value finds its history."""
    return value.slot, value.series, value.statistic


def _compare(
    value: Value, past: Sequence[float] | None, shared: Mapping[str, float], size: float
) -> Outlier | None:
    if past is None:
        return None
    centre, racks = median(past), len(past)
    noise = max(_spread(past), shared[value.statistic]) * math.sqrt(1 + math.pi / (2 * racks))
    spread = max(noise, FLOOR * max(abs(centre), size), math.ulp(1.0))
    return Outlier(value, centre, spread, (value.value - centre) / spread, racks)


def _shared(history: Mapping[Key, Sequence[float]], statistic: str) -> float:
    """Return the spread of all series of a group, each around its own median."""
    deviations = [
        abs(value - centre) * _widened(past)
        for key, past in history.items()
        if key[2] == statistic
        for centre in [median(past)]
        for value in past
    ]
    return NORMAL * median(deviations)


def _spread(past: Sequence[float]) -> float:
    centre = median(past)
    return NORMAL * median(abs(value - centre) for value in past) * _widened(past)


def _widened(past: Sequence[float]) -> float:
    return len(past) / (len(past) - LOST)
