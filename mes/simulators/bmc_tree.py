"""The Redfish tree of a simulated tray: services, system, manager, firmware and telemetry.

Everything here is fixed for a tray; what moves (readings, power, stress, sessions) is put in by ``bmc_tray``.
"""

from collections.abc import Iterator, Mapping

from mes.simulators.bmc_chassis import chassis_bodies, processor_bodies
from mes.simulators.bmc_expand import features
from mes.simulators.bmc_identity import TrayIdentity, spelled_kind
from mes.simulators.bmc_ports import MANAGER_PORTS, port_bodies
from mes.simulators.bmc_resources import (
    FIRMWARE,
    REPORTS,
    ROOT,
    SESSIONS,
    SYSTEM,
    Body,
    Tree,
    collection,
    healthy,
    link,
    resource,
)

__all__ = ["FIRMWARE_MEMBERS", "TrayIdentity", "build_tree", "firmware_members"]

# Which FirmwareInventory members a component kind of a firmware baseline is found under.
FIRMWARE_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "BMC": ("FW_BMC_0",),
    "BMC EROT": ("FW_ERoT_BMC_0",),
    "HMC": ("HGX_FW_BMC_0",),
    "HMC CPLD": ("HGX_FW_CPLD_0",),
    "HMC EROT": ("HGX_FW_ERoT_BMC_0",),
    "GPU": ("HGX_FW_GPU_0", "HGX_FW_GPU_1", "HGX_FW_GPU_2", "HGX_FW_GPU_3"),
    "SBIOS": ("HGX_FW_CPU_0", "HGX_FW_CPU_1"),
    "NIC": ("CX8_0", "CX8_1", "CX8_2", "CX8_3"),
    "CX7": ("CX7_0", "CX7_1", "CX7_2", "CX7_3"),
    "BF3": ("NIC_1",),
}


def build_tree(identity: TrayIdentity) -> Tree:
    """Return ``{path: body}`` of the tray's whole tree, with sensors and reports still without readings."""
    bodies = [
        *_service_bodies(identity),
        *_system_bodies(identity),
        *chassis_bodies(identity),
        *processor_bodies(identity),
        *port_bodies(identity),
        *_manager_bodies(identity),
        *_firmware_bodies(identity),
        *_telemetry_bodies(identity),
    ]
    return {"/redfish": {"v1": f"{ROOT}/"}, **{body["@odata.id"]: body for body in bodies}}


def _service_bodies(identity: TrayIdentity) -> Iterator[Body]:
    names = ["Chassis", "Managers", "SessionService", "Systems", "UpdateService"]
    names += ["TelemetryService"] if identity.reports else []
    yield resource(
        ROOT,
        "ServiceRoot.v1_15_0",
        RedfishVersion="1.17.0",
        UUID=identity.uuid("service"),
        Vendor="Rack MES simulator",
        ProtocolFeaturesSupported=features(expand=identity.expand),
        Links={"Sessions": link(SESSIONS), "ManagerProvidingService": link(f"{ROOT}/Managers/BMC_0")},
        **{name: link(f"{ROOT}/{name}") for name in names},
    )
    yield resource(
        f"{ROOT}/SessionService",
        "SessionService.v1_1_9",
        ServiceEnabled=True,
        SessionTimeout=1800,
        Sessions=link(SESSIONS),
    )


def _system_bodies(identity: TrayIdentity) -> Iterator[Body]:
    stress = f"{SYSTEM}/Actions/Oem/RackMES"
    systems = [SYSTEM] + ([f"{ROOT}/Systems/HGX_Baseboard_0"] if identity.kind == "compute" else [])
    yield collection(f"{ROOT}/Systems", "ComputerSystem", systems)
    yield resource(
        SYSTEM,
        "ComputerSystem.v1_22_0",
        SystemType="Physical",
        Manufacturer="Rack MES simulator",
        PartNumber=identity.part_number,
        SerialNumber=identity.serial,
        UUID=identity.uuid("system"),
        AssetTag="",
        Status=healthy(),
        Links={"Chassis": [link(f"{ROOT}/Chassis/Chassis_0")], "ManagedBy": [link(f"{ROOT}/Managers/BMC_0")]},
        Actions={
            "#ComputerSystem.Reset": {
                "target": f"{SYSTEM}/Actions/ComputerSystem.Reset",
                "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown", "ForceRestart"],
            },
            "Oem": {
                "#RackMES.StartStress": {"target": f"{stress}.StartStress"},
                "#RackMES.StopStress": {"target": f"{stress}.StopStress"},
            },
        },
        **({"Storage": link(f"{SYSTEM}/Storage")} if identity.kind == "compute" else {}),
    )


def _manager_bodies(identity: TrayIdentity) -> Iterator[Body]:
    manager = f"{ROOT}/Managers/BMC_0"
    interfaces = f"{manager}/EthernetInterfaces"
    yield collection(f"{ROOT}/Managers", "Manager", [manager])
    yield resource(
        manager,
        "Manager.v1_16_0",
        ManagerType="BMC",
        FirmwareVersion=identity.version("BMC"),
        UUID=identity.uuid("manager"),
        EthernetInterfaces=link(interfaces),
        DedicatedNetworkPorts=link(MANAGER_PORTS),
        Status=healthy(),
    )
    yield collection(interfaces, "EthernetInterface", [f"{interfaces}/eth0"])
    yield resource(
        f"{interfaces}/eth0",
        "EthernetInterface.v1_9_0",
        EthernetInterfaceType="Physical",
        MACAddress=identity.bmc_mac,
        InterfaceEnabled=True,
        LinkStatus="LinkUp",
    )


def firmware_members(kind: str) -> tuple[str, ...]:
    """Return the FirmwareInventory member names a component kind appears under in the simulated trees."""
    kind = spelled_kind(kind)
    return FIRMWARE_MEMBERS.get(kind, (f"FW_{kind.replace(' ', '_')}_0",))


def _firmware_bodies(identity: TrayIdentity) -> Iterator[Body]:
    versions = {
        member: version for kind, version in identity.firmware.items() for member in firmware_members(kind)
    }
    yield resource(f"{ROOT}/UpdateService", "UpdateService.v1_11_0", FirmwareInventory=link(FIRMWARE))
    yield collection(FIRMWARE, "SoftwareInventory", [f"{FIRMWARE}/{member}" for member in versions])
    for member, version in versions.items():
        yield resource(
            f"{FIRMWARE}/{member}",
            "SoftwareInventory.v1_4_0",
            Version=version,
            Updateable=True,
            Status=healthy(),
        )


def _telemetry_bodies(identity: TrayIdentity) -> Iterator[Body]:
    if not identity.reports:
        return
    service = f"{ROOT}/TelemetryService"
    names = sorted({sensor.report for sensor in identity.sensors()})
    yield resource(
        service,
        "TelemetryService.v1_2_1",
        MinCollectionInterval="PT1.000S",
        MetricReports=link(REPORTS),
        Status={"State": "Enabled"},
    )
    yield collection(REPORTS, "MetricReport", [f"{REPORTS}/{name}" for name in names])
    for name in names:
        yield resource(f"{REPORTS}/{name}", "MetricReport.v1_4_2", MetricValues=[])
