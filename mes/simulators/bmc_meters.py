"""Simulated meters: a power shelf that feeds the simulated trays, and a CDU that cools them.

What they tell follows what the trays draw. Their own clock is that of the caller: only the water's lag goes
by ``speed``, so that power times seconds is the energy that their counters show.
"""

import math
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from mes.burnin.coolants import PG25, heat_kw
from mes.simulators.bmc_faults import Fault, FaultPlan
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_login import Login
from mes.simulators.bmc_resources import ROOT, SESSIONS, Body, collection, healthy, link, resource
from mes.simulators.bmc_tray import GARBAGE, NO_CONTENT, NOT_ALLOWED, NOT_FOUND, UNAUTHORISED
from mes.simulators.http import Outage, Request, Response, json_response

Load = Callable[[], float]

SHELF = f"{ROOT}/Chassis/PowerShelf_0"
SUPPLIES = f"{SHELF}/PowerSubsystem/PowerSupplies"
CDU = f"{ROOT}/ThermalEquipment/CDUs/1"
CONNECTORS = f"{CDU}/SecondaryCoolantConnectors"
PSUS, PSU_WATTS = 6, 5500.0
# Efficiency of a 5.5 kW rectifier by its share of full load: the shape is that of public data sheets.
EFFICIENCY = ((0.0, 0.80), (0.05, 0.90), (0.1, 0.94), (0.2, 0.965), (0.5, 0.975), (1.0, 0.965))
SUPPLY_CEL = 30.0
WATER_LAG_SECONDS = 45.0
WRONG_FLOW = 0.7
JOULES_PER_KWH = 3_600_000


