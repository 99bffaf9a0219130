"""Rows of burn-in for tests that look at every list: made directly, for they are made very often."""

from datetime import UTC, datetime

from mes.attachments.models import Attachment
from mes.burnin.models import BurnInAttempt, BurnInRun, TelemetryArchive, ToolResult, Violation
from mes.testing.models import TestRun
from tests.burnin.builders import make_profile, make_rack

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def add_rows() -> None:
    """Make an archived run whose tray was outside a limit and has a result of a stress tool."""
    rack, (tray,) = make_rack(1)
    profile = make_profile(rack.part_revision)
    run = BurnInRun.objects.create(unit=rack, profile=profile, state="passed", started_by="tester")
    TelemetryArchive.objects.create(run=run, file=f"{run.uid}.parquet", size=1, sha256="0" * 64, rows=1)
    slot = rack.part_revision.slots.get()
    attempt = BurnInAttempt.objects.create(run=run, slot=slot, unit=tray)
    Violation.objects.create(
        attempt=attempt,
        limit=profile.limits.order_by("pk")[0],
        series="HGX_GPU_0_TEMP_0",
        from_at=NOON,
        to_at=NOON,
        samples=1,
        worst=88,
        worst_at=NOON,
        most=1,
        is_open=False,
    )
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
