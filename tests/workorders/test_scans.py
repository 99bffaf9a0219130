"""A scanner on the floor: what each scan means, what it leads to, and what it is refused for."""

from datetime import timedelta
from typing import Any

import pytest

from mes.ledger.models import Event
from mes.quality.services import place_hold
from mes.racks.models import Installation
from mes.serials.models import Identifier, Supplier
from mes.serials.services import receive_lot, scrap_unit
from mes.stations.models import Device
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_person,
    make_revision,
    make_route,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    ordered_unit,
    placed,
)

pytestmark = pytest.mark.django_db


class Floor:
    """A tray on order with two GPU slots and a NIC slot, and a scanner at its station."""

    def __init__(self) -> None:
        self.gpu, self.nic = make_part("gpu"), make_part("nic")
        takes = {"GPU0": self.gpu, "GPU1": self.gpu, "NIC0": self.nic}
        self.tray = make_assembly("tray", level=10, takes=takes)
        self.route = make_route(self.tray, tests={20: "tray_l10"})
        self.unit = ordered_unit(self.tray, self.route)
        self.scanner = make_scanner()

    def scan(self, *codes: str) -> Any:
        """Scan codes one after the other and return the last answer."""
        for code in codes:
            answer = self.scanner.scan(code)
        return answer


@pytest.fixture
def floor() -> Floor:
    return Floor()


def refused(answer: Any, code: str) -> dict[str, Any]:
    """Assert that a scan was refused with a code, as a problem document, and put on record."""
    body = answer.json()
    assert (answer.status_code, body["code"], body["outcome"]) == (422, code, "refused"), body
    assert answer["Content-Type"] == "application/problem+json"
    assert body["rule"] and body["next"] and body["detail"] and body["release"]
    event = Event.objects.filter(kind="act.refused").latest("id")
    assert event.payload["refusal"]["code"] == code
    return dict(body)


def test_badge_signs_on_and_says_what_is_next(floor: Floor) -> None:
    make_person("demo", badge="BADGE-7", first_name="Demo", last_name="Operator")
    answer = floor.scan("badge-7").json()
    assert (answer["outcome"], answer["detail"]) == ("accepted", "Demo Operator works here now.")
    assert answer["next"] == "Scan the unit you build."
    assert Device.objects.filter(pk=floor.scanner.device.pk, operator__username="demo").exists()


def test_scan_carries_the_clock_of_the_device(floor: Floor) -> None:
    body = {"raw": floor.unit.serial, "at": "2026-11-23T08:00:00.5+00:00", "seq": 7}
    floor.scanner.post("scans/", body)
    event = Event.objects.get(kind="operation.started")
    assert event.device_at is not None
    assert event.device_at.isoformat() == "2026-11-23T08:00:00.500000+00:00"


def test_unit_scan_starts_its_operation_and_names_the_first_slot(floor: Floor) -> None:
    answer = floor.scan(floor.unit.serial).json()
    assert (answer["outcome"], answer["title"]) == ("accepted", "Started")
    assert answer["operation"]["sequence"] == 10
    assert answer["next"] == "Scan slot GPU0, then the gpu."


def test_slot_then_serial_installs(floor: Floor) -> None:
    gpu = make_unit(floor.gpu)
    answer = floor.scan(floor.unit.serial, "SLOT:GPU0", gpu.serial).json()
    assert answer["detail"] == f"{gpu.serial} is in GPU0."
    assert answer["next"] == "Scan slot GPU1, then the gpu."
    assert placed(floor.unit, "GPU0").child == gpu


def test_whole_operation_by_scanning_alone(floor: Floor) -> None:
    units = {"GPU0": make_unit(floor.gpu), "GPU1": make_unit(floor.gpu), "NIC0": make_unit(floor.nic)}
    floor.scan(floor.unit.serial)
    for slot, unit in units.items():
        floor.scan(slot, unit.serial)
    answer = floor.scan("CMD:DONE").json()
    assert answer["detail"] == f"10 Step 10 of {floor.unit.serial} is complete."
    assert answer["next"] == f"Take {floor.unit.serial} to TEST for 20 Step 20."


