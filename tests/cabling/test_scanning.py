"""Cabling by scanner: ends and cable in any sensible order, checks, and the verdict."""

from itertools import permutations
from typing import Any

import pytest

from mes.cabling.models import CableConnection
from mes.products.models import Operation
from mes.workorders.models import OperationRun
from tests.builders import make_unit
from tests.cabling.builders import Hall

pytestmark = pytest.mark.django_db


@pytest.fixture
def hall() -> Hall:
    """Return a rack whose cabling operation runs at the scanner."""
    hall = Hall()
    built = Operation.objects.get(route=hall.route, sequence=10)
    OperationRun.objects.create(unit=hall.unit, operation=built, attempt=1, state="complete")
    assert hall.scanner.scan(hall.unit.serial).json()["title"] == "Started"
    return hall


def scan(hall: Hall, *codes: str) -> dict[str, Any]:
    for code in codes:
        answer = hall.scanner.scan(code).json()
    return dict(answer)


def test_the_answers_say_what_is_next(hall: Hall) -> None:
    first = scan(hall, "PORT:U08/NIC1")
    assert (first["outcome"], first["title"]) == ("needs_more", "Cable N8")
    assert first["next"] == "Scan the other end: LEAF-1/1."
    second = scan(hall, "PORT:LEAF-1/1")
    assert second["next"] == "Scan the cable: its serial, or the label of its lot."
    done = scan(hall, hall.cable().serial)
    assert (done["outcome"], done["title"], done["next"]) == ("accepted", "Connected", "Check: seat.")
    assert done["unit"]["serial"] == hall.unit.serial


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_any_order_leads_to_the_same(hall: Hall, order: tuple[int, ...]) -> None:
    codes = ("PORT:U08/NIC1", "PORT:LEAF-1/1", hall.cable().serial)
    assert scan(hall, *(codes[place] for place in order))["title"] == "Connected"
    assert CableConnection.objects.get().planned.label == "N8"


def test_a_port_with_a_slash_and_a_lot(hall: Hall) -> None:
    assert scan(hall, "PORT:LEAF-2/Eth1/1")["next"] == "Scan the other end: U08/NIC2."
    assert scan(hall, "CABLE:B8")["next"] == "Scan an end: U08/BMC or U41/1."
    assert scan(hall, "CMD:CUT:1480")["code"] == "nothing_to_cut"
    asked = scan(hall, hall.lot.number, "PORT:U41/1", "PORT:U08/BMC")
    assert (asked["outcome"], asked["next"]) == ("needs_more", "Say the length as cut, in mm: CMD:CUT:1500.")
    assert not CableConnection.objects.exists()
    for said, code in (("1.5", "no_such_length"), ("0", "no_such_length"), ("1449", "wrong_cable")):
        assert scan(hall, f"CMD:CUT:{said}")["code"] == code
    done = scan(hall, "CMD:CUT:1480")
    assert CableConnection.objects.get().cut_length_mm == 1480
    assert done["detail"] == f"B8 (U08/BMC to U41/1), cable {hall.lot.number}."


def test_the_other_end_of_another_cable_is_the_wrong_port(hall: Hall) -> None:
    refused = scan(hall, "PORT:U08/NIC1", "PORT:LEAF-1/2")
    assert (refused["outcome"], refused["code"]) == ("refused", "wrong_port")
    assert refused["next"] == "Put it into LEAF-1/1 and scan that port."
    assert scan(hall, "PORT:LEAF-1/1", hall.cable().serial)["title"] == "Connected"


def test_the_same_port_again_starts_over(hall: Hall) -> None:
    scan(hall, "PORT:U08/NIC1", "PORT:LEAF-1/1")
    assert scan(hall, "PORT:U08/NIC1")["title"] == "Started over"
    assert scan(hall, "PORT:U09/NIC1")["title"] == "Cable N9"


def test_a_wrong_cable_is_put_back_and_another_scanned(hall: Hall) -> None:
    scan(hall, "PORT:U08/NIC1", "PORT:LEAF-1/1")
    assert scan(hall, hall.cable("AOC").serial)["code"] == "wrong_cable"
    assert scan(hall, hall.cable().serial)["title"] == "Connected"


def test_checks_and_the_verdict_are_scanned(hall: Hall) -> None:
    assert scan(hall, "CMD:CHECK:SEAT")["code"] == "nothing_connected"
    scan(hall, "PORT:U08/NIC1", "PORT:LEAF-1/1", hall.cable().serial)
    assert scan(hall, "CMD:CHECK:SMELL")["code"] == "no_such_check"
    assert scan(hall, "CMD:CHECK:BEND:INF")["code"] == "no_such_check"
    assert scan(hall, "CMD:CHECK:SEAT")["detail"] == "N8: seat is a PASS."
    assert hall.state("N8") == "done"
    scan(hall, "CABLE:B8", "PORT:U08/BMC", "PORT:U41/1", hall.lot.number, "CMD:CUT:1500")
    assert scan(hall, "CMD:CHECK:BEND:24.5")["detail"] == "B8: bend 24.5 mm is a FAIL."
    verdict = scan(hall, "CMD:CABLES")
    assert verdict["title"] == "Cabling failed" and "B8 (U08/BMC to U41/1): bend failed." in verdict["detail"]


def test_without_a_unit_a_port_means_nothing(hall: Hall) -> None:
    assert scan(hall, "CMD:LEAVE", "PORT:U08/NIC1")["code"] == "no_unit"


def test_two_cables_with_one_serial_are_told_apart(hall: Hall) -> None:
    for name in ("DAC", "AOC"):
        make_unit(hall.parts[name], "SAME1")
    assert scan(hall, "PORT:U08/NIC1", "SAME1")["code"] == "ambiguous_identifier"
