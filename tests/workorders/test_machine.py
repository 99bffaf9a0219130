"""Random acts on random units, done on the product and on a model of it: both must always agree."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.likely import LikelyFloor as Floor
from tests.machine.mistakes import MISTAKES, Mistake
from tests.machine.world import build_world

MANY = int(os.environ.get("MACHINE_EXAMPLES", "0"))
STEPS = 20
SEQUENCES = {
    "sqlite": 150,
    "postgresql": 30,
}  # PostgreSQL answers each statement later; the rules are the same


def how(examples: int, **more: Any) -> settings:
    """Return settings that keep nothing and, without the flag, do the same each time.

    The checks of hypothesis' own health are off: an act writes to a database, which takes longer than they
    allow, and all sequences share one world on purpose, for each of them is rolled back.
    """
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        **more,
    )


@pytest.fixture
def floor(db: None) -> Iterator[type[Floor]]:
    Floor.grow(*build_world())
    yield Floor
    del Floor.world, Floor.start


def test_random_acts_are_done_or_refused_as_expected(floor: type[Floor]) -> None:
    run_state_machine_as_test(floor, settings=how(MANY or SEQUENCES[connection.vendor], derandomize=not MANY))


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it is the machine that is tried here")
@pytest.mark.parametrize("make_mistake", MISTAKES, ids=lambda each: each.__name__)
def test_a_mistake_in_the_product_is_found(
    floor: type[Floor], make_mistake: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_mistake(monkeypatch)
    first_find = how(300, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(floor, settings=first_find)
