"""Rival hands at the same moment on real PostgreSQL: a cable is in one place, a port takes one cable."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from mes.cabling.models import CableConnection, CableEnd
from mes.cabling.services import Cable, connect_cable, disconnect_cable
from mes.ledger.services import Answer, decide_again_when_stale
from mes.ledger.verification import verify_ledger
from mes.serials.models import Unit
from tests.builders import TESTER
from tests.cabling.builders import Hall
from tests.racks.test_races import race

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time"
    ),
]
RIVALS = 30
N8 = ("U08/NIC1", "LEAF-1/1")


def connect(unit: Unit, ends: tuple[str, str], cable: Unit) -> Callable[[], object]:
    """Return the act as REST does it: decided anew when a rival was first."""
    act = lambda: connect_cable(unit=unit, ends=ends, cable=Cable(cable), by=TESTER)  # noqa: E731
    return lambda: decide_again_when_stale(lambda: Answer(201, act()))


def test_one_cable_in_many_racks() -> None:
    hall = Hall()
    cable, racks = hall.cable(), [hall.rack() for _ in range(RIVALS)]
    ends = race([connect(rack, N8, cable) for rack in racks])
    assert ends == {"won": 1, "cable_reused": RIVALS - 1}
    assert CableConnection.objects.filter(disconnected_at__isnull=True).count() == 1
    assert verify_ledger().intact


def test_many_cables_for_one_port() -> None:
    hall = Hall()
    ends = race([connect(hall.unit, N8, hall.cable()) for _ in range(RIVALS)])
    assert ends == {"won": 1, "port_occupied": RIVALS - 1}
    assert CableEnd.objects.filter(disconnected_at__isnull=True).count() == 2


def test_different_cables_and_ports_all_win() -> None:
    """The control: what does not collide is not refused."""
    cables: list[Any] = [(f"N{n}", f"U08/P{n}", f"LEAF-1/{n}", "DAC", 2000, []) for n in range(RIVALS)]
    hall = Hall(cables=cables)
    acts = [connect(hall.unit, (a, b), hall.cable()) for _, a, b, *_ in cables]
    assert race(acts) == {"won": RIVALS}
    assert CableEnd.objects.count() == 2 * RIVALS
    assert verify_ledger().intact


def test_a_cable_comes_off_once() -> None:
    hall = Hall()
    connect(hall.unit, N8, hall.cable())()
    ends = race(
        [lambda: disconnect_cable(unit=hall.unit, label="N8", reason="scratched", by=TESTER)] * RIVALS
    )
    assert ends == {"won": 1, "not_connected": RIVALS - 1}
    assert verify_ledger().intact
