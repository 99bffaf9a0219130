"""Racks whose trays describe themselves: simulated ones, and the tray of the shared capture."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.utils import timezone

from mes.burnin.redfish import BmcAddress, Inventory, RedfishClient
from mes.burnin.services import set_bmc
from mes.inventory.collecting import ask_collection, collect
from mes.inventory.models import Collection, ComponentName, FirmwareName, FoundInventory, ReportMap
from mes.inventory.services import Facts, Firmware, Maps, keep_inventory
from mes.products.models import FirmwareBaseline, FirmwareVersion, PartRevision, Slot
from mes.racks.services import AsBuilt, as_built, install_unit
from mes.serials.models import Unit
from mes.serials.services import receive_unit
from mes.simulators.bmc import SimulatorThread, running_simulator, serve_tree
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_parts import told_parts
from mes.workorders.models import WorkOrder
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_route,
    make_site,
    make_unit,
    numbers,
    ordered_unit,
    release,
)

# As in the seed of rack A, for trees of simulators and of the capture alike.
COMPONENTS = (
    ("Chassis/HGX_ProcessorModule_?", "superchip", "serial", ""),
    ("Systems/HGX_Baseboard_0/Processors/GPU_?", "gpu", "uuid", ""),
    ("Systems/HGX_Baseboard_0/Processors/CPU_?", "cpu", "serial", ""),
    ("Chassis/BMC_0", "bmc", "serial", "BMC_0/eth0"),
    ("Chassis/HGX_BMC_0", "hmc", "serial", ""),
    ("Chassis/IO_Board_?/NetworkAdapters/*", "nic", "serial", ""),
    ("Chassis/Riser_Slot?_BlueField_3_Card", "dpu", "serial", ""),
    ("Systems/System_0/Storage/1/Drives/NVMe_SSD_20?", "e1s", "serial", ""),
    ("Systems/System_0/Storage/1/Drives/NVMe_SSD_210", "m2", "serial", ""),
    ("Chassis/NVME_M2_0/Drives/NVMe_SSD_210", "m2", "serial", ""),
)
FIRMWARE = (
    ("FW_BMC_0", "BMC"),
    ("HGX_FW_BMC_0", "HMC"),
    ("HGX_FW_GPU_*", "GPU"),
    ("HGX_FW_CPU_*", "SBIOS"),
    ("CX8_*", "NIC"),
    ("NIC_*", "BF3"),
)
VERSIONS = {"BMC": "25.08-9", "HMC": "25.08-B", "GPU": "97.10.4A.00.0C", "SBIOS": "2.05.13"}
INSIDE = {"bmc": 1, "hmc": 1, "tpm": 1, "nic": 4, "dpu": 2, "m2": 1, "e1s": 4}


def make_map(unit_kind: str = "compute_tray", **more: Any) -> ReportMap:
    made = ReportMap.objects.create(unit_kind=unit_kind, version=str(next(numbers)), **more)
    for pattern, kind, identity, interface in COMPONENTS:
        ComponentName.objects.create(
            report_map=made, pattern=pattern, part_kind=kind, identity=identity, interface=interface
        )
    for pattern, component in FIRMWARE:
        FirmwareName.objects.create(report_map=made, pattern=pattern, component=component)
    release(made)
    return made


def make_baseline(versions: Mapping[str, str] = VERSIONS, **more: Any) -> FirmwareBaseline:
    baseline = FirmwareBaseline.objects.create(name=f"base {next(numbers)}", **more)
    for component, version in versions.items():
        FirmwareVersion.objects.create(
            baseline=baseline, unit_kind="compute_tray", component=component, version=version
        )
    release(baseline)
    return baseline


def numbered_part(kind: str, maker_number: str, *, level: int = 2) -> PartRevision:
    revision = make_part(kind, level=level)
    revision.part.maker_number = maker_number
    revision.part.save()
    return revision


def make_tray_design() -> PartRevision:
    """Make the design of a compute tray with 23 identities, as the simulators show it."""
    gpu, cpu = numbered_part("gpu", "DEMO-GPU"), numbered_part("cpu", "DEMO-CPU")
    board = make_assembly("superchip", level=4, takes={"GPU0": gpu, "GPU1": gpu, "CPU0": cpu})
    takes = {"SC0": board, "SC1": board}
    for kind, quantity in INSIDE.items():
        part = numbered_part(kind, "DEMO-COMPUTE-BMC" if kind == "bmc" else f"DEMO-{kind.upper()}")
        takes.update({f"{kind.upper()}{number}": part for number in range(quantity)})
    return make_assembly("compute_tray", level=10, takes=takes)


def fill(unit: Unit) -> Unit:
    """Put a new unit into every slot of a unit, at any depth."""
    for slot in unit.part_revision.slots.prefetch_related("accepts__revisions"):
        part = slot.accepts.get()
        child = fill(make_unit(part.revisions.get(), f"{part.kind}-{next(numbers):05}".upper()))
        install_unit(parent=unit, slot=slot, child=child, by=TESTER)
    return unit


def make_rack(
    trays: int, *, baseline: FirmwareBaseline | None = None, **route: Any
) -> tuple[Unit, list[Unit]]:
    """Make an ordered rack with filled compute trays; slot numbers from 1, tray indices from 0."""
    design = make_tray_design()
    revision = make_part("rack", level=11, released=False)
    for number in range(1, trays + 1):
        slot = Slot.objects.create(
            revision=revision,
            name=f"C{number:02}",
            type="tray",
            filled_at=10,
            order=number,
            slot_number=number,
            tray_index=number - 1,
        )
        slot.accepts.add(design.part)
    release(revision)
    rack = ordered_unit(
        revision, make_route(revision, **{"tests": {20: "inventory", 30: "firmware"}, **ROUTE, **route})
    )
    WorkOrder.objects.filter(order_units__unit=rack).update(firmware_baseline=baseline)
    units = [fill(make_unit(design)) for _ in range(trays)]
    for unit, slot in zip(units, revision.slots.all(), strict=True):
        install_unit(parent=rack, slot=slot, child=unit, by=TESTER)
    return rack, units


ROUTE: dict[str, Any] = {"operations": ((10, "BUILD"), (20, "TEST"), (30, "TEST"))}


def identities(rack: Unit, versions: Mapping[str, str] = VERSIONS) -> list[TrayIdentity]:
    """Return what the BMC of each tray will say: what was scanned into it."""
    slots = {slot.name: slot for slot in rack.part_revision.slots.all()}
    return [
        TrayIdentity.from_dict(
            {
                **told_parts(tray),
                "slot_number": slots[tray.slot].slot_number,
                "tray_index": slots[tray.slot].tray_index,
                "firmware": versions,
            }
        )
        for tray in as_built(unit=rack).children
    ]


@contextmanager
def bmcs(rack: Unit, **more: Any) -> Iterator[SimulatorThread]:
    """Run the BMCs of a rack's trays, their addresses set."""
    trays = [node.unit for node in as_built(unit=rack).children]
    with running_simulator(identities(rack, **more)) as simulator:
        for tray in trays:
            url = simulator.url(tray.serial)
            set_bmc(unit=tray, url=url, username="factory", password="simulator", by=TESTER)
        yield simulator


