"""A real GB300 compute tray: what its ports tell, read over a socket."""

import asyncio
import json
import math
from collections import Counter

from mes.burnin.redfish import BmcAddress, BmcMemory, PortSeen, RedfishClient
from mes.simulators.bmc import serve_tree
from tests.samples import sample


def test_ports_of_a_gb300_tray_are_read() -> None:
    tree = json.loads(sample("redfish/gb300-compute-tray.json").read_text())
    silly = "/redfish/v1/Chassis/IO_Board_0/NetworkAdapters/IO_Board_0_CX8_0/Ports/Port_0"
    tree[silly]["CurrentSpeedGbps"] = math.nan

    async def read() -> tuple[tuple[PortSeen, ...], tuple[PortSeen, ...]]:
        async with serve_tree(tree) as server:
            address, memory = BmcAddress(f"http://127.0.0.1:{server.port}", "", ""), BmcMemory()
            async with RedfishClient(address, memory=memory) as client:
                return await client.read_ports(), await client.read_ports()

    first, again = asyncio.run(read())
    assert set(first) == set(again)
    assert Counter(port.protocol for port in first) == {"NVLink": 76, "Ethernet": 6}
    assert all(port.speed_gbps is None or math.isfinite(port.speed_gbps) for port in first)
    network = {port.port: port.link for port in first if port.protocol == "Ethernet"}
    assert network["IO_Board_0_CX8_0/Port_0"] == "down"
    assert network["Riser_Slot2_BlueField_3_Card/Port_1"] == "down"
    assert Counter(port.link for port in first if port.port.startswith("GPU_")) == {"up": 72}
