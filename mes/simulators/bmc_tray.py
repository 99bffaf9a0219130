"""One simulated tray: a Redfish service answering from the tree and from the state of its host."""

import math
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mes.simulators.bmc_expand import answer_query
from mes.simulators.bmc_faults import Fault
from mes.simulators.bmc_host import RESET_TYPES, NotPowered, SimulatedHost, Snapshot, stamp
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_log import Note, as_sent, ignore
from mes.simulators.bmc_login import Login
from mes.simulators.bmc_physics import is_first_leak_detector
from mes.simulators.bmc_ports import network_port_body, network_ports
from mes.simulators.bmc_resources import (
    FIRMWARE,
    LEAK_DETECTION,
    REPORTS,
    ROOT,
    SESSIONS,
    SYSTEM,
    Body,
    collection,
    resource,
)
from mes.simulators.bmc_sensors import SensorSpec
from mes.simulators.bmc_tree import build_tree
from mes.simulators.http import BadRequest, Outage, Request, Response, json_response

STRESS = f"{SYSTEM}/Actions/Oem/RackMES"
OPEN_PATHS = {("GET", "/redfish"), ("GET", ROOT), ("POST", SESSIONS)}
GARBAGE = Response(200, b'{"@odata.id": "/redfish/v1/Systems/System_0", "Name": "Sys')
OUTAGES: dict[Fault, Response | Outage] = {
    Fault.HANG: Outage.HANG,
    Fault.VANISH: Outage.RESET,
    Fault.GARBAGE: GARBAGE,
}
UNAUTHORISED = json_response({"error": {"code": "Base.1.18.NoValidSession", "message": "log in first"}}, 401)
NOT_FOUND = json_response(
    {"error": {"code": "Base.1.18.ResourceMissingAtURI", "message": "no such resource"}}, 404
)
NOT_ALLOWED = json_response(
    {"error": {"code": "Base.1.18.OperationNotAllowed", "message": "not allowed here"}}, 405
)
NOT_POWERED = json_response({"error": {"code": "Base.1.18.NotPowered", "message": "the host is off"}}, 409)
NO_CONTENT = Response(204)
# What was changed without a scan under CHANGED_PART, by kind of tray.
CHANGED = {
    "compute": f"{ROOT}/Chassis/IO_Board_1/NetworkAdapters/IO_Board_1_CX8_1",
    "switch": f"{ROOT}/Chassis/MGX_NVSwitch_1",
}


