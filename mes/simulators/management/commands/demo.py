"""`manage.py demo`: one rack from receiving to its report, on this machine alone."""

import os
import signal
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from tqdm import tqdm

from mes.burnin.models import BurnInRun
from mes.cabling.models import CableConnection
from mes.definitions.services import load_pack
from mes.ledger.models import Event
from mes.ledger.verification import verify_ledger
from mes.products.models import Operation
from mes.quality.models import Nonconformance
from mes.racks.services import as_built
from mes.serials.models import Unit
from mes.simulators.cast import (
    demo_authority,
    demo_bay,
    demo_devices,
    demo_instruments,
    demo_supervisor,
    demo_tools,
    demo_training,
    demo_witnesses,
    device_token,
)
from mes.simulators.children import Children, free_port, wait_for_answer
from mes.simulators.crating import depart
from mes.simulators.floor import FloorDevice, Refusals, Supervisor
from mes.simulators.machines import Machines
from mes.simulators.plan import Assembly, asked_fields, plan, quantities
from mes.simulators.proofs import PROOFS
from mes.simulators.story import Factory
from mes.stations.models import Device, Station
from mes.traceability.models import Report
from mes.workorders.models import WorkOrder

PACK, RACK, BASELINE, PROFILE = "fixtures/nvl72", "RK-1001", "GB200 1.3", "demo-accelerated"
BURN_IN = "BURN-IN"
OPERATORS = 3
CABLES = 170
WRONG = 3  # trays exchanged, cables swapped, a firmware behind
SPEED = 600
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
EXPECTED_REFUSALS = {
    *("unknown_code", "malformed_barcode", "wrong_station", "operation_out_of_order", "wrong_part"),
    *("tool_overdue", "value_missing", "password_wrong"),
    *("hipot_needs_two_people", "unit_locked_out", "cables_swapped", "cable_reused", "indicator_missing"),
    *(
        "already_installed",
        "slot_occupied",
        "slots_empty",
        "slot_not_in_assembly",
        "test_failed",
        "unit_held",
    ),
}


