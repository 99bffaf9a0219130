"""The machines of the demo's rack: simulated BMCs that tell what is physically there, right or wrong."""

import json
import time
from collections.abc import Mapping
from typing import Any

import httpx

from mes.burnin.services import liquid_share
from mes.cabling.models import CablePlan
from mes.products.models import FirmwareBaseline, Slot
from mes.racks.services import AsBuilt, as_built, live_children
from mes.serials.models import Unit
from mes.simulators.bmc_parts import told_parts
from mes.simulators.cast import BAY, new_password
from mes.simulators.children import Children
from mes.simulators.floor import Supervisor

Ends = dict[tuple[str, str], tuple[str, str]]
EXCHANGED = ("U10", "U11")  # the tray scanned into the one sits in the other
CROSSED = ("U12-NIC1", "U12-NIC2")  # the cables whose far ends are swapped
BEHIND = "U13"  # the tray with an old firmware
SWITCH, SHELF = "oob_switch", "power_shelf"
CDU, COOLANT_LPM = "DEMO-CDU-1", 150.0


class Machines:
    """The BMCs of a rack, running, and the ways in which people change what they tell."""

    def __init__(self, rack: Unit, baseline: str, children: Children, *, speed: int) -> None:
        self.rack, self.baseline, self.children = rack, baseline, children
        self.seen = physical_links(rack)
        self.trays = self._trays()
        self.meters = self._meters()
        self.ports, control = self._start(speed)
        self._control = httpx.Client(base_url=f"http://127.0.0.1:{control}/simulator/", timeout=30)
        self.fault(self.serial_at(BEHIND), "old_firmware")

    def _trays(self) -> list[dict[str, Any]]:
        slots = {slot.name: slot for slot in self.rack.part_revision.slots.all()}
        built = {node.slot: node for node in as_built(unit=self.rack).children}
        numbered = [name for name in built if slots[name].slot_number is not None]
        return [self._tray(built[name], slots[_where(name)]) for name in numbered]

    def _tray(self, node: AsBuilt, slot: Slot) -> dict[str, Any]:
        kind = node.unit.part_revision.part.kind
        firmware = FirmwareBaseline.objects.get(name=self.baseline).versions.filter(unit_kind=kind)
        return {
            **told_parts(node),
            "slot_number": slot.slot_number,
            "tray_index": slot.tray_index,
            "firmware": dict(firmware.values_list("component", "version")),
            "neighbours": self._neighbours(slot.name, kind),
            "username": "factory",
            "password": new_password(),
        }

    def _meters(self) -> list[dict[str, Any]]:
        """Return the meters of the power shelves, and that of the CDU that cools the rack in its bay."""
        share = liquid_share(live_children(unit=self.rack)) or 1.0
        cdu: dict[str, Any] = {"serial": CDU, "kind": "cdu", "flow_l_min": COOLANT_LPM, "liquid_share": share}
        shelves: list[dict[str, Any]] = [
            {"serial": node.unit.serial, "kind": SHELF} for node in self.shelves()
        ]
        return [{**meter, "username": "factory", "password": new_password()} for meter in (*shelves, cdu)]

    def _neighbours(self, slot: str, kind: str) -> dict[str, dict[str, str]]:
        names = _port_names(self.rack, kind)
        return {
            names[port]: {"device": far[0], "port": far[1]}
            for (device, port), far in self.seen.items()
            if device == slot and port in names
        }

    def _start(self, speed: int) -> tuple[Mapping[str, int], int]:
        file = self.children.logs.parent / "trays.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps([*self.trays, *self.meters]))
        log = self.children.start(
            "bmcs", "manage.py", "bmc_simulator", "--trays", str(file), "--speed", str(speed)
        )
        while not (lines := log.read_text().splitlines()):
            self.children.check()
            time.sleep(0.1)
        ready = json.loads(lines[0])
        return ready["trays"], ready["control"]

    def register(self, supervisor: Supervisor) -> None:
        """Tell the factory where each BMC and each meter answers."""
        units = dict(Unit.objects.filter(serial__in=self.ports).values_list("serial", "uid"))
        for tray in self.trays:
            supervisor.call("PUT", f"units/{units[tray['serial']]}/bmc/", self._login(tray))
        *shelves, cdu = self.meters
        for shelf in shelves:
            supervisor.call("PUT", f"units/{units[shelf['serial']]}/meter/", self._login(shelf))
        supervisor.call("PUT", f"burn-in-bays/{BAY}/meter/", {**self._login(cdu), "coolant": "pg25"})

    def _login(self, machine: dict[str, Any]) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.ports[machine['serial']]}"
        return {"url": url, "username": machine["username"], "password": machine["password"]}

    def serial_at(self, slot: str) -> str:
        """Return the serial of the tray that was scanned into a slot."""
        return next(node.unit.serial for node in as_built(unit=self.rack).children if node.slot == slot)

    def fault(self, serial: str, fault: str) -> None:
        """Let something be wrong with a tray; "none" puts it right."""
        self._control.post("faults", json={"tray": serial, "fault": fault}).raise_for_status()

    def uncross(self) -> None:
        """Put the crossed cables into their own ports, as their plan has them."""
        one, two = (planned_ends(self.rack)[label][0] for label in CROSSED)
        names = _port_names(self.rack, "compute_tray")
        body = {
            "tray": self.serial_at(one[0]),
            "port": names[one[1]],
            "other_tray": self.serial_at(two[0]),
            "other_port": names[two[1]],
        }
        self._control.post("neighbours", json=body).raise_for_status()
        self.seen[one], self.seen[two] = self.seen[two], self.seen[one]

    def heard_by(self, switch: str) -> list[dict[str, str]]:
        """Return the LLDP table of a management switch: whom each of its ports hears."""
        return [
            {"device": switch, "port": port, "link": "up", "remote_device": far[0], "remote_port": far[1]}
            for (device, port), far in self.seen.items()
            if device == switch
        ]

    def switches(self) -> list[str]:
        """Return the slots of the management switches."""
        children = as_built(unit=self.rack).children
        return [node.slot for node in children if node.unit.part_revision.part.kind == SWITCH]

    def shelves(self) -> list[AsBuilt]:
        """Return the power shelves, which have a meter but no BMC of their own."""
        children = as_built(unit=self.rack).children
        return [node for node in children if node.unit.part_revision.part.kind == SHELF]


