"""A simulated tray over time, driven by a clock of the test's own."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from mes.simulators.bmc_faults import Fault
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_resources import LEAK_DETECTION, REPORTS, SESSIONS, SYSTEM
from mes.simulators.bmc_sensors import GPU_REPORT, HOST_REPORT
from mes.simulators.bmc_tray import STRESS, SimulatedTray
from mes.simulators.http import Outage, Request, Response

LOGIN = {"authorization": "Basic ZmFjdG9yeTpzaW11bGF0b3I="}


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def tray_at(clock: Clock, *, speed: float = 1.0, **identity: Any) -> SimulatedTray:
    return SimulatedTray(TrayIdentity("TRAY-1", **identity), speed=speed, clock=clock)


def ask(tray: SimulatedTray, path: str, payload: Any = None, **headers: str) -> Response | Outage:
    method = "GET" if payload is None else "POST"
    return tray.handle(Request(method, path, headers or LOGIN, json.dumps(payload).encode()))


def body(tray: SimulatedTray, path: str, payload: Any = None) -> Any:
    answer = ask(tray, path, payload)
    assert isinstance(answer, Response)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def status(tray: SimulatedTray, path: str, payload: Any = None) -> int:
    answer = ask(tray, path, payload)
    assert isinstance(answer, Response)
    return answer.status


def values(tray: SimulatedTray, report: str = GPU_REPORT) -> dict[str, str]:
    metrics = body(tray, f"{REPORTS}/{report}")["MetricValues"]
    return {metric["MetricProperty"].rpartition("/")[2]: metric["MetricValue"] for metric in metrics}


def gpu(tray: SimulatedTray, name: str = "TEMP_0") -> float:
    return float(values(tray)[f"HGX_GPU_0_{name}"])


def start(tray: SimulatedTray, key: str = "run:1:1:start", **load: float) -> Any:
    return body(tray, f"{STRESS}.StartStress", {"Profile": "soak", "IntentKey": key, **load})


def stop(tray: SimulatedTray, key: str = "run:1:1:stop") -> Any:
    return body(tray, f"{STRESS}.StopStress", {"IntentKey": key})


def test_power_rises_at_once_and_heat_lags_behind() -> None:
    clock = Clock()
    tray = tray_at(clock)
    start(tray)
    clock.now += 10
    assert gpu(tray, "Power_0") > 850
    assert 35 < gpu(tray) < 45
    clock.now += 300
    assert 64 < gpu(tray) < 68


def test_power_follows_the_load_that_is_asked_for() -> None:
    clock = Clock()
    tray = tray_at(clock)
    readings = []
    for key, load in (("1", 100.0), ("2", 50.0), ("3", 100.0)):
        start(tray, key, LoadPercent=load)
        clock.now += 60
        readings.append(gpu(tray, "Power_0"))
        stress = body(tray, SYSTEM)["Oem"]["RackMES"]
        assert (stress["StressActive"], stress["LoadPercent"]) == (True, load)
    full, half, again = readings
    idle = 2 * half - full
    assert 0 < idle < 0.5 * half < half < 0.7 * full
    assert abs(full - again) < 20
    stop(tray)
    assert tray.status()["load_percent"] == 0


def test_heat_falls_back_when_stress_stops() -> None:
    clock = Clock()
    tray = tray_at(clock)
    start(tray)
    clock.now += 300
    stop(tray)
    clock.now += 300
    assert 32 < gpu(tray) < 34
    assert gpu(tray, "Power_0") < 250


def test_speed_makes_physics_faster() -> None:
    clock = Clock()
    tray = tray_at(clock, speed=600)
    start(tray)
    clock.now += 0.5
    assert 64 < gpu(tray) < 68


def test_energy_is_power_over_time() -> None:
    clock = Clock()
    tray = tray_at(clock)
    start(tray)
    clock.now += 100
    before = gpu(tray, "Energy_0")
    clock.now += 100
    assert gpu(tray, "Energy_0") - before == pytest.approx(98_500, rel=0.001)


def test_headroom_is_the_distance_to_the_throttle_limit() -> None:
    clock = Clock()
    read = values(tray_at(clock))
    assert float(read["HGX_GPU_0_TEMP_0"]) + float(read["HGX_GPU_0_TEMP_1"]) == pytest.approx(87.0)


def test_the_same_serial_reads_the_same_and_another_does_not() -> None:
    one, two = tray_at(Clock()), tray_at(Clock())
    other = SimulatedTray(TrayIdentity("TRAY-2"), clock=Clock())
    assert values(one) == values(two)
    assert values(one) != values(other)


def test_readings_refresh_four_times_a_simulated_second() -> None:
    clock = Clock()
    tray = tray_at(clock)
    first = values(tray)
    clock.now += 0.2
    assert values(tray) == first
    clock.now += 0.1
    assert values(tray) != first


def test_a_switch_tray_has_two_asics_and_one_report() -> None:
    tray = tray_at(Clock(), kind="switch", slot_number=9)
    names = [
        member["@odata.id"].rpartition("/")[2] for member in body(tray, "/redfish/v1/Chassis")["Members"]
    ]
    assert [name for name in names if "NVSwitch" in name] == ["MGX_NVSwitch_0", "MGX_NVSwitch_1"]
    assert not [name for name in names if "GPU" in name]
    assert [each["@odata.id"] for each in body(tray, REPORTS)["Members"]] == [f"{REPORTS}/{HOST_REPORT}"]
    assert "ComputeTrayIndex" not in body(tray, "/redfish/v1/Chassis/CBC_0")["Oem"]["Nvidia"]


def test_an_intent_is_carried_out_once() -> None:
    tray = tray_at(Clock())
    assert start(tray, "key-1")["Applied"] is True
    assert stop(tray, "key-2")["Applied"] is True
    assert start(tray, "key-1")["Applied"] is False
    state = body(tray, SYSTEM)["Oem"]["RackMES"]
    idle = {"StressActive": False, "Profile": "", "LoadPercent": 0}
    assert state == {**idle, "Intents": ["key-1", "key-2"]}


def test_an_intent_refused_for_want_of_power_can_be_repeated() -> None:
    tray = tray_at(Clock())
    reset = f"{SYSTEM}/Actions/ComputerSystem.Reset"
    assert status(tray, reset, {"ResetType": "ForceOff"}) == 200
    assert status(tray, f"{STRESS}.StartStress", {"IntentKey": "key-1"}) == 409
    assert status(tray, reset, {"ResetType": "On"}) == 200
    assert start(tray, "key-1")["Applied"] is True


def test_power_off_stops_stress_and_silences_the_gpus() -> None:
    tray = tray_at(Clock())
    start(tray)
    before = body(tray, SYSTEM)
    body(tray, f"{SYSTEM}/Actions/ComputerSystem.Reset", {"ResetType": "GracefulShutdown"})
    after = body(tray, SYSTEM)
    assert (before["PowerState"], after["PowerState"]) == ("On", "Off")
    assert after["LastResetTime"] > before["LastResetTime"]
    assert after["Oem"]["RackMES"]["StressActive"] is False
    assert set(values(tray).values()) == {"nan"}
    assert float(values(tray, HOST_REPORT)["Chassis_0_TotalHSC_Power_0"]) < 100


def test_switching_on_what_is_on_changes_nothing() -> None:
    tray = tray_at(Clock())
    before = body(tray, SYSTEM)
    body(tray, f"{SYSTEM}/Actions/ComputerSystem.Reset", {"ResetType": "On"})
    assert body(tray, SYSTEM) == before


def test_a_restart_goes_through_the_boot_stages() -> None:
    tray = tray_at(Clock())
    assert body(tray, SYSTEM)["BootProgress"]["LastState"] == "OSRunning"
    body(tray, f"{SYSTEM}/Actions/ComputerSystem.Reset", {"ResetType": "ForceRestart"})
    assert body(tray, SYSTEM)["BootProgress"]["LastState"] == "SystemHardwareInitializationComplete"


def test_a_fault_starts_late_and_ends_by_itself() -> None:
    clock = Clock()
    tray = tray_at(clock)
    tray.set_fault(Fault.HANG, after_seconds=10, for_seconds=5)
    assert status(tray, SYSTEM) == 200
    clock.now += 10
    assert ask(tray, SYSTEM) is Outage.HANG
    clock.now += 5
    assert status(tray, SYSTEM) == 200


def test_none_ends_every_fault_and_cancels_planned_ones() -> None:
    clock = Clock()
    tray = tray_at(clock)
    for fault in (Fault.HANG, Fault.NAN):
        tray.set_fault(fault)
    tray.set_fault(Fault.REBOOT, after_seconds=20)
    tray.set_fault(Fault.NONE)
    before = body(tray, SYSTEM)
    clock.now += 30
    assert body(tray, SYSTEM) == before
    assert tray.status()["faults"] == []


def test_a_reboot_happens_at_its_time_though_nobody_asks() -> None:
    clock = Clock()
    tray = tray_at(clock)
    start(tray)
    before = body(tray, SYSTEM)
    tray.set_fault(Fault.REBOOT, after_seconds=100)
    clock.now += 200
    after = body(tray, SYSTEM)
    assert after["LastResetTime"] != before["LastResetTime"]
    assert after["Oem"]["RackMES"]["StressActive"] is False
    assert gpu(tray) < 50
    assert body(tray, SYSTEM)["LastResetTime"] == after["LastResetTime"]


def test_stale_readings_are_frozen_with_their_time() -> None:
    clock = Clock()
    tray = tray_at(clock)
    start(tray)
    before = body(tray, f"{REPORTS}/{GPU_REPORT}")["MetricValues"]
    tray.set_fault(Fault.STALE)
    clock.now += 60
    frozen = body(tray, f"{REPORTS}/{GPU_REPORT}")["MetricValues"]
    assert [(each["MetricValue"], each["Timestamp"]) for each in frozen] == [
        (each["MetricValue"], each["Timestamp"]) for each in before
    ]
    assert {each["Oem"]["Nvidia"]["MetricValueStale"] for each in before} == {False}
    assert {each["Oem"]["Nvidia"]["MetricValueStale"] for each in frozen} == {True}


def test_a_leak_shows_in_detector_rollup_and_voltage() -> None:
    tray = tray_at(Clock())
    tray.set_fault(Fault.LEAK)
    detectors = [
        body(tray, each["@odata.id"]) for each in body(tray, f"{LEAK_DETECTION}/LeakDetectors")["Members"]
    ]
    assert [each["DetectorState"] for each in detectors] == ["Critical", "OK", "OK", "OK"]
    assert body(tray, LEAK_DETECTION)["Status"]["HealthRollup"] == "Critical"
    volts = float(values(tray, HOST_REPORT)[detectors[0]["Id"]])
    assert not 1.3 <= volts <= 2.0


def test_a_session_ends_after_thirty_idle_minutes() -> None:
    clock = Clock()
    tray = tray_at(clock)
    opened = tray.handle(Request("POST", SESSIONS, {}, b'{"UserName": "factory", "Password": "simulator"}'))
    assert isinstance(opened, Response)
    token = {"x-auth-token": dict(opened.headers)["X-Auth-Token"]}

    def answered() -> int:
        answer = tray.handle(Request("GET", SYSTEM, token, b""))
        assert isinstance(answer, Response)
        return answer.status

    clock.now += 1700
    assert answered() == 200
    clock.now += 1700
    assert answered() == 200
    clock.now += 1801
    assert answered() == 401
