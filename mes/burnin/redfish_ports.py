"""What a BMC says of its ports: links, speeds, and whom the other end says it is (DSP0268, Port).

Read are the ports of network adapters (``Ethernet.LLDPReceive`` names the neighbour), the dedicated ports of
managers, and the ports of processors, NVLink among them (``Links.ConnectedPorts`` names the neighbour).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mes.burnin.redfish_explorer import ROOT, Explorer
from mes.burnin.redfish_inventory import told
from mes.burnin.redfish_reading import Body
from mes.burnin.redfish_session import RedfishSession

NVLINK = "NVLink"
PROTOCOLS = frozenset({"Ethernet", "InfiniBand", NVLINK})
LINKS = {"LinkUp": "up", "LinkDown": "down", "NoLink": "down", "Starting": "down", "Training": "down"}


@dataclass(frozen=True, slots=True)
class PortSeen:
    """One port. ``port`` is the owner's Id and the port's, like "IO_Board_0_CX8_0/Port_0".

    ``link`` is up, down or unknown; remote device and port are "" where the BMC tells none.
    """

    port: str
    protocol: str
    link: str
    speed_gbps: float | None
    remote_device: str
    remote_port: str


async def collect_ports(session: RedfishSession) -> tuple[PortSeen, ...]:
    """Read all ports; the first time also finds them (about 200 requests on a compute tray).

    Raises RedfishError; KeyError, TypeError, ValueError or AttributeError mean answers that are not Redfish.
    """
    explorer, memory = Explorer(session, {}), session.memory
    known = memory.ports
    paths = list(known) if known is not None else await _find_ports(explorer)
    bodies = await explorer.get_all(paths)
    wanted = [body for body in bodies if protocol_of(body) in PROTOCOLS]
    is_whole = known is None or len(bodies) == len(known)
    memory.ports = tuple(str(body["@odata.id"]) for body in wanted) if is_whole else None
    return tuple(_port(body) for body in wanted)


async def _find_ports(explorer: Explorer) -> list[str]:
    root = await explorer.get(ROOT)
    chassis = await explorer.members(root, "Chassis")
    systems = await explorer.members(root, "Systems")
    managers = await explorer.members(root, "Managers")
    adapters = [each for body in chassis for each in await explorer.members(body, "NetworkAdapters")]
    processors = [each for body in systems for each in await explorer.members(body, "Processors")]
    found = [(owner, "Ports") for owner in (*adapters, *processors)]
    found += [(manager, "DedicatedNetworkPorts") for manager in managers]
    return [path for owner, name in found for path in await explorer.member_paths(owner, name)]


def protocol_of(body: Body) -> str:
    """Return what a port speaks; an adapter's port may tell it as its network technology only."""
    return str(body.get("LinkNetworkTechnology") or body.get("PortProtocol") or "")


def _port(body: Body) -> PortSeen:
    parts = str(body["@odata.id"]).rstrip("/").split("/")
    speed = body.get("CurrentSpeedGbps")
    remote_device, remote_port = next(_remotes(body), ("", ""))
    return PortSeen(
        port=f"{parts[-3]}/{body['Id']}",
        protocol=protocol_of(body),
        link=LINKS.get(str(body.get("LinkStatus")), "unknown"),
        speed_gbps=float(speed) if speed is not None and math.isfinite(float(speed)) else None,
        remote_device=remote_device,
        remote_port=remote_port,
    )


def _remotes(body: Body) -> Iterator[tuple[str, str]]:
    """Yield whom a port says it is connected to: by LLDP, or as a port of the same Redfish tree."""
    heard = (body.get("Ethernet") or {}).get("LLDPReceive") or {}
    if device := told(heard.get("SystemName")) or told(heard.get("ChassisId")):
        yield device, told(heard.get("PortId")) or ""
    for port in (body.get("Links") or {}).get("ConnectedPorts") or []:
        parts = str(port["@odata.id"]).rstrip("/").split("/")
        yield parts[-3], parts[-1]
