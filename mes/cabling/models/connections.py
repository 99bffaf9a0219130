"""What is connected: cables with both ends as scanned, and what was checked on them. Never deleted."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.cabling.models.plans import END_CHARACTERS, LABEL_CHARACTERS, CablePlan, Check, PlannedCable
from mes.serials.models import Lot, Unit
from mes.stations.models import Device
from mes.testing.models import TestRun

LIVE = Q(disconnected_at__isnull=True)


class UnitCabling(models.Model):
    """The plan that a unit is cabled by, chosen with its first cable; later plans do not move it."""

    unit = models.OneToOneField(Unit, on_delete=models.PROTECT, related_name="cabling")
    plan = models.ForeignKey(CablePlan, on_delete=models.PROTECT, related_name="cabled_units")
    chosen_at = models.DateTimeField(default=timezone.now)
    chosen_by = models.CharField(max_length=150)

    def __str__(self) -> str:
        return f"{self.unit} by {self.plan}"


class CableConnection(models.Model):
    """A cable in its two ports, from when until when: one with a serial, or a length of a lot."""

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="cable_connections")
    planned = models.ForeignKey(PlannedCable, on_delete=models.PROTECT, related_name="connections")
    cable = models.ForeignKey(
        Unit, on_delete=models.PROTECT, null=True, blank=True, related_name="connected_as"
    )
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    cut_length_mm = models.PositiveIntegerField(null=True, blank=True, help_text="As cut.")
    connected_at = models.DateTimeField(default=timezone.now)
    connected_by = models.CharField(max_length=150)
    station = models.CharField(max_length=60, blank=True)
    disconnected_at = models.DateTimeField(null=True, blank=True)
    disconnected_by = models.CharField(max_length=150, blank=True)
    disconnect_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["unit", "planned"], name="one_live_connection", condition=LIVE),
            models.UniqueConstraint(fields=["cable"], name="one_place_per_cable", condition=LIVE),
            models.CheckConstraint(
                condition=Q(cable__isnull=True) ^ Q(lot__isnull=True), name="cable_has_serial_or_lot"
            ),
            models.CheckConstraint(
                condition=LIVE | ~Q(disconnect_reason=""), name="disconnected_with_reason"
            ),
        ]
        indexes = [models.Index(fields=["lot"], name="connections_of_lot")]

    def __str__(self) -> str:
        return f"{self.planned} of {self.unit}"

    @property
    def on_hold(self) -> bool:
        """Return whether the cable, or the lot it was cut from, is on hold."""
        return any(source is not None and source.held for source in (self.cable, self.lot))

    @property
    def code(self) -> str:
        """Return what is printed on the cable: its serial, else its lot."""
        return self.cable.serial if self.cable else self.lot.number if self.lot else ""


class CableEnd(models.Model):
    """One of the two ends of a connection, a row each: so no port takes two cables, whichever end it is."""

    class Side(models.TextChoices):
        A = "A"
        B = "B"

    connection = models.ForeignKey(CableConnection, on_delete=models.PROTECT, related_name="ends")
    side = models.CharField(max_length=1, choices=Side.choices)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="+")
    device = models.CharField(max_length=END_CHARACTERS)
    port = models.CharField(max_length=END_CHARACTERS)
    disconnected_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["side"]
        constraints = [
            models.UniqueConstraint(fields=["connection", "side"], name="cable_end_once"),
            models.UniqueConstraint(
                fields=["unit", "device", "port"], name="one_cable_per_port", condition=LIVE
            ),
        ]

    def __str__(self) -> str:
        return f"{self.device}/{self.port}"


class CableCheck(models.Model):
    """What was found on a connected cable; the latest of each kind counts."""

    class Outcome(models.TextChoices):
        PASS = "PASS"
        FAIL = "FAIL"

    connection = models.ForeignKey(CableConnection, on_delete=models.PROTECT, related_name="checks")
    kind = models.CharField(max_length=17, choices=Check.choices)
    outcome = models.CharField(max_length=4, choices=Outcome.choices)
    value = models.FloatField(null=True, blank=True)
    unit = models.CharField(max_length=10, blank=True, help_text="N.m or mm")
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    photo = models.ForeignKey(Attachment, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    note = models.CharField(max_length=200, blank=True)
    checked_at = models.DateTimeField(default=timezone.now)
    checked_by = models.CharField(max_length=150)
    station = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(condition=Q(value__isnull=True) | ~Q(unit=""), name="check_value_has_unit")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.outcome}"


class CablingVerdict(models.Model):
    """A judgement on the cabling of a unit, by the records or by the machine's own view, and its test run."""

    class Procedure(models.TextChoices):
        CABLING = "cabling"
        PORT_MAP = "port_map"

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="cabling_verdicts")
    plan = models.ForeignKey(CablePlan, on_delete=models.PROTECT, related_name="+")
    procedure = models.CharField(max_length=8, choices=Procedure.choices)
    test_run = models.OneToOneField(TestRun, on_delete=models.PROTECT, related_name="cabling_verdict")
    faults = models.JSONField(default=list, help_text="What is not as planned, in sentences.")
    judged_at = models.DateTimeField(default=timezone.now)
    judged_by = models.CharField(max_length=150)

    class Meta:
        indexes = [models.Index(fields=["unit", "procedure", "-id"], name="latest_cabling_verdict")]

    def __str__(self) -> str:
        return f"{self.procedure} of {self.unit}"


class CableScan(models.Model):
    """What a device has scanned of a cable so far: the planned cable, ends, and the cable itself."""

    device = models.OneToOneField(Device, on_delete=models.CASCADE, related_name="cable_scan")
    unit = models.ForeignKey(Unit, on_delete=models.CASCADE, related_name="+")
    label = models.CharField(max_length=LABEL_CHARACTERS, blank=True)
    first = models.CharField(max_length=2 * END_CHARACTERS + 1, blank=True)
    second = models.CharField(max_length=2 * END_CHARACTERS + 1, blank=True)
    cable = models.CharField(max_length=120, blank=True, help_text="As scanned.")
    connected = models.CharField(max_length=LABEL_CHARACTERS, blank=True, help_text="The last one.")

    def __str__(self) -> str:
        return f"{self.first} {self.second} {self.cable}"
