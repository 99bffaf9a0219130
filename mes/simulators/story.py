"""The story the demo plays: one rack received, built, tested, burned in and reported through the REST API."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, RLock
from typing import Any

from mes.products.models import DataField, Operation, Part
from mes.simulators.cast import LEAK_TESTER, OVERDUE_TOOL
from mes.simulators.floor import FloorDevice, Refusals, Supervisor
from mes.simulators.leak_tester import Leak, LeakTester
from mes.simulators.machines import Machines
from mes.simulators.ocp_output import tray_run
from mes.simulators.plan import Assembly, asked_fields, good_values, required_tests, used_parts

BUILDERS = 3
LOOP_L, MEASURE_S, TESTERS_OWN_LIMIT_MBAR = 2.0, 300.0, 2.0
SUPPLIERS = {"US": "DEMO-A", "TW": "DEMO-B", "MX": "DEMO-C"}
COUNTRIES = ("US", "TW", "MX")
Advance = Callable[[int], None]


class Stopped(Exception):  # noqa: N818 - names what happened
    """The operators put their scanners down because the demo ends."""


@dataclass(frozen=True, slots=True)
class Job:
    """An operation that is being done: by which factory, on which unit of what, with which device."""

    factory: "Factory"
    part: Assembly
    unit: dict[str, str]
    operation: Operation
    tester: FloorDevice


Proof = Callable[[Job], None]


class Factory:
    """Everybody who works in the demo, and what is in stock."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        devices: dict[str, list[FloorDevice]],
        refusals: Refusals,
        advance: Advance,
        report: Callable[[str], None],
        watch: Callable[[], None],
        run: str,
        tools: dict[str, str],
        signatures: dict[str, dict[str, str]],
        witnesses: list[dict[str, str]],
        proofs: Mapping[str, Proof],
        power_on: Callable[[dict[str, str]], Machines],
    ) -> None:
        self.supervisor, self.devices, self.refusals = supervisor, devices, refusals
        self.advance, self.report, self.watch, self.run = advance, report, watch, run
        self.tools, self.signatures, self.witnesses = tools, signatures, witnesses
        self.proofs, self.power_on = proofs, power_on
        self.found: list[str] = []
        self.scanned: set[str] = set()
        self.uids: dict[str, str] = {}
        self.cables: dict[str, str] = {}
        self.shipments: dict[str, str] = {}
        self.stock: dict[str, deque[dict[str, Any]]] = defaultdict(deque)
        self.lots: dict[str, str] = {}
        self.counts: dict[str, int] = defaultdict(int)
        self.receiving = RLock()
        self.stopping = Event()

    def device(self, work_center: str, number: int = 0) -> FloorDevice:
        """Return a device of a work center."""
        devices = self.devices[work_center]
        return devices[number % len(devices)]

    # Receiving

    def receive(self, part: Assembly, **identifiers: str) -> dict[str, Any]:
        """Receive one bought unit, and what it arrives with; one at a time, as at one dock."""
        with self.receiving:
            return self._receive(part, identifiers)

    def _receive(self, part: Assembly, identifiers: dict[str, str]) -> dict[str, Any]:
        self.counts[part.number] += 1
        stem = part.number if part.kind.startswith("cable") else part.kind.upper()
        serial = identifiers.get("uuid") or f"{stem}-{self.run}-{self.counts[part.number]:04}"
        body = {
            "part": part.number,
            "revision": part.revision.revision,
            "serial": serial,
            "lot": self._lot(part.number),
            "identifiers": identifiers or self._identifiers(part),
        }
        unit = self.device("RECEIVING").post("units/", body)
        self.advance(1)
        if part.slots:
            self._receive_contents(unit, part)
        return unit

    def _receive_contents(self, unit: dict[str, Any], part: Assembly) -> None:
        contents = []
        for number, (slot, _, child) in enumerate(part.slots):
            names = {}
            if child.kind == "gpu":
                names = {"uuid": f"GPU-{unit['serial']}-{number}", "board_serial": unit["serial"]}
            contents.append({"slot": slot, "child": self.receive(child, **names)["uid"]})
        self.device("RECEIVING").post(f"units/{unit['uid']}/contents/", {"contents": contents})
        self.advance(len(contents))

    def _identifiers(self, part: Assembly) -> dict[str, str]:
        number = self.counts[part.number]
        mac = f"02:{int(self.run) % 256:02X}:{len(part.number):02X}:00:{number // 256:02X}:{number % 256:02X}"
        return {"nic": {"mac": mac}, "bmc": {"bmc_mac": mac}}.get(part.kind, {})

    def _lot(self, number: str) -> str:
        if number not in self.lots:
            country = COUNTRIES[len(self.lots) % len(COUNTRIES)]
            body = {
                "part": number,
                "supplier": SUPPLIERS[country],
                "number": self._lot_number(number),
                "date_code": "2642",
                "country_of_origin": country,
                "source_tier": "demo",
            }
            self.lots[number] = self.device("RECEIVING").post("lots/", body)["uid"]
        return self.lots[number]

    def cable(self, part: Assembly, label: str) -> str:
        """Return what is printed on the cable of a label: its serial, received now, or its lot."""
        if label not in self.cables:
            if part.revision.part.tracking == Part.Tracking.LOT:
                self._lot(part.number)
                self.cables[label] = self._lot_number(part.number)
            else:
                self.cables[label] = self.receive(part)["serial"]
        return self.cables[label]

    def _lot_number(self, number: str) -> str:
        return f"LOT-{number}-{self.run}"

    # Building

    def order(self, part: Assembly, quantity: int, baseline: str, name: str = "DEMO") -> list[dict[str, str]]:
        """Create and release an order; return its units."""
        number = f"{name}-{part.number}-{self.run}"
        body = {
            "number": number,
            "part": part.number,
            "revision": part.revision.revision,
            "quantity": quantity,
            "firmware_baseline": baseline,
            "customer": "Demo customer",
            "site": "DEMO",
        }
        self.supervisor.post("work-orders/", body)
        units: list[dict[str, str]] = self.supervisor.post(f"work-orders/{number}/release/")["units"]
        self.uids |= {unit["serial"]: unit["uid"] for unit in units}
        return units

    def build_all(self, part: Assembly, units: list[dict[str, str]]) -> None:
        """Build units side by side, by as many operators as there are scanners."""
        shares = [units[number::BUILDERS] for number in range(BUILDERS)]
        with ThreadPoolExecutor(BUILDERS) as pool:
            builders = [pool.submit(self._build_share, part, share, at) for at, share in enumerate(shares)]
            try:
                for builder in builders:
                    builder.result()
            except BaseException:
                self.stopping.set()
                raise

    def _build_share(self, part: Assembly, units: list[dict[str, str]], at: int) -> None:
        for unit in units:
            for operation in part.operations:
                self.do(part, unit, operation, at)
            self.stock[part.number].append(unit)

    def do(self, part: Assembly, unit: dict[str, str], operation: Operation, at: int = 0) -> None:
        """Do one operation on a unit from start to done."""
        scanner = self.device(operation.work_center, at)
        self.take_up(unit, operation.work_center, scanner)
        if operation.people > 1:
            self.device(operation.work_center, at + 1).scan(unit["serial"])
        self.fill(part, unit, operation, scanner)
        self.finish(Job(self, part, unit, operation, scanner))

    def take_up(self, unit: dict[str, str], work_center: str, scanner: FloorDevice) -> None:
        """Scan a unit; read or scan first what its operation asks for, then the unit again."""
        answers = {"instruction_unread": "CMD:READ", "tool_missing": self.tools.get(work_center, "")}
        while asked := scanner.scan(unit["serial"]).get("code"):
            scanner.scan(answers[asked])

    def finish(self, job: Job) -> None:
        """Record, use up and prove what an operation asks for, then say it is done."""
        self.record(job.unit, job.operation, job.tester)
        for procedure in required_tests(job.operation):
            if proof := self.proofs.get(procedure):
                proof(job)
            else:
                self.test(job.unit, job.operation, procedure, job.tester)
        job.tester.scan("CMD:DONE")

    def record(self, unit: dict[str, str], operation: Operation, scanner: FloorDevice) -> None:
        """Record the values of an operation well, and scan the lots that it uses up."""
        for field in asked_fields(operation):
            body: dict[str, Any] = {"field": field.name}
            if field.kind == DataField.Kind.SIGNATURE:
                body["signature"] = self.signatures["pin"]
            else:
                body["value"] = round(((field.low or 0) + (field.high or 0)) / 2, 3)
            scanner.post(f"units/{unit['uid']}/operations/{operation.sequence}/values/", body)
        for number in used_parts(operation):
            with self.receiving:
                self._lot(number)
            scanner.scan(self._lot_number(number))

    def fill(self, part: Assembly, unit: dict[str, str], operation: Operation, scanner: FloorDevice) -> None:
        """Fill the slots of an operation: the first unit of a part by scans, the others in one call a slot.

        A scan is slot, then serial; the call says both at once, as a bench with a scanner per slot does.
        """
        by_scans = part.number not in self.scanned
        for slot, child in part.slots_of(operation):
            if self.stopping.is_set():
                raise Stopped("the demo is being stopped")
            inner = self.stock[child.number].popleft() if child.is_built else self.receive(child)
            if by_scans:
                scanner.scan(f"SLOT:{slot}")
                scanner.scan(inner["serial"])
            else:
                body = {"slot": slot, "child": {"uid": inner["uid"]}}
                scanner.post(f"units/{unit['uid']}/install/", body)
            self.advance(1)
        if len(part.slots) == len(part.slots_of(operation)):
            self.scanned.add(part.number)

    def test(self, unit: dict[str, str], operation: Operation, procedure: str, tester: FloorDevice) -> None:
        """Run one test well; L10 of a compute tray as OCP output, the others in the native form."""
        values = good_values(operation, procedure)
        if procedure == "tray_l10":
            tester.report_ocp(unit["uid"], procedure, tray_run(unit["serial"], values))
            return
        body = {"unit": unit["uid"], "procedure": procedure, "outcome": "PASS", "measurements": values}
        tester.post("test-runs/", body)

    def measure_leak(self, unit: dict[str, str], tester: FloorDevice, decay: float) -> dict[str, Any]:
        """Have the leak tester measure a loop that loses ``decay`` mbar while it is measured."""
        leak = Leak(rate_mbar_l_s=decay * LOOP_L / MEASURE_S, volume_l=LOOP_L)
        instrument = LeakTester(tester, LEAK_TESTER, limit_mbar=TESTERS_OWN_LIMIT_MBAR)
        return instrument.test(unit["uid"], leak, measure_s=MEASURE_S)

    # What goes wrong on the way

    def build_with_mistakes(self, part: Assembly, unit: dict[str, str]) -> None:
        """Build the first tray with the mistakes of a first day, each refused by name."""
        build = part.operations[0]
        scanner, tester = self.device(build.work_center), self.device(part.operations[-1].work_center)
        scanner.scan("NO-SUCH-CODE", refused="unknown_code")
        scanner.scan("]d2010703206980498921SN1", refused="malformed_barcode")
        tester.scan(unit["serial"], refused="wrong_station")
        tester.post(f"units/{unit['uid']}/operations/40/start/", refused="operation_out_of_order")
        scanner.scan(OVERDUE_TOOL, refused="tool_overdue")
        self.take_up(unit, build.work_center, scanner)
        slots = part.slots_of(build)
        parts = dict(slots)
        wrong = self.receive(parts["NIC0"])
        scanner.scan("SLOT:SC0")
        scanner.scan(wrong["serial"], refused="wrong_part")
        scanner.scan("SLOT:NIC0")
        scanner.scan(wrong["serial"])
        self.advance(1)
        doubled = scanner.scan(wrong["serial"])
        self.report(f"  scanned twice at {scanner.name}: {doubled['detail']}")
        scanner.scan("SLOT:NIC1")
        scanner.scan(wrong["serial"], refused="already_installed")
        scanner.scan("SLOT:NIC0")
        spare = self.receive(parts["NIC1"])
        scanner.scan(spare["serial"], refused="slot_occupied")
        scanner.scan("CMD:DONE", refused="slots_empty")
        scanner.scan("SLOT:U99", refused="slot_not_in_assembly")
        for slot, child in slots:
            if slot != "NIC0":
                unit_in = spare if slot == "NIC1" else self.receive(child)
                scanner.scan(f"SLOT:{slot}")
                scanner.scan(unit_in["serial"])
                self.advance(1)
        scanner.scan("CMD:DONE", refused="value_missing")
        self.finish(Job(self, part, unit, build, scanner))
        self._leak_then_pass(part, unit, part.operations[1])
        self._fail_and_rework(part, unit)
        self.scanned.add(part.number)
        self.stock[part.number].append(unit)

    def _leak_then_pass(self, part: Assembly, unit: dict[str, str], operation: Operation) -> None:
        """A coupling that is not seated: the leak test fails, is refused, and passes when it is repeated."""
        tester = self.device(operation.work_center)
        self.take_up(unit, operation.work_center, tester)
        run = self.measure_leak(unit, tester, decay=1.7)["result"]
        self.report(f"  leak test of {unit['serial']} judged {run['outcome']}: {run['reasons'][0]}")
        tester.scan("CMD:DONE", refused="test_failed")
        self.finish(Job(self, part, unit, operation, tester))

    def _fail_and_rework(self, part: Assembly, unit: dict[str, str]) -> None:
        """A tray whose tester says PASS while a GPU failed: held, decided, reworked, tested again."""
        operation = part.operations[-1]
        tester = self.device(operation.work_center)
        self.take_up(unit, operation.work_center, tester)
        values = good_values(operation, "tray_l10")
        run = tester.report_ocp(unit["uid"], "tray_l10", tray_run(unit["serial"], values, failing="GPU_2"))
        self.report(
            f"  test of {unit['serial']} said {run['said']}, judged {run['outcome']}: {run['reasons'][0]}"
        )
        tester.scan("CMD:DONE", refused="unit_held")
        found = tester.get(f"nonconformances/?unit__uid={unit['uid']}")["results"][0]["number"]
        self._dispose(found)
        tester.scan("CMD:LEAVE")
        self._swap(part, unit, found)
        for later in part.operations:
            scanner = self.device(later.work_center)
            self.take_up(unit, later.work_center, scanner)
            self.finish(Job(self, part, unit, later, scanner))

    def _dispose(self, found: str) -> None:
        path = f"nonconformances/{found}/disposition/"
        decision = {
            "kind": "rework",
            "reason": "demo: GPU_2 fails under stress, swap the board",
            "rework_route": "R1",
            "returns_to": "build",
        }
        wrong = {**decision, "signature": {"password": "not this one"}}
        self.supervisor.post(path, wrong, refused="password_wrong")
        made = self.supervisor.post(path, {**decision, "signature": self.signatures["password"]})
        self.report(f"  {found}: {made['kind']}, signed by the review board")

    def _swap(self, part: Assembly, unit: dict[str, str], found: str) -> None:
        slot, board = next((slot, child) for slot, _, child in part.slots if slot == "SC1")
        build = part.operations[0]
        scanner = self.device(build.work_center)
        self.take_up(unit, build.work_center, scanner)
        removed = scanner.post(f"units/{unit['uid']}/remove/", {"slot": slot, "reason": "demo: GPU_2 failed"})
        self.supervisor.post(f"units/{removed['child']}/hold/", {"reason": "demo: failed in a tray"})
        repeat = [row["sequence"] for row in removed["repeat"]]
        self.report(f"  {unit['serial']}: {slot} swapped, to be repeated: {repeat}")
        scanner.scan(f"SLOT:{slot}")
        scanner.scan(self.receive(board)["serial"])
        repair = {"action": "demo: board swapped", "slot": slot}
        scanner.post(f"nonconformances/{found}/repairs/", repair)
        scanner.scan("CMD:DONE")

    # Burn-in and report

    def burn_in(
        self, rack: dict[str, str], profile: str, advance_to: Callable[[float], None]
    ) -> dict[str, Any]:
        """Start the burn-in of a rack and wait for its verdict."""
        run = self.supervisor.post("burn-in-runs/", {"unit": rack["uid"], "profile": profile})
        while run["state"] not in {"passed", "failed", "aborted"}:
            time.sleep(0.5)
            self.watch()
            run = self.supervisor.get(f"burn-in-runs/{run['uid']}/")
            advance_to(run["credited_seconds"] / 3600)
        return run

    def first_pass(self, procedure: str) -> str:
        """Return in words how many units passed a test at first."""
        row = self.supervisor.get(f"yield/?by=station&procedure={procedure}")["rows"][0]
        return f"{row['first_pass']} of {row['inspected']} units"

    def ask_report(self, rack: dict[str, str]) -> dict[str, Any]:
        """Ask for the traceability report of a rack and wait until it is made."""
        report = self.supervisor.post("reports/", {"unit": rack["uid"]})
        while report["state"] not in {"ready", "failed"}:
            time.sleep(0.3)
            self.watch()
            report = self.supervisor.get(f"reports/{report['uid']}/")
        return report
