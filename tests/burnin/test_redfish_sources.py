"""Where readings come from: reports, expanded collections or single sensors, all read as the same thing."""

import asyncio
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from mes.burnin.redfish import BmcAddress, BmcMemory, RedfishClient, Sample, TrayReading
from mes.burnin.redfish_source import expand_query
from mes.simulators.bmc import serve_trays, static_handler
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_resources import ROOT
from mes.simulators.bmc_tree import build_tree
from mes.simulators.http import HttpServer, Outage, Request, Response
from tests.burnin.test_redfish_trees import captured

Handler = Callable[[Request], Response | Outage]
Tree = dict[str, Any]
OFFERS: dict[str, dict[str, Any]] = {
    "reports": {},
    "reports alone": {"expand": False},
    "expand": {"reports": False},
    "single": {"reports": False, "expand": False},
}


def simulated(offers: dict[str, Any], *faults: str) -> tuple[TrayReading, int]:
    """Return the second reading of a tray, and how many requests it took. Its readings stand still."""

    async def scenario() -> tuple[TrayReading, int]:
        identity = TrayIdentity("TRAY-1", slot_number=27, tray_index=17, **offers)
        async with serve_trays([identity], speed=1e-6) as simulator:
            server = simulator.servers["TRAY-1"]
            address = BmcAddress(f"http://127.0.0.1:{server.port}", "factory", "simulator")
            async with RedfishClient(address) as client:
                await client.read_tray()
                for fault in faults:
                    simulator.set_fault("TRAY-1", fault)
                before = server.requests
                return await client.read_tray(), server.requests - before

    return asyncio.run(scenario())


def served(handler: Handler, times: int = 1) -> tuple[TrayReading, int]:
    """Return the last of so many readings of what a handler serves, and how many requests it took."""

    async def scenario() -> tuple[TrayReading, int]:
        server = HttpServer(handler)
        address = BmcAddress(f"http://127.0.0.1:{await server.start()}", "factory", "pass")
        try:
            async with RedfishClient(address, memory=BmcMemory()) as client:
                for _ in range(times):
                    before = server.requests
                    reading = await client.read_tray()
                return reading, server.requests - before
        finally:
            await server.stop()

    return asyncio.run(scenario())


def without_reports(tree: Tree, *, expand: bool) -> Tree:
    root = {name: value for name, value in tree[ROOT].items() if name != "TelemetryService"}
    if not expand:
        root.pop("ProtocolFeaturesSupported")
    return {**tree, ROOT: root}


def by_series(reading: TrayReading) -> dict[str, Sample]:
    assert len({sample.series for sample in reading.samples}) == len(reading.samples)
    return {sample.series: sample for sample in reading.samples}


def facts(reading: TrayReading) -> dict[str, Any]:
    return {
        "who": (reading.serial, reading.boot_id != "", reading.slot_number, reading.tray_index),
        "leak": (reading.leak, reading.leak_detectors),
        "health": reading.health,
        "samples": {
            name: (sample.value is None, sample.stale, sample.unit)
            for name, sample in by_series(reading).items()
        },
    }


@pytest.mark.parametrize("fault", ["none", "nan", "stale", "leak", "overheat", "wrong_serial"])
@pytest.mark.parametrize("way", ["expand", "single"])
def test_a_tray_reads_the_same_in_every_way(way: str, fault: str) -> None:
    reading, _requests = simulated(OFFERS[way], fault)
    expected, _requests = simulated(OFFERS["reports"], fault)
    assert facts(reading) == facts(expected)
    values = {name: sample.value for name, sample in by_series(reading).items() if sample.value is not None}
    wanted = {name: by_series(expected)[name].value for name in values}
    assert values == pytest.approx(wanted, abs=2e-3)
    assert {sample.at < expected.taken_at for sample in reading.samples} == {True}


def test_the_way_with_the_fewest_requests_is_taken() -> None:
    requests = {way: simulated(offers)[1] for way, offers in OFFERS.items()}
    assert requests == {"reports": 4, "reports alone": 4, "expand": 2 + 19, "single": 2 + 94}


def test_units_come_with_the_sensors_that_a_bmc_expands() -> None:
    readings = {way: simulated(offers)[0] for way, offers in OFFERS.items()}
    units = {way: by_series(reading)["HGX_GPU_0_TEMP_0"].unit for way, reading in readings.items()}
    assert units == {"reports": "Cel", "reports alone": "", "expand": "Cel", "single": "Cel"}


