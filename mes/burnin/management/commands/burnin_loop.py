"""`manage.py burnin_loop`: burn-in without a broker."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from mes.burnin.loop import Loop


class Command(BaseCommand):
    """Bring burn-in runs on until SIGTERM or SIGINT; ticks under way are then finished."""

    help = "Burn in without a broker: do what beat and the workers do, in one process."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--workers", type=int, default=4, help="racks polled at the same time")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until told to stop."""
        if options["workers"] < 1:
            raise CommandError("at least one worker is needed")
        loop = Loop(workers=options["workers"], look_seconds=settings.BURNIN_DISPATCH_SECONDS)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.stop())
        loop.run()
