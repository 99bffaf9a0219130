"""Archive samples: `manage.py burnin_archive [--older-than DAYS] [RUN]`."""

import math
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from mes.burnin.archive import ArchiveDiffersError, archive_due, archive_run
from mes.burnin.models import BurnInRun, TelemetryArchive
from mes.errors import RuleViolation


class Command(BaseCommand):
    """Move the samples of ended runs into Parquet files."""

    help = "Archive one run, or those that ended so many days ago; each becomes a file that is checked first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", nargs="?", type=UUID, help="uid of a run that has ended")
        parser.add_argument(
            "--older-than", type=float, metavar="DAYS", help="since their end; default: BURNIN_ARCHIVE_DAYS"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for archive in _archive(options["run"], options["older_than"]):
            self.stdout.write(f"{archive.file}: {archive.rows} samples, {archive.size} bytes")


def _archive(run: UUID | None, days: float | None) -> list[TelemetryArchive]:
    if run is None:
        if days is None and math.isinf(settings.BURNIN_ARCHIVE_DAYS):
            raise CommandError("Name a run, or say --older-than DAYS; BURNIN_ARCHIVE_DAYS is not set.")
        return archive_due(days)
    found = BurnInRun.objects.filter(uid=run).first()
    if found is None:
        raise CommandError(f"There is no burn-in run {run}.")
    try:
        return [archive_run(found)]
    except (RuleViolation, ArchiveDiffersError, OSError) as error:
        raise CommandError(str(error)) from error
