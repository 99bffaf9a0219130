"""The chassis of a simulated tray with their sensors, leak detectors, adapters, drives and processors."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_ports import ADAPTERS, BLUEFIELDS, ports_link
from mes.simulators.bmc_resources import (
    LEAK_DETECTION,
    ROOT,
    SYSTEM,
    Body,
    collection,
    healthy,
    link,
    resource,
)
from mes.simulators.bmc_sensors import SensorSpec

BASEBOARD = f"{ROOT}/Systems/HGX_Baseboard_0"
CABLE_CARTRIDGES = 4
M2_DRIVE = "NVMe_SSD_210"
BMC_PARTS = {"compute": "DEMO-COMPUTE-BMC", "switch": "DEMO-SWITCH-BMC"}


@dataclass(frozen=True, slots=True)
class _Part:
    """A chassis below the tray: ``properties`` are what it says beyond the usual."""

    name: str
    inside: str
    properties: dict[str, Any]


def chassis_bodies(identity: TrayIdentity) -> Iterator[Body]:
    """Return every Chassis with what hangs below it."""
    parts = [_tray_part(identity), *_common_parts(identity)]
    parts += _compute_parts(identity) if identity.kind == "compute" else _switch_parts(identity)
    monitored = {sensor.chassis for sensor in identity.sensors()}
    yield collection(f"{ROOT}/Chassis", "Chassis", [_path(part.name) for part in parts])
    for part in parts:
        yield _chassis(part, monitored=part.name in monitored)
    yield from _thermal_bodies(identity)
    yield from _sensor_bodies(identity)
    if identity.kind == "compute":
        yield from _adapter_bodies(identity)
        yield from _storage_bodies(identity)


def processor_bodies(identity: TrayIdentity) -> Iterator[Body]:
    """Return the baseboard system with its 4 GPUs and 2 CPUs; nothing for a switch tray."""
    if identity.kind != "compute":
        return
    processors = f"{BASEBOARD}/Processors"
    names = ["CPU_0", "CPU_1", *(f"GPU_{number}" for number in range(4))]
    yield resource(
        BASEBOARD,
        "ComputerSystem.v1_22_0",
        SystemType="Physical",
        SerialNumber=identity.board_serial(0),
        LastResetTime="1970-01-01T00:00:00+00:00",
        Processors=link(processors),
        Links={"Chassis": [link(_path("HGX_Chassis_0"))]},
        Status=healthy(),
    )
    yield collection(processors, "Processor", [f"{processors}/{name}" for name in names])
    for number in range(2):
        yield _cpu(identity, f"{processors}/CPU_{number}", number)
    for number in range(4):
        yield _gpu(identity, f"{processors}/GPU_{number}", number)


def _path(chassis: str) -> str:
    return f"{ROOT}/Chassis/{chassis}"


def _chassis(part: _Part, *, monitored: bool) -> Body:
    path = _path(part.name)
    contained = {"ContainedBy": link(_path(part.inside))} if part.inside else {}
    sensors = {"Sensors": link(f"{path}/Sensors")} if monitored else {}
    body = resource(
        path,
        "Chassis.v1_22_0",
        ChassisType="Component",
        PowerState="On",
        Status=healthy(),
        Links={**contained, "ManagedBy": [link(f"{ROOT}/Managers/BMC_0")]},
    )
    return {**body, **sensors, **part.properties}


def _tray_part(identity: TrayIdentity) -> _Part:
    properties = {
        "ChassisType": "Shelf",
        "SerialNumber": identity.part_serial("Chassis_0"),
        "PartNumber": identity.part_number,
        "AssetTag": "$PRODUCT_ASSET_TAG",
        "ThermalSubsystem": link(f"{_path('Chassis_0')}/ThermalSubsystem"),
    }
    return _Part("Chassis_0", "", properties)


def _common_parts(identity: TrayIdentity) -> list[_Part]:
    cartridges = [f"CBC_{number}" for number in range(CABLE_CARTRIDGES)]
    return [
        _Part(
            "BMC_0",
            "Chassis_0",
            {"ChassisType": "Module", **_serial(identity, "BMC_0", BMC_PARTS[identity.kind])},
        ),
        *(_Part(name, "Chassis_0", _cartridge(identity, name)) for name in cartridges),
    ]


def _cartridge(identity: TrayIdentity, name: str) -> dict[str, Any]:
    position = {"ChassisPhysicalSlotNumber": identity.slot_number}
    if identity.tray_index is not None:
        position["ComputeTrayIndex"] = identity.tray_index
    return {**_serial(identity, name, "DEMO-CARTRIDGE"), "Oem": {"Nvidia": position}}


def _serial(identity: TrayIdentity, name: str, part_number: str) -> dict[str, Any]:
    number = identity.part_numbers.get(name, part_number)
    return {"SerialNumber": identity.part_serial(name), "PartNumber": number}


def _compute_parts(identity: TrayIdentity) -> list[_Part]:
    absent = {"SerialNumber": "N/A", "PartNumber": "N/A"}
    return [
        *(_adapter_part(identity, name, "DEMO-NIC") for name in ("IO_Board_0", "IO_Board_1")),
        *(_adapter_part(identity, name, "DEMO-DPU") for name in BLUEFIELDS),
        _Part("PDB_0", "Chassis_0", _serial(identity, "PDB_0", "DEMO-POWER-BOARD")),
        *(_Part(f"StorageBackplane_{number}", "Chassis_0", {}) for number in range(2)),
        _Part("NVME_M2_0", "Chassis_0", {}),
        _Part("HGX_Chassis_0", "", {"ChassisType": "Zone", **absent}),
        *(part for module in range(2) for part in _module_parts(identity, module)),
        _Part("HGX_BMC_0", "HGX_ProcessorModule_0", _serial(identity, "HGX_BMC_0", "DEMO-HMC")),
    ]


def _adapter_part(identity: TrayIdentity, name: str, part_number: str) -> _Part:
    adapters = {"NetworkAdapters": link(f"{_path(name)}/NetworkAdapters")}
    return _Part(name, "Chassis_0", {**_serial(identity, name, part_number), **adapters})


def _module_parts(identity: TrayIdentity, module: int) -> Iterator[_Part]:
    board = f"HGX_ProcessorModule_{module}"
    serial = identity.board_serial(module)
    number = identity.part_numbers.get(board, "DEMO-SUPERCHIP")
    labels = {"ChassisType": "Module", "SerialNumber": serial, "PartNumber": number}
    yield _Part(board, "HGX_Chassis_0", {**labels, **_location(f"ProcessorModule_{module}", "HGX_Chassis_0")})
    yield _Part(f"HGX_CPU_{module}", board, _serial(identity, f"HGX_CPU_{module}", "DEMO-CPU"))
    for gpu in (2 * module, 2 * module + 1):
        processor = link(f"{BASEBOARD}/Processors/GPU_{gpu}")
        links = {"ContainedBy": link(_path(board)), "Processors": [processor]}
        properties = {**_gpu_identity(identity, gpu), "PartNumber": "NA", "Links": links}
        yield _Part(f"HGX_GPU_{gpu}", board, properties)


def _switch_parts(identity: TrayIdentity) -> list[_Part]:
    asics = [(number, f"MGX_NVSwitch_{number}") for number in range(2)]
    return [
        _Part(
            name,
            "Chassis_0",
            {"SerialNumber": identity.board_serial(number), "UUID": identity.uuid(name), "PartNumber": "NA"},
        )
        for number, name in asics
    ]


def _location(label: str, context: str) -> dict[str, Any]:
    place = {"LocationType": "Embedded", "ServiceLabel": label}
    return {"Location": {"PartLocation": place, "PartLocationContext": context}}


def _gpu_identity(identity: TrayIdentity, number: int) -> dict[str, Any]:
    module, place = divmod(number, 2)
    return {
        "SerialNumber": identity.board_serial(module),
        "UUID": identity.gpu_uuid(number),
        **_location(f"GPU_{place}", f"HGX_Chassis_0/ProcessorModule_{module}"),
    }


def _gpu(identity: TrayIdentity, path: str, number: int) -> Body:
    return resource(
        path,
        "Processor.v1_20_0",
        ProcessorType="GPU",
        PartNumber=identity.part_numbers.get(f"GPU_{number}", "DEMO-GPU"),
        FirmwareVersion=identity.version("GPU"),
        Status=healthy(),
        Links={"Chassis": link(_path(f"HGX_GPU_{number}"))},
        **ports_link(path),
        **_gpu_identity(identity, number),
    )


def _cpu(identity: TrayIdentity, path: str, number: int) -> Body:
    return resource(
        path,
        "Processor.v1_20_0",
        ProcessorType="CPU",
        Status=healthy(),
        Links={"Chassis": link(_path(f"HGX_CPU_{number}"))},
        **_serial(identity, f"HGX_CPU_{number}", "DEMO-CPU"),
        **_location(f"G1:{number}.0", f"HGX_Chassis_0/ProcessorModule_{number}"),
    )


def _thermal_bodies(identity: TrayIdentity) -> Iterator[Body]:
    detectors = f"{LEAK_DETECTION}/LeakDetectors"
    names = [sensor.name for sensor in identity.sensors() if "LeakDetector" in sensor.name]
    thermal = LEAK_DETECTION.rpartition("/")[0]
    yield resource(thermal, "ThermalSubsystem.v1_3_0", LeakDetection=link(LEAK_DETECTION), Status=healthy())
    yield resource(LEAK_DETECTION, "LeakDetection.v1_0_0", LeakDetectors=link(detectors), Status=healthy())
    yield collection(detectors, "LeakDetector", [f"{detectors}/{name}" for name in names])
    for name in names:
        yield resource(
            f"{detectors}/{name}",
            "LeakDetector.v1_1_0",
            DetectorState="OK",
            LeakDetectorType="Moisture",
            Status={"State": "Enabled", "Health": "OK"},
        )


def _sensor_bodies(identity: TrayIdentity) -> Iterator[Body]:
    by_chassis = sorted(identity.sensors(), key=lambda sensor: sensor.chassis)
    for chassis, group in groupby(by_chassis, key=lambda sensor: sensor.chassis):
        sensors = list(group)
        yield collection(f"{_path(chassis)}/Sensors", "Sensor", [sensor.path for sensor in sensors])
        for sensor in sensors:
            yield _sensor(sensor)


def _sensor(sensor: SensorSpec) -> Body:
    limits = {"LowerCritical": sensor.low, "UpperCritical": sensor.high}
    return resource(
        sensor.path,
        "Sensor.v1_7_0",
        ReadingType=sensor.reading_type,
        ReadingUnits=sensor.units,
        Reading=None,
        Status=healthy(),
        Thresholds={name: {"Reading": limit} for name, limit in limits.items() if limit is not None},
        **({"ReadingBasis": "Headroom"} if sensor.lag == "headroom" else {}),
    )


def _adapter_bodies(identity: TrayIdentity) -> Iterator[Body]:
    for card, names in ADAPTERS.items():
        adapters = f"{_path(card)}/NetworkAdapters"
        yield collection(adapters, "NetworkAdapter", [f"{adapters}/{name}" for name in names])
        for name in names:
            own, path = name if name in identity.part_serials else card, f"{adapters}/{name}"
            labels = _serial(identity, own, "DEMO-DPU" if card in BLUEFIELDS else "DEMO-NIC")
            yield resource(path, "NetworkAdapter.v1_9_0", Status=healthy(), **labels, **ports_link(path))


def _storage_bodies(identity: TrayIdentity) -> Iterator[Body]:
    storage = f"{SYSTEM}/Storage"
    names = [*(f"NVMe_SSD_{200 + bay}" for bay in range(4)), M2_DRIVE]
    drives = [f"{storage}/1/Drives/{name}" for name in names]
    yield collection(storage, "Storage", [f"{storage}/1"])
    yield resource(f"{storage}/1", "Storage.v1_13_0", Drives=[link(drive) for drive in drives])
    for name, drive in zip(names, drives, strict=True):
        number = "DEMO-M2" if name == M2_DRIVE else "DEMO-E1S"
        properties = {**_serial(identity, name, number), "Status": healthy()}
        yield resource(drive, "Drive.v1_18_0", MediaType="SSD", Protocol="NVMe", **properties)
