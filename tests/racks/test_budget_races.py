"""Two installs that each keep a budget, and break it together: one of them is refused, on real PostgreSQL."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection

from mes.ledger.verification import verify_ledger
from mes.racks import budgets, services
from mes.racks.models import Installation
from mes.serials.models import Unit
from tests.builders import make_unit
from tests.racks.loads import again, assembly, part, put
from tests.racks.test_races import race

RACKS = 40

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time"
    ),
]


def rivals() -> list[Callable[[], object]]:
    """Return two calls per rack, side by side: of 100 W each rack may take one tray of 60 W, not two."""
    tray = part("tray", level=10, power_w=60)
    again(tray, "Z", power_w=40)
    budget = {"name": "power", "figure": "power_w", "limit": 100}
    revision = assembly({"T1": tray, "T2": tray}, budgets=(budget,))
    calls: list[Callable[[], object]] = []
    for _ in range(RACKS):
        rack = make_unit(revision)
        calls += [partial(put, rack, slot, make_unit(tray)) for slot in ("T1", "T2")]
    return calls


def test_of_two_installs_that_break_a_budget_together_one_is_refused() -> None:
    assert race(rivals()) == {"won": RACKS, "budget_exceeded": RACKS}
    racks = Unit.objects.filter(part_revision__part__kind="rack")
    assert set(racks.values_list("live_children", flat=True)) == {1}
    assert verify_ledger().intact


def test_control_asked_before_the_lock_both_get_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged by what was read before the parent was locked, racks take both."""
    real = budgets.require_asked
    install = services.install_unit

    def early(*, parent: Unit, slot: Any, child: Unit, **more: Any) -> object:
        real(parent, slot, child)
        return install(parent=parent, slot=slot, child=child, **more)

    calls = rivals()
    monkeypatch.setattr(services, "require_asked", lambda *given: None)
    monkeypatch.setattr("tests.racks.loads.install_unit", early)
    ends = race(calls)
    assert ends["won"] > RACKS
    assert Installation.objects.live().count() == ends["won"]
