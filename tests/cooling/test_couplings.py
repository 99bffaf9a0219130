"""Couplings: cycles belong to the serial, are never lost, and end at their maximum."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.db.models import F

from mes.cooling.couplings import _count
from mes.cooling.models import Coupling, CouplingMate, CouplingType
from mes.cooling.services import fit_coupling, record_mate, record_slot_mates, remove_coupling
from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.ledger.verification import verify_ledger
from mes.serials.models import Unit
from tests.builders import TESTER, make_part, make_unit
from tests.cooling.builders import Rack, make_type
from tests.racks.test_races import RIVALS, THREADS, race

pytestmark = pytest.mark.django_db


def refusal_of(act: Callable[[], object]) -> str:
    with pytest.raises(RuleViolation) as refused:
        act()
    return refused.value.code


def fit(manifold: Unit, type: CouplingType, serial: str = "QD-1", place: str = "U08 supply") -> Coupling:
    return fit_coupling(manifold=manifold, place=place, type=type, serial=serial, by=TESTER)


def mate(manifold: Unit, place: str = "U08 supply") -> CouplingMate:
    return record_mate(manifold=manifold, place=place, by=TESTER)


def make_manifold() -> Unit:
    return make_unit(make_part("supply_manifold"))


def test_mates_are_counted_until_worn_out() -> None:
    manifold = make_manifold()
    coupling = fit(manifold, make_type(3))
    assert [mate(manifold).number for _ in range(3)] == [1, 2, 3]
    assert refusal_of(lambda: mate(manifold)) == "coupling_worn_out"
    coupling.refresh_from_db()
    assert (coupling.mates, coupling.history.count()) == (3, 3)


def test_mates_go_with_the_coupling_to_another_manifold() -> None:
    old, new, kind = make_manifold(), make_manifold(), make_type(3)
    coupling = fit(old, kind)
    mate(old)
    mate(old)
    assert refusal_of(lambda: fit(new, kind, "qd-1")) == "coupling_elsewhere"
    remove_coupling(coupling=coupling, reason="manifold swapped", by=TESTER)
    assert refusal_of(lambda: remove_coupling(coupling=coupling, reason="x", by=TESTER)) == "coupling_removed"
    assert refusal_of(lambda: mate(old)) == "coupling_unknown"
    fit(new, kind)
    assert mate(new).number == 3
    coupling.refresh_from_db()
    remove_coupling(coupling=coupling, reason="again", by=TESTER)
    assert refusal_of(lambda: fit(old, kind)) == "coupling_worn_out"


def test_a_place_has_one_coupling_of_a_released_type() -> None:
    manifold, kind = make_manifold(), make_type()
    fit(manifold, kind)
    assert refusal_of(lambda: fit(manifold, kind, "QD-2", "u08 SUPPLY")) == "place_taken"
    draft = CouplingType.objects.create(code="D", version="1", name="draft", maximum_mates=1)
    assert refusal_of(lambda: fit(manifold, draft, "QD-3", "U09")) == "coupling_type_not_released"
    nobody = Actor(device="scanner")
    act: dict[str, Any] = {"manifold": manifold, "place": "U10", "type": kind, "serial": "QD-4"}
    assert refusal_of(lambda: fit_coupling(by=nobody, **act)) == "device_not_signed_on"


def test_a_coupling_that_was_removed_meanwhile_counts_no_mate() -> None:
    manifold, kind = make_manifold(), make_type()
    found = fit(manifold, kind)
    remove_coupling(coupling=found, reason="leaks", by=TESTER)
    assert refusal_of(lambda: _count(found, None, TESTER)) == "coupling_unknown"


def test_a_slot_mates_supply_and_return_at_once() -> None:
    rack, kind = Rack(), make_type(1)
    manifold, tray = rack.child("SUPPLY"), make_unit(rack.tray)
    for serial, place in (("A", "U08 supply"), ("B", "U08 return"), ("C", "U080 supply")):
        fit(manifold, kind, serial, place)
    mates = record_slot_mates(parent=rack.unit, slot_name="u08", mated_with=tray, by=TESTER)
    assert sorted(row.place for row in mates) == ["U08 return", "U08 supply"]
    assert {row.mated_with for row in mates} == {tray}
    assert refusal_of(lambda: record_slot_mates(parent=rack.unit, slot_name="U08", by=TESTER)) == (
        "coupling_worn_out"
    )
    assert refusal_of(lambda: record_slot_mates(parent=rack.unit, slot_name="U99", by=TESTER)) == (
        "coupling_unknown"
    )


def test_the_database_itself_only_counts_up() -> None:
    manifold = make_manifold()
    coupling = fit(manifold, make_type(2))
    mate(manifold)
    for change in ({"mates": 0}, {"mates": F("mates") - 1}, {"mates": 3}):
        with pytest.raises((IntegrityError, DatabaseError)), transaction.atomic():
            Coupling.objects.filter(pk=coupling.pk).update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        CouplingType.objects.filter(pk=coupling.type_id).update(maximum_mates=99)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_rival_mates_are_all_counted_and_none_is_beyond_the_maximum() -> None:
    manifold = make_manifold()
    coupling = fit(manifold, make_type(RIVALS // 2))
    ends = race([lambda: mate(manifold)] * RIVALS)
    assert ends == {"won": RIVALS // 2, "coupling_worn_out": RIVALS // 2}
    coupling.refresh_from_db()
    assert coupling.mates == RIVALS // 2
    assert set(coupling.history.values_list("number", flat=True)) == set(range(1, RIVALS // 2 + 1))
    assert verify_ledger().intact


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_control_read_then_write_loses_mates() -> None:
    """Without lock or compare-and-set the same race counts too few."""
    manifold = make_manifold()
    coupling = fit(manifold, make_type(RIVALS))
    barrier = threading.Barrier(THREADS)

    def naive() -> None:
        read = Coupling.objects.get(pk=coupling.pk).mates
        barrier.wait()
        Coupling.objects.filter(pk=coupling.pk).update(mates=read + 1)
        connections.close_all()

    threads = [threading.Thread(target=naive) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    coupling.refresh_from_db()
    assert coupling.mates < THREADS