def test_structured_label_narrows_to_its_part(floor: Floor) -> None:
    gpu, nic = make_unit(floor.gpu, "SAME-1"), make_unit(floor.nic, "SAME-1")
    label = f"[)>\x1e06\x1d1P{floor.nic.part.number}\x1dSSAME-1\x1e\x04"
    floor.scan(floor.unit.serial, "NIC0", label)
    assert placed(floor.unit, "NIC0").child == nic
    assert not Installation.objects.filter(child=gpu).exists()


@pytest.mark.parametrize(
    ("moment", "outcome"), [(timedelta(hours=1), "duplicate"), (timedelta(0), "accepted")]
)
def test_same_code_within_a_moment_counts_once(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, moment: timedelta, outcome: str
) -> None:
    monkeypatch.setattr("mes.workorders.scans.SAME_CODE_COUNTS_ONCE", moment)
    floor.scan(floor.unit.serial)
    assert floor.scan(floor.unit.serial).json()["outcome"] == outcome


def test_hand_scanner_moves_by_scanning_a_station(floor: Floor) -> None:
    make_station("TEST", code="ST-TEST-9")
    assert floor.scan("ST-TEST-9").json()["detail"] == "This device works at ST-TEST-9."
    refused(floor.scan(floor.unit.serial), "wrong_station")


def test_label_of_a_part_asks_for_the_serial(floor: Floor) -> None:
    number = floor.gpu.part.number
    for label in (number, f"[)>\x1e06\x1d1P{number}\x1dQ10\x1e\x04"):
        answer = floor.scan(label).json()
        assert (answer["outcome"], answer["title"]) == ("needs_more", "gpu")
    refused(floor.scan(f"[)>\x1e06\x1d1P{number}\x1dSNO-SUCH\x1e\x04"), "unknown_code")


def test_label_of_a_lot_names_it(floor: Floor) -> None:
    supplier = Supplier.objects.create(code="DEMO-A", name="Demo supplier A")
    receive_lot(site=make_site(), part=floor.gpu.part, supplier=supplier, number="LOT7", by=TESTER)
    answer = floor.scan(f"[)>\x1e06\x1d1P{floor.gpu.part.number}\x1d1TLOT7\x1e\x04").json()
    assert (answer["outcome"], answer["title"]) == ("needs_more", "Lot LOT7")


def test_unknown_code(floor: Floor) -> None:
    refused(floor.scan("NOBODY-KNOWS"), "unknown_code")


def test_unit_of_another_site_is_unknown(floor: Floor) -> None:
    other = make_unit(floor.gpu, site=make_site("S2"))
    refused(floor.scan(other.serial), "unknown_code")


def test_ambiguous_identifier_offers_the_choices(floor: Floor) -> None:
    make_unit(floor.gpu, "TWIN")
    make_unit(floor.nic, "TWIN")
    body = refused(floor.scan("TWIN"), "ambiguous_identifier")
    assert {choice["part"] for choice in body["choices"]} == {floor.gpu.part.number, floor.nic.part.number}


def test_ambiguous_serial_is_settled_by_what_the_slot_takes(floor: Floor) -> None:
    make_unit(floor.gpu, "TWIN")
    nic = make_unit(floor.nic, "TWIN")
    floor.scan(floor.unit.serial, "NIC0", "TWIN")
    assert placed(floor.unit, "NIC0").child == nic


def test_serial_a_board_reports_is_no_name_to_scan(floor: Floor) -> None:
    gpu = make_unit(floor.gpu, "GPU-UUID-1", identifiers={Identifier.Kind.BOARD_SERIAL: "BOARD-1"})
    refused(floor.scan("BOARD-1"), "unknown_code")
    assert floor.scan(floor.unit.serial, "GPU0", gpu.serial).status_code == 200


def test_wrong_part_names_what_is_wanted_and_what_was_scanned(floor: Floor) -> None:
    nic = make_unit(floor.nic)
    body = refused(floor.scan(floor.unit.serial, "GPU0", nic.serial), "wrong_part")
    assert body["detail"] == f"GPU0 takes gpu. You scanned nic {nic.serial}."
    assert body["next"] == "Put it back and scan gpu."


