"""The Redfish client against trees served as they are: a real capture, and BMCs that mislead."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from copy import deepcopy
from functools import cache
from typing import Any, TypeVar

import pytest

from mes.burnin.redfish import BmcAddress, BmcMemory, RedfishClient, RedfishError, TrayReading, read_trays
from mes.burnin.redfish_inventory import Inventory, told, told_identity
from mes.simulators.bmc import serve_tree, static_handler
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_resources import LEAK_DETECTION, REPORTS, ROOT, SYSTEM
from mes.simulators.bmc_tree import build_tree
from mes.simulators.http import HttpServer, Outage, Request, Response
from tests.samples import sample

T = TypeVar("T")
Tree = dict[str, Any]
DETECTORS = f"{LEAK_DETECTION}/LeakDetectors"
WET = "Chassis_0_LeakDetector_1_Manifold"


@cache
def captured() -> Tree:
    return dict(json.loads(sample("redfish/gb300-compute-tray.json").read_text()))


def with_tree(tree: Tree, scenario: Callable[[RedfishClient, HttpServer], Awaitable[T]], **options: Any) -> T:
    async def serve() -> T:
        async with serve_tree(tree) as server:
            address = BmcAddress(f"http://127.0.0.1:{server.port}", "factory", "pass")
            async with RedfishClient(address, **options) as client:
                return await scenario(client, server)

    return asyncio.run(serve())


def reading_of(tree: Tree, **options: Any) -> TrayReading:
    async def scenario(client: RedfishClient, _server: HttpServer) -> TrayReading:
        return await client.read_tray()

    return with_tree(tree, scenario, **options)


def inventory_of(tree: Tree) -> Inventory:
    async def scenario(client: RedfishClient, _server: HttpServer) -> Inventory:
        return await client.read_inventory()

    return with_tree(tree, scenario)


def made_up(volts: float | None = 1.7, state: str | None = "OK", rollup: str | None = "OK") -> Tree:
    """Return a tray's tree in which one leak detector has these properties and the others are dry."""
    tree = deepcopy(build_tree(TrayIdentity("TRAY-1", slot_number=3, tray_index=2)))
    readings = {path.rpartition("/")[2]: 1.7 for path in tree if path.startswith(f"{DETECTORS}/")}
    readings[WET] = volts if volts is not None else float("nan")
    tree[f"{REPORTS}/PlatformEnvironmentMetrics_0"]["MetricValues"] = [
        {"MetricProperty": f"{ROOT}/Chassis/Chassis_0/Sensors/{name}", "MetricValue": f"{value}"}
        for name, value in readings.items()
    ]
    tree[f"{DETECTORS}/{WET}"]["DetectorState"] = state
    tree[LEAK_DETECTION]["Status"] = {"State": "Enabled", "HealthRollup": rollup}
    return tree


def test_the_capture_reads_as_the_tray_it_was_taken_from() -> None:
    reading = reading_of(captured())
    assert (reading.slot_number, reading.tray_index) == (27, 17)
    assert reading.serial == captured()[SYSTEM]["SerialNumber"]
    assert reading.boot_id == captured()[SYSTEM]["LastResetTime"]
    assert (reading.leak, reading.leak_detectors, reading.stress_active) == ((), 4, None)


def test_missing_and_stale_values_of_the_capture_have_no_value() -> None:
    samples = reading_of(captured()).samples
    assert len(samples) == 98
    without = sorted(each.series for each in samples if each.value is None)
    drives = [f"StorageBackplane_{backplane}_SSD_{bay}_Temp_0" for backplane in range(2) for bay in range(4)]
    stale = ["PDB_0_HSC_0_Pwr_0", "PDB_0_HSC_0_Temp_0", "PDB_0_HSC_1_Volt_In_0", "PDB_0_Vreg_1_Temp_0"]
    assert without == sorted(drives + stale)
    assert all(each.stale for each in samples if each.value is None)
    headroom = next(each for each in samples if each.series == "HGX_GPU_0_TEMP_1")
    assert headroom.value == 54.03125
    assert headroom.at.isoformat() == "2026-06-29T08:05:27.511000+00:00"


def test_a_poll_of_the_capture_is_four_requests_without_session_login() -> None:
    async def scenario(client: RedfishClient, server: HttpServer) -> tuple[int, int]:
        await client.read_tray()
        before = server.requests
        await client.read_tray()
        return before, server.requests - before

    discovery, poll = with_tree(captured(), scenario)
    assert poll == 4
    assert discovery < 70


