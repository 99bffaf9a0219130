"""What was done with the liquid of a unit's loop: flushed, filled, measured in flow, drained, charged."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mes.serials.models import Lot, Unit
from mes.testing.models import TestRun


class CoolantStep(models.Model):
    """One step, named as the test procedure that carries its verdict; each kind has fields of its own."""

    class Kind(models.TextChoices):
        FLUSH = "flush"
        FILL = "fill"
        FLOW = "flow"
        DRAIN = "drain"
        NITROGEN_CHARGE = "nitrogen_charge"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="coolant_steps")
    kind = models.CharField(max_length=15, choices=Kind.choices)
    test_run = models.OneToOneField(TestRun, on_delete=models.PROTECT, related_name="coolant_step")
    done_at = models.DateTimeField(default=timezone.now)
    done_by = models.CharField(max_length=150)
    note = models.CharField(max_length=300, blank=True)
    volume_l = models.FloatField(null=True, help_text="Flushed through, filled in, or drained out.")
    # flush
    medium = models.CharField(max_length=60, blank=True)
    duration_s = models.FloatField(null=True)
    filter_um = models.FloatField(null=True)
    particle_class = models.CharField(max_length=11, blank=True, help_text="ISO 4406, e.g. 18/16/13.")
    # fill
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, null=True, related_name="+")
    conductivity_us_cm = models.FloatField(null=True)
    ph = models.FloatField(null=True)
    freeze_protection_cel = models.FloatField(null=True)
    drained_at = models.DateTimeField(null=True, help_text="Of a fill; none: the loop is filled.")
    # flow and drain
    fill = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="later", help_text="What is in the loop."
    )
    stays_l = models.FloatField(null=True, help_text="Filled, and not drained.")
    # nitrogen charge
    pressure_bar = models.FloatField(null=True, help_text="Gauge, by the gauge of the charge.")
    temperature_cel = models.FloatField(null=True)
    valve = models.CharField(max_length=80, blank=True, help_text="Serial of the valve or of its label.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unit"],
                name="one_fill_in_a_loop",
                condition=Q(kind="fill", drained_at__isnull=True),
            ),
            models.CheckConstraint(
                condition=~Q(kind="flush")
                | Q(volume_l__gt=0, duration_s__gt=0, filter_um__gt=0)
                & ~Q(medium="")
                & ~Q(particle_class=""),
                name="flush_is_complete",
            ),
            models.CheckConstraint(
                condition=~Q(kind="fill")
                | Q(
                    lot__isnull=False,
                    volume_l__gt=0,
                    conductivity_us_cm__gte=0,
                    ph__gte=0,
                    ph__lte=14,
                    freeze_protection_cel__isnull=False,
                ),
                name="fill_is_complete",
            ),
            models.CheckConstraint(
                condition=~Q(kind="flow") | Q(fill__isnull=False), name="flow_is_of_a_fill"
            ),
            models.CheckConstraint(
                condition=~Q(kind="drain") | Q(fill__isnull=False, volume_l__gte=0, stays_l__isnull=False),
                name="drain_is_complete",
            ),
            models.CheckConstraint(
                condition=~Q(kind="nitrogen_charge")
                | Q(pressure_bar__gt=0, temperature_cel__isnull=False) & ~Q(valve=""),
                name="charge_is_complete",
            ),
            models.CheckConstraint(
                condition=Q(kind="fill") | Q(drained_at__isnull=True), name="only_fills_are_drained"
            ),
        ]
        indexes = [models.Index(fields=["unit", "-id"], name="coolant_steps_of_unit")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.unit}"


class BranchFlow(models.Model):
    """What was measured on one branch of a loop: L/min, bar (gauge), Cel, and the heat from them in kW."""

    step = models.ForeignKey(CoolantStep, on_delete=models.CASCADE, related_name="branches")
    branch = models.CharField(max_length=60, help_text="Slot, or place of a coupling.")
    flow_l_min = models.FloatField()
    supply_bar = models.FloatField()
    return_bar = models.FloatField()
    supply_cel = models.FloatField()
    return_cel = models.FloatField()
    heat_kw = models.FloatField(null=True, help_text="None: the coolant's properties are not defined.")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["step", "branch"], name="branch_measured_once"),
            models.CheckConstraint(condition=Q(flow_l_min__gte=0), name="branch_flow_not_negative"),
        ]

    def __str__(self) -> str:
        return self.branch

    @property
    def pressure_difference_bar(self) -> float:
        """Return what the branch takes of the pressure, in bar."""
        return self.supply_bar - self.return_bar


class ChargeReading(models.Model):
    """A later look at a nitrogen charge; judged as the charge was."""

    charge = models.ForeignKey(CoolantStep, on_delete=models.CASCADE, related_name="readings")
    test_run = models.OneToOneField(TestRun, on_delete=models.PROTECT, related_name="+")
    pressure_bar = models.FloatField(help_text="Gauge.")
    temperature_cel = models.FloatField()
    corrected_bar = models.FloatField(help_text="Gauge, as it would be at the temperature of the charge.")
    read_at = models.DateTimeField(default=timezone.now)
    read_by = models.CharField(max_length=150)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.corrected_bar:g} bar"
