"""What units say of themselves, how their words are read, and the verdicts on what they said."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mes.ledger.models import Stream
from mes.products.models import Released
from mes.serials.models import Unit
from mes.testing.models import TestRun


class ReportMap(Released):
    """How to read what the BMCs of a kind of unit tell: which resource is which part and which firmware."""

    unit_kind = models.CharField(max_length=40, help_text="compute_tray, switch_tray, ...")
    maker = models.CharField(max_length=120, blank=True, help_text="Of the unit's part; empty: any maker.")
    version = models.CharField(max_length=20)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["unit_kind", "maker", "version"], name="report_map_once")
        ]

    def __str__(self) -> str:
        return f"{self.unit_kind} {self.maker} {self.version}".replace("  ", " ")


class ComponentName(models.Model):
    """Which resources are parts of a kind, and by what one of them is told from another."""

    class Identity(models.TextChoices):
        SERIAL = "serial"
        UUID = "uuid"

    report_map = models.ForeignKey(ReportMap, on_delete=models.CASCADE, related_name="components")
    pattern = models.CharField(
        max_length=120, help_text="Path below /redfish/v1/; * and ? stay between two slashes."
    )
    part_kind = models.CharField(max_length=40)
    identity = models.CharField(max_length=6, choices=Identity.choices, default=Identity.SERIAL)
    interface = models.CharField(
        max_length=80, blank=True, help_text="Manager/interface whose MAC address is the part's."
    )

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["report_map", "pattern"], name="component_name_once")]

    def __str__(self) -> str:
        return f"{self.pattern} is {self.part_kind}"


class FirmwareName(models.Model):
    """Which firmware inventory entries are which component of a baseline; wildcards are its number."""

    report_map = models.ForeignKey(ReportMap, on_delete=models.CASCADE, related_name="firmware")
    pattern = models.CharField(max_length=80, help_text="HGX_FW_GPU_* names GPU 0, GPU 1, ...")
    component = models.CharField(max_length=40, help_text="As the firmware baseline spells it.")

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["report_map", "pattern"], name="firmware_name_once")]

    def __str__(self) -> str:
        return f"{self.pattern} is {self.component}"


class Collection(Stream):
    """One reading of the BMCs of a unit and of what is in it: asked for, done by a worker, ended."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        COMPLETE = "complete", "complete: every BMC was read"
        FAILED = "failed", "failed: not every BMC was read"

    OPEN = (State.QUEUED, State.RUNNING)

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="collections")
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    asked_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(help_text="After this a new one may be asked for.")
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    units_asked = models.PositiveIntegerField(default=0)
    units_read = models.PositiveIntegerField(default=0)
    errors = models.JSONField(default=dict, help_text="Why a unit was not read, by its serial.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unit"],
                name="one_open_collection_per_unit",
                condition=Q(state__in=["queued", "running"]),
            )
        ]

    def __str__(self) -> str:
        return f"collection of {self.unit}"


class FoundInventory(models.Model):
    """A unit as it described itself at one time; never changed. The latest of a unit is the one compared."""

    class Source(models.TextChoices):
        REDFISH = "redfish"
        TESTER = "tester"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="found_inventories")
    source = models.CharField(max_length=7, choices=Source.choices)
    collection = models.ForeignKey(
        Collection, on_delete=models.PROTECT, null=True, blank=True, related_name="inventories"
    )
    taken_at = models.DateTimeField()
    received_at = models.DateTimeField(default=timezone.now)
    recorded_by = models.CharField(max_length=150)
    serial = models.CharField(max_length=120, blank=True)
    part_number = models.CharField(max_length=120, blank=True)
    uuid = models.CharField(max_length=60, blank=True)
    asset_tag = models.CharField(max_length=120, blank=True)
    slot_number = models.IntegerField(null=True, blank=True)
    tray_index = models.IntegerField(null=True, blank=True)
    macs = models.JSONField(default=dict, help_text="MAC addresses by manager/interface.")

    class Meta:
        verbose_name_plural = "found inventories"
        indexes = [models.Index(fields=["unit", "-taken_at", "-id"], name="latest_inventory_of_unit")]

    def __str__(self) -> str:
        return f"{self.unit} at {self.taken_at:%Y-%m-%d %H:%M}"


class FoundComponent(models.Model):
    """A part that a unit says it is made of, in its own words."""

    inventory = models.ForeignKey(FoundInventory, on_delete=models.CASCADE, related_name="components")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=40, help_text="A BMC's word, or of a tester the kind of part.")
    name = models.CharField(max_length=120)
    path = models.CharField(max_length=300, blank=True)
    location = models.CharField(max_length=200, blank=True)
    serial = models.CharField(max_length=120, blank=True)
    part_number = models.CharField(max_length=120, blank=True)
    uuid = models.CharField(max_length=60, blank=True)
    mac = models.CharField(max_length=40, blank=True)
    model = models.CharField(max_length=120, blank=True)
    present = models.BooleanField(default=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["inventory", "position"], name="found_component_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class FoundFirmware(models.Model):
    """A firmware version that a unit tells, under the name it has there."""

    inventory = models.ForeignKey(FoundInventory, on_delete=models.CASCADE, related_name="firmware")
    name = models.CharField(max_length=80)
    version = models.CharField(max_length=120)
    vendor = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "found firmware"
        constraints = [models.UniqueConstraint(fields=["inventory", "name"], name="found_firmware_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Verdict(models.Model):
    """What a comparison came to when it was judged, with the test run by which gates know of it."""

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="inventory_verdicts")
    test_run = models.OneToOneField(TestRun, on_delete=models.PROTECT, related_name="inventory_verdict")
    procedure = models.CharField(max_length=60)
    at = models.DateTimeField(default=timezone.now)
    digest = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 of everything that was reported; equal means the same."
    )
    rows = models.JSONField(default=list, help_text="Every difference, or component off its baseline.")

    class Meta:
        indexes = [models.Index(fields=["unit", "procedure", "-id"], name="verdicts_of_unit")]

    def __str__(self) -> str:
        return f"{self.procedure} of {self.unit}"
