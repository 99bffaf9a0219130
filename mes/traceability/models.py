"""Reports that were asked for, and the files they became."""

import uuid
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mes.serials.models import Unit


class ReportQuerySet(models.QuerySet["Report"]):
    """Reads of the work to be done."""

    def claimable(self) -> "ReportQuerySet":
        """Only what a worker may make now: asked for, or left by a worker that died."""
        return self.filter(tries__lt=Report.MAX_TRIES).filter(Q(state=Report.State.ASKED) | self._stuck())

    def given_up(self) -> "ReportQuerySet":
        """Only what workers died of as often as it may be tried."""
        return self.filter(self._stuck(), tries__gte=Report.MAX_TRIES)

    def _stuck(self) -> Q:
        return Q(state=Report.State.MAKING, claimed_at__lt=timezone.now() - Report.STUCK_AFTER)


class Report(models.Model):
    """The traceability report of a unit: asked for, made by a worker, kept as a JSON and a PDF file."""

    class State(models.TextChoices):
        ASKED = "asked"
        MAKING = "making"
        READY = "ready"
        FAILED = "failed"

    MAX_TRIES = 3
    STUCK_AFTER = timedelta(minutes=2)

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="reports")
    state = models.CharField(max_length=6, choices=State.choices, default=State.ASKED)
    asked_by = models.CharField(max_length=150)
    asked_at = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    ready_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True, help_text="Why the last try failed.")
    json_file = models.CharField(max_length=60, blank=True, help_text="Relative to REPORTS_DIR.")
    json_sha256 = models.CharField(max_length=64, blank=True)
    pdf_file = models.CharField(max_length=60, blank=True, help_text="Relative to REPORTS_DIR.")
    pdf_sha256 = models.CharField(max_length=64, blank=True)

    objects = ReportQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="ready")
                | Q(ready_at__isnull=False) & ~Q(json_sha256="") & ~Q(pdf_sha256=""),
                name="ready_report_has_files",
            )
        ]
        indexes = [
            models.Index(fields=["id"], name="reports_to_make", condition=Q(state__in=["asked", "making"]))
        ]

    def __str__(self) -> str:
        return f"report {self.uid}"
