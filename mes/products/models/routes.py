"""Routes: operations, what each asks for, and what is repeated when."""

from django.db import models
from django.db.models import Q

from mes.people.models import Qualification
from mes.products.models.parts import Part, Released


class Route(Released):
    """The operations a part goes through, in one version.

    A rework route repairs and returns; an expansion route extends what has shipped.
    """

    class Kind(models.TextChoices):
        BUILD = "build"
        EXPANSION = "expansion"
        REWORK = "rework"

    kind = models.CharField(max_length=9, choices=Kind.choices, default=Kind.BUILD)
    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="routes")
    version = models.CharField(max_length=20)
    name = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["part", "version"], name="route_version_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Operation(models.Model):
    """A step of a route; equal sequences may run in parallel.

    It may start once the operations named in ``after`` are complete; without names, all of lower sequence.
    ``applies_when`` makes it conditional: ``option:NAME`` on an option of the order, ``part:KIND`` on a part
    of that kind being installed.
    """

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="operations")
    sequence = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=30)
    name = models.CharField(max_length=120)
    work_center = models.CharField(max_length=30)
    instruction = models.TextField(blank=True)
    instruction_code = models.CharField(max_length=40, blank=True, help_text="The work instruction shown.")
    after = models.JSONField(default=list, blank=True, help_text="Codes of the operations it follows.")
    applies_when = models.CharField(max_length=60, blank=True, help_text="option:NAME or part:KIND.")
    optional = models.BooleanField(default=False, help_text="May be skipped with a reason.")
    people = models.PositiveSmallIntegerField(default=1, help_text="How many must take part.")
    standard_minutes = models.DecimalField(max_digits=8, decimal_places=2, null=True, blank=True)
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
    opens_nonconformance = models.BooleanField(
        default=False, help_text="Whether a FAIL of the test opens a nonconformance by itself."
    )

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
            models.CheckConstraint(condition=~Q(unit=""), name="limit_has_a_unit"),
        ]

    def __str__(self) -> str:
        return self.measurement


class RequiredQualification(models.Model):
    """What a person must be qualified in to work on an operation."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="qualifications")
    qualification = models.ForeignKey(Qualification, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["operation", "qualification"], name="required_qualification_once")
        ]

    def __str__(self) -> str:
        return str(self.qualification)


class RequiredTool(models.Model):
    """A type of tool that an operation is done with."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="tools")
    type = models.CharField(max_length=40)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["operation", "type"], name="required_tool_once")]

    def __str__(self) -> str:
        return self.type


class Consumable(models.Model):
    """What an operation uses up, recorded by lot: thermal paste, coolant, a seal."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="consumables")
    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="+")
    quantity = models.DecimalField(max_digits=10, decimal_places=3)
    unit = models.CharField(max_length=20)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["operation", "part"], name="consumable_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="consumable_quantity_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.unit} {self.part}"


class DataField(models.Model):
    """A value that a person records during an operation; limits belong to the good range."""

    class Kind(models.TextChoices):
        NUMBER = "number"
        TEXT = "text"
        SERIAL = "serial"
        CHOICE = "choice"
        PHOTO = "photo"
        SIGNATURE = "signature"

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="data_fields")
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=9, choices=Kind.choices)
    prompt = models.CharField(max_length=120)
    order = models.PositiveSmallIntegerField(default=0)
    required = models.BooleanField(default=True)
    unit = models.CharField(max_length=20, blank=True)
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    choices = models.JSONField(default=list, blank=True, help_text="The words to choose from.")
    assumption = models.TextField(blank=True)

    class Meta:
        ordering = ["order", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["operation", "name"], name="data_field_once"),
            models.CheckConstraint(
                condition=~Q(unit="") | Q(low__isnull=True, high__isnull=True), name="field_limit_has_a_unit"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ReworkLimit(models.Model):
    """How often a unit on a route may be reworked before quality must agree."""

    class Scope(models.TextChoices):
        IN_ALL = "in_all"
        PER_OPERATION = "per_operation", "per operation that found it"
        PER_SYMPTOM = "per_symptom"

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="rework_limits")
    scope = models.CharField(max_length=13, choices=Scope.choices)
    maximum = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["route", "scope"], name="rework_limit_once")]

    def __str__(self) -> str:
        return f"{self.maximum} {self.scope}"


class RetestRule(models.Model):
    """Which operations must be repeated after a unit was opened, drained, cut off power or reflashed.

    A rule for ``removed`` names the slot type it is about; the others may leave it empty.
    """

    class Trigger(models.TextChoices):
        REMOVED = "removed", "a part was removed or swapped"
        WET_BREAK = "wet_break", "the cooling loop was opened"
        POWER_BREAK = "power_break", "the power path was opened"
        FIRMWARE_CHANGE = "firmware_change", "firmware was changed"
        CABLE_CHANGE = "cable_change", "a cable was disconnected"

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="retest_rules")
    name = models.CharField(max_length=60)
    trigger = models.CharField(max_length=15, choices=Trigger.choices, default=Trigger.REMOVED)
    slot_type = models.CharField(max_length=40, blank=True)
    repeats = models.JSONField(help_text="Sequences of the operations to repeat.")
    assumption = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["route", "name", "trigger", "slot_type"], name="retest_rule_by_trigger_once"
            ),
            models.CheckConstraint(
                condition=~Q(trigger="removed") | ~Q(slot_type=""), name="removal_rule_names_slot_type"
            ),
        ]

    def __str__(self) -> str:
        return self.name
