"""How figures add up, as properties: nested sums, what fails of N+1, and centres of gravity by hand."""

from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mes.products.figures import Item, centre_of_gravity, figures_of, reckon, totals_of, unit_of, unstated
from mes.products.models import Budget, Part, PartRevision, Slot
from mes.products.models.parts import FIGURES

watts = st.integers(0, 50_000).map(Decimal)
kilograms = st.integers(1, 400).map(Decimal)
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOTHING = PartRevision(part=Part(number="P"), revision="A")


def item(name: str = "S", *, type: str = "s", place: tuple[int, int] = (2, 2), **figures: object) -> Item:
    exact = {key: Decimal(str(value)) for key, value in figures.items()}
    return Item(Slot(name=name, type=type, position=place[0], height=place[1]), NOTHING, exact)


def height(*items: Item) -> float:
    return float(centre_of_gravity(NOTHING, items).height_mm or 0)


@many
@given(st.recursive(watts, lambda inner: st.lists(inner, min_size=1, max_size=5), max_leaves=40))
def test_what_is_nested_sums_to_its_leaves(tree: object) -> None:
    def leaves(node: object) -> list[Decimal]:
        return [each for child in node for each in leaves(child)] if isinstance(node, list) else [node]  # type: ignore[list-item]

    def figures(node: object) -> dict[str, Decimal]:
        if isinstance(node, list):
            return dict(figures_of(PartRevision(), [figures(child) for child in node]))
        return dict(figures_of(PartRevision(power_w=node), []))

    assert figures(tree) == {"power_w": sum(leaves(tree))}


def test_what_a_revision_states_stands_for_all_in_it_and_only_a_sum_adds_the_empty_weight() -> None:
    inner = [{"weight_kg": Decimal(3), "power_w": Decimal(40)}, {"weight_kg": Decimal(4)}]
    assert figures_of(PartRevision(empty_weight_kg=Decimal(10)), inner) == {"weight_kg": 17, "power_w": 40}
    stated = PartRevision(empty_weight_kg=Decimal(10), weight_kg=Decimal(15), power_w=Decimal(0))
    assert figures_of(stated, inner) == {"weight_kg": 15, "power_w": 0}
    assert totals_of(stated, [Item(Slot(), NOTHING, each) for each in inner]) == {
        "weight_kg": 17,
        "power_w": 40,
    }


@many
@given(watts, st.lists(watts, max_size=6), st.integers(0, 3))
def test_a_budget_with_redundancy_is_kept_exactly_when_any_so_many_supplies_may_fail(
    demand: Decimal, supplies: list[Decimal], spare: int
) -> None:
    items = [item(power_w=demand), *(item(power_supplied_w=each) for each in supplies)]
    found = reckon(Budget(figure="power_w", redundancy=spare), NOTHING, items)
    survivors = combinations(supplies, max(len(supplies) - spare, 0))
    assert (found.margin >= 0) == all(sum(left) >= demand for left in survivors)
    assert found.whole_limit == sum(supplies)


def test_groups_are_named_by_slot_or_by_type() -> None:
    items = [
        item("U1", type="tray", power_w=100),
        item("U2", type="tray", power_w=30),
        item("U3", type="switch", power_w=7),
        item("P1", type="shelf", power_supplied_w=110),
        item("P2", type="shelf", power_supplied_w=120),
    ]
    budget = Budget(figure="power_w", demand_slots=["U1", "switch"], supply_slots=["P1"])
    found = reckon(budget, NOTHING, items)
    assert [found.demand, found.limit, found.margin] == [107, 110, 3]
    everything = reckon(Budget(figure="power_w"), NOTHING, items)
    assert [everything.demand, everything.limit] == [137, 230]


def test_what_states_no_figure_counts_as_nothing_and_is_named() -> None:
    budget = Budget(figure="coolant_l_min", limit=Decimal(5), demand_slots=["s"])
    items = [item("A", coolant_l_min="4.25"), item("B", power_w=1), item("C", type="other")]
    assert reckon(budget, NOTHING, items).demand == Decimal("4.25")
    assert unstated(budget, items) == ["P A"]
    assert unstated(Budget(figure="centre_mm"), [item(weight_kg=1)]) == []


def test_centre_of_gravity_by_hand() -> None:
    """Frame 100 kg at 900 mm; U1 begins 80 mm above the floor.

    30 kg in U1: 80 + 1 * 22.225 = 102.225 mm. 20 kg in U10 and U11: begins at half unit 20, is 4 high:
    80 + (18 + 2) * 22.225 = 524.5 mm. (100 * 900 + 30 * 102.225 + 20 * 524.5) / 150 = 690.37833... mm.
    """
    frame = PartRevision(
        empty_weight_kg=Decimal(100), empty_centre_mm=Decimal(900), base_mm=Decimal(80), revision="A"
    )
    items = [item(weight_kg=30, place=(2, 2)), item(weight_kg=20, place=(20, 4))]
    inside = Item(Slot(name="X", type="x"), NOTHING, {"weight_kg": Decimal(7)})
    found = centre_of_gravity(frame, [*items, inside])
    assert found.height_mm == pytest.approx(Decimal("690.378333"), abs=Decimal("0.000001"))
    assert found.left_out_kg == 7
    budget = reckon(Budget(figure="centre_mm", limit=Decimal(700)), frame, items)
    assert round(budget.margin, 3) == Decimal("9.622")


def test_half_units_are_half_as_high() -> None:
    """1.5 U from half unit 3: (3 - 2 + 3 / 2) * 22.225 = 55.5625 mm."""
    assert centre_of_gravity(NOTHING, [item(weight_kg=9, place=(3, 3))]).height_mm == Decimal("55.5625")


def test_nothing_has_no_centre() -> None:
    assert centre_of_gravity(NOTHING, []).height_mm is None
    assert reckon(Budget(figure="centre_mm", limit=Decimal(1)), NOTHING, []).demand == 0


@many
@given(st.lists(st.tuples(kilograms, st.integers(2, 100), st.integers(1, 8)), min_size=2, max_size=12))
def test_the_centre_of_all_is_the_weighted_mean_of_the_centres_of_two_parts(
    things: list[tuple[Decimal, int, int]],
) -> None:
    items = [item(weight_kg=weight, place=(start, height)) for weight, start, height in things]
    groups = (items[:1], items[1:])
    weights = [float(sum(each.figures["weight_kg"] for each in group)) for group in groups]
    centres = [height(*group) for group in groups]
    mean = (weights[0] * centres[0] + weights[1] * centres[1]) / sum(weights)
    assert height(*items) == pytest.approx(mean)
    heights = [height(each) for each in items]
    assert min(heights) - 1 < height(*items) < max(heights) + 1


def test_every_figure_has_its_unit_of_measure() -> None:
    units = [unit_of(name) for name in (*FIGURES, "floor_kg_m2", "centre_mm")]
    assert units == ["kg", "W", "W", "W", "W", "L/min", "W", "L/min", "kg/m²", "mm"]
    assert {unit_of(figure) for figure in Budget.Figure.values} <= set(units)


def test_floor_load_is_weight_over_footprint() -> None:
    frame = PartRevision(empty_weight_kg=Decimal(100), footprint_m2=Decimal("0.5"))
    found = reckon(Budget(figure="floor_kg_m2", limit=Decimal(300)), frame, [item(weight_kg=25)])
    assert found.demand == 250
    assert found.margin == 50
    share = Budget(figure="weight_kg", limit=Decimal(9), demand_slots=["S"])
    assert reckon(share, frame, [item(weight_kg=5)]).demand == 5
