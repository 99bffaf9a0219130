"""How figures add up: what is in an assembly, against its budgets, and where its centre of gravity is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from mes.products.models import Budget, PartRevision, Slot
from mes.products.models.parts import FIGURES

# EIA-310: one rack unit is 1.75 in = 44.45 mm; slots stand on half units, of which U1 begins at number 2.
HALF_UNIT_MM = Decimal("22.225")
LOWEST = 2
NOTHING = Decimal(0)
SUPPLIED = {
    Budget.Figure.POWER: "power_supplied_w",
    Budget.Figure.LIQUID: "cooling_supplied_w",
    Budget.Figure.COOLANT: "coolant_supplied_l_min",
}
UNITS = {"kg": "kg", "m2": "kg/m²", "mm": "mm", "w": "W", "min": "L/min"}

Figures: TypeAlias = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Item:
    """What is, or is expected, in a slot: its revision, and its figures by name; absent: not stated."""

    slot: Slot
    revision: PartRevision
    figures: Figures


@dataclass(frozen=True, slots=True)
class Centre:
    """Height above the floor (mm) of the centre of gravity of what stands at a known height; None: nothing.

    ``left_out_kg`` is the weight of what has no position.
    """

    height_mm: Decimal | None
    left_out_kg: Decimal


@dataclass(frozen=True, slots=True)
class Reckoning:
    """A budget reckoned: the demand, what it may come to, and what it might without any redundancy."""

    demand: Decimal
    limit: Decimal
    whole_limit: Decimal

    @property
    def margin(self) -> Decimal:
        """Return what is left; below 0 the budget is broken."""
        return self.limit - self.demand


def unit_of(figure: str) -> str:
    """Return the unit of measure of a figure, which its name ends in."""
    return UNITS[figure.rpartition("_")[2]]


def figures_of(revision: PartRevision, contents: Iterable[Figures]) -> Figures:
    """Return the figures of a part: those of its revision, else the sums over its contents.

    The weight of the empty part is added to a sum. What neither states is absent.
    """
    contents = list(contents)
    own = {name: getattr(revision, name) for name in FIGURES}
    sums = {name: own[name] if own[name] is not None else _sum(name, revision, contents) for name in FIGURES}
    return {name: value for name, value in sums.items() if value is not None}


def totals_of(revision: PartRevision, items: Iterable[Item]) -> Figures:
    """Return the sums over what is in an assembly, whatever its own revision says of the whole."""
    contents = [item.figures for item in items]
    sums = {name: _sum(name, revision, contents) for name in FIGURES}
    return {name: value for name, value in sums.items() if value is not None}


def _sum(name: str, revision: PartRevision, contents: Sequence[Figures]) -> Decimal | None:
    stated = [each[name] for each in contents if name in each]
    if name == Budget.Figure.WEIGHT and revision.empty_weight_kg is not None:
        stated.append(revision.empty_weight_kg)
    return sum(stated, NOTHING) if stated else None


def in_group(slot: Slot, names: Sequence[str]) -> bool:
    """Return whether a slot is one of those named by name or type; no names are all."""
    return not names or slot.name in names or slot.type in names


def reckon(budget: Budget, revision: PartRevision, items: Sequence[Item]) -> Reckoning:
    """Return a budget of an assembly for what is in its slots.

    Without a limit of its own, what is supplied is the limit, less the ``redundancy`` largest supplies:
    with N+1 the demand is met when any one of them fails.
    """
    demand = _demand(budget, revision, items)
    if budget.limit is not None:
        return Reckoning(demand, budget.limit, budget.limit)
    name = SUPPLIED[Budget.Figure(budget.figure)]
    group = (item.figures.get(name, NOTHING) for item in items if in_group(item.slot, budget.supply_slots))
    supplies = sorted(group, reverse=True)
    return Reckoning(demand, sum(supplies[budget.redundancy :], NOTHING), sum(supplies, NOTHING))


def unstated(budget: Budget, items: Iterable[Item]) -> list[str]:
    """Return the part revisions among a budget's demand that do not state its figure."""
    name = _summed(budget)
    group = (item for item in items if in_group(item.slot, budget.demand_slots))
    return sorted({str(item.revision) for item in group if name not in item.figures})


def _summed(budget: Budget) -> str:
    """Return the figure a budget sums; floor load and centre of gravity come from weights."""
    from_weight = budget.figure in {Budget.Figure.FLOOR, Budget.Figure.CENTRE}
    return Budget.Figure.WEIGHT if from_weight else budget.figure


def _demand(budget: Budget, revision: PartRevision, items: Sequence[Item]) -> Decimal:
    group = [item for item in items if in_group(item.slot, budget.demand_slots)]
    if budget.figure == Budget.Figure.CENTRE:
        return centre_of_gravity(revision, group).height_mm or NOTHING
    name = _summed(budget)
    total = sum((item.figures.get(name, NOTHING) for item in group), NOTHING)
    if name == Budget.Figure.WEIGHT and not budget.demand_slots:
        total += revision.empty_weight_kg or NOTHING
    return total / revision.footprint_m2 if budget.figure == Budget.Figure.FLOOR else total


def centre_of_gravity(revision: PartRevision, items: Iterable[Item]) -> Centre:
    """Return the height of the centre of gravity: the sum of weight times height over the sum of weights.

    What is in a slot counts at the middle of the slot, the empty assembly at its ``empty_centre_mm``.
    """
    points: list[tuple[Decimal, Decimal | None]] = [
        (item.figures.get(Budget.Figure.WEIGHT, NOTHING), _height(revision, item.slot)) for item in items
    ]
    points.append((revision.empty_weight_kg or NOTHING, revision.empty_centre_mm))
    standing = [(weight, height) for weight, height in points if height is not None]
    weight = sum((weight for weight, _ in standing), NOTHING)
    left_out = sum((weight for weight, height in points if height is None), NOTHING)
    moment = sum((weight * height for weight, height in standing), NOTHING)
    return Centre(moment / weight if weight else None, left_out)


def _height(revision: PartRevision, slot: Slot) -> Decimal | None:
    """Return the height of a slot's middle above the floor, mm; None without a position."""
    if slot.position is None or slot.height is None:
        return None
    half_units = slot.position - LOWEST + Decimal(slot.height) / 2
    return (revision.base_mm or NOTHING) + half_units * HALF_UNIT_MM
