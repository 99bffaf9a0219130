"""Rivals at the moment a hipot begins, on real PostgreSQL: never two sessions, no hand in a live rack."""

import threading
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection, connections, transaction

from mes.electrical.models import HipotSession
from mes.electrical.services import begin_hipot
from mes.ledger.verification import verify_ledger
from mes.racks.models import Installation
from mes.racks.services import install_unit, remove_unit
from mes.serials.models import Unit
from mes.serials.services import require_usable
from tests.builders import TESTER, make_unit, ordered_unit
from tests.electrical.builders import Bay, proof_by
from tests.racks.test_races import race

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time"
    ),
]
RACKS = 20


def beginning(bay: Bay, unit: Unit) -> partial[HipotSession]:
    """Return a call that begins a hipot of a unit, with proofs made before."""
    return partial(
        begin_hipot,
        unit=unit,
        instrument=bay.tool.code,
        reason="race",
        proofs=[proof_by(bay.first), proof_by(bay.second)],
        by=bay.by,
    )


def test_two_sessions_for_one_rack() -> None:
    bay = Bay()
    ends = race([beginning(bay, bay.unit) for _ in range(40)])
    assert ends == {"won": 1, "unit_locked_out": 39}
    assert HipotSession.objects.get().state == "live"
    assert verify_ledger().intact


def test_an_install_against_a_begin() -> None:
    """Either the tray is in first and the rack is not empty, or the rack is locked out first."""
    bay = Bay()
    slot = bay.rack.slots.get(name="U08")
    calls: list[Callable[[], object]] = []
    for _ in range(RACKS):
        rack = ordered_unit(bay.rack, bay.route)
        tray = make_unit(bay.tray)
        calls.append(beginning(bay, rack))
        calls.append(partial(install_unit, parent=rack, slot=slot, child=tray, by=TESTER))
    ends = race(calls)
    assert ends["won"] == RACKS
    assert ends["unit_locked_out"] + ends["rack_not_empty"] == RACKS
    assert not Installation.objects.live().exclude(parent__locked_out="").exists()
    assert verify_ledger().intact


def test_a_removal_against_a_begin() -> None:
    """A busbar is taken out before, or not at all."""
    bay = Bay()
    slot = bay.rack.slots.get(name="BUSBAR")
    calls: list[Callable[[], object]] = []
    for _ in range(RACKS):
        rack = ordered_unit(bay.rack, bay.route)
        install_unit(parent=rack, slot=slot, child=make_unit(bay.busbar), by=TESTER)
        calls.append(beginning(bay, rack))
        calls.append(partial(remove_unit, parent=rack, slot=slot, reason="race", by=TESTER))
    ends = race(calls)
    assert ends["won"] + ends["unit_locked_out"] == 2 * RACKS
    assert HipotSession.objects.count() == RACKS
    late = Installation.objects.filter(removed_at__isnull=False)
    for placed in late:
        assert placed.removed_at is not None
        assert placed.removed_at <= HipotSession.objects.get(unit=placed.parent).begun_at
    assert verify_ledger().intact


def test_control_a_lockout_that_is_only_read_lets_hands_in() -> None:
    """Without lock and compare-and-set the same race puts a tray into a live rack."""
    bay = Bay()
    slot = bay.rack.slots.get(name="U08")
    rack, tray = bay.unit, make_unit(bay.tray)
    both_read = threading.Barrier(2)

    def install() -> None:
        with transaction.atomic():
            require_usable(Unit.objects.get(pk=rack.pk))
            both_read.wait()
            Installation.objects.create(
                parent=rack, slot=slot, child=tray, root=rack, parent_level=11, child_level=10
            )

    def lock() -> None:
        with transaction.atomic():
            empty = not Installation.objects.live().filter(parent=rack).exists()
            both_read.wait()
            assert empty
            Unit.objects.filter(pk=rack.pk).update(locked_out="live")

    def run(act: Callable[[], None]) -> None:
        act()
        connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in (install, lock)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Installation.objects.live().exclude(parent__locked_out="").exists()
