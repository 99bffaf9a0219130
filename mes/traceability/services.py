"""The door of traceability: reports, asked for, made and handed out; containment, held and released."""

import hashlib
import logging
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import SYSTEM, Actor, advance, canonical_json, record
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.traceability.containment import (
    find_affected,
    hold_containment,
    of_containment,
    release_containment,
)
from mes.traceability.content import report_content
from mes.traceability.models import Report
from mes.traceability.pdf import render_pdf
from mes.traceability.questions import Question
from mes.traceability.similar import question_like

__all__ = [
    "Question",
    "ask_report",
    "find_affected",
    "find_file",
    "hold_containment",
    "make_due_reports",
    "make_report",
    "of_containment",
    "question_like",
    "release_containment",
]

logger = logging.getLogger(__name__)

BATCH = 20
ASKED, MAKING, READY, FAILED = (
    Report.State.ASKED,
    Report.State.MAKING,
    Report.State.READY,
    Report.State.FAILED,
)


@transaction.atomic
def ask_report(*, unit: Unit, by: Actor) -> Report:
    """Ask for the traceability report of a unit.

    A worker makes it within seconds: at once when the caller sends ``tasks.make_report`` after commit, else
    with the next ``tasks.make_reports``.
    """
    unit = lock_units(unit.pk)[unit.pk]
    report = Report.objects.create(unit=unit, asked_by=by.person or by.device)
    record(advance(unit, "report.asked", by=by, payload={"report": str(report.uid)}))
    return report


def make_report(report_id: int) -> bool:
    """Make a report that was asked for and return whether this call made it.

    Safe to run twice and at once: one caller claims it. A failure is recorded with the report, which is tried
    again until ``Report.MAX_TRIES``. Must not run inside a transaction, or nobody else would see the claim.
    """
    report = _claim(report_id)
    if report is None:
        return False
    try:
        files = _write_files(report)
    except Exception as error:
        logger.exception("Report %s could not be made (try %s).", report.uid, report.tries)
        _note_failure(report, error)
        return False
    return _finish(report, files)


def make_due_reports() -> int:
    """Make what was asked for or left behind by a worker that died, oldest first; return how many."""
    Report.objects.given_up().update(state=FAILED, error="The worker ended while it made the report.")
    due = list(Report.objects.claimable().order_by("pk").values_list("pk", flat=True)[:BATCH])
    return sum(make_report(pk) for pk in due)


def find_file(*, report: Report, name: str) -> Path:
    """Return where a file of a report lies. Refuses with ``report_not_ready`` or ``report_file_missing``."""
    if report.state != READY:
        raise RuleViolation(
            "report_not_ready",
            f"The report is {report.state}.{f' {report.error}' if report.error else ''}",
            rule="a report is handed out once it is made",
            next_step="Ask for a new report." if report.state == FAILED else "Try again in some seconds.",
            status=404,
            state=report.state,
        )
    path = settings.REPORTS_DIR / name
    if not path.is_file():
        raise RuleViolation(
            "report_file_missing",
            f"The file {name} is no longer in the reports directory.",
            rule="a report is handed out as it was made",
            next_step="Restore the file from backup, or ask for a new report.",
            status=410,
        )
    return Path(path)


def _claim(report_id: int) -> Report | None:
    """Take a report to make, unless it is taken or done. The number of tries tells later claims apart."""
    claimed = Report.objects.claimable().filter(pk=report_id)
    if not claimed.update(state=MAKING, claimed_at=timezone.now(), tries=F("tries") + 1):
        return None
    return Report.objects.select_related("unit").get(pk=report_id)


def _write_files(report: Report) -> dict[str, str]:
    text = canonical_json(report_content(report.unit)).encode()
    digest = hashlib.sha256(text).hexdigest()
    pdf = render_pdf(text, digest=digest)
    name = _file_name(report)
    (settings.REPORTS_DIR / f"{name}.json").write_bytes(text)
    (settings.REPORTS_DIR / f"{name}.pdf").write_bytes(pdf)
    return {
        "json_file": f"{name}.json",
        "json_sha256": digest,
        "pdf_file": f"{name}.pdf",
        "pdf_sha256": hashlib.sha256(pdf).hexdigest(),
    }


@transaction.atomic
def _finish(report: Report, files: dict[str, str]) -> bool:
    ready = {"state": READY, "ready_at": timezone.now(), "error": "", **files}
    if not _as_claimed(report).update(**ready):
        _discard_files(report)
        return False
    unit = lock_units(report.unit_id)[report.unit_id]
    digests = {name: files[name] for name in ("json_sha256", "pdf_sha256")}
    record(advance(unit, "report.made", by=SYSTEM, payload={"report": str(report.uid), **digests}))
    return True


def _note_failure(report: Report, error: Exception) -> None:
    _discard_files(report)
    state = FAILED if report.tries >= Report.MAX_TRIES else ASKED
    _as_claimed(report).update(state=state, error=f"{type(error).__name__}: {error}"[:300])


def _as_claimed(report: Report) -> QuerySet[Report]:
    """Return the report's row, unless somebody claimed it after us, having taken us for dead."""
    return Report.objects.filter(pk=report.pk, state=MAKING, tries=report.tries)


def _file_name(report: Report) -> str:
    """Return a name of this try alone, so that a late worker never overwrites what was handed out."""
    return f"{report.uid}-{report.tries}"


def _discard_files(report: Report) -> None:
    for path in settings.REPORTS_DIR.glob(f"{_file_name(report)}.*"):
        path.unlink(missing_ok=True)