def test_slot_stays_chosen_after_a_refusal(floor: Floor) -> None:
    gpu = make_unit(floor.gpu)
    answer = floor.scan(floor.unit.serial, "GPU1", make_unit(floor.nic).serial, gpu.serial)
    assert answer.json()["detail"] == f"{gpu.serial} is in GPU1."


def test_wrong_revision() -> None:
    gpu = make_part("gpu")
    newer = make_revision(gpu.part, "B")
    tray = make_assembly("tray", level=10, takes={"GPU0": gpu}, revisions=["A"])
    unit = ordered_unit(tray, make_route(tray))
    scanner = make_scanner()
    scanner.scan(unit.serial)
    scanner.scan("GPU0")
    body = refused(scanner.scan(make_unit(newer).serial), "wrong_revision")
    assert "takes revision A" in body["detail"]


def test_slot_occupied(floor: Floor) -> None:
    floor.scan(floor.unit.serial, "GPU0", make_unit(floor.gpu).serial)
    refused(floor.scan("GPU0", make_unit(floor.gpu).serial), "slot_occupied")


def test_slot_not_in_assembly(floor: Floor) -> None:
    refused(floor.scan(floor.unit.serial, "SLOT:U99"), "slot_not_in_assembly")


def test_already_installed_says_where(floor: Floor) -> None:
    gpu = make_unit(floor.gpu)
    floor.scan(floor.unit.serial, "GPU0", gpu.serial)
    body = refused(floor.scan("GPU1", gpu.serial), "already_installed")
    assert body["detail"] == f"{gpu.serial} is installed in GPU0 of {floor.unit.serial}."


def test_held_unit(floor: Floor) -> None:
    gpu = make_unit(floor.gpu)
    place_hold(unit=gpu, reason="dropped", by=TESTER)
    body = refused(floor.scan(floor.unit.serial, "GPU0", gpu.serial), "unit_held")
    assert body["release"]


def test_scrapped_unit(floor: Floor) -> None:
    gpu = make_unit(floor.gpu)
    scrap_unit(unit=gpu, reason="cracked", by=TESTER)
    refused(floor.scan(floor.unit.serial, "GPU0", gpu.serial), "unit_scrapped")


def test_operation_before_its_turn(floor: Floor) -> None:
    tester = make_scanner(make_station("TEST"))
    body = tester.post(f"units/{floor.unit.uid}/operations/20/start/").json()
    assert (body["code"], body["open_operations"]) == ("operation_out_of_order", [10])


def test_done_with_empty_slots_names_them(floor: Floor) -> None:
    body = refused(floor.scan(floor.unit.serial, "CMD:DONE"), "slots_empty")
    assert body["slots"] == ["GPU0", "GPU1", "NIC0"]


def test_wrong_station(floor: Floor) -> None:
    tester = make_scanner(make_station("TEST"))
    body = refused(tester.scan(floor.unit.serial), "wrong_station")
    assert body["work_center"] == "BUILD"


def test_nobody_signed_on(floor: Floor) -> None:
    refused(make_scanner(signed_on=False).scan(floor.unit.serial), "device_not_signed_on")


def test_malformed_barcode(floor: Floor) -> None:
    refused(floor.scan("]d2010703206980498921SN1"), "malformed_barcode")


def test_label_that_lost_its_separator_is_not_taken_for_a_serial(floor: Floor) -> None:
    body = refused(floor.scan("010703206980498821SN12345ABC10LOT7"), "malformed_barcode")
    assert "SN12345ABC10LOT7 holds more than the serial" in body["detail"]


def test_install_into_a_unit_that_is_not_being_worked_on(floor: Floor) -> None:
    body = floor.scanner.post(
        f"units/{floor.unit.uid}/install/", {"slot": "GPU0", "child": {"uid": str(make_unit(floor.gpu).uid)}}
    ).json()
    assert body["code"] == "operation_not_running"


def test_unfinished_tray_is_not_installed(floor: Floor) -> None:
    rack = make_assembly("rack", level=11, takes={"U08": floor.tray})
    unit = ordered_unit(rack, make_route(rack))
    refused(floor.scan(unit.serial, "U08", floor.unit.serial), "unit_not_finished")
