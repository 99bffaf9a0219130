"""Rival calls at the same moment on real PostgreSQL: one collection per unit, and each is done once."""

from functools import partial

import pytest
from django.db import connection
from django.utils import timezone

from mes.errors import RuleViolation
from mes.inventory import collecting
from mes.inventory.models import Collection
from mes.serials.models import Unit
from tests.builders import TESTER, make_part, make_unit
from tests.inventory.builders import make_map
from tests.racks.test_races import THREADS, race

ROUNDS = 20
pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time"
    ),
]


def make_trays() -> list[Unit]:
    design = make_part("compute_tray", level=10)
    return [make_unit(design) for _ in range(ROUNDS)]


def queued() -> list[int]:
    now = timezone.now()
    return [Collection.objects.create(unit=unit, asked_by="x", lease_until=now).pk for unit in make_trays()]


def claim(pk: int) -> None:
    if collecting._claim(pk) is None:
        raise RuleViolation("lost", "", rule="", next_step="")


def claim_unguarded(pk: int) -> None:
    row = Collection.objects.get(pk=pk)
    if row.state != Collection.State.QUEUED:
        raise RuleViolation("lost", "", rule="", next_step="")
    Collection.objects.filter(pk=pk).update(state=Collection.State.RUNNING)


def test_one_collection_at_a_time_for_each_unit() -> None:
    make_map()
    units = make_trays()
    ask = partial(collecting.ask_collection, by=TESTER)
    ends = race([partial(ask, unit=unit) for unit in units for _ in range(THREADS)])
    assert ends["won"] == ROUNDS == Collection.objects.count()
    assert ends["collection_running"] + ends["stale"] == ROUNDS * (THREADS - 1)


def test_each_collection_is_taken_up_once() -> None:
    ends = race([partial(claim, pk) for pk in queued() for _ in range(THREADS)])
    assert ends["won"] == ROUNDS


def test_control_without_the_conditional_update_some_are_taken_up_twice() -> None:
    ends = race([partial(claim_unguarded, pk) for pk in queued() for _ in range(THREADS)])
    assert ends["won"] > ROUNDS
