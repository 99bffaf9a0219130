"""Definitions: what is built, from what, in which slots, by which route, to which limits."""

from django.db import models
from django.db.models import Q


class Part(models.Model):
    """A kind of thing with a number: a rack, a tray, a GPU, a hose."""

    class Tracking(models.TextChoices):
        SERIAL = "serial"
        LOT = "lot"

    number = models.CharField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=40, help_text="compute_tray, gpu, psu, ...")
    level = models.PositiveSmallIntegerField(help_text="A child is always of a lower level than its parent.")
    tracking = models.CharField(max_length=6, choices=Tracking.choices, default=Tracking.SERIAL)
    maker = models.CharField(max_length=120, blank=True)
    maker_number = models.CharField(max_length=60, blank=True, help_text="The number on the maker's label.")
    serial_prefix = models.CharField(max_length=20, blank=True, help_text="For units that our orders create.")

    class Meta:
        indexes = [models.Index(fields=["maker_number"], name="part_by_maker_number")]

    def __str__(self) -> str:
        return self.number


class Released(models.Model):
    """A definition that the database freezes once it is released."""

    released_at = models.DateTimeField(null=True, blank=True, editable=False)
    assumption = models.TextField(blank=True, help_text="What has no public source, in words.")

    class Meta:
        abstract = True

    @property
    def is_released(self) -> bool:
        """Return whether the definition is frozen and may be built to."""
        return self.released_at is not None


class PartRevision(Released):
    """One revision of a part, with its bill of material and slots."""

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="revisions")
    revision = models.CharField(max_length=20)
    description = models.TextField(blank=True)
    weight_kg = models.DecimalField(max_digits=9, decimal_places=3, null=True, blank=True)
    power_w = models.DecimalField(max_digits=10, decimal_places=1, null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["part", "revision"], name="part_revision_once")]

    def __str__(self) -> str:
        return f"{self.part.number} {self.revision}"


class BomLine(models.Model):
    """How many of a part a revision takes."""

    parent = models.ForeignKey(PartRevision, on_delete=models.CASCADE, related_name="bom_lines")
    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="used_in")
    quantity = models.PositiveIntegerField()
    revisions = models.JSONField(
        default=list, blank=True, help_text="Revisions it takes; empty: any released one."
    )
    assumption = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["parent", "part"], name="bom_part_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="bom_quantity_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.part}"


class Slot(models.Model):
    """A place in an assembly: its name, where it is, what it takes and the position it must report."""

    class Face(models.TextChoices):
        FRONT = "front"
        REAR = "rear"
        INSIDE = "inside"

    revision = models.ForeignKey(PartRevision, on_delete=models.CASCADE, related_name="slots")
    name = models.CharField(max_length=40)
    type = models.CharField(max_length=40)
    face = models.CharField(max_length=6, choices=Face.choices, default=Face.INSIDE)
    position = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Half units from the floor, from 2."
    )
    height = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Half units.")
    slot_number = models.PositiveSmallIntegerField(null=True, blank=True)
    tray_index = models.PositiveSmallIntegerField(null=True, blank=True)
    filled_at = models.PositiveSmallIntegerField(help_text="Sequence of the operation that fills it.")
    order = models.PositiveSmallIntegerField(help_text="In which it is filled and listed.")
    accepts = models.ManyToManyField(Part, related_name="fits")
    assumption = models.TextField(blank=True)

    class Meta:
        ordering = ["order"]
        constraints = [models.UniqueConstraint(fields=["revision", "name"], name="slot_name_once")]

    def __str__(self) -> str:
        return self.name


class Route(Released):
    """The operations a part goes through, in one version."""

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="routes")
    version = models.CharField(max_length=20)
    name = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["part", "version"], name="route_version_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Operation(models.Model):
    """A step of a route; equal sequences may run in parallel."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="operations")
    sequence = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=30)
    name = models.CharField(max_length=120)
    work_center = models.CharField(max_length=30)
    instruction = models.TextField(blank=True)
    assumption = models.TextField(blank=True)

    class Meta:
        ordering = ["sequence", "code"]
        constraints = [models.UniqueConstraint(fields=["route", "code"], name="operation_code_once")]

    def __str__(self) -> str:
        return f"{self.sequence} {self.name}"


class Gate(models.Model):
    """A rule that must hold for an operation to start or to complete."""

    class Rule(models.TextChoices):
        SLOTS_FILLED = "slots_filled"
        TEST_PASSED = "test_passed"

    class Moment(models.TextChoices):
        START = "start"
        COMPLETE = "complete"

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="gates")
    rule = models.CharField(max_length=20, choices=Rule.choices)
    moment = models.CharField(max_length=8, choices=Moment.choices)
    procedure = models.CharField(max_length=60, blank=True, help_text="The test asked for.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["operation", "rule", "moment", "procedure"], name="gate_once"),
            models.CheckConstraint(
                condition=~Q(rule="test_passed") | ~Q(procedure=""), name="test_gate_names_procedure"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.procedure}".strip()


class Limit(models.Model):
    """What a measurement of a procedure must keep to; both bounds belong to the good range."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="limits")
    procedure = models.CharField(max_length=60)
    measurement = models.CharField(max_length=80)
    unit = models.CharField(max_length=20)
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    assumption = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["operation", "procedure", "measurement"], name="limit_once"),
            models.CheckConstraint(
                condition=Q(low__isnull=False) | Q(high__isnull=False), name="limit_has_a_bound"
            ),
        ]

    def __str__(self) -> str:
        return self.measurement


class RetestRule(models.Model):
    """Which operations must be repeated after something in a slot type was removed."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="retest_rules")
    name = models.CharField(max_length=60)
    slot_type = models.CharField(max_length=40)
    repeats = models.JSONField(help_text="Sequences of the operations to repeat.")
    assumption = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["route", "name", "slot_type"], name="retest_rule_once")
        ]

    def __str__(self) -> str:
        return self.name


class FirmwareBaseline(Released):
    """A published set of firmware versions that a rack ships with."""

    name = models.CharField(max_length=60, unique=True)
    mixed_vendors = models.BooleanField(
        default=True, help_text="Whether vendors of one component may be mixed."
    )

    def __str__(self) -> str:
        return self.name


class FirmwareVersion(models.Model):
    """The version a component of a kind of unit must have; one row per approved vendor."""

    baseline = models.ForeignKey(FirmwareBaseline, on_delete=models.CASCADE, related_name="versions")
    unit_kind = models.CharField(max_length=40)
    component = models.CharField(max_length=40)
    vendor = models.CharField(max_length=60, blank=True)
    version = models.CharField(max_length=60)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["baseline", "unit_kind", "component", "vendor"], name="firmware_version_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.component} {self.version}"
