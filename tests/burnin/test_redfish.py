"""The Redfish client against simulated BMCs over real sockets: polling, faults, login and actions."""

import asyncio
import pickle
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from mes.burnin.redfish import (
    BmcAddress,
    BmcMemory,
    RedfishClient,
    RedfishError,
    Sample,
    Timeouts,
    TrayReading,
    read_trays,
)
from mes.simulators.bmc import Simulator, serve_trays
from mes.simulators.bmc_identity import TrayIdentity

T = TypeVar("T")
TRAY = TrayIdentity("TRAY-1", slot_number=27, tray_index=17, firmware={"BMC": "25.08-9", "GPU": "97.10"})

SILENT = [("hang", 0.3, "timeout"), ("vanish", 5.0, "unreachable"), ("garbage", 5.0, "garbage")]


def address(simulator: Simulator, serial: str = "TRAY-1", password: str = "simulator") -> BmcAddress:
    return BmcAddress(f"http://127.0.0.1:{simulator.ports[serial]}", "factory", password)


def with_tray(scenario: Callable[[Simulator], Awaitable[T]], *, speed: float = 1.0) -> T:
    async def serve() -> T:
        async with serve_trays([TRAY], speed=speed) as simulator:
            return await scenario(simulator)

    return asyncio.run(serve())


def with_client(scenario: Callable[[RedfishClient, Simulator], Awaitable[T]], **options: Any) -> T:
    async def connect(simulator: Simulator) -> T:
        async with RedfishClient(address(simulator), **options) as client:
            return await scenario(client, simulator)

    return with_tray(connect)


def before_and_under(fault: str, timeout: float = 5.0) -> tuple[TrayReading, TrayReading | RedfishError]:
    """Return a poll of a healthy tray and one with the fault, with session and layout kept in between."""

    async def scenario(simulator: Simulator) -> tuple[Any, Any]:
        memories: dict[str, BmcMemory] = {}
        trays = {1: address(simulator)}
        before = await read_trays(trays, timeout=5, memories=memories)
        simulator.set_fault("TRAY-1", fault)
        return before[1], (await read_trays(trays, timeout=timeout, memories=memories))[1]

    return with_tray(scenario)


def reading_under(fault: str) -> TrayReading:
    _before, reading = before_and_under(fault)
    assert isinstance(reading, TrayReading), reading
    return reading


def by_series(reading: TrayReading) -> dict[str, Sample]:
    return {sample.series: sample for sample in reading.samples}


def test_a_reading_says_who_where_and_how() -> None:
    before, reading = before_and_under("none")
    assert isinstance(reading, TrayReading)
    assert (reading.serial, reading.slot_number, reading.tray_index) == ("TRAY-1", 27, 17)
    assert (reading.leak, reading.leak_detectors, reading.stress_active) == ((), 4, False)
    assert reading.boot_id == before.boot_id != ""
    assert reading.health["System_0#/PowerState"] == "On"
    samples = by_series(reading)
    assert len(samples) == len(reading.samples) == 94
    assert all(sample.value is not None and not sample.stale for sample in reading.samples)
    assert 30 < (samples["HGX_GPU_3_TEMP_0"].value or 0) < 36
    assert all(abs((sample.at - reading.taken_at).total_seconds()) < 2 for sample in reading.samples)


@pytest.mark.parametrize(("fault", "timeout", "reason"), SILENT)
def test_a_bmc_that_does_not_answer_is_an_error(fault: str, timeout: float, reason: str) -> None:
    _before, error = before_and_under(fault, timeout)
    assert isinstance(error, RedfishError)
    assert error.reason == reason


@pytest.mark.parametrize(("fault", "timeout", "reason"), SILENT)
def test_a_bmc_that_never_answered_is_an_error(fault: str, timeout: float, reason: str) -> None:
    async def scenario(simulator: Simulator) -> Any:
        simulator.set_fault("TRAY-1", fault)
        return (await read_trays({1: address(simulator)}, timeout=timeout))[1]

    assert with_tray(scenario).reason == reason


def test_nothing_listening_is_unreachable() -> None:
    async def scenario(simulator: Simulator) -> Any:
        gone = address(simulator)
        await simulator.stop()
        return (await read_trays({1: gone}, timeout=2))[1]

    assert with_tray(scenario).reason == "unreachable"


def test_a_hanging_bmc_is_waited_for_no_longer_than_the_read_timeout() -> None:
    async def scenario(client: RedfishClient, simulator: Simulator) -> None:
        simulator.set_fault("TRAY-1", "hang")
        await client.read_tray()

    begun = time.monotonic()
    with pytest.raises(RedfishError, match="timeout"):
        with_client(scenario, timeouts=Timeouts(read=0.2))
    assert time.monotonic() - begun < 1.5


