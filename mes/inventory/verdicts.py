"""Verdicts: a comparison judged at one time, reported as a test run so that gates know of it."""

from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.inventory.comparing import digest_of
from mes.inventory.firmware import compare_firmware
from mes.inventory.models import Verdict
from mes.inventory.standing import Comparison, compare_inventory
from mes.ledger.services import Actor
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.stations.services import require_sign_on
from mes.testing.models import TestRun
from mes.testing.services import Result, measure
from mes.workorders.services import report_test

INVENTORY, FIRMWARE, POST_SOAK = "inventory", "firmware", "post_soak"
INVENTORY_PROCEDURES = (INVENTORY, POST_SOAK)
PASS, FAIL = TestRun.Outcome.PASS, TestRun.Outcome.FAIL
MOST_REASONS = 20


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a comparison came to: why it fails, what was counted, and the rows that are kept."""

    procedure: str
    reasons: list[str]
    counts: dict[str, int]
    rows: list[dict[str, Any]]
    details: dict[str, str]


@transaction.atomic
def verify_inventory(*, unit: Unit, by: Actor, procedure: str = INVENTORY) -> Verdict:
    """Judge the inventory of a unit as it stands: any difference is a FAIL.

    ``post_soak`` must besides report the same as the inventory verdict before the soak, from inventories that
    were taken after it. Refuses with ``inventory_not_collected``, ``no_inventory_verdict`` or
    ``device_not_signed_on``.
    """
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    before = _verdict_before(unit) if procedure == POST_SOAK else None
    comparison = compare_inventory(unit=unit, since=before.at if before else None)
    _require_read(comparison)
    differences, digest = comparison.differences, digest_of(comparison.trays)
    reasons = [row.detail for row in differences]
    if before is not None and before.digest != digest:
        reasons.append(f"What is reported is not what was reported on {before.at:%Y-%m-%d %H:%M}.")
    judged = _Judged(
        procedure,
        reasons,
        counts={"trays": len(comparison.trays), "differences": len(differences)},
        rows=[asdict(row) for row in differences],
        details={"digest": digest, "compared_with": str(before.test_run.uid) if before else ""},
    )
    return _report(unit, judged, by)


@transaction.atomic
def verify_firmware(*, unit: Unit, by: Actor) -> Verdict:
    """Judge the firmware of a unit by the baseline of its order: any mismatch is a FAIL.

    Refuses with ``no_firmware_baseline`` or ``device_not_signed_on``.
    """
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    comparison = compare_firmware(unit=unit)
    if comparison.baseline is None:
        raise RuleViolation(
            "no_firmware_baseline",
            f"The order of {unit.serial} names no firmware baseline.",
            rule="firmware is judged by the baseline of the order",
            next_step="Let the order name a baseline.",
        )
    wrong = comparison.mismatches
    reasons = [f"{row.place} {row.component}: {row.detail}" for row in wrong]
    judged = _Judged(
        FIRMWARE,
        reasons,
        counts={"components": len(comparison.rows), "mismatches": len(wrong)},
        rows=[asdict(row) for row in wrong],
        details={"baseline": str(comparison.baseline)},
    )
    return _report(unit, judged, by)


def _report(unit: Unit, judged: _Judged, by: Actor) -> Verdict:
    now, reasons = timezone.now(), judged.reasons
    more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
    result = Result(
        procedure=judged.procedure,
        outcome=FAIL if reasons else PASS,
        format=TestRun.Format.RECORD,
        reasons=[*reasons[:MOST_REASONS], *more],
        started_at=now,
        ended_at=now,
        measurements=[measure(name, number) for name, number in judged.counts.items()],
        details={**judged.details, "rows": judged.rows[:MOST_REASONS]},
    )
    return Verdict.objects.create(
        unit=unit,
        test_run=report_test(unit=unit, result=result, by=by),
        procedure=judged.procedure,
        at=now,
        digest=judged.details.get("digest", ""),
        rows=judged.rows,
    )


def _verdict_before(unit: Unit) -> Verdict:
    rows = Verdict.objects.select_related("test_run").filter(
        unit=unit,
        procedure=INVENTORY,
        test_run__outcome=PASS,
        test_run__superseded_at__isnull=True,
    )
    found = rows.order_by("-pk").first()
    if found is None:
        raise RuleViolation(
            "no_inventory_verdict",
            f"No inventory of {unit.serial} was verified that still holds.",
            rule="after the soak a rack reports what it reported before",
            next_step="Verify the inventory first.",
        )
    return found


def _require_read(comparison: Comparison) -> None:
    missing = comparison.not_read
    if comparison.trays and not missing:
        return
    named = [f"{row.place}: {row.detail}" for row in missing]
    raise RuleViolation(
        "inventory_not_collected",
        f"{comparison.unit.serial} cannot be verified: {'; '.join(named[:3]) or 'nothing in it reports'}.",
        rule="what was not read since it was installed cannot pass",
        next_step="Collect the inventory, and look at the errors of the collection.",
        not_read=[row.place for row in missing],
    )


def last_verdicts(unit: Unit) -> dict[str, Verdict]:
    """Return the latest verdict of each procedure on a unit. One query."""
    rows = Verdict.objects.filter(unit=unit).select_related("test_run").order_by("pk")
    return {row.procedure: row for row in rows}
