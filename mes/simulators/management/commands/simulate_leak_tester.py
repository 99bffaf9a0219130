"""manage.py simulate_leak_tester: a leak tester that tests one unit over the API of a running server."""

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mes.simulators.floor import FloorDevice, Refusals, UnexpectedAnswer
from mes.simulators.leak_tester import Leak, LeakTester


class Command(BaseCommand):
    """Test a unit with a loop that leaks as told; the device's token comes from MES_DEVICE_TOKEN."""

    help = "Post a pressure decay curve of a loop with a given leak rate; prints what the server judged."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the server")
        parser.add_argument("--unit", required=True, help="uid of the unit")
        parser.add_argument("--instrument", required=True, help="code of a calibrated leak tester")
        parser.add_argument("--leak-rate", type=float, default=0.0, help="mbar.L/s at the test pressure")
        parser.add_argument("--volume", type=float, default=60.0, help="of the loop, in L")
        parser.add_argument("--drift", type=float, default=0.3, help="of the room over the test, in K")
        parser.add_argument("--noise", type=float, default=0.05, help="of the gauge, in mbar")
        parser.add_argument("--seed", type=int, default=1, help="of the noise")

    def handle(self, *args: Any, **options: Any) -> None:
        """Test once, and print the verdict."""
        token = os.environ.get("MES_DEVICE_TOKEN")
        if not token:
            raise CommandError("MES_DEVICE_TOKEN must hold the token of a device.")
        device = FloorDevice(options["url"], "leak-tester", token, Refusals(self.stderr.write))
        leak = Leak(
            options["leak_rate"], options["volume"], 22.0, options["drift"], options["noise"], options["seed"]
        )
        try:
            answer = LeakTester(device, options["instrument"]).test(options["unit"], leak)
        except UnexpectedAnswer as error:
            raise CommandError(str(error)) from error
        shown = {name: answer[name] for name in ("uid", "said", "computed", "uncompensated", "resolution")}
        self.stdout.write(json.dumps({**shown, "outcome": answer["result"]["outcome"]}))
