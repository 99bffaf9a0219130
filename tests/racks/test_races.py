"""Rival calls at the same moment on real PostgreSQL: exactly one wins, whatever the invariant."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection, connections

from mes.errors import RuleViolation
from mes.ledger.services import StaleRow
from mes.ledger.verification import verify_ledger
from mes.products.models import PartRevision, Slot
from mes.racks.models import Installation
from mes.racks.services import declare_contents, install_unit, remove_unit
from mes.serials.models import Unit
from mes.serials.services import scrap_unit
from tests.builders import TESTER, make_assembly, make_part, make_unit, release

RIVALS, THREADS = 200, 10

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time"
    ),
]


def race(calls: list[Callable[[], object]]) -> Counter[str]:
    """Run the calls from ten threads that start together; count how each ended."""
    ends: Counter[str] = Counter()
    barrier = threading.Barrier(THREADS)

    def run(share: list[Callable[[], object]]) -> None:
        barrier.wait()
        for call in share:
            try:
                call()
                ends["won"] += 1
            except RuleViolation as refusal:
                ends[refusal.code] += 1
            except StaleRow:
                ends["stale"] += 1
        connections.close_all()

    threads = [threading.Thread(target=run, args=(calls[number::THREADS],)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(ends.values()) == len(calls)
    return ends


def make_tray(slots: int = 1) -> tuple[PartRevision, PartRevision]:
    gpu = make_part("gpu")
    return gpu, make_assembly("tray", level=10, takes={f"GPU{number}": gpu for number in range(slots)})


def slot_of(tray: Unit, name: str = "GPU0") -> Slot:
    return Slot.objects.get(revision=tray.part_revision, name=name)


def install(tray: Unit, slot: Slot, gpu: Unit) -> Callable[[], object]:
    return lambda: install_unit(parent=tray, slot=slot, child=gpu, by=TESTER)


def test_200_units_for_one_slot() -> None:
    gpu, revision = make_tray()
    tray = make_unit(revision)
    ends = race([install(tray, slot_of(tray), make_unit(gpu)) for _ in range(RIVALS)])
    assert ends == {"won": 1, "slot_occupied": RIVALS - 1}
    assert Installation.objects.live().count() == 1
    assert verify_ledger().intact


def test_200_places_for_one_unit() -> None:
    gpu, revision = make_tray()
    unit, trays = make_unit(gpu), [make_unit(revision) for _ in range(RIVALS)]
    slot = slot_of(trays[0])
    ends = race([install(tray, slot, unit) for tray in trays])
    assert ends == {"won": 1, "already_installed": RIVALS - 1}
    assert sum(Unit.objects.values_list("live_children", flat=True)) == 1
    assert verify_ledger().intact


def test_200_slots_of_one_parent_are_all_filled() -> None:
    gpu, revision = make_tray(RIVALS)
    tray = make_unit(revision)
    slots = list(revision.slots.all())
    ends = race([install(tray, slot, make_unit(gpu)) for slot in slots])
    assert ends == {"won": RIVALS}
    tray.refresh_from_db()
    assert (tray.live_children, tray.version) == (RIVALS, RIVALS + 1)
    assert verify_ledger().intact


def test_200_removals_of_one_unit() -> None:
    gpu, revision = make_tray()
    tray = make_unit(revision)
    slot = slot_of(tray)
    install(tray, slot, make_unit(gpu))()
    ends = race([lambda: remove_unit(parent=tray, slot=slot, reason="race", by=TESTER)] * RIVALS)
    assert ends == {"won": 1, "slot_empty": RIVALS - 1}


def test_nothing_is_installed_into_a_unit_that_is_scrapped_meanwhile() -> None:
    gpu, revision = make_tray()
    trays = [make_unit(revision) for _ in range(RIVALS // 2)]
    slot = slot_of(trays[0])
    calls: list[Callable[[], object]] = []
    for tray in trays:
        calls.append(partial(scrap_unit, unit=tray, reason="race", by=TESTER))
        calls.append(install(tray, slot, make_unit(gpu)))
    ends = race(calls)
    assert ends["won"] == RIVALS // 2
    assert ends["unit_scrapped"] + ends["unit_in_use"] == RIVALS // 2
    assert not Installation.objects.live().filter(parent__state="scrapped").exists()


def test_removing_and_installing_side_by_side_does_not_deadlock() -> None:
    """Rows are locked in the order (level, id); the wrong order ended half of these in a deadlock."""
    gpu, revision = make_tray(2)
    trays = [make_unit(revision) for _ in range(RIVALS // 2)]
    first, second = slot_of(trays[0], "GPU0"), slot_of(trays[0], "GPU1")
    calls: list[Callable[[], object]] = []
    for tray in trays:
        install(tray, first, make_unit(gpu))()
        calls.append(partial(remove_unit, parent=tray, slot=first, reason="race", by=TESTER))
        calls.append(install(tray, second, make_unit(gpu)))
    assert race(calls) == {"won": RIVALS}
    assert verify_ledger().intact


def test_contents_declared_in_opposite_orders_do_not_deadlock() -> None:
    gpu, revision = make_tray(2)
    calls: list[Callable[[], object]] = []
    for _ in range(RIVALS // 4):
        tray, one, other = make_unit(revision), make_unit(gpu), make_unit(gpu)
        for contents in ([("GPU0", one), ("GPU1", other)], [("GPU1", one), ("GPU0", other)]):
            calls.append(partial(declare_contents, unit=tray, contents=contents, by=TESTER))
    ends = race(calls)
    assert ends["won"] == RIVALS // 4
    assert ends["already_installed"] + ends["slot_occupied"] == RIVALS // 4


def test_two_units_cannot_be_inside_each_other() -> None:
    """A child is always of a lower level, so no order of installs closes a circle."""
    inner, outer = make_part("inner", level=5, released=False), make_part("outer", level=6, released=False)
    for revision, other in ((inner, outer), (outer, inner)):
        slot = Slot.objects.create(revision=revision, name="S", type="s", filled_at=10, order=0)
        slot.accepts.add(other.part)
        release(revision)
    low, high = make_unit(inner), make_unit(outer)
    with pytest.raises(Exception, match="child_below_parent"):
        install(low, slot_of(low, "S"), high)()
    install(high, slot_of(high, "S"), low)()


def test_control_check_then_insert_lets_rivals_in() -> None:
    """Without lock, compare-and-set or constraint, the same race has more than one winner."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE naive_installation (slot int, child int)")
    barrier = threading.Barrier(THREADS)

    def naive(child: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            barrier.wait()
            cursor.execute("SELECT count(*) FROM naive_installation WHERE slot = 1")
            if cursor.fetchone()[0] == 0:
                cursor.execute("INSERT INTO naive_installation VALUES (1, %s)", [child])
        connections.close_all()

    winners = 0
    for _ in range(RIVALS // THREADS):
        threads = [threading.Thread(target=naive, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM naive_installation")
            winners = max(winners, cursor.fetchone()[0])
            cursor.execute("DELETE FROM naive_installation")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE naive_installation")
    assert winners > 1
