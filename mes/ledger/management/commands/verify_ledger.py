"""Check the ledger: `manage.py verify_ledger [--stream NAME] [--json FILE]`; exits 1 on any fault."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from mes.ledger.verification import verify_ledger


class Command(BaseCommand):
    """Verify the digest chains of all streams, or of one."""

    help = "Check gaps, links, digests and heads of the ledger; exit 1 on any fault."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stream", help="only this stream, e.g. unit:<uid>")
        parser.add_argument("--json", type=Path, help="write the result as JSON to this file")

    def handle(self, *args: Any, **options: Any) -> None:
        result = verify_ledger(stream=options["stream"])
        if options["json"]:
            options["json"].write_text(json.dumps(result.as_dict(), indent=2))
        for fault in result.faults:
            self.stderr.write(f"{fault.stream} #{fault.seq}: {fault.problem}")
        verdict = "intact" if result.intact else f"{len(result.faults)} faults"
        self.stdout.write(f"ledger: {result.streams} streams, {result.events} events, {verdict}")
        if not result.intact:
            sys.exit(1)
