"""What a BMC says a tray is made of: serials, part numbers, UUIDs, positions, MAC addresses and firmware."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from mes.burnin.redfish_explorer import ROOT, Explorer, linked
from mes.burnin.redfish_layout import find_system
from mes.burnin.redfish_reading import Body, position
from mes.burnin.redfish_session import RedfishSession

ABSENT_WORDS = {"", "N/A", "NA", "NONE", "NULL", "UNKNOWN", "NOT AVAILABLE", "NOT SPECIFIED"}


@dataclass(frozen=True, slots=True)
class Component:
    """One part that the BMC knows. ``kind`` is system, chassis, gpu, cpu, network_adapter or drive.

    ``location`` is the path of service labels, like "HGX_Chassis_0/ProcessorModule_0/GPU_1". Two GPUs of one
    board have the same serial: tell them apart by ``uuid`` and ``location``.
    """

    path: str
    kind: str
    name: str
    serial: str | None
    part_number: str | None
    uuid: str | None
    model: str | None
    location: str | None
    present: bool


@dataclass(frozen=True, slots=True)
class Inventory:
    """A tray as its BMC sees it. ``firmware`` maps FirmwareInventory names to versions; ``macs`` maps
    "manager/interface" to the MAC address in lower case."""

    taken_at: datetime
    serial: str
    part_number: str | None
    uuid: str | None
    asset_tag: str | None
    slot_number: int | None
    tray_index: int | None
    components: tuple[Component, ...]
    firmware: dict[str, str]
    macs: dict[str, str]


def told(value: object) -> str | None:
    """Return a text a BMC gives, None for its many ways of saying that it has none.

    Those are "N/A" and the like, and a template that was never filled in ("$PRODUCT_ASSET_TAG").
    """
    text = str(value).strip() if value is not None else ""
    return None if text.upper() in ABSENT_WORDS or text.startswith("$") else text


def told_identity(value: object) -> str | None:
    """Return a serial, part number, UUID or MAC address; all zeros is none either."""
    text = told(value)
    return text if text and text.lower().removeprefix("0x").strip("0-:") else None


async def collect_inventory(session: RedfishSession) -> Inventory:
    """Read everything afresh, about 150 requests on a compute tray; raises RedfishError.

    KeyError, TypeError, ValueError or AttributeError mean answers that are not Redfish.
    """
    taken_at = datetime.now(UTC)
    explorer = Explorer(session, {}, slow=True)
    root = await explorer.get(ROOT)
    system = await explorer.get(await find_system(session))
    chassis = await explorer.members(root, "Chassis")
    slot_number, tray_index = next((found for body in chassis if (found := position(body))), (None, None))
    return Inventory(
        taken_at=taken_at,
        serial=told_identity(system.get("SerialNumber")) or "",
        part_number=told_identity(system.get("PartNumber")),
        uuid=told_identity(system.get("UUID")),
        asset_tag=told(system.get("AssetTag")),
        slot_number=slot_number,
        tray_index=tray_index,
        components=tuple(await _components(explorer, root, chassis)),
        firmware=await _firmware(explorer, root),
        macs=await _macs(explorer, root),
    )


async def _components(explorer: Explorer, root: Body, chassis: list[Body]) -> list[Component]:
    systems = await explorer.members(root, "Systems")
    processors = [each for system in systems for each in await explorer.members(system, "Processors")]
    adapters = [each for body in chassis for each in await explorer.members(body, "NetworkAdapters")]
    return [
        *_described("system", systems),
        *_described("chassis", chassis),
        *(_component(str(body.get("ProcessorType", "processor")).lower(), body) for body in processors),
        *_described("network_adapter", adapters),
        *_described("drive", await _drives(explorer, systems, chassis)),
    ]


async def _drives(explorer: Explorer, systems: list[Body], chassis: list[Body]) -> list[Body]:
    # A drive may hang below its storage, below its chassis, or below both under two paths.
    storages = [each for system in systems for each in await explorer.members(system, "Storage")]
    stored = [link["@odata.id"] for each in storages for link in each.get("Drives", [])]
    housed = [path for body in chassis for path in await explorer.member_paths(body, "Drives")]
    return await explorer.get_all(dict.fromkeys([*stored, *housed]))


async def _firmware(explorer: Explorer, root: Body) -> dict[str, str]:
    path = linked(root, "UpdateService")
    service = await explorer.get(path) if path else {}
    members = await explorer.members(service, "FirmwareInventory")
    return {str(body["Id"]): version for body in members if (version := told(body.get("Version")))}


async def _macs(explorer: Explorer, root: Body) -> dict[str, str]:
    macs = {}
    for manager in await explorer.members(root, "Managers"):
        for interface in await explorer.members(manager, "EthernetInterfaces"):
            if mac := told_identity(interface.get("MACAddress")):
                macs[f"{manager['Id']}/{interface['Id']}"] = mac.lower()
    return macs


def _described(kind: str, bodies: Iterable[Body]) -> list[Component]:
    return [_component(kind, body) for body in bodies]


def _component(kind: str, body: Body) -> Component:
    return Component(
        path=str(body["@odata.id"]),
        kind=kind,
        name=str(body["Id"]),
        serial=told_identity(body.get("SerialNumber")),
        part_number=told_identity(body.get("PartNumber")),
        uuid=told_identity(body.get("UUID")),
        model=told(body.get("Model")),
        location=_location(body),
        present=(body.get("Status") or {}).get("State") != "Absent",
    )


def _location(body: Body) -> str | None:
    location = body.get("Location") or body.get("PhysicalLocation") or {}
    label = (location.get("PartLocation") or {}).get("ServiceLabel")
    steps = [step for step in (location.get("PartLocationContext"), label) if step]
    return "/".join(steps) or None