def test_nan_is_no_value() -> None:
    samples = by_series(reading_under("nan"))
    assert [samples[f"HGX_GPU_{number}_TEMP_0"].value for number in range(4)] == [None] * 4
    assert samples["HGX_GPU_0_Power_0"].value is not None


def test_stale_is_no_value_and_keeps_its_own_time() -> None:
    before, reading = before_and_under("stale")
    assert isinstance(reading, TrayReading)
    assert all(sample.stale and sample.value is None for sample in reading.samples)
    assert {sample.at for sample in reading.samples} <= {sample.at for sample in before.samples}


def test_a_leak_names_its_detector() -> None:
    reading = reading_under("leak")
    assert reading.leak == ("Chassis_0_LeakDetector_0_ColdPlate",)
    assert not 1.3 <= (by_series(reading)["Chassis_0_LeakDetector_0_ColdPlate"].value or 0) <= 2.0


def test_overheating_shows_in_temperature_and_headroom() -> None:
    samples = by_series(reading_under("overheat"))
    assert (samples["HGX_GPU_0_TEMP_0"].value or 0) > 87
    assert (samples["HGX_GPU_0_TEMP_1"].value or 0) < 0


def test_a_reboot_changes_the_boot_id_and_keeps_the_position() -> None:
    before, reading = before_and_under("reboot")
    assert isinstance(reading, TrayReading)
    assert reading.boot_id != before.boot_id
    assert (reading.serial, reading.slot_number) == ("TRAY-1", 27)


def test_another_tray_shows_by_its_serial() -> None:
    assert reading_under("wrong_serial").serial == "OTHER-TRAY-1"


def test_a_wrong_slot_shows_at_discovery_and_after_a_reboot() -> None:
    async def scenario(simulator: Simulator) -> list[tuple[int | None, int | None]]:
        memories: dict[str, BmcMemory] = {}
        places = []
        for faults in ([], ["wrong_slot"], ["reboot"]):
            for fault in faults:
                simulator.set_fault("TRAY-1", fault)
            reading = (await read_trays({1: address(simulator)}, timeout=5, memories=memories))[1]
            assert isinstance(reading, TrayReading)
            places.append((reading.slot_number, reading.tray_index))
        fresh = (await read_trays({1: address(simulator)}, timeout=5))[1]
        assert isinstance(fresh, TrayReading)
        return [*places, (fresh.slot_number, fresh.tray_index)]

    assert with_tray(scenario) == [(27, 17), (27, 17), (28, 18), (28, 18)]


def test_a_poll_is_four_requests_and_discovery_keeps_to_four_connections() -> None:
    async def scenario(client: RedfishClient, simulator: Simulator) -> tuple[int, int, int]:
        await client.read_tray()
        counts = [simulator.servers["TRAY-1"].requests]
        for fault in ("none", "leak"):
            simulator.set_fault("TRAY-1", fault)
            await client.read_tray()
            counts.append(simulator.servers["TRAY-1"].requests)
        return counts[1] - counts[0], counts[2] - counts[1], simulator.servers["TRAY-1"].peak_connections

    assert with_client(scenario) == (4, 8, 4)


def test_one_hanging_tray_delays_none_of_twenty() -> None:
    identities = [TrayIdentity(f"T{number}", slot_number=number) for number in range(1, 21)]

    async def scenario() -> tuple[float, dict[str, TrayReading | RedfishError]]:
        memories: dict[str, BmcMemory] = {}
        async with serve_trays(identities) as simulator:
            trays = {serial: address(simulator, serial) for serial in simulator.ports}
            await read_trays(trays, timeout=20, memories=memories)
            simulator.set_fault("T7", "hang")
            begun = time.monotonic()
            readings = await read_trays(trays, timeout=2, memories=memories)
            return time.monotonic() - begun, readings

    elapsed, readings = asyncio.run(scenario())
    assert elapsed < 2.8
    failed = {serial: each for serial, each in readings.items() if isinstance(each, RedfishError)}
    assert [(serial, error.reason) for serial, error in failed.items()] == [("T7", "timeout")]
    assert all(serial == each.serial for serial, each in readings.items() if isinstance(each, TrayReading))


def test_a_bmc_that_trickles_is_cut_off_too() -> None:
    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.05)

    async def scenario() -> Any:
        async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
            slow = BmcAddress(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "factory", "pass")
            return (await read_trays({1: slow}, timeout=0.3))[1]

    begun = time.monotonic()
    assert asyncio.run(scenario()).reason == "timeout"
    assert time.monotonic() - begun < 2


def test_the_session_is_kept_between_polls_or_closed_at_the_end() -> None:
    async def scenario(simulator: Simulator) -> tuple[int, int]:
        memories: dict[str, BmcMemory] = {}
        for _ in range(3):
            await read_trays({1: address(simulator)}, timeout=5, memories=memories)
        kept = simulator.trays["TRAY-1"].status()["sessions"]
        for _ in range(3):
            await read_trays({1: address(simulator)}, timeout=5)
        return kept, simulator.trays["TRAY-1"].status()["sessions"]

    assert with_tray(scenario) == (1, 1)


