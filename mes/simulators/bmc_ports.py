"""The ports of a simulated tray: those of its network adapters and its BMC, and the NVLinks of its GPUs.

Whom a network port sees moves (cables are swapped), so its body is made when it is asked for; a port whose
neighbour is not known has no link.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_resources import ROOT, Body, collection, link, resource

BLUEFIELDS = ("Riser_Slot1_BlueField_3_Card", "Riser_Slot2_BlueField_3_Card")
ADAPTERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "IO_Board_0": {"IO_Board_0_CX8_0": ("Port_0",), "IO_Board_0_CX8_1": ("Port_0",)},
    "IO_Board_1": {"IO_Board_1_CX8_0": ("Port_0",), "IO_Board_1_CX8_1": ("Port_0",)},
    **{card: {card: ("Port_0", "Port_1")} for card in BLUEFIELDS},
}
MANAGER_PORTS = f"{ROOT}/Managers/BMC_0/DedicatedNetworkPorts"
NVLINKS = 18
# Gbit/s of a network port and of one direction of an NVLink, as a GB300 tray reports them.
NETWORK_GBPS, MANAGEMENT_GBPS, NVLINK_GBPS = 800.0, 1.0, 400.0

Neighbour = Mapping[str, str]


def network_ports(identity: TrayIdentity) -> dict[str, str]:
    """Return by path the name of each network port, e.g. ``IO_Board_0_CX8_0/Port_0``."""
    ports = {f"{MANAGER_PORTS}/eth0": "BMC_0/eth0"}
    if identity.kind == "compute":
        for card, adapters in ADAPTERS.items():
            for adapter, names in adapters.items():
                path = f"{ROOT}/Chassis/{card}/NetworkAdapters/{adapter}/Ports"
                ports |= {f"{path}/{name}": f"{adapter}/{name}" for name in names}
    return ports


def port_bodies(identity: TrayIdentity) -> Iterator[Body]:
    """Return the collections of all ports, and the ports of GPUs."""
    by_owner: dict[str, list[str]] = {}
    for path in network_ports(identity):
        by_owner.setdefault(path.rpartition("/")[0], []).append(path)
    for path, members in by_owner.items():
        yield collection(path, "Port", members)
    if identity.kind == "compute":
        for number in range(4):
            yield from _nvlinks(f"{ROOT}/Systems/HGX_Baseboard_0/Processors/GPU_{number}/Ports")


def _nvlinks(path: str) -> Iterator[Body]:
    names = [f"{path}/NVLink_{number}" for number in range(NVLINKS)]
    yield collection(path, "Port", names)
    for name in names:
        yield resource(
            name,
            "Port.v1_4_0",
            CurrentSpeedGbps=NVLINK_GBPS,
            LinkState="Enabled",
            LinkStatus="LinkUp",
            Links={"ConnectedPorts": []},
            PortProtocol="NVLink",
            PortType="BidirectionalPort",
            Status={"State": "Enabled", "Health": "OK"},
        )


def network_port_body(path: str, neighbour: Neighbour | None) -> Body:
    """Return a network port as it is now: who is heard on it, or that there is no link."""
    speed = MANAGEMENT_GBPS if path.startswith(MANAGER_PORTS) else NETWORK_GBPS
    heard: dict[str, Any] = {}
    if neighbour:
        names = {"SystemName": neighbour["device"], "PortId": neighbour["port"]}
        heard = {**names, "PortIdSubtype": "IfName", "ChassisId": neighbour.get("chassis", "")}
    return resource(
        path,
        "Port.v1_8_0",
        CurrentSpeedGbps=speed if neighbour else 0.0,
        LinkNetworkTechnology="Ethernet",
        LinkState="Enabled" if neighbour else "Disabled",
        LinkStatus="LinkUp" if neighbour else "LinkDown",
        PortProtocol="Ethernet",
        PortType="BidirectionalPort",
        Ethernet={"LLDPEnabled": True, "LLDPReceive": heard},
        Status={"State": "Enabled" if neighbour else "Disabled", "Health": "OK"},
    )


def ports_link(owner: str) -> dict[str, Any]:
    """Return the property by which an adapter or processor leads to its ports."""
    return {"Ports": link(f"{owner}/Ports")}
