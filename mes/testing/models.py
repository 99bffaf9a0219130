"""Results of tests, kept as they were reported and as they were judged."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mes.products.models import Operation
from mes.serials.models import Unit


class Tool(models.TextChoices):
    """The tools whose own output is read."""

    OCP = "ocp", "OCP Test & Validation"
    DCGM = "dcgm", "NVIDIA DCGM diagnostic"
    NCCL_TESTS = "nccl-tests", "NCCL tests"
    HPL = "hpl", "HPL"
    STRESS_NG = "stress-ng", "stress-ng"
    FIO = "fio", "fio"


class TestRun(models.Model):
    """One run of a test procedure on a unit; superseded, never deleted."""

    class Status(models.TextChoices):
        COMPLETE = "COMPLETE"
        ERROR = "ERROR"
        SKIP = "SKIP"

    class Outcome(models.TextChoices):
        PASS = "PASS"
        FAIL = "FAIL"
        ERROR = "ERROR"
        SKIP = "SKIP"
        RETEST = "RETEST", "RETEST (set-up fault)"

    class Format(models.TextChoices):
        NATIVE = "native"
        OCP = "ocp", "OCP Test & Validation"
        BURN_IN = "burn_in"
        RECORD = "record", "judged from our own record"
        TOOL = "tool", "output of a stress tool"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="test_runs")
    procedure = models.CharField(max_length=60)
    procedure_version = models.CharField(max_length=30, blank=True)
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, null=True, related_name="+")
    format = models.CharField(max_length=8, choices=Format.choices)
    status = models.CharField(max_length=8, choices=Status.choices)
    said = models.CharField(max_length=20, blank=True, help_text="The result the tester reported.")
    outcome = models.CharField(max_length=6, choices=Outcome.choices, help_text="The result as judged here.")
    reasons = models.JSONField(default=list)
    truncated = models.BooleanField(default=False)
    legacy = models.BooleanField(default=False, help_text="Reported in a dialect older than OCP 2.0.")
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(default=timezone.now)
    station = models.CharField(max_length=60, blank=True)
    device = models.CharField(max_length=60, blank=True)
    person = models.CharField(max_length=150, blank=True)
    configuration = models.CharField(max_length=64, help_text="SHA-256 of what was installed when tested.")
    details = models.JSONField(default=dict)
    superseded_at = models.DateTimeField(null=True)
    superseded_because = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["unit", "procedure", "-id"],
                name="live_tests",
                condition=Q(superseded_at__isnull=True),
            ),
            models.Index(fields=["unit", "procedure", "id"], name="attempts_of_unit"),
            models.Index(fields=["procedure", "received_at"], name="runs_by_procedure_and_time"),
            models.Index(fields=["received_at"], name="runs_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.procedure} {self.outcome}"


class Measurement(models.Model):
    """One value, or the summary of a series, with the limits it was judged by."""

    class Verdict(models.TextChoices):
        PASS = "PASS"
        FAIL = "FAIL"
        NONE = "NONE", "no limit"

    run = models.ForeignKey(TestRun, on_delete=models.CASCADE, related_name="measurements")
    position = models.PositiveIntegerField()
    step = models.CharField(max_length=120, blank=True)
    name = models.CharField(max_length=120)
    component = models.CharField(max_length=120, blank=True)
    value = models.FloatField(null=True)
    text = models.CharField(max_length=1000, blank=True, help_text="A value that is not a number.")
    unit = models.CharField(max_length=30, blank=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    verdict = models.CharField(max_length=4, choices=Verdict.choices)
    count = models.PositiveIntegerField(default=1)
    minimum = models.FloatField(null=True)
    maximum = models.FloatField(null=True)
    mean = models.FloatField(null=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["run", "position"], name="measurement_position_once")]

    def __str__(self) -> str:
        return self.name


class Diagnosis(models.Model):
    """What a test concluded about a component."""

    run = models.ForeignKey(TestRun, on_delete=models.CASCADE, related_name="diagnoses")
    step = models.CharField(max_length=120, blank=True)
    verdict = models.CharField(max_length=120)
    type = models.CharField(max_length=8)
    message = models.TextField(blank=True)
    component = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "diagnoses"

    def __str__(self) -> str:
        return f"{self.type} {self.verdict}"