class SimulatedTray:
    """The BMC of one tray. Give ``handle`` to an HTTP server; everything runs in that server's event loop."""

    def __init__(
        self,
        identity: TrayIdentity,
        *,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        note: Note = ignore,
    ) -> None:
        self.identity = identity
        self._note = note
        self.host = SimulatedHost(identity, speed=speed, clock=clock)
        self.served: dict[str, dict[str, Any]] = {}
        self.neighbours = {name: dict(seen) for name, seen in identity.neighbours.items()}
        self._ports = network_ports(identity)
        self._clock = clock
        self._login = Login(identity.username, identity.password, clock)
        self._tree = build_tree(identity)
        self._static = {path: json_response(body) for path, body in self._tree.items()}
        self._sensors = {sensor.path: sensor for sensor in identity.sensors()}
        self._reports = _report_templates(identity.sensors()) if identity.reports else {}
        self._posts: dict[str, Callable[[Request], Response]] = {
            SESSIONS: self._open_session,
            f"{SYSTEM}/Actions/ComputerSystem.Reset": self._reset,
            f"{STRESS}.StartStress": self._start_stress,
            f"{STRESS}.StopStress": self._stop_stress,
        }

    def set_fault(
        self, fault: Fault, *, after_seconds: float = 0.0, for_seconds: float | None = None
    ) -> None:
        """Make something go wrong; see FaultPlan.add for what the times mean."""
        self.host.plan.add(fault, now=self._clock(), after=after_seconds, lasting=for_seconds)

    def status(self) -> dict[str, Any]:
        """Return what the control port tells: faults in force, stress, intents and report samples served."""
        faults = self.host.settle()
        return {
            "faults": sorted(faults),
            "powered": self.host.powered,
            "stress_active": self.host.stress_active,
            "stress": self.host.profile,
            "load_percent": self.host.load_percent,
            "intents": list(self.host.intents),
            "sessions": len(self._login.session_ids()),
            "reports": self.served,
        }

    def handle(self, request: Request) -> Response | Outage:
        """Answer one request, or misbehave as the faults in force demand."""
        faults = self.host.settle()
        for fault, instead in OUTAGES.items():
            if fault in faults:
                self._note("outage", path=request.path, fault=fault)
                return instead
        if (request.method, request.path) not in OPEN_PATHS and not self._login.allows(request.headers):
            return UNAUTHORISED
        return self._route(request, faults)

    def _route(self, request: Request, faults: frozenset[Fault]) -> Response:
        if request.method == "GET":
            return self._get(request, faults)
        if request.method == "POST" and request.path in self._posts:
            return self._posts[request.path](request)
        if request.method == "DELETE" and request.path.startswith(f"{SESSIONS}/"):
            closed = self._login.close_session(request.path.rpartition("/")[2])
            return NO_CONTENT if closed else NOT_FOUND
        return NOT_ALLOWED

    def _get(self, request: Request, faults: frozenset[Fault]) -> Response:
        path = request.path
        if request.query:
            return answer_query(
                self._tree,
                path,
                request.query,
                lambda member: self._moving_body(member, faults) or self._tree[member],
            )
        if path in self._reports:
            return self._report(path, faults)
        if path in self._ports:
            return json_response(network_port_body(path, self.neighbours.get(self._ports[path])))
        if (body := self._moving_body(path, faults)) is not None:
            return json_response(body)
        return self._static.get(path, NOT_FOUND)

    def _moving_body(self, path: str, faults: frozenset[Fault]) -> Body | None:
        if path == SYSTEM:
            return self._system_body(faults)
        if path in self._sensors:
            return self._sensor_body(self._sensors[path], faults)
        if path == SESSIONS:
            return collection(SESSIONS, "Session", [f"{SESSIONS}/{key}" for key in self._login.session_ids()])
        if path.startswith(LEAK_DETECTION):
            return self._leak_body(path, faults)
        return self._wrong_body(path, faults)

    def _wrong_body(self, path: str, faults: frozenset[Fault]) -> Body | None:
        """Return what a tray says falsely of itself, None where it says the truth."""
        if Fault.WRONG_SLOT in faults and path.startswith(f"{ROOT}/Chassis/CBC_"):
            return self._misplaced_body(path)
        if Fault.OLD_FIRMWARE in faults and path == self._first_firmware():
            return {**self._tree[path], "Version": older(self._tree[path]["Version"])}
        if Fault.CHANGED_PART in faults and path == CHANGED[self.identity.kind]:
            return {**self._tree[path], "SerialNumber": f"{self._tree[path]['SerialNumber']}-CHANGED"}
        return None

    def _first_firmware(self) -> str:
        """Return what is behind under OLD_FIRMWARE: the first GPU, in a switch tray the BMC."""
        members = (f"{FIRMWARE}/HGX_FW_GPU_0", f"{FIRMWARE}/FW_BMC_0")
        return next((path for path in members if path in self._tree), "")

    def _system_body(self, faults: frozenset[Fault]) -> Body:
        body = {**self._tree[SYSTEM], **self.host.body()}
        if Fault.WRONG_SERIAL in faults:
            body["SerialNumber"] = f"OTHER-{self.identity.serial}"
        self._note(
            "system", stress=self.host.stress_active, boot=body["LastResetTime"], serial=body["SerialNumber"]
        )
        return body

    def _sensor_body(self, sensor: SensorSpec, faults: frozenset[Fault]) -> Body:
        snapshot = self.host.sense(faults)
        value = snapshot.values[sensor.name]
        body = {
            **self._tree[sensor.path],
            "Reading": None if math.isnan(value) else round(value, 3),
            "ReadingTime": stamp(snapshot.at),
        }
        if snapshot.stale:
            body["Status"] = {"State": "UnavailableOffline"}
        if Fault.LEAK in faults and is_first_leak_detector(sensor.name):
            body["Status"] = _critical()
        return body

    def _leak_body(self, path: str, faults: frozenset[Fault]) -> Body | None:
        body = self._tree.get(path)
        if path == LEAK_DETECTION:
            self._note("leak_detection", wet=Fault.LEAK in faults)
        if body is None or Fault.LEAK not in faults:
            return body
        if path == LEAK_DETECTION:
            return {**body, "Status": _critical()}
        if is_first_leak_detector(str(body.get("Id", ""))):
            return {**body, "DetectorState": "Critical", "Status": _critical()}
        return body

    def _misplaced_body(self, path: str) -> Body | None:
        body = self._tree.get(path)
        if body is None:
            return None
        position = {name: number + 1 for name, number in body["Oem"]["Nvidia"].items()}
        return {**body, "Oem": {"Nvidia": position}}

    def _report(self, path: str, faults: frozenset[Fault]) -> Response:
        snapshot = self.host.sense(faults)
        name = path.rpartition("/")[2]
        count = self.served.get(name, {"count": 0})["count"] + 1
        self.served[name] = {
            "count": count,
            "last": stamp(snapshot.at),
            "served_at": stamp(datetime.now(UTC)),
        }
        if self._note is not ignore:
            self._note_report(path, name, snapshot)
        return Response(200, _render_report(path, self._reports[path], snapshot))

    def _note_report(self, path: str, name: str, snapshot: Snapshot) -> None:
        values = as_sent({sensor: snapshot.values[sensor] for sensor, _prefix in self._reports[path]})
        self._note("report", name=name, stress=self.host.stress_active, stale=snapshot.stale, values=values)

    def _open_session(self, request: Request) -> Response:
        payload = request.json()
        opened = self._login.open_session(payload.get("UserName"), payload.get("Password"))
        if opened is None:
            return UNAUTHORISED
        session_id, token = opened
        path = f"{SESSIONS}/{session_id}"
        body = resource(path, "Session.v1_7_0", UserName=self.identity.username)
        return json_response(body, 201, (("X-Auth-Token", token), ("Location", path)))

    def _reset(self, request: Request) -> Response:
        reset_type = request.json().get("ResetType")
        if reset_type not in RESET_TYPES:
            raise BadRequest("this ResetType is not offered")
        key = request.headers.get("idempotency-key", "")
        return self._apply_once(key, lambda: self.host.reset(reset_type))

    def _start_stress(self, request: Request) -> Response:
        payload = request.json()
        profile, load = str(payload.get("Profile") or ""), _load_percent(payload)
        key = _intent_key(payload)
        return self._intend("start_stress", key, lambda: self.host.start_stress(profile, load))

    def _stop_stress(self, request: Request) -> Response:
        return self._intend("stop_stress", _intent_key(request.json()), self.host.stop_stress)

    def _intend(self, what: str, key: str, act: Callable[[], None]) -> Response:
        known = key in self.host.intents
        answer = self._apply_once(key, act)
        self._note(what, key=key, applied=not known and answer is not NOT_POWERED)
        return answer

    def _apply_once(self, key: str, act: Callable[[], None]) -> Response:
        if key and key in self.host.intents:
            return json_response({"IntentKey": key, "Applied": False})
        try:
            act()
        except NotPowered:
            return NOT_POWERED
        if key:
            self.host.intents.append(key)
        return json_response({"IntentKey": key, "Applied": True})


