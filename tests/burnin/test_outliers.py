"""What is unlike the last racks: robust against outliers before, silent about noise and still sensors."""

import random

import pytest

from mes.burnin.outliers import Key, Outlier, Value, find_outliers, key_of

SLOTS, GPUS = 18, 4
AT = Value("C1", "GPU_0", "mean", 70.0)


def found(value: float, past: list[float], *, size: float = 87) -> list[Outlier]:
    at = Value(AT.slot, AT.series, AT.statistic, value)
    return find_outliers([at], {key_of(at): past}, size=size)


def test_a_value_far_from_those_before_is_found_with_its_distance() -> None:
    past = [60.0, 61.0, 62.0, 63.0, 64.0]
    (high,) = found(75, past)
    (low,) = found(49, past)
    # MAD 1, times 1.4826, 5 / 3.7 and sqrt(1 + pi/10)
    assert high.spread == pytest.approx(1.4826 * 5 / 3.7 * (1 + 0.314159) ** 0.5, rel=1e-4)
    assert (high.median, high.racks) == (62, 5)
    assert high.sigmas == pytest.approx(13 / high.spread)
    assert low.sigmas == -high.sigmas
    assert found(62 + 3.9 * high.spread, past) == [] != found(62 + 4.1 * high.spread, past)


def test_four_racks_say_nothing() -> None:
    assert found(200, [60.0, 61.0, 62.0, 63.0]) == []
    assert found(200, [60.0, 61.0, 62.0, 63.0, 64.0])


def test_racks_that_never_differed_do_not_turn_a_breath_into_a_remark() -> None:
    assert found(60.8, [60.0] * 20) == []  # 0.25 % of the limit of 87 is a sigma
    assert found(61.0, [60.0] * 20)
    assert found(0.0, [0.0] * 20, size=0) == []


def test_an_outlier_before_does_not_hide_the_next() -> None:
    past = [60.0, 60.5, 61.0, 61.5, 62.0, 62.5, 63.0, 300.0]
    (again,) = found(300, past)
    assert again.sigmas > 50
    assert found(61.5, past) == []


def test_five_racks_alike_by_chance_are_measured_by_their_group() -> None:
    noise = random.Random(1)
    history: dict[Key, list[float]] = {
        (f"C{slot}", "GPU_0", "mean"): [1000 + noise.gauss(0, 20) for _ in range(5)] for slot in range(2, 19)
    }
    history[key_of(AT)] = [1000.0, 1000.1, 1000.2, 1000.1, 1000.0]
    at = Value("C1", "GPU_0", "mean", 1040)
    assert find_outliers([at], history, size=0) == []
    assert find_outliers([at], {key_of(at): history[key_of(at)]}, size=0)


@pytest.mark.parametrize("racks", [5, 20])
def test_plain_noise_is_almost_never_remarked_on(racks: int) -> None:
    noise, remarks = random.Random(racks), 0
    for _ in range(20):
        offsets = {
            (f"C{s}", f"GPU_{g}", "mean"): noise.gauss(1000, 30) for s in range(SLOTS) for g in range(GPUS)
        }
        history = {
            key: [centre + noise.gauss(0, 10) for _ in range(racks)] for key, centre in offsets.items()
        }
        values = [Value(*key, centre + noise.gauss(0, 10)) for key, centre in offsets.items()]
        remarks += len(find_outliers(values, history, size=0))
    assert remarks <= 0.002 * 20 * SLOTS * GPUS


def test_the_furthest_comes_first() -> None:
    past = [60.0, 61.0, 62.0, 63.0, 64.0]
    values = [Value("C1", name, "max", value) for name, value in (("A", 80), ("B", 20), ("C", 62))]
    remarks = find_outliers(values, {key_of(each): past for each in values}, size=0)
    assert [each.at.series for each in remarks] == ["B", "A"]