class Command(BaseCommand):
    """Build one demo rack through the real API with real worker processes and simulated machines."""

    help = "Run the demo factory: web server, worker, beat and simulators; --once ends with a verdict."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="build one rack, print a summary and end")
        parser.add_argument("--port", type=int, default=8000, help="of the web server, if free")

    def handle(self, *args: Any, **options: Any) -> None:
        for ending in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ending, signal.default_int_handler)
        try:
            self.prepare()
            with self.servers(options["port"]) as (url, children):
                holds = self.run(url, children, once=options["once"])
        except KeyboardInterrupt:
            self.stdout.write("Every child process has ended.")
            raise SystemExit(INTERRUPTED) from None
        if not holds:
            raise SystemExit(1)

    def run(self, url: str, children: Children, *, once: bool) -> bool:
        """Play the story and say what came of it; then stay open, unless it is played once."""
        started = time.monotonic()
        try:
            summary = self.play(url, children, once)
            self.stdout.write(f"\nDone in {time.monotonic() - started:.0f} s.")
            self.print_summary(summary)
            while not once:
                children.check()
                time.sleep(1)
        except KeyboardInterrupt:
            self.stdout.write("\nStopping web server, worker, beat and simulators ...")
            raise
        return all(summary["holds"].values())

    def prepare(self) -> None:
        """Migrate, load the definitions."""
        self.stdout.write("Preparing the database and loading the definitions of the NVL72-class rack ...")
        call_command("migrate", verbosity=0)
        load_pack(Path(settings.BASE_DIR) / PACK)

    @contextmanager
    def servers(self, preferred_port: int) -> Iterator[tuple[str, Children]]:
        """Run web server, worker and beat while the block runs."""
        port = free_port(preferred_port)
        url = f"http://127.0.0.1:{port}"
        environment = {"MES_DEMO": "1", "MES_DATA_DIR": str(settings.DATA_DIR), "LOG_LEVEL": "WARNING"}
        with Children(settings.BASE_DIR, environment, settings.DATA_DIR / "logs") as children:
            web = (
                "-m",
                "gunicorn",
                "config.wsgi",
                "--worker-class",
                "gthread",
                "--threads",
                "8",
                "--keep-alive",
                "75",
            )
            children.start("web", *web, "--bind", f"127.0.0.1:{port}")
            celery = ("-m", "celery", "-A", "config")
            children.start("worker", *celery, "worker", "--concurrency", "2", "--loglevel", "WARNING")
            children.start("beat", *celery, "beat", "--loglevel", "WARNING")
            wait_for_answer(f"{url}/admin/login/", children)
            yield url, children

    def play(self, url: str, children: Children, once: bool) -> dict[str, Any]:
        """Play the story; return what came of it."""
        person, password = demo_supervisor()
        signatures = {
            "password": {"password": password},
            "pin": {"badge": person.badge, "pin": demo_authority(person)},
        }
        self.print_doors(url, password, signatures["pin"]["pin"])
        rack_plan = plan(RACK)
        with tqdm(
            total=2 * sum(quantities(rack_plan).values()) + CABLES, unit="unit", desc="Build", leave=True
        ) as bar:
            refusals = Refusals(bar.write)
            factory = self.hire(url, signatures, refusals, bar, children)
            rack, later = self.build(factory, rack_plan)
            bar.total = bar.n
        factory.report = self.stdout.write
        run = self.soak(factory, rack_plan, rack)
        for operation in later:
            factory.do(rack_plan, rack, operation)
        depart(factory, rack)
        report = factory.ask_report(rack)
        if not once:
            self.leave_work(factory, url)
            self.stdout.write("\nThe factory stays open. Ctrl-C ends it.")
        summary = summarize(rack, run, report, refusals, sum(quantities(rack_plan).values()))
        summary["facts"]["first pass of L10"] = factory.first_pass("tray_l10")
        connected = CableConnection.objects.filter(unit__uid=rack["uid"], disconnected_at__isnull=True)
        summary["holds"][f"{CABLES} cables are connected"] = connected.count() == CABLES
        summary["holds"]["three things were wrong, were found by comparing, and are right"] = (
            len(factory.found) == WRONG
        )
        return summary

    def hire(
        self,
        url: str,
        signatures: dict[str, dict[str, str]],
        refusals: Refusals,
        bar: Any,
        children: Children,
    ) -> Factory:
        """Train the operators and sign them on; sign the supervisor in."""
        demo_training(OPERATORS)
        demo_instruments()
        demo_bay()
        devices: dict[str, list[FloorDevice]] = {}
        for work_center, rows in demo_devices().items():
            for name, token, operator in rows:
                device = FloorDevice(url, name, token, refusals)
                device.scan(operator.badge)
                device.scan("CMD:LEAVE")
                devices.setdefault(work_center, []).append(device)
        password = signatures["password"]["password"]
        supervisor = Supervisor(url, "demo-supervisor", password, refusals)
        running: dict[str, Machines] = {}

        def power_on(rack: dict[str, str]) -> Machines:
            if rack["uid"] not in running:
                unit = Unit.objects.select_related("part_revision__part").get(uid=rack["uid"])
                running[rack["uid"]] = Machines(unit, BASELINE, children, speed=SPEED)
                running[rack["uid"]].register(supervisor)
            return running[rack["uid"]]

        return Factory(
            supervisor=supervisor,
            devices=devices,
            refusals=refusals,
            advance=bar.update,
            report=bar.write,
            watch=children.check,
            run=next_run(),
            tools=demo_tools(),
            signatures=signatures,
            witnesses=demo_witnesses(OPERATORS),
            proofs=PROOFS,
            power_on=power_on,
        )

    def build(self, factory: Factory, rack_plan: Assembly) -> tuple[dict[str, str], list[Operation]]:
        """Build every tray, then the rack up to its burn-in; return the rack and the operations after it."""
        needed = quantities(rack_plan)
        built = {part.number: part for part in rack_plan.walk() if part.is_built and part is not rack_plan}
        for number, part in built.items():
            units = factory.order(part, needed[number], BASELINE)
            if part.kind == "compute_tray":
                factory.build_with_mistakes(part, units[0])
                units = units[1:]
            factory.build_all(part, units)
        rack = factory.order(rack_plan, 1, BASELINE)[0]
        factory.advance(1)
        at = next(i for i, item in enumerate(rack_plan.operations) if item.work_center == BURN_IN)
        for operation in rack_plan.operations[:at]:
            factory.do(rack_plan, rack, operation)
        return rack, rack_plan.operations[at + 1 :]

    def soak(self, factory: Factory, rack_plan: Assembly, rack: dict[str, str]) -> dict[str, Any]:
        """Burn the rack in, at accelerated time."""
        operation = next(item for item in rack_plan.operations if item.work_center == BURN_IN)
        bay = factory.device(BURN_IN)
        bay.scan(rack["serial"])
        bay.scan("CMD:DONE", refused="test_missing")
        with tqdm(total=72, unit="h", desc="Burn-in", bar_format="{l_bar}{bar}| {n:.0f}/{total} h") as bar:

            def advance_to(hours: float) -> None:
                bar.n = min(hours, 72)
                bar.refresh()

            run = factory.burn_in(rack, PROFILE, advance_to)
        self.stdout.write(f"  burn-in {run['state']}: {' '.join(run['reasons']) or 'every limit kept'}")
        bay.post(f"units/{rack['uid']}/operations/{operation.sequence}/complete/")
        return run

    def leave_work(self, factory: Factory, url: str) -> None:
        """Leave a tray on order and its parts in stock, and say how to build it by hand."""
        tray = plan("CT-1001")
        unit = factory.order(tray, 1, BASELINE, name="DEMO-BY-HAND")[0]
        station = Station.objects.filter(work_center=tray.operations[0].work_center).earliest("pk")
        token = device_token("demo-terminal", Device.Kind.TERMINAL, station)
        self.stdout.write(f"\nBuild a tray yourself: {url}/terminal/pair/?token={token}")
        self.stdout.write(f"  Type or scan: DEMO-OPERATOR-1, then {unit['serial']}, then slot and serial:")
        for slot, child in tray.slots_of(tray.operations[0]):
            self.stdout.write(f"  SLOT:{slot:<6} {factory.receive(child)['serial']}")
        for field in asked_fields(tray.operations[0]):
            self.stdout.write(
                f"  Record the {field.prompt}, {field.low:g} to {field.high:g} {field.unit}, then Step done."
            )

    def print_doors(self, url: str, password: str, pin: str) -> None:
        """Say where to look and how to sign in."""
        self.stdout.write(f"  Supervisor  {url}/admin/     demo-supervisor / {password}")
        self.stdout.write(f"              badge DEMO-SUPERVISOR, PIN {pin}")
        self.stdout.write(f"  Terminal    {url}/terminal/  badge DEMO-OPERATOR-1")
        self.stdout.write(f"  API         {url}/api/docs/")
        self.stdout.write(f"  Logs        {os.path.relpath(settings.DATA_DIR)}/logs\n")

    def print_summary(self, summary: dict[str, Any]) -> None:
        """Print what came of it."""
        for name, value in summary["facts"].items():
            self.stdout.write(f"  {name:<20} {value}")
        for name, holds in summary["holds"].items():
            self.stdout.write(f"  {'ok' if holds else 'NOT OK':<20} {name}")


