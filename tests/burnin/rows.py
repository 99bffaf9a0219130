"""Rows of burn-in for tests that look at every list: made directly, for they are made very often."""

from mes.burnin.models import BurnInRun, TelemetryArchive
from mes.serials.models import Unit
from tests.burnin.builders import make_profile


def add_rows() -> None:
    """Make a run of the first unit that has ended and is archived."""
    unit = Unit.objects.earliest("pk")
    profile = make_profile(unit.part_revision, limits=(), released=False)
    run = BurnInRun.objects.create(unit=unit, profile=profile, state="passed", started_by="tester")
    TelemetryArchive.objects.create(run=run, file=f"{run.uid}.parquet", size=1, sha256="0" * 64, rows=1)
