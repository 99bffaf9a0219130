"""Finding out, once per BMC, where a poll will look: system, metric reports, leak detectors, position."""

from collections.abc import Iterable, Mapping, Sequence

from mes.burnin.redfish_http import RedfishError
from mes.burnin.redfish_reading import (
    Body,
    LeakDetection,
    LeakDetector,
    TrayLayout,
    position,
    series_name,
)
from mes.burnin.redfish_session import RedfishSession, gather_all

ROOT = "/redfish/v1"
PREFERRED_REPORT = "PlatformEnvironmentMetrics_0"
RESET = "#ComputerSystem.Reset"


class Explorer:
    """Reads each resource once and keeps it in ``found``, so that an exploration cut short can go on.

    ``slow`` waits for as long as a BMC may take over a resource that it hardly ever serves.
    """

    def __init__(self, session: RedfishSession, found: dict[str, Body], *, slow: bool = False) -> None:
        self._session = session
        self._found = found
        self._slow = slow

    async def get(self, path: str) -> Body:
        """Return a resource, {} where the link leads to nothing; any other failure raises RedfishError."""
        if path not in self._found:
            self._found[path] = await self._read(path)
        return self._found[path]

    async def get_all(self, paths: Iterable[str]) -> list[Body]:
        """Return the resources that exist, asked for side by side; raises RedfishError."""
        return [body for body in await gather_all(self.get(path) for path in paths) if body]

    async def members(self, owner: Body, name: str) -> list[Body]:
        """Return the members of the collection that ``owner`` links to as ``name`` ([] without one)."""
        return await self.get_all(await self.member_paths(owner, name))

    async def member_paths(self, owner: Body, name: str) -> list[str]:
        """Return the paths of those members."""
        path = linked(owner, name)
        return [each["@odata.id"] for each in (await self.get(path)).get("Members", [])] if path else []

    async def _read(self, path: str) -> Body:
        try:
            return await self._session.get(path, slow=self._slow)
        except RedfishError as error:
            if error.status == 404:
                return {}
            raise


def linked(body: Body, name: str) -> str | None:
    """Return the path behind a link property, None where there is none."""
    link = body.get(name)
    return link.get("@odata.id") if isinstance(link, dict) else None


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


async def discover_layout(session: RedfishSession, wanted_reports: Sequence[str]) -> TrayLayout:
    """Return the layout of a tray. ``wanted_reports`` are report Ids; those the BMC lacks are left out.

    Without any wanted, the environment reports are taken, and failing those every report. Any failure but a
    link to nothing raises RedfishError: overlooking the leak detection would be worse.
    """
    explorer = Explorer(session, session.memory.found)
    system_path = await find_system(session)
    system = await explorer.get(system_path)
    root = await explorer.get(ROOT)
    reports = await _find_reports(explorer, root, wanted_reports)
    chassis = await explorer.members(root, "Chassis")
    placed = next((body for body in chassis if position(body)), None)
    slot_number, tray_index = (position(placed) if placed else None) or (None, None)
    return TrayLayout(
        system=system_path,
        reports=reports,
        leak_detections=await _find_leak_detections(explorer, chassis, reports),
        position_path=placed["@odata.id"] if placed else None,
        slot_number=slot_number,
        tray_index=tray_index,
        identity=system_identity(system),
    )


def system_identity(system: Body) -> tuple[str, str]:
    """Return serial and boot id: a change of either means another tray, or another boot."""
    return str(system.get("SerialNumber") or ""), str(system.get("LastResetTime") or "")


async def _find_reports(explorer: Explorer, root: Body, wanted: Sequence[str]) -> tuple[str, ...]:
    path = linked(root, "TelemetryService")
    service = await explorer.get(path) if path else {}
    offered = await explorer.member_paths(service, "MetricReports")
    by_id = {each.rpartition("/")[2]: each for each in offered}
    if wanted:
        return tuple(by_id[name] for name in wanted if name in by_id)
    preferred = tuple(each for name, each in by_id.items() if name.endswith(PREFERRED_REPORT))
    return preferred or tuple(offered)


async def _find_leak_detections(
    explorer: Explorer, chassis: list[Body], reports: tuple[str, ...]
) -> tuple[LeakDetection, ...]:
    thermal = await explorer.get_all(path for body in chassis if (path := linked(body, "ThermalSubsystem")))
    detections = await explorer.get_all(path for body in thermal if (path := linked(body, "LeakDetection")))
    sensors = _sensor_paths(await explorer.get_all(reports)) if detections else {}
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


def _sensor_paths(reports: list[Body]) -> dict[str, str]:
    properties = [metric["MetricProperty"] for body in reports for metric in body.get("MetricValues", [])]
    return {series_name(each): each for each in properties if "#" not in each}
