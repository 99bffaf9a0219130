"""Rows of burn-in for tests that look at every list."""

from mes.attachments.models import Attachment
from mes.burnin.models import BurnInAttempt, BurnInRun, ToolResult
from mes.testing.models import TestRun
from tests.burnin.builders import make_profile, make_rack


def add_rows() -> None:
    """Make a run with a tray, and a result of a stress tool on it."""
    rack, (tray,) = make_rack(1)
    run = BurnInRun.objects.create(unit=rack, profile=make_profile(rack.part_revision), started_by="tester")
    attempt = BurnInAttempt.objects.create(run=run, slot=rack.part_revision.slots.get(), unit=tray)
    test = TestRun.objects.create(
        unit=tray,
        procedure="burn_in_dcgm",
        format="tool",
        status="COMPLETE",
        outcome="PASS",
        configuration="",
    )
    output = Attachment.objects.earliest("pk")
    ToolResult.objects.create(attempt=attempt, tool="dcgm", test_run=test, output=output)
