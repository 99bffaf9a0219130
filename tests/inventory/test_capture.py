"""The shared capture of a real tray against an as-built that matches it, and with one identity changed."""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import pytest

from mes.burnin.services import Inventory
from mes.inventory.facts import facts_of, keep_inventory
from mes.inventory.maps import Maps
from mes.inventory.models import FoundInventory
from mes.inventory.standing import compare_inventory
from mes.inventory.verdicts import verify_inventory
from mes.racks.services import as_built
from mes.serials.models import Unit
from tests.builders import TESTER
from tests.inventory.builders import as_told, inventory_of, make_map
from tests.samples import sample

pytestmark = pytest.mark.django_db

ROOT = "/redfish/v1"
BOARD, NEW = "6989561408987", "1111111111111"
Tree = dict[str, Any]


@cache
def captured() -> Tree:
    return dict(json.loads(sample("redfish/gb300-compute-tray.json").read_text()))


@cache
def read_once() -> Inventory:
    return inventory_of(captured())


def report(rack: Unit, tree: Tree) -> None:
    tray = as_built(unit=rack).children[0].unit
    keep_inventory(unit=tray, facts=facts_of(inventory_of(tree)), by=TESTER, maps=Maps())


@pytest.fixture
def rack() -> Unit:
    make_map()
    return as_told(read_once())


def test_a_matching_as_built_gives_no_false_alarm(rack: Unit) -> None:
    report(rack, captured())
    comparison = compare_inventory(unit=rack)
    assert [row.detail for row in comparison.differences] == []
    states = {row.place: row.state for row in comparison.rows}
    assert {place for place, state in states.items() if state == "not_told"} == {"U34/TPM0", "U34/M20"}
    assert sum(state == "match" for state in states.values()) == 14
    assert FoundInventory.objects.get().asset_tag == ""


def changed(path: str, **properties: Any) -> Callable[[Tree], None]:
    return lambda tree: tree[f"{ROOT}/{path}"].update(properties)


def board_serial_everywhere(tree: Tree) -> None:
    text = json.dumps(tree).replace(BOARD, NEW)
    tree.update(json.loads(text))


def elsewhere(tree: Tree) -> None:
    for path, body in tree.items():
        if path.startswith(f"{ROOT}/Chassis/CBC_"):
            for oem in body.get("Oem", {}).values():
                if "ChassisPhysicalSlotNumber" in oem:
                    oem.update(ChassisPhysicalSlotNumber=28, ComputeTrayIndex=18)


def a_drive_is_there(tree: Tree) -> None:
    drive = tree[f"{ROOT}/Systems/System_0/Storage/1/Drives/NVMe_SSD_200"]
    drive.update(SerialNumber="S7-NEW", Status={"State": "Enabled"})


def without(*paths: str) -> Callable[[Tree], None]:
    """Take resources, and the links to them, out of a tree."""

    def act(tree: Tree) -> None:
        gone = {f"{ROOT}/{path}" for path in paths}
        for body in tree.values():
            if isinstance(body, dict) and "Members" in body:
                body["Members"] = [each for each in body["Members"] if each["@odata.id"] not in gone]

    return act


GPU = "Systems/HGX_Baseboard_0/Processors/GPU_2"
NIC = "Chassis/IO_Board_0/NetworkAdapters/IO_Board_0_CX8_"
UUID = "00000000-1111-2222-3333-444444444444"


@pytest.mark.parametrize(
    ("change", "place", "state"),
    [
        (changed(GPU, UUID=UUID), "U34/SC1/GPU0", "wrong_identity"),
        (changed(GPU, PartNumber="31C2-893-A2"), "U34/SC1/GPU0", "wrong_part"),
        (changed("Chassis/HGX_ProcessorModule_0", SerialNumber=NEW), "U34/SC0", "wrong_serial"),
        (board_serial_everywhere, "U34/SC0", "wrong_serial"),
        (
            changed("Systems/HGX_Baseboard_0/Processors/CPU_1", SerialNumber="0xAB"),
            "U34/SC1/CPU0",
            "wrong_serial",
        ),
        (changed("Chassis/BMC_0", SerialNumber="GH-NEW"), "U34/BMC0", "wrong_serial"),
        (changed("Chassis/Riser_Slot2_BlueField_3_Card", SerialNumber="ND-NEW"), "U34/DPU0", "wrong_serial"),
        (changed("Systems/System_0", SerialNumber="P-OTHER"), "U34", "wrong_serial"),
        (
            changed("Managers/BMC_0/EthernetInterfaces/eth0", MACAddress="02:00:00:00:00:09"),
            "U34/BMC0",
            "wrong_identity",
        ),
        (elsewhere, "U34", "wrong_slot"),
        (a_drive_is_there, "U34", "unexpected"),
        (without(f"{NIC}0", f"{NIC}1"), "U34/NIC0", "missing"),
    ],
)
def test_one_changed_identity_gives_exactly_one_difference(
    rack: Unit, change: Callable[[Tree], None], place: str, state: str
) -> None:
    tree = deepcopy(captured())
    change(tree)
    report(rack, tree)
    differences = compare_inventory(unit=rack).differences
    assert [(row.place, row.state) for row in differences] == [(place, state)], differences
    assert differences[0].detail


def test_a_nic_of_another_serial_is_one_difference_though_two_adapters_tell_it(rack: Unit) -> None:
    tree = deepcopy(captured())
    for number in range(2):
        tree[f"{ROOT}/{NIC}{number}"]["SerialNumber"] = "OK-NEW"
    report(rack, tree)
    (difference,) = compare_inventory(unit=rack).differences
    assert (difference.place, difference.state, difference.reported) == ("U34/NIC0", "wrong_serial", "OK-NEW")


NAMES = {"SerialNumber", "UUID", "MACAddress", "PermanentMACAddress"}


def told_nothing(tree: Any) -> Any:
    """Return a tree with every identity in it replaced by N/A."""
    if isinstance(tree, dict):
        return {key: "N/A" if key in NAMES else told_nothing(value) for key, value in tree.items()}
    return [told_nothing(each) for each in tree] if isinstance(tree, list) else tree


def test_a_tray_that_answers_and_tells_nothing_does_not_pass(rack: Unit) -> None:
    report(rack, told_nothing(captured()))
    comparison = compare_inventory(unit=rack)
    assert [(row.place, row.state) for row in comparison.differences] == [("U34", "silent")]
    assert {row.state for row in comparison.rows[1:]} == {"not_told"}
    run = verify_inventory(unit=rack, by=TESTER).test_run
    assert (run.outcome, run.reasons) == ("FAIL", [comparison.rows[0].detail])
    assert comparison.rows[0].detail.endswith("of U34 tells no serial, and nothing of what is in it.")


@pytest.mark.parametrize("path", [GPU, "Chassis/BMC_0", "Systems/System_0", "Chassis/HGX_BMC_0"])
def test_one_part_that_tells_nothing_is_no_difference(rack: Unit, path: str) -> None:
    tree = deepcopy(captured())
    tree[f"{ROOT}/{path}"].update(SerialNumber="N/A", UUID="N/A")
    report(rack, tree)
    assert compare_inventory(unit=rack).differences == []
