"""Orders, the operations done on each unit, and what a device is working on."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mes.ledger.models import Stream
from mes.products.models import FirmwareBaseline, Operation, PartRevision, Route, Slot
from mes.serials.models import Unit
from mes.stations.models import Device, Site, Station


class WorkOrder(Stream):
    """An order to build units of one frozen revision along one frozen route."""

    class State(models.TextChoices):
        DRAFT = "draft"
        RELEASED = "released"
        COMPLETE = "complete"

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=40, unique=True)
    part_revision = models.ForeignKey(PartRevision, on_delete=models.PROTECT, related_name="+")
    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="+")
    firmware_baseline = models.ForeignKey(
        FirmwareBaseline, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    quantity = models.PositiveIntegerField()
    finished = models.PositiveIntegerField(default=0, editable=False)
    state = models.CharField(max_length=8, choices=State.choices, default=State.DRAFT)
    customer = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_positive"),
            models.CheckConstraint(
                condition=Q(finished__lte=models.F("quantity")), name="order_finishes_at_most_its_quantity"
            ),
        ]

    def __str__(self) -> str:
        return self.number


class OrderUnit(models.Model):
    """A unit that an order builds."""

    work_order = models.ForeignKey(WorkOrder, on_delete=models.PROTECT, related_name="order_units")
    unit = models.OneToOneField(Unit, on_delete=models.PROTECT, related_name="order_unit")

    def __str__(self) -> str:
        return f"{self.work_order} {self.unit}"


class OperationRun(models.Model):
    """One attempt at an operation on a unit; superseded, never deleted, when it must be repeated."""

    class State(models.TextChoices):
        RUNNING = "running"
        COMPLETE = "complete"

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="operation_runs")
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="runs")
    attempt = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=8, choices=State.choices)
    station = models.ForeignKey(Station, on_delete=models.PROTECT, null=True, related_name="+")
    started_at = models.DateTimeField(default=timezone.now)
    started_by = models.CharField(max_length=150)
    completed_at = models.DateTimeField(null=True, blank=True)
    completed_by = models.CharField(max_length=150, blank=True)
    superseded_at = models.DateTimeField(null=True, blank=True)
    superseded_because = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unit", "operation"],
                name="one_live_run_per_operation",
                condition=Q(superseded_at__isnull=True),
            ),
            models.UniqueConstraint(fields=["unit", "operation", "attempt"], name="operation_attempt_once"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} of {self.unit}"


class WorkSession(models.Model):
    """What a device is working on: its unit, and the slot scanned last."""

    device = models.OneToOneField(Device, on_delete=models.CASCADE, related_name="work_session")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, related_name="+")
    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, null=True, related_name="+")
    last_raw = models.TextField(blank=True)
    last_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.device}: {self.unit} {self.slot}"
