"""What was done on a unit: operations, by whom, with what, what was recorded, and what was let pass."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.people.models import Signature
from mes.products.models import DataField, Operation, Route, Slot
from mes.quality.models import Nonconformance
from mes.serials.models import Lot, Unit
from mes.stations.models import Device, Station, Tool


class Rework(models.Model):
    """A unit on a rework route, from its disposition until it returns to the route it left."""

    class State(models.TextChoices):
        RUNNING = "running"
        COMPLETE = "complete"
        ABANDONED = "abandoned"

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="reworks")
    nonconformance = models.ForeignKey(Nonconformance, on_delete=models.PROTECT, related_name="reworks")
    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="+")
    returns_to = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=9, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unit"], name="one_rework_at_a_time", condition=Q(state="running")
            )
        ]

    def __str__(self) -> str:
        return f"{self.nonconformance} on {self.route}"


class OperationRun(models.Model):
    """One attempt at an operation on a unit; superseded, never deleted, when it must be repeated."""

    class State(models.TextChoices):
        RUNNING = "running"
        COMPLETE = "complete"
        SKIPPED = "skipped"

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="operation_runs")
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="runs")
    rework = models.ForeignKey(Rework, on_delete=models.PROTECT, null=True, blank=True, related_name="runs")
    attempt = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=8, choices=State.choices)
    station = models.ForeignKey(Station, on_delete=models.PROTECT, null=True, related_name="+")
    started_at = models.DateTimeField(default=timezone.now)
    started_by = models.CharField(max_length=150)
    completed_at = models.DateTimeField(null=True, blank=True)
    completed_by = models.CharField(max_length=150, blank=True)
    skipped_because = models.CharField(max_length=200, blank=True)
    superseded_at = models.DateTimeField(null=True, blank=True)
    superseded_because = models.CharField(max_length=200, blank=True)
    carried_from = models.OneToOneField(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="carried_to",
        help_text="The run on the route left by an engineering change that this one stands for.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unit", "operation"],
                name="one_live_run_per_operation",
                condition=Q(superseded_at__isnull=True),
            ),
            models.UniqueConstraint(fields=["unit", "operation", "attempt"], name="operation_attempt_once"),
        ]
        indexes = [models.Index(fields=["station", "started_at"], name="runs_at_station")]

    def __str__(self) -> str:
        return f"{self.operation} of {self.unit}"


class Labor(models.Model):
    """A person's part in a run: several people may work on one, at several stations."""

    run = models.ForeignKey(OperationRun, on_delete=models.PROTECT, related_name="labor")
    person = models.CharField(max_length=150)
    station = models.ForeignKey(Station, on_delete=models.PROTECT, null=True, related_name="+")
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "person"], name="labor_once", condition=Q(ended_at__isnull=True)
            )
        ]
        indexes = [models.Index(fields=["person", "started_at"], name="labor_of_person")]

    def __str__(self) -> str:
        return f"{self.person} on {self.run}"


class ToolUse(models.Model):
    """A tool that was scanned for a run, with the calibration that held then."""

    run = models.ForeignKey(OperationRun, on_delete=models.PROTECT, related_name="tool_uses")
    tool = models.ForeignKey(Tool, on_delete=models.PROTECT, related_name="uses")
    calibration_due_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(default=timezone.now)
    used_by = models.CharField(max_length=150)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "tool"], name="tool_use_once")]

    def __str__(self) -> str:
        return f"{self.tool} for {self.run}"


class ConsumableUse(models.Model):
    """How much of a lot a run used up."""

    run = models.ForeignKey(OperationRun, on_delete=models.PROTECT, related_name="consumable_uses")
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="uses")
    quantity = models.DecimalField(max_digits=10, decimal_places=3)
    unit = models.CharField(max_length=20)
    used_at = models.DateTimeField(default=timezone.now)
    used_by = models.CharField(max_length=150)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(quantity__gt=0), name="consumable_use_positive")]

    def __str__(self) -> str:
        return f"{self.quantity} {self.unit} of {self.lot}"


class CapturedValue(models.Model):
    """A value recorded for a data field of a run; a later one of the same field replaces it, none is lost."""

    class Verdict(models.TextChoices):
        PASS = "PASS"
        FAIL = "FAIL"
        NONE = "NONE", "no limit"

    run = models.ForeignKey(OperationRun, on_delete=models.PROTECT, related_name="values")
    field = models.ForeignKey(DataField, on_delete=models.PROTECT, related_name="+")
    number = models.FloatField(null=True, blank=True)
    text = models.CharField(max_length=300, blank=True)
    attachment = models.ForeignKey(
        Attachment, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    signature = models.ForeignKey(
        Signature, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    verdict = models.CharField(max_length=4, choices=Verdict.choices)
    recorded_at = models.DateTimeField(default=timezone.now)
    recorded_by = models.CharField(max_length=150)
    replaced_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "field"],
                name="one_live_value_per_field",
                condition=Q(replaced_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.field}: {self.text or self.number}"


class GateRelease(models.Model):
    """That a gate was released for a unit: by whom, why, signed, and for how many passes until when."""

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="gate_releases")
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, null=True, related_name="+")
    gate = models.CharField(max_length=40, help_text="The gate's name, e.g. tools.")
    holds = models.CharField(
        max_length=200, blank=True, help_text="What it lets pass and nothing else, e.g. test_failed leak."
    )
    role = models.CharField(max_length=16)
    reason = models.CharField(max_length=300)
    signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="+")
    allowed = models.PositiveSmallIntegerField(default=1, help_text="How often the gate may be passed by it.")
    used = models.PositiveSmallIntegerField(default=0)
    released_at = models.DateTimeField(default=timezone.now)
    released_by = models.CharField(max_length=150)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(used__lte=F("allowed")), name="release_used_at_most_as_allowed"
            )
        ]
        indexes = [models.Index(fields=["unit", "gate"], name="releases_of_unit")]

    def __str__(self) -> str:
        return f"{self.gate} of {self.unit}"


class WorkSession(models.Model):
    """What a device is working on: its unit, and the slot scanned last."""

    device = models.OneToOneField(Device, on_delete=models.CASCADE, related_name="work_session")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, related_name="+")
    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, null=True, related_name="+")
    last_raw = models.TextField(blank=True)
    last_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.device}: {self.unit} {self.slot}"
