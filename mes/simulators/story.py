"""The story the demo plays: one rack received, built, tested, burned in and reported through the REST API."""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, RLock
from typing import Any

from mes.products.models import Operation
from mes.simulators.floor import FloorDevice, Refusals, Supervisor
from mes.simulators.ocp_output import tray_run
from mes.simulators.plan import Assembly, good_values, required_tests

BUILDERS = 3
SUPPLIERS = {"US": "DEMO-A", "TW": "DEMO-B", "MX": "DEMO-C"}
COUNTRIES = ("US", "TW", "MX")
Advance = Callable[[int], None]


class Stopped(Exception):  # noqa: N818 - names what happened
    """The operators put their scanners down because the demo ends."""


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
    ) -> None:
        self.supervisor, self.devices, self.refusals = supervisor, devices, refusals
        self.advance, self.report, self.watch, self.run = advance, report, watch, run
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
        serial = identifiers.get("uuid") or f"{part.kind.upper()}-{self.run}-{self.counts[part.number]:04}"
        body = {
            "part": part.number,
            "revision": part.revision.revision,
            "serial": serial,
            "lot": self._lot(part),
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
                names = {
                    "uuid": f"GPU-{unit['serial']}-{number}",
                    "board_serial": unit["serial"],
                    "module": slot,
                }
            contents.append({"slot": slot, "child": self.receive(child, **names)["uid"]})
        self.device("RECEIVING").post(f"units/{unit['uid']}/contents/", {"contents": contents})
        self.advance(len(contents))

    def _identifiers(self, part: Assembly) -> dict[str, str]:
        number = self.counts[part.number]
        mac = f"02:{int(self.run) % 256:02X}:{len(part.number):02X}:00:{number // 256:02X}:{number % 256:02X}"
        return {"nic": {"mac": mac}, "bmc": {"bmc_mac": mac}}.get(part.kind, {})

    def _lot(self, part: Assembly) -> str:
        if part.number not in self.lots:
            country = COUNTRIES[len(self.lots) % len(COUNTRIES)]
            body = {
                "part": part.number,
                "supplier": SUPPLIERS[country],
                "number": f"LOT-{part.number}-{self.run}",
                "date_code": "2642",
                "country_of_origin": country,
                "source_tier": "demo",
            }
            self.lots[part.number] = self.device("RECEIVING").post("lots/", body)["uid"]
        return self.lots[part.number]

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
        scanner.scan(unit["serial"])
        self.fill(part, operation, scanner)
        for procedure in required_tests(operation):
            self.test(unit, operation, procedure, scanner)
        scanner.scan("CMD:DONE")

    def fill(self, part: Assembly, operation: Operation, scanner: FloorDevice) -> None:
        """Scan what goes into the slots of an operation: slot, then serial."""
        for slot, child in part.slots_of(operation):
            if self.stopping.is_set():
                raise Stopped("the demo is being stopped")
            unit = self.stock[child.number].popleft() if child.is_built else self.receive(child)
            scanner.scan(f"SLOT:{slot}")
            scanner.scan(unit["serial"])
            self.advance(1)

    def test(self, unit: dict[str, str], operation: Operation, procedure: str, tester: FloorDevice) -> None:
        """Run one test well; L10 of a compute tray as OCP output, the others in the native form."""
        values = good_values(operation, procedure)
        if procedure == "tray_l10":
            tester.report_ocp(unit["uid"], procedure, tray_run(unit["serial"], values))
            return
        body = {"unit": unit["uid"], "procedure": procedure, "outcome": "PASS", "measurements": values}
        tester.post("test-runs/", body)

    # What goes wrong on the way

    def build_with_mistakes(self, part: Assembly, unit: dict[str, str]) -> None:
        """Build the first tray with the mistakes of a first day, each refused by name."""
        build = part.operations[0]
        scanner, tester = self.device(build.work_center), self.device(part.operations[-1].work_center)
        scanner.scan("NO-SUCH-CODE", refused="unknown_code")
        scanner.scan("]d2010703206980498921SN1", refused="malformed_barcode")
        tester.scan(unit["serial"], refused="wrong_station")
        tester.post(f"units/{unit['uid']}/operations/40/start/", refused="operation_out_of_order")
        scanner.scan(unit["serial"])
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
        scanner.scan("CMD:DONE")
        for operation in part.operations[1:-1]:
            self.do(part, unit, operation)
        self._fail_repair_and_pass(part, unit)
        self.stock[part.number].append(unit)

    def _fail_repair_and_pass(self, part: Assembly, unit: dict[str, str]) -> None:
        """A tray whose tester says PASS while a GPU failed: found, held, repaired, tested again."""
        operation = part.operations[-1]
        tester = self.device(operation.work_center)
        tester.scan(unit["serial"])
        values = good_values(operation, "tray_l10")
        run = tester.report_ocp(unit["uid"], "tray_l10", tray_run(unit["serial"], values, failing="GPU_2"))
        self.report(
            f"  test of {unit['serial']} said {run['said']}, judged {run['outcome']}: {run['reasons'][0]}"
        )
        tester.scan("CMD:DONE", refused="test_failed")
        hold = tester.post(f"units/{unit['uid']}/hold/", {"reason": "demo: GPU_2 fails under stress"})
        tester.scan("CMD:DONE", refused="unit_held")
        self.supervisor.post(f"holds/{hold['id']}/release/", {"reason": "demo: superchip will be swapped"})
        slot, board = next((slot, child) for slot, _, child in part.slots if slot == "SC1")
        removed = tester.post(f"units/{unit['uid']}/remove/", {"slot": slot, "reason": "demo: GPU_2 failed"})
        self.supervisor.post(f"units/{removed['child']}/hold/", {"reason": "demo: failed in a tray"})
        repeat = [row["sequence"] for row in removed["repeat"]]
        self.report(f"  {unit['serial']}: {slot} swapped, to be repeated: {repeat}")
        scanner = self.device(part.operations[0].work_center)
        tester.scan("CMD:LEAVE")
        scanner.scan(unit["serial"])
        scanner.scan(f"SLOT:{slot}")
        scanner.scan(self.receive(board)["serial"])
        scanner.scan("CMD:DONE")
        for later in part.operations[1:]:
            if later.sequence in repeat or later is operation:
                self.do(part, unit, later)

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

    def ask_report(self, rack: dict[str, str]) -> dict[str, Any]:
        """Ask for the traceability report of a rack and wait until it is made."""
        report = self.supervisor.post("reports/", {"unit": rack["uid"]})
        while report["state"] not in {"ready", "failed"}:
            time.sleep(0.3)
            self.watch()
            report = self.supervisor.get(f"reports/{report['uid']}/")
        return report
