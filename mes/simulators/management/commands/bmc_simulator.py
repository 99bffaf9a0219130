"""manage.py bmc_simulator: simulated tray BMCs on 127.0.0.1."""

import asyncio
import json
import signal
from argparse import ArgumentParser
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mes.simulators.bmc import Simulator, serve_trays, serve_tree
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_log import ServedLog


class Command(BaseCommand):
    """Serve simulated BMCs until SIGTERM or SIGINT; one JSON line on standard output says where they are."""

    help = "Run simulated tray BMCs (Redfish over HTTP on 127.0.0.1, one port per tray)."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--trays", type=Path, help="JSON list of trays: serial, slot_number, firmware...")
        parser.add_argument(
            "--control-port", type=int, default=0, help="port of the control endpoint (0: any)"
        )
        parser.add_argument(
            "--first-port", type=int, default=0, help="port of the first tray (0: any for each)"
        )
        parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second")
        parser.add_argument("--log", type=Path, help="append what is served to this file, as JSON lines")
        parser.add_argument("--tree", type=Path, help="also serve this captured {path: body} tree as it is")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop."""
        trays = _read_trays(options["trays"])
        tree = _read_json(options["tree"]) if options["tree"] else None
        if not trays and tree is None:
            raise CommandError("give --trays, --tree or both")
        asyncio.run(self._serve(trays, tree, options))

    async def _serve(self, trays: list[TrayIdentity], tree: Any, options: dict[str, Any]) -> None:
        stopped = _stop_event()
        ports = {"control_port": options["control_port"], "first_port": options["first_port"]}
        async with AsyncExitStack() as stack:
            log = stack.enter_context(_open_log(options["log"])) if options["log"] else None
            serving = serve_trays(trays, speed=options["speed"], log=log, **ports)
            simulator = await stack.enter_async_context(serving)
            ready = _ready(simulator)
            if tree is not None:
                ready["tree"] = (await stack.enter_async_context(serve_tree(tree))).port
            self.stdout.write(json.dumps(ready))
            self.stdout.flush()
            await stopped.wait()


def _ready(simulator: Simulator) -> dict[str, Any]:
    return {"control": simulator.control.port, "trays": simulator.ports}


def _open_log(path: Path) -> ServedLog:
    try:
        return ServedLog(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error}") from error


def _stop_event() -> asyncio.Event:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error


def _read_trays(path: Path | None) -> list[TrayIdentity]:
    if path is None:
        return []
    try:
        return [TrayIdentity.from_dict(each) for each in _read_json(path)]
    except (TypeError, ValueError) as error:
        raise CommandError(f"{path} does not hold trays: {error}") from error