@pytest.mark.parametrize(("expand", "polled"), [(True, 2 + 19), (False, 2 + 266)])
def test_the_capture_without_its_reports(expand: bool, polled: int) -> None:
    reading, requests = served(static_handler(without_reports(captured(), expand=expand)), times=2)
    samples = by_series(reading)
    assert (requests, len(samples)) == (polled, 266)
    by_reports, _requests = served(static_handler(captured()))
    reported = by_series(by_reports)
    assert reported.keys() < samples.keys()
    absent = {name for name in reported if samples[name].value is None}
    assert absent == {f"StorageBackplane_{plane}_SSD_{bay}_Temp_0" for plane in (0, 1) for bay in range(4)}
    assert all(reported[name].stale and samples[name].stale for name in absent)
    assert all(each.unit == samples[name].unit for name, each in reported.items())
    assert (samples["HGX_GPU_0_TEMP_1"].unit, samples["Chassis_0_FAN_1_FRONT"].unit) == ("Cel", "RPM")
    assert (reading.leak, reading.leak_detectors, reading.serial) == ((), 4, by_reports.serial)


def tree_without_reports() -> Tree:
    identity = TrayIdentity("TRAY-1", kind="switch", reports=False)
    tree = deepcopy(build_tree(identity))
    for sensor in identity.sensors():
        tree[sensor.path]["Reading"] = 1.7
    return tree


def expected_series() -> set[str]:
    return {sensor.name for sensor in TrayIdentity("TRAY-1", kind="switch").sensors()}


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_bmc_that_refuses_what_it_offers_is_read_sensor_by_sensor(status: int) -> None:
    serve = static_handler(tree_without_reports())
    reading, requests = served(lambda request: Response(status) if request.query else serve(request), times=2)
    assert by_series(reading).keys() == expected_series()
    assert requests == 2 + len(expected_series())


def test_a_bmc_that_ignores_the_query_is_read_sensor_by_sensor() -> None:
    serve = static_handler(tree_without_reports())

    def ignore(request: Request) -> Response:
        return serve(Request(request.method, request.path, request.headers, request.body))

    reading, requests = served(ignore, times=2)
    assert all(sample.value == 1.7 for sample in reading.samples)
    assert requests == 2 + len(expected_series())


@pytest.mark.parametrize("expand", [True, False])
def test_a_collection_in_pages_is_read_to_its_end(expand: bool) -> None:
    tree = without_reports(tree_without_reports(), expand=expand)
    path = f"{ROOT}/Chassis/Chassis_0/Sensors"
    members = tree[path]["Members"]
    tree[path] = {**tree[path], "Members": members[:4], "Members@odata.nextLink": f"{path}/More"}
    tree[f"{path}/More"] = {"@odata.id": f"{path}/More", "Members": members[4:]}
    if expand:
        tree[f"{path}/More"]["Members"] = [tree[each["@odata.id"]] for each in members[4:]]
    reading, _requests = served(static_handler(tree), times=2)
    assert by_series(reading).keys() == expected_series()


def test_a_sensor_its_bmc_fails_to_read_hinders_no_other() -> None:
    serve = static_handler(without_reports(tree_without_reports(), expand=False))
    broken = f"{ROOT}/Chassis/MGX_NVSwitch_0/Sensors/MGX_NVSwitch_0_Temp_0"
    reading, _requests = served(lambda request: Response(500) if request.path == broken else serve(request))
    missing = {sample.series for sample in reading.samples if sample.value is None}
    assert (missing, len(reading.samples)) == ({"MGX_NVSwitch_0_Temp_0"}, len(expected_series()))


def test_a_member_that_comes_without_its_reading_has_no_value() -> None:
    tree, polls = tree_without_reports(), []
    serve = static_handler(tree)

    def handler(request: Request) -> Response:
        if request.query and "BMC_0" in request.path:
            polls.append(request)
            if len(polls) == 2:
                return serve(Request(request.method, request.path, request.headers, request.body))
        return serve(request)

    reading, _requests = served(handler)
    assert {sample.series for sample in reading.samples if sample.value is None} == {"BMC_0_DCSCM_Temp_0"}


def test_a_bmc_without_systems_is_known_by_its_outermost_chassis() -> None:
    tree = tree_without_reports()
    del tree[ROOT]["Systems"]
    tree[f"{ROOT}/Chassis"]["Members"].reverse()
    reading, _requests = served(static_handler(tree))
    assert (reading.serial, reading.boot_id, reading.stress_active) == ("TRAY-1-Chassis_0", "", None)
    assert by_series(reading).keys() == expected_series()


@pytest.mark.parametrize(
    ("offered", "query"),
    [
        ({"NoLinks": True, "ExpandAll": True, "Levels": True}, "?$expand=.($levels=1)"),
        ({"NoLinks": False, "ExpandAll": True, "Levels": True}, "?$expand=*($levels=1)"),
        ({"ExpandAll": True, "Levels": False}, "?$expand=*"),
        ({"Links": True, "Levels": True}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_query_is_one_that_is_offered(offered: Any, query: str) -> None:
    assert expand_query({"ProtocolFeaturesSupported": {"ExpandQuery": offered}}) == query
    assert expand_query({}) == ""
