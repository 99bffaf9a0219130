"""What the BMC of a simulated tray tells of the parts that were scanned into the tray."""

from collections.abc import Iterable, Mapping
from typing import Any

from mes.racks.services import AsBuilt
from mes.serials.models import Identifier

NO_MAC = "02:00:00:00:00:01"
# Under which Ids the parts of a kind show, in the order of their slots.
SHOWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "compute": {
        "superchip": ("HGX_ProcessorModule_0", "HGX_ProcessorModule_1"),
        "gpu": ("GPU_0", "GPU_1", "GPU_2", "GPU_3"),
        "cpu": ("HGX_CPU_0", "HGX_CPU_1"),
        "bmc": ("BMC_0",),
        "hmc": ("HGX_BMC_0",),
        "nic": ("IO_Board_0_CX8_0", "IO_Board_0_CX8_1", "IO_Board_1_CX8_0", "IO_Board_1_CX8_1"),
        "dpu": ("Riser_Slot1_BlueField_3_Card", "Riser_Slot2_BlueField_3_Card"),
        "m2": ("NVMe_SSD_210",),
        "e1s": ("NVMe_SSD_200", "NVMe_SSD_201", "NVMe_SSD_202", "NVMe_SSD_203"),
    },
    "switch": {"switch_asic": ("MGX_NVSwitch_0", "MGX_NVSwitch_1"), "bmc": ("BMC_0",)},
}
BOARDS = {"compute": "superchip", "switch": "switch_asic"}


def told_parts(tray: AsBuilt) -> dict[str, Any]:
    """Return the fields of a trays file that tell of everything scanned into a tray; reads its identifiers.

    One query. A part that is not there is told under a serial that nobody scanned.
    """
    kind = tray.unit.part_revision.part.kind.removesuffix("_tray")
    nodes = list(tray.walk())
    parts = [(name, node) for part, names in SHOWN[kind].items() for name, node in _named(nodes, part, names)]
    return {
        "serial": tray.unit.serial,
        "part_number": tray.unit.part_revision.part.maker_number,
        "kind": kind,
        "gpu_uuids": [node.unit.serial for node in _of(nodes, "gpu")],
        "board_serials": [node.unit.serial for node in _of(nodes, BOARDS[kind])],
        "bmc_mac": _bmc_mac(nodes),
        "part_serials": {name: node.unit.serial for name, node in parts},
        "part_numbers": {name: node.unit.part_revision.part.maker_number for name, node in parts},
    }


def _named(nodes: Iterable[AsBuilt], kind: str, names: tuple[str, ...]) -> list[tuple[str, AsBuilt]]:
    return list(zip(names, _of(nodes, kind), strict=False))


def _of(nodes: Iterable[AsBuilt], kind: str) -> list[AsBuilt]:
    return [node for node in nodes if node.unit.part_revision.part.kind == kind]


def _bmc_mac(nodes: Iterable[AsBuilt]) -> str:
    units = [node.unit for node in nodes]
    found = Identifier.objects.filter(unit__in=units, kind=Identifier.Kind.BMC_MAC).first()
    return found.value if found else NO_MAC