def collected(unit: Unit) -> Collection:
    """Collect the inventory of a unit and return the ended collection."""
    collection = ask_collection(unit=unit, by=TESTER)
    assert collect(collection.pk)
    collection.refresh_from_db()
    return collection


def inventory_of(tree: Mapping[str, Any]) -> Inventory:
    """Read a captured tree through a socket."""

    async def read() -> Inventory:
        async with serve_tree(tree) as server:
            address = BmcAddress(f"http://127.0.0.1:{server.port}", "factory", "pass")
            async with RedfishClient(address) as client:
                return await client.read_inventory()

    return asyncio.run(read())


def as_told(found: Inventory) -> Unit:
    """Build the tray of a capture by its own facts, in a rack whose slot has the position it reports."""
    parts = [each for each in found.components if each.present and (each.serial or each.uuid)]
    by_name = {each.name: each for each in parts}
    cpus, gpus = (sorted_by(parts, kind) for kind in ("cpu", "gpu"))
    boards = [by_name[f"HGX_ProcessorModule_{number}"] for number in range(2)]
    gpu, cpu = (
        numbered_part("gpu", gpus[0].part_number or ""),
        numbered_part("cpu", cpus[0].part_number or ""),
    )
    board = make_assembly("superchip", level=4, takes={"GPU0": gpu, "GPU1": gpu, "CPU0": cpu})
    takes: dict[str, PartRevision] = {"SC0": board, "SC1": board, "TPM0": make_part("tpm")}
    singles = {"BMC0": "BMC_0", "HMC0": "HGX_BMC_0", "NIC0": "IO_Board_0", "NIC1": "IO_Board_1"}
    singles["DPU0"] = "Riser_Slot2_BlueField_3_Card"
    for slot, name in singles.items():
        takes[slot] = numbered_part(slot[:-1].lower(), by_name[name].part_number or "")
    takes |= {f"E1S{number}": make_part("e1s") for number in range(1)} | {"M20": make_part("m2")}
    design = make_assembly("compute_tray", level=10, takes=takes)
    tray = receive_unit(site=make_site(), part_revision=design, serial=found.serial, by=TESTER)
    put(tray, "TPM0", f"TPM-{next(numbers)}")
    put(tray, "M20", f"M2-{next(numbers)}")
    for slot, name in singles.items():
        mac = {"bmc_mac": found.macs["BMC_0/eth0"]} if slot == "BMC0" else {}
        put(tray, slot, by_name[name].serial or "", **mac)
    for number, module in enumerate(boards):
        unit = receive_unit(site=make_site(), part_revision=board, serial=module.serial or "", by=TESTER)
        put(unit, "CPU0", cpus[number].serial or "")
        for place in range(2):
            each = gpus[2 * number + place]
            put(
                unit,
                f"GPU{place}",
                f"GPU-SN-{next(numbers)}",
                uuid=each.uuid or "",
                board_serial=module.serial or "",
            )
        install_unit(parent=tray, slot=design.slots.get(name=f"SC{number}"), child=unit, by=TESTER)
    return in_a_rack(tray, found)