def next_run() -> str:
    """Return the number of this run: one more than any order of the demo carries."""
    numbers = WorkOrder.objects.filter(number__startswith="DEMO-").values_list("number", flat=True)
    return f"{max((int(number.rsplit('-', 1)[1]) for number in numbers), default=0) + 1:02}"


def metered(run: dict[str, Any]) -> str:
    """Return what a burn-in has cost in energy, in words; what was not metered is left out."""
    energy = BurnInRun.objects.get(uid=run["uid"]).energy
    figures = {
        "{:.2f} kWh": energy["kwh"],
        "PSU efficiency {:.1f} %": energy["psu_efficiency_percent"],
        "heat balance {:+.1f} %": (energy["heat"] or {}).get("difference_percent"),
    }
    told = [words.format(value) for words, value in figures.items() if value is not None]
    return ", ".join([*told, f"metered for {energy['metered_seconds']:.0f} s"])


def summarize(
    rack: dict[str, str], run: dict[str, Any], report: dict[str, Any], refusals: Refusals, expected: int
) -> dict[str, Any]:
    """Return the facts of the demo and whether each thing it must show holds."""
    unit = Unit.objects.select_related("part_revision__part").get(uid=rack["uid"])
    inside = sum(1 for _ in as_built(unit=unit).walk())
    ledger = verify_ledger()
    made = Report.objects.get(uid=report["uid"])
    still_open = Nonconformance.objects.exclude(state=Nonconformance.State.CLOSED)
    codes = ", ".join(f"{code} {count}" for code, count in sorted(refusals.codes.items()))
    facts = {
        "rack": f"{unit.serial}, {unit.state}",
        "units in the rack": inside,
        "units in all": Unit.objects.count(),
        "events": Event.objects.count(),
        "refusals by code": codes,
        "burn-in": f"{run['state']}, {run['credited_seconds'] / 3600:.0f} h credited",
        "energy": metered(run),
        "report": os.path.relpath(settings.REPORTS_DIR / made.pdf_file),
        "ledger": f"{ledger.streams} streams, {ledger.events} events",
    }
    is_complete = inside == expected and unit.state == Unit.State.SHIPPED
    holds = {
        f"the rack holds {expected} units, finished its route and shipped": is_complete,
        "nothing that was found wrong is left open": not still_open.exists(),
        "every mistake was refused by its name": set(refusals.codes) >= EXPECTED_REFUSALS,
        "the burn-in passed": run["state"] == "passed",
        "the report is made": report["state"] == "ready",
        "the ledger is intact": ledger.intact,
    }
    return {"facts": facts, "holds": holds}