class SimulatedMeter:
    """A meter that answers Redfish. ``load`` says in W what the trays draw that it feeds or cools."""

    def __init__(
        self,
        identity: TrayIdentity,
        *,
        load: Load,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = identity
        self._load, self._clock, self._speed = load, clock, speed
        self._plan = FaultPlan()
        self._login = Login(identity.username, identity.password, clock)
        self._read_at = clock()
        self._watts = load()
        self._joules_in, self._joules_out = 0.0, 0.0
        self._heat_w = self._watts * identity.liquid_share
        self._tree = _shelf_tree(identity) if identity.kind == "power_shelf" else _cdu_tree()

    def set_fault(
        self, fault: Fault, *, after_seconds: float = 0.0, for_seconds: float | None = None
    ) -> None:
        """Make something go wrong; see FaultPlan.add for what the times mean."""
        self._plan.add(fault, now=self._clock(), after=after_seconds, lasting=for_seconds)

    def status(self) -> dict[str, Any]:
        """Return what the control port tells: faults in force, power, heat, and energy in and out."""
        self._move_on()
        return {
            "faults": sorted(self._plan.active(self._clock())),
            "output_w": self._watts,
            "input_w": self._watts / efficiency(self._watts),
            "heat_w": self._heat_w,
            "kwh_in": self._joules_in / JOULES_PER_KWH,
            "kwh_out": self._joules_out / JOULES_PER_KWH,
        }

    def handle(self, request: Request) -> Response | Outage:
        """Answer one request, or misbehave as the faults in force demand."""
        faults = self._plan.active(self._clock())
        if faults & {Fault.HANG, Fault.VANISH}:
            return Outage.HANG if Fault.HANG in faults else Outage.RESET
        if Fault.GARBAGE in faults:
            return GARBAGE
        if (request.method, request.path) == ("POST", SESSIONS):
            return self._open_session(request)
        if request.path != ROOT and not self._login.allows(request.headers):
            return UNAUTHORISED
        if request.method == "DELETE" and request.path.startswith(f"{SESSIONS}/"):
            return NO_CONTENT if self._login.close_session(request.path.rpartition("/")[2]) else NOT_FOUND
        return self._get(request.path, faults) if request.method == "GET" else NOT_ALLOWED

    def _get(self, path: str, faults: frozenset[Fault]) -> Response:
        body = self._tree.get(path)
        if body is None:
            return NOT_FOUND
        self._move_on()
        if path.endswith("/Metrics"):
            body = {**body, **self._supply_metrics()}
        elif path.startswith(f"{CONNECTORS}/"):
            body = {**body, **self._connector(faults)}
        return json_response(body)

    def _open_session(self, request: Request) -> Response:
        payload = request.json()
        opened = self._login.open_session(payload.get("UserName"), payload.get("Password"))
        if opened is None:
            return UNAUTHORISED
        path = f"{SESSIONS}/{opened[0]}"
        body = resource(path, "Session.v1_7_0", UserName=self.identity.username)
        return json_response(body, 201, (("X-Auth-Token", opened[1]), ("Location", path)))

    def _move_on(self) -> None:
        """Bring counters and water up to now: the trapezoid of the load, and a first-order lag behind it."""
        now, watts = self._clock(), self._load()
        elapsed = max(0.0, now - self._read_at)
        self._joules_out += elapsed * (self._watts + watts) / 2
        taken = self._watts / efficiency(self._watts) + watts / efficiency(watts)
        self._joules_in += elapsed * taken / 2
        target = watts * self.identity.liquid_share
        self._heat_w = target + (self._heat_w - target) * math.exp(-elapsed * self._speed / WATER_LAG_SECONDS)
        self._read_at, self._watts = now, watts

    def _supply_metrics(self) -> Body:
        each = self._watts / PSUS
        kwh = self._joules_in / PSUS / JOULES_PER_KWH
        return {
            "InputPowerWatts": {"Reading": round(each / efficiency(self._watts), 3)},
            "OutputPowerWatts": {"Reading": round(each, 3)},
            "EnergykWh": {"Reading": kwh, "LifetimeReading": kwh},
        }

    def _connector(self, faults: frozenset[Fault]) -> Body:
        flow = self.identity.flow_l_min
        back = return_cel(self._heat_w / 1000, flow)
        shown = flow * (WRONG_FLOW if Fault.FLOW_SENSOR in faults else 1.0)
        return {
            "FlowLitersPerMinute": {"Reading": round(shown, 3)},
            "SupplyTemperatureCelsius": {"Reading": SUPPLY_CEL},
            "ReturnTemperatureCelsius": {"Reading": round(back, 4)},
            "DeltaTemperatureCelsius": {"Reading": round(back - SUPPLY_CEL, 4)},
        }


def efficiency(watts: float) -> float:
    """Return output over input of a shelf that gives out so many W, on a line between EFFICIENCY's points."""
    share = min(max(watts / (PSUS * PSU_WATTS), 0.0), 1.0)
    for (low, poor), (high, good) in pairwise(EFFICIENCY):
        if share <= high:
            return poor + (good - poor) * (share - low) / (high - low)
    return EFFICIENCY[-1][1]


def return_cel(kw: float, flow_l_min: float) -> float:
    """Return how warm PG25 comes back that took up so many kW; exact but for the coolant's own curve."""
    back = SUPPLY_CEL
    for _ in range(3):
        per_degree = heat_kw(PG25, flow_l_min=flow_l_min, supply_cel=back - 0.5, return_cel=back + 0.5)
        rise = kw / per_degree
        back = SUPPLY_CEL + rise / 2
    return SUPPLY_CEL + rise


def _shelf_tree(identity: TrayIdentity) -> dict[str, Body]:
    names = [f"PSU{number}" for number in range(1, PSUS + 1)]
    bodies = [
        _root(Chassis=link(f"{ROOT}/Chassis")),
        collection(f"{ROOT}/Chassis", "Chassis", [SHELF]),
        resource(
            SHELF,
            "Chassis.v1_25_0",
            ChassisType="PowerShelf",
            SerialNumber=identity.serial,
            PowerSubsystem=link(f"{SHELF}/PowerSubsystem"),
            Status=healthy(),
        ),
        resource(f"{SHELF}/PowerSubsystem", "PowerSubsystem.v1_1_2", PowerSupplies=link(SUPPLIES)),
        collection(SUPPLIES, "PowerSupply", [f"{SUPPLIES}/{name}" for name in names]),
        *(_supply(f"{SUPPLIES}/{name}") for name in names),
        *(resource(f"{SUPPLIES}/{name}/Metrics", "PowerSupplyMetrics.v1_1_2") for name in names),
    ]
    return {body["@odata.id"]: body for body in bodies}


def _supply(path: str) -> Body:
    watts = {"PowerCapacityWatts": PSU_WATTS}
    return resource(path, "PowerSupply.v1_6_0", Metrics=link(f"{path}/Metrics"), Status=healthy(), **watts)


def _cdu_tree() -> dict[str, Body]:
    equipment = f"{ROOT}/ThermalEquipment"
    bodies = [
        _root(ThermalEquipment=link(equipment)),
        resource(equipment, "ThermalEquipment.v1_1_2", CDUs=link(f"{equipment}/CDUs")),
        collection(f"{equipment}/CDUs", "CoolingUnit", [CDU]),
        resource(CDU, "CoolingUnit.v1_2_0", EquipmentType="CDU", SecondaryCoolantConnectors=link(CONNECTORS)),
        collection(CONNECTORS, "CoolantConnector", [f"{CONNECTORS}/1"]),
        resource(f"{CONNECTORS}/1", "CoolantConnector.v1_1_0", CoolantConnectorType="Pair", Status=healthy()),
    ]
    return {body["@odata.id"]: body for body in bodies}


def _root(**services: Any) -> Body:
    links = {"Links": {"Sessions": link(SESSIONS)}, **services}
    return resource(ROOT, "ServiceRoot.v1_15_0", RedfishVersion="1.17.0", **links)