def test_series_names_are_unique_over_every_report_of_the_capture() -> None:
    names = [path.rpartition("/")[2] for path in captured() if path.startswith(f"{REPORTS}/")]
    reading = reading_of(captured(), reports=names)
    series = [each.series for each in reading.samples]
    words = {name for name in reading.health if not name.startswith("System_0#")}
    metrics = {
        each["MetricProperty"] for name in names for each in captured()[f"{REPORTS}/{name}"]["MetricValues"]
    }
    assert len(names) == 10
    assert len(set(series) | words) == len(metrics)


def test_health_words_are_kept_apart_from_samples() -> None:
    reading = reading_of(captured(), reports=["HGX_HealthMetrics_0", "NotOffered_0"])
    assert reading.samples == ()
    assert reading.health["HGX_CPU_0#/Status/Health"] == "OK"
    assert len(reading.health) == 14 + 3


def test_the_inventory_of_the_capture() -> None:
    inventory = inventory_of(captured())
    parts = {part.path: part for part in inventory.components}
    gpus = [part for part in inventory.components if part.kind == "gpu"]
    assert (inventory.slot_number, inventory.tray_index, inventory.asset_tag) == (27, 17, None)
    assert parts[f"{ROOT}/Chassis/HGX_Chassis_0"].serial is None
    assert parts[f"{ROOT}/Chassis/HGX_GPU_0"].part_number is None
    assert parts[f"{ROOT}/Chassis/CPLD_0"].serial is None
    assert len({gpu.serial for gpu in gpus}) == 2
    assert len({gpu.uuid for gpu in gpus}) == 4
    assert gpus[1].location == "HGX_Chassis_0/ProcessorModule_0/GPU_1"
    assert len(inventory.firmware) == 29
    assert inventory.firmware["HGX_FW_GPU_0"] == "97.10.3E.00.05"
    assert inventory.macs["BMC_0/eth0"] == "02:67:d0:af:67:88"
    assert [part.present for part in inventory.components if part.kind == "drive"] == [False] * 9 + [True]


def test_a_bmc_without_stress_actions_says_so() -> None:
    async def scenario(client: RedfishClient, _server: HttpServer) -> None:
        await client.start_stress("soak", "key-1")

    with pytest.raises(RedfishError, match="does not offer") as refused:
        with_tree(captured(), scenario)
    assert refused.value.reason == "http_error"


@pytest.mark.parametrize(
    ("volts", "state", "rollup", "leak"),
    [
        (1.7, "OK", "OK", ()),
        (1.7, "Critical", "Critical", (WET,)),
        (1.7, "Warning", "Warning", (WET,)),
        (0.6, "OK", "OK", (WET,)),
        (2.4, "OK", "OK", (WET,)),
        (None, "Critical", "OK", (WET,)),
        (None, "OK", "OK", ()),
        (1.7, "Critical", None, (WET,)),
        (1.7, "OK", "Critical", ("LeakDetection",)),
        (1.7, None, "Warning", (WET,)),
    ],
)
def test_a_leak_shows_by_any_of_its_signals(
    volts: float | None, state: str | None, rollup: str | None, leak: tuple[str, ...]
) -> None:
    assert reading_of(made_up(volts, state, rollup)).leak == leak


def test_a_detector_that_is_not_fitted_does_not_leak() -> None:
    tree = made_up(None, None, "OK")
    tree[f"{DETECTORS}/{WET}"]["Status"] = {"State": "Absent"}
    assert reading_of(tree).leak == ()


@pytest.mark.parametrize(
    ("rollup", "volts", "leak"), [("Critical", 1.7, "LeakDetection"), ("OK", 0.6, WET), ("OK", None, None)]
)
def test_an_evident_leak_does_not_wait_for_its_detectors(
    rollup: str, volts: float | None, leak: str | None
) -> None:
    async def scenario() -> TrayReading:
        tree = made_up(volts, "OK", rollup)
        serve = static_handler(tree)

        def handler(request: Request) -> Response | Outage:
            return Response(500) if request.path.startswith(f"{DETECTORS}/") else serve(request)

        server = HttpServer(handler)
        address = BmcAddress(f"http://127.0.0.1:{await server.start()}", "factory", "pass")
        try:
            async with RedfishClient(address) as client:
                return await client.read_tray()
        finally:
            await server.stop()

    if leak:
        assert asyncio.run(scenario()).leak == (leak,)
    else:
        with pytest.raises(RedfishError, match="500"):
            asyncio.run(scenario())


