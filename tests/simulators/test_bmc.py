"""The BMC simulator over its sockets: Redfish, login, control port, captured trees and the command."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mes.simulators.bmc import SimulatorThread, running_simulator, serve_tree
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_log import ServedLog

R = "/redfish/v1"
SESSIONS = f"{R}/SessionService/Sessions"
ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = {"BMC": "25.08-9", "hmc_cpld": "0.22", "GPU": "97.10.4A.00.0C", "New Kind": "7"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    trays = [
        TrayIdentity("TRAY-1", slot_number=27, tray_index=17, firmware=FIRMWARE, bmc_mac="02:00:00:00:00:2A"),
        TrayIdentity("SWITCH-1", kind="switch", slot_number=9, username="other", password="secret"),
    ]
    with running_simulator(trays) as running:
        yield running


@contextmanager
def client(
    simulator: SimulatorThread,
    serial: str = "TRAY-1",
    login: tuple[str, str] | None = ("factory", "simulator"),
) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=simulator.url(serial), auth=login, trust_env=False, timeout=5) as http:
        yield http


def links_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from [each] if name == "@odata.id" else links_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from links_of(each)


def walk(http: httpx.Client) -> dict[str, Any]:
    """Return every resource reachable from the root, failing on a link to nothing."""
    found: dict[str, Any] = {}
    waiting = [R]
    while waiting:
        path = waiting.pop()
        answer = http.get(path)
        assert answer.status_code == 200, path
        found[path] = answer.json()
        waiting += [link for link in set(links_of(found[path])) if link not in found and link not in waiting]
    return found


@pytest.mark.parametrize(
    ("serial", "login"), [("TRAY-1", ("factory", "simulator")), ("SWITCH-1", ("other", "secret"))]
)
def test_every_link_of_the_tree_leads_somewhere(
    simulator: SimulatorThread, serial: str, login: tuple[str, str]
) -> None:
    with client(simulator, serial, login) as http:
        tree = walk(http)
    metrics = {each["MetricProperty"] for body in tree.values() for each in body.get("MetricValues", [])}
    sensors = {path for path, body in tree.items() if body.get("@odata.type", "").startswith("#Sensor.")}
    assert metrics == sensors
    assert all(body.get("@odata.id") == path for path, body in tree.items())


def test_the_tree_is_the_tray_asked_for(simulator: SimulatorThread) -> None:
    with client(simulator) as http:
        system = http.get(f"{R}/Systems/System_0").json()
        position = http.get(f"{R}/Chassis/CBC_2").json()["Oem"]["Nvidia"]
        gpus = [
            http.get(f"{R}/Systems/HGX_Baseboard_0/Processors/GPU_{number}").json() for number in range(4)
        ]
        mac = http.get(f"{R}/Managers/BMC_0/EthernetInterfaces/eth0").json()["MACAddress"]
    assert (system["SerialNumber"], mac) == ("TRAY-1", "02:00:00:00:00:2A")
    assert position == {"ChassisPhysicalSlotNumber": 27, "ComputeTrayIndex": 17}
    serials = [gpu["SerialNumber"] for gpu in gpus]
    assert serials[0] == serials[1] != serials[2] == serials[3]
    assert len({gpu["UUID"] for gpu in gpus}) == 4


def test_firmware_appears_under_the_members_of_its_kind(simulator: SimulatorThread) -> None:
    inventory = f"{R}/UpdateService/FirmwareInventory"
    with client(simulator) as http:
        members = [each["@odata.id"] for each in http.get(inventory).json()["Members"]]
        versions = {path.rpartition("/")[2]: http.get(path).json()["Version"] for path in members}
    assert versions == {
        "FW_BMC_0": "25.08-9",
        "HGX_FW_CPLD_0": "0.22",
        **{f"HGX_FW_GPU_{number}": "97.10.4A.00.0C" for number in range(4)},
        "FW_NEW_KIND_0": "7",
    }


def test_only_the_root_is_open_to_strangers(simulator: SimulatorThread) -> None:
    with client(simulator, login=None) as http:
        assert http.get("/redfish").json() == {"v1": f"{R}/"}
        assert http.get(f"{R}/").status_code == 200
        assert http.get(f"{R}/Systems").status_code == 401
    with client(simulator, login=("factory", "wrong")) as http:
        assert http.get(f"{R}/Systems").status_code == 401
    with client(simulator, login=("other", "secret")) as http:
        assert http.get(f"{R}/Systems").status_code == 401


def test_a_session_lives_until_it_is_closed(simulator: SimulatorThread) -> None:
    with client(simulator, login=None) as http:
        opened = http.post(SESSIONS, json={"UserName": "factory", "Password": "simulator"})
        assert opened.status_code == 201
        token = {"X-Auth-Token": opened.headers["X-Auth-Token"]}
        assert http.get(f"{R}/Systems", headers=token).status_code == 200
        assert http.get(f"{R}/Systems", headers={"X-Auth-Token": "made-up"}).status_code == 401
        assert http.delete(opened.headers["Location"], headers=token).status_code == 204
        assert http.get(f"{R}/Systems", headers=token).status_code == 401
        refused = http.post(SESSIONS, json={"UserName": "factory", "Password": "wrong"})
        assert (refused.status_code, "X-Auth-Token" in refused.headers) == (401, False)


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("ComputerSystem.Reset", {"ResetType": "Explode"}),
        ("Oem/RackMES.StartStress", {"Profile": "soak"}),
        ("Oem/RackMES.StartStress", {"Profile": "soak", "IntentKey": "1", "LoadPercent": 0}),
        ("Oem/RackMES.StartStress", {"Profile": "soak", "IntentKey": "1", "LoadPercent": True}),
        ("Oem/RackMES.StopStress", {"IntentKey": ""}),
        ("Oem/RackMES.StopStress", ["not", "an", "object"]),
    ],
)
def test_a_senseless_action_is_refused(simulator: SimulatorThread, path: str, payload: Any) -> None:
    with client(simulator) as http:
        assert http.post(f"{R}/Systems/System_0/Actions/{path}", json=payload).status_code == 400


def test_a_collection_is_expanded_by_the_options_that_are_offered(simulator: SimulatorThread) -> None:
    with client(simulator) as http:
        assert http.get(R).json()["ProtocolFeaturesSupported"]["ExpandQuery"]["NoLinks"] is True
        plain = http.get(f"{R}/Chassis/BMC_0/Sensors").json()
        (sensor,) = http.get(f"{R}/Chassis/BMC_0/Sensors?$expand=.($levels=1)").json()["Members"]
        assert plain["Members"] == [{"@odata.id": sensor["@odata.id"]}]
        assert (sensor["ReadingUnits"], sensor["Reading"] > 0) == ("Cel", True)
        for query in ("$expand=~", "$expand=.($levels=9)", "$filter=Id eq 1"):
            assert http.get(f"{R}/Systems?{query}").status_code == 501


def test_a_tray_may_have_neither_reports_nor_expansion() -> None:
    plain = TrayIdentity("PLAIN", reports=False, expand=False)
    with running_simulator([plain]) as simulator, client(simulator, "PLAIN") as http:
        root = http.get(R).json()
        assert "TelemetryService" not in root
        assert not any(root["ProtocolFeaturesSupported"]["ExpandQuery"].values())
        assert http.get(f"{R}/TelemetryService/MetricReports").status_code == 404
        assert http.get(f"{R}/Systems?$expand=.").status_code == 501


def test_the_control_port_plans_faults_and_counts_reports() -> None:
    control = "http://127.0.0.1"
    with running_simulator([TrayIdentity("A"), TrayIdentity("B")]) as simulator:
        control = f"{control}:{simulator.control_port}/simulator"
        with client(simulator, "A") as http:
            for _ in range(3):
                report = http.get(f"{R}/TelemetryService/MetricReports/PlatformEnvironmentMetrics_0").json()
        planned = httpx.post(f"{control}/faults", json={"tray": "B", "fault": "leak"}, trust_env=False)
        trays = httpx.get(f"{control}/trays", trust_env=False).json()["trays"]
    assert planned.json() == {"tray": "B", "faults": ["leak"]}
    assert {serial: tray["port"] for serial, tray in trays.items()} == simulator.ports
    assert (trays["A"]["faults"], trays["B"]["faults"]) == ([], ["leak"])
    served = trays["A"]["reports"]["PlatformEnvironmentMetrics_0"]
    assert (served["count"], served["last"]) == (3, report["MetricValues"][0]["Timestamp"])
    assert (trays["A"]["requests"], trays["B"]["requests"]) == (3, 0)


def test_the_log_holds_every_report_as_it_was_sent_and_every_request_that_was_not_answered(
    tmp_path: Path,
) -> None:
    path = f"{R}/TelemetryService/MetricReports/PlatformEnvironmentMetrics_0"
    with (
        ServedLog(tmp_path / "log") as log,
        running_simulator([TrayIdentity("A")], log=log) as simulator,
        client(simulator, "A") as http,
    ):
        report = http.get(path).json()
        stop = f"{R}/Systems/System_0/Actions/Oem/RackMES.StopStress"
        for _ in range(2):
            http.post(stop, json={"IntentKey": "k"})
        simulator.set_fault("A", "garbage")
        http.get(path)
        lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["what"] for line in lines] == ["report", "stop_stress", "stop_stress", "outage"]
    sent = {each["MetricProperty"].rpartition("/")[2]: each["MetricValue"] for each in report["MetricValues"]}
    assert {name: f"{value:.6f}" for name, value in lines[0]["values"].items()} == sent
    assert [line["applied"] for line in lines[1:3]] == [True, False]
    assert (lines[3]["path"], lines[3]["fault"], lines[3]["tray"]) == (path, "garbage", "A")


@pytest.mark.parametrize(
    "payload",
    [
        {"tray": "nobody", "fault": "leak"},
        {"tray": "TRAY-1", "fault": "flood"},
        {"tray": "TRAY-1", "fault": "leak", "after_seconds": "soon"},
    ],
)
def test_a_senseless_fault_is_refused(simulator: SimulatorThread, payload: dict[str, Any]) -> None:
    url = f"http://127.0.0.1:{simulator.control_port}/simulator/faults"
    assert httpx.post(url, json=payload, trust_env=False).status_code == 400
    assert simulator.status("TRAY-1")["faults"] == []


def test_one_connection_carries_many_requests(simulator: SimulatorThread) -> None:
    request = f"GET {R} HTTP/1.1\r\nHost: bmc\r\n\r\n".encode()
    closing = f"GET {R} HTTP/1.1\r\nHost: bmc\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", simulator.ports["TRAY-1"]), timeout=5) as raw:
        raw.sendall(request + request[:10])
        raw.sendall(request[10:] + closing)
        received = b"".join(iter(lambda: raw.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: minus\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000,
    ],
)
def test_a_malformed_request_is_refused(simulator: SimulatorThread, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", simulator.ports["TRAY-1"]), timeout=5) as raw:
        raw.sendall(head)
        received = b"".join(iter(lambda: raw.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 400 ")


def test_a_captured_tree_is_served_as_it_is() -> None:
    tree = {"/redfish/v1/": {"Name": "Captured", "Odd": [1, None]}}

    async def scenario() -> list[httpx.Response]:
        async with serve_tree(tree) as server, httpx.AsyncClient(trust_env=False) as http:
            url = f"http://127.0.0.1:{server.port}{R}"
            return [await http.get(url), await http.get(f"{url}/Systems"), await http.post(url, json={})]

    found, missing, refused = asyncio.run(scenario())
    assert found.json() == tree["/redfish/v1/"]
    assert (missing.status_code, refused.status_code) == (404, 405)


def run_command(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "django", "bmc_simulator", *arguments, "--settings", "config.settings"]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_where_the_trays_are_and_ends_on_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    trays, tree = tmp_path / "trays.json", tmp_path / "tree.json"
    trays.write_text(json.dumps([{"serial": "A", "slot_number": 3, "username": "u", "password": "p"}]))
    tree.write_text(json.dumps({R: {"Name": "Captured"}}))
    with run_command("--trays", str(trays), "--tree", str(tree), "--speed", "60") as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        base = f"http://127.0.0.1:{ready['trays']['A']}"
        chassis = httpx.get(f"{base}{R}/Chassis/CBC_0", auth=("u", "p"), trust_env=False).json()
        captured = httpx.get(f"http://127.0.0.1:{ready['tree']}{R}", trust_env=False).json()
        control = httpx.get(f"http://127.0.0.1:{ready['control']}/simulator/trays", trust_env=False).json()
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert process.stderr
        assert process.stderr.read() == ""
    assert chassis["Oem"]["Nvidia"]["ChassisPhysicalSlotNumber"] == 3
    assert captured == {"Name": "Captured"}
    assert list(control["trays"]) == ["A"]


@pytest.mark.parametrize("content", ["not json", '[{"serial": "A", "colour": "red"}]', "[{}]"])
def test_the_command_refuses_a_file_that_holds_no_trays(tmp_path: Path, content: str) -> None:
    trays = tmp_path / "trays.json"
    trays.write_text(content)
    with run_command("--trays", str(trays)) as process:
        _out, error = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "CommandError" in error
    assert "Traceback" not in error