def test_a_bmc_that_forgot_our_session_is_logged_in_to_again() -> None:
    async def scenario() -> Any:
        memories: dict[str, BmcMemory] = {}
        async with serve_trays([TRAY]) as first:
            trays = {1: address(first)}
            await read_trays(trays, timeout=5, memories=memories)
        port = first.ports["TRAY-1"]
        async with serve_trays([TRAY], first_port=port):
            return (await read_trays(trays, timeout=5, memories=memories))[1]

    reading = asyncio.run(scenario())
    assert isinstance(reading, TrayReading), reading


def test_wrong_credentials_are_refused_and_never_told() -> None:
    async def scenario(simulator: Simulator) -> Any:
        return (await read_trays({1: address(simulator, password="hunter2-secret")}, timeout=5))[1]

    error = with_tray(scenario)
    assert error.reason == "unauthorised"
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.reason, copy.status, str(copy)) == (error.reason, 401, str(error))
    assert "hunter2" not in f"{error} {error!r} {error.args} {vars(error)}"
    assert "hunter2" not in repr(BmcAddress("https://bmc", "factory", "hunter2-secret"))
    assert "token-1" not in repr(BmcMemory(token="token-1"))


@pytest.mark.parametrize("url", ["http://user:secret@bmc", "bmc.local", "ftp://bmc", "http://"])
def test_an_address_is_an_address_only(url: str) -> None:
    with pytest.raises(ValueError, match="without credentials") as refused:
        BmcAddress(url, "factory", "pass")
    assert "secret" not in str(refused.value)


def test_stress_is_started_and_stopped_once_per_key() -> None:
    async def scenario(client: RedfishClient, simulator: Simulator) -> list[bool | None]:
        states = []
        for _ in range(2):
            await client.start_stress("soak", "run:1:1:start")
            states.append((await client.read_tray()).stress_active)
        await client.stop_stress("run:1:1:stop")
        states.append((await client.read_tray()).stress_active)
        await client.start_stress("soak", "run:1:1:start")
        states.append((await client.read_tray()).stress_active)
        assert simulator.trays["TRAY-1"].status()["intents"] == ["run:1:1:start", "run:1:1:stop"]
        return states

    assert with_client(scenario) == [True, True, False, False]


def test_power_goes_off_once_and_on_again() -> None:
    async def scenario(client: RedfishClient, simulator: Simulator) -> list[TrayReading]:
        readings = []
        for act, key in [(client.power_off, "off-1"), (client.power_off, "off-2"), (client.power_on, "on-1")]:
            await act(key)
            readings.append(await client.read_tray())
        assert simulator.trays["TRAY-1"].status()["intents"] == ["off-1", "on-1"]
        await client.power_off("off-1")
        return [*readings, await client.read_tray()]

    off, still_off, powered, not_off = with_client(scenario)
    states = [each.health["System_0#/PowerState"] for each in (off, still_off, powered, not_off)]
    assert states == ["Off", "Off", "On", "On"]
    assert off.boot_id == still_off.boot_id != powered.boot_id == not_off.boot_id
    assert by_series(off)["HGX_GPU_0_TEMP_0"].value is None


def test_stress_on_a_tray_without_power_is_an_error() -> None:
    async def scenario(client: RedfishClient, _simulator: Simulator) -> None:
        await client.power_off("off-1")
        await client.start_stress("soak", "start-1")

    with pytest.raises(RedfishError) as refused:
        with_client(scenario)
    assert (refused.value.reason, refused.value.status) == ("http_error", 409)


def test_the_inventory_is_what_the_tray_is_made_of() -> None:
    async def scenario(client: RedfishClient, _simulator: Simulator) -> Any:
        return await client.read_inventory()

    inventory = with_client(scenario)
    assert (inventory.serial, inventory.slot_number, inventory.tray_index) == ("TRAY-1", 27, 17)
    assert inventory.asset_tag is None
    assert inventory.macs == {"BMC_0/eth0": TRAY.bmc_mac}
    assert inventory.firmware == {
        "FW_BMC_0": "25.08-9",
        **{f"HGX_FW_GPU_{number}": "97.10" for number in range(4)},
    }
    gpus = [part for part in inventory.components if part.kind == "gpu"]
    assert [gpu.uuid for gpu in gpus] == [TRAY.gpu_uuid(number) for number in range(4)]
    assert [gpu.serial for gpu in gpus] == ["TRAY-1-B0", "TRAY-1-B0", "TRAY-1-B1", "TRAY-1-B1"]
    assert gpus[3].location == "HGX_Chassis_0/ProcessorModule_1/GPU_1"
    assert len([part for part in inventory.components if part.kind == "drive"]) == 5