def sorted_by(parts: list[Any], kind: str) -> list[Any]:
    return sorted((each for each in parts if each.kind == kind), key=lambda each: each.name)


def put(parent: Unit, slot_name: str, serial: str, **names: str) -> Unit:
    """Receive what a slot takes under a serial and further identifiers, and put it there."""
    slot = parent.part_revision.slots.get(name=slot_name)
    revision = slot.accepts.get().revisions.get()
    child = receive_unit(
        site=parent.site, part_revision=revision, serial=serial, identifiers=names, by=TESTER
    )
    install_unit(parent=parent, slot=slot, child=child, by=TESTER)
    return child


def in_a_rack(tray: Unit, found: Inventory) -> Unit:
    revision = make_part("rack", level=11, released=False)
    slot = Slot.objects.create(
        revision=revision,
        name="U34",
        type="tray",
        filled_at=10,
        order=1,
        slot_number=found.slot_number,
        tray_index=found.tray_index,
    )
    slot.accepts.add(tray.part_revision.part)
    release(revision)
    rack = ordered_unit(revision, make_route(revision))
    install_unit(parent=rack, slot=slot, child=tray, by=TESTER)
    return rack


def node_of(unit: Unit, place: str) -> AsBuilt:
    """Return what sits at a path of slots."""
    node = as_built(unit=unit)
    for name in place.split("/"):
        node = next(child for child in node.children if child.slot == name)
    return node


def upload(unit: Unit, *, firmware: list[tuple[str, str, str]]) -> FoundInventory:
    """Upload firmware versions as a tester would."""
    facts = Facts(
        source=FoundInventory.Source.TESTER,
        taken_at=timezone.now(),
        firmware=tuple(Firmware(*row) for row in firmware),
    )
    return keep_inventory(unit=unit, facts=facts, by=TESTER, maps=Maps())