def _where(scanned: str) -> str:
    """Return the slot that a tray sits in, by the slot it was scanned into."""
    one, two = EXCHANGED
    return {one: two, two: one}.get(scanned, scanned)


def _plan_of(rack: Unit) -> CablePlan:
    plans = CablePlan.objects.filter(part=rack.part_revision.part_id, released_at__isnull=False)
    return plans.latest("released_at")


def planned_ends(rack: Unit) -> dict[str, tuple[tuple[str, str], tuple[str, str]]]:
    """Return both ends of each planned cable by its label: device and port."""
    rows = _plan_of(rack).cables.values_list("label", "a_device", "a_port", "b_device", "b_port")
    return {label: ((device, port), (other, there)) for label, device, port, other, there in rows}


def physical_links(rack: Unit) -> Ends:
    """Return whom each port physically sees: as planned, but for the two crossed cables."""
    ends = planned_ends(rack)
    one, two = CROSSED
    near, far = ends[one], ends[two]
    links = {**ends, one: (near[0], far[1]), two: (far[0], near[1])}
    seen: Ends = {}
    for here, there in links.values():
        seen |= {here: there, there: here}
    return seen


def _port_names(rack: Unit, kind: str) -> dict[str, str]:
    rows = _plan_of(rack).port_names.filter(unit_kind=kind)
    return dict(rows.values_list("port", "reported"))