def replaced(path: str, **properties: Any) -> Tree:
    tree = made_up()
    tree[path] = {**tree[path], **properties}
    return tree


@pytest.mark.parametrize(
    "tree",
    [
        replaced(f"{REPORTS}/PlatformEnvironmentMetrics_0", MetricValues=7),
        replaced(f"{REPORTS}/PlatformEnvironmentMetrics_0", MetricValues=[{"MetricProperty": None}]),
        replaced(f"{ROOT}/Systems", Members=["System_0"]),
        replaced(f"{ROOT}/Systems", Members=[]),
        replaced(f"{ROOT}/Chassis", Members={"@odata.id": 1}),
        replaced(LEAK_DETECTION, Status="fine"),
        {**made_up(), SYSTEM: ["a", "list"]},
        replaced(ROOT, Systems={"@odata.id": "http://127.0.0.1:9/redfish/v1/Systems"}),
        replaced(ROOT, Systems={"@odata.id": "//127.0.0.1:9/redfish/v1/Systems"}),
        replaced(ROOT, Systems={"@odata.id": "/redfish/v1/\x00"}),
    ],
)
def test_answers_that_are_not_redfish_are_garbage(tree: Tree) -> None:
    with pytest.raises(RedfishError) as refused:
        reading_of(tree)
    assert refused.value.reason == "garbage"


def test_a_resource_that_vanishes_is_looked_for_anew() -> None:
    async def scenario() -> tuple[Any, Any]:
        memories: dict[str, BmcMemory] = {}
        tree = made_up()

        def handler(request: Request) -> Response:
            return static_handler(tree)(request)

        server = HttpServer(handler)
        trays = {1: BmcAddress(f"http://127.0.0.1:{await server.start()}", "factory", "pass")}
        await read_trays(trays, timeout=5, memories=memories)
        moved = tree.pop(f"{REPORTS}/HGX_PlatformEnvironmentMetrics_0")
        moved["@odata.id"] = f"{REPORTS}/New_PlatformEnvironmentMetrics_0"
        tree[moved["@odata.id"]] = moved
        tree[REPORTS]["Members"][0] = {"@odata.id": moved["@odata.id"]}
        try:
            readings = [await read_trays(trays, timeout=5, memories=memories) for _ in range(2)]
        finally:
            await server.stop()
        return readings[0][1], readings[1][1]

    lost, found = asyncio.run(scenario())
    assert isinstance(lost, RedfishError)
    assert lost.status == 404
    assert isinstance(found, TrayReading)


def test_discovery_of_a_slow_bmc_goes_on_where_it_ran_out_of_time() -> None:
    async def scenario() -> list[Any]:
        memories: dict[str, BmcMemory] = {}
        serve, budget = static_handler(made_up()), {"left": 0}

        def handler(request: Request) -> Response | Outage:
            budget["left"] -= 1
            return serve(request) if budget["left"] >= 0 else Outage.HANG

        server = HttpServer(handler)
        trays = {1: BmcAddress(f"http://127.0.0.1:{await server.start()}", "factory", "pass")}
        outcomes: list[Any] = []
        while len(outcomes) < 8 and not (outcomes and isinstance(outcomes[-1], TrayReading)):
            budget["left"] = 12
            outcomes.append((await read_trays(trays, timeout=0.4, memories=memories))[1])
        await server.stop()
        return outcomes

    first, *_, last = asyncio.run(scenario())
    assert isinstance(first, RedfishError)
    assert isinstance(last, TrayReading)


@pytest.mark.parametrize(
    ("value", "text", "identity"),
    [
        ("N/A", None, None),
        ("na", None, None),
        (" ", None, None),
        (None, None, None),
        ("$PRODUCT_ASSET_TAG", None, None),
        ("0x0000000000000000", "0x0000000000000000", None),
        ("00:00:00:00:00:00", "00:00:00:00:00:00", None),
        ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000", None),
        ("0", "0", None),
        (" SN001 ", "SN001", "SN001"),
        (100200, "100200", "100200"),
    ],
)
def test_the_ways_of_having_no_identity(value: object, text: str | None, identity: str | None) -> None:
    assert (told(value), told_identity(value)) == (text, identity)