def older(version: str) -> str:
    """Return a version whose last number that can go down is one less: 25.06-A gives 25.05-A."""
    found = [each for each in re.finditer(r"[0-9]+", version) if int(each[0])]
    if not found:
        return version
    last = found[-1]
    return f"{version[: last.start()]}{int(last[0]) - 1:0{len(last[0])}}{version[last.end() :]}"


def _intent_key(payload: dict[str, Any]) -> str:
    key = payload.get("IntentKey")
    if not isinstance(key, str) or not key:
        raise BadRequest("an IntentKey is needed")
    return key


def _load_percent(payload: dict[str, Any]) -> float:
    load = payload.get("LoadPercent", 100)
    if isinstance(load, bool) or not isinstance(load, int | float) or not 0 < load <= 100:
        raise BadRequest("LoadPercent is a number over 0, up to 100")
    return float(load)


def _critical() -> dict[str, str]:
    return {"State": "Enabled", "Health": "Critical", "HealthRollup": "Critical"}


def _report_templates(sensors: tuple[SensorSpec, ...]) -> dict[str, list[tuple[str, str]]]:
    """Return for each report path its sensors' names with the fixed text before each value."""
    templates: dict[str, list[tuple[str, str]]] = {}
    for sensor in sensors:
        prefix = f'{{"MetricProperty":"{sensor.path}","MetricValue":"'
        templates.setdefault(f"{REPORTS}/{sensor.report}", []).append((sensor.name, prefix))
    return templates


def _render_report(path: str, template: list[tuple[str, str]], snapshot: Snapshot) -> bytes:
    name = path.rpartition("/")[2]
    stale = "true" if snapshot.stale else "false"
    suffix = f'","Oem":{{"Nvidia":{{"MetricValueStale":{stale}}}}},"Timestamp":"{stamp(snapshot.at)}"}}'
    values = snapshot.values
    metrics = ",".join([f"{prefix}{values[sensor]:.6f}{suffix}" for sensor, prefix in template])
    head = f'{{"@odata.id":"{path}","@odata.type":"#MetricReport.v1_4_2.MetricReport","Id":"{name}"'
    return f'{head},"Name":"{name}","MetricValues":[{metrics}]}}'.encode()
