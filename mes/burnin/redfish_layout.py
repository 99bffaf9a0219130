"""Finding out, once per BMC, where a poll will look: system, source of readings, leak detectors, position."""

from collections.abc import Mapping, Sequence

from mes.burnin.redfish_explorer import ROOT, Explorer, linked
from mes.burnin.redfish_http import RedfishError
from mes.burnin.redfish_reading import Body, LeakDetection, LeakDetector, TrayLayout, position
from mes.burnin.redfish_session import RedfishSession
from mes.burnin.redfish_source import expand_query, find_source

RESET = "#ComputerSystem.Reset"


async def find_system(session: RedfishSession) -> str:
    """Return the path of the host's ComputerSystem: the one that can be reset (a baseboard cannot).

    Raises RedfishError, ``garbage`` where the BMC has no system at all.
    """
    memory = session.memory
    if memory.system is None:
        explorer = Explorer(session, session.memory.found)
        systems = await explorer.members(await explorer.get(ROOT), "Systems")
        if not systems:
            raise RedfishError("garbage", "the BMC knows no system")
        host = next((system for system in systems if RESET in system.get("Actions", {})), systems[0])
        memory.system = str(host["@odata.id"])
    return memory.system


async def _find_who_answers(session: RedfishSession, root: Body, chassis: list[Body]) -> str:
    """Return the path of the system or, of a BMC that offers no systems at all, of its outermost chassis."""
    if "Systems" in root or not chassis:
        return await find_system(session)
    outermost = (body for body in chassis if not (body.get("Links") or {}).get("ContainedBy"))
    return str(next(outermost, chassis[0])["@odata.id"])


async def discover_layout(session: RedfishSession, wanted_reports: Sequence[str]) -> TrayLayout:
    """Return the layout of a tray; find_source says what ``wanted_reports`` are.

    Any failure but a link to nothing raises RedfishError: overlooking the leak detection would be worse.
    """
    explorer = Explorer(session, session.memory.found)
    root = await explorer.get(ROOT)
    explorer.query = expand_query(root)
    chassis = await explorer.members(root, "Chassis")
    system_path = await _find_who_answers(session, root, chassis)
    system = await explorer.get(system_path)
    source, sensors = await find_source(explorer, root, chassis, wanted_reports)
    placed = next((body for body in chassis if position(body)), None)
    slot_number, tray_index = (position(placed) if placed else None) or (None, None)
    return TrayLayout(
        system=system_path,
        source=source,
        leak_detections=await _find_leak_detections(explorer, chassis, sensors),
        position_path=placed["@odata.id"] if placed else None,
        slot_number=slot_number,
        tray_index=tray_index,
        identity=system_identity(system),
    )


def system_identity(system: Body) -> tuple[str, str]:
    """Return serial and boot id: a change of either means another tray, or another boot."""
    return str(system.get("SerialNumber") or ""), str(system.get("LastResetTime") or "")


async def _find_leak_detections(
    explorer: Explorer, chassis: list[Body], sensors: Mapping[str, str]
) -> tuple[LeakDetection, ...]:
    thermal = await explorer.get_all(path for body in chassis if (path := linked(body, "ThermalSubsystem")))
    detections = await explorer.get_all(path for body in thermal if (path := linked(body, "LeakDetection")))
    return tuple([await _leak_detection(explorer, body, sensors) for body in detections])


async def _leak_detection(explorer: Explorer, body: Body, sensors: Mapping[str, str]) -> LeakDetection:
    detectors = await explorer.members(body, "LeakDetectors")
    found = [await _leak_detector(explorer, detector, sensors) for detector in detectors]
    return LeakDetection(body["@odata.id"], tuple(found))


async def _leak_detector(explorer: Explorer, body: Body, sensors: Mapping[str, str]) -> LeakDetector:
    """Return a detector with the limits of the sensor of the same name, where a report has that sensor."""
    name, path = str(body["Id"]), str(body["@odata.id"])
    sensor = await explorer.get(sensors[name]) if name in sensors else {}
    limits = sensor.get("Thresholds") or {}
    low, high = (limits.get(each) or {} for each in ("LowerCritical", "UpperCritical"))
    return LeakDetector(name, path, low.get("Reading"), high.get("Reading"))
