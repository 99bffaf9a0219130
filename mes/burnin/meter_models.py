"""What a burn-in is metered by: where meters answer, what they told in a run, and what the grid emits."""

from django.db import models
from django.db.models import Q

from mes.serials.models import Unit
from mes.stations.models import Site


class MeterEndpoint(models.Model):
    """Where a meter answers over Redfish: that of a power shelf, or of the coolant loop of a bay."""

    class Coolant(models.TextChoices):
        WATER = "water", "water"
        PG25 = "pg25", "propylene glycol 25 %"

    unit = models.OneToOneField(
        Unit,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="meter",
        help_text="A power shelf.",
    )
    bay = models.OneToOneField(
        "burnin.BurnInBay",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="meter",
        help_text="The bay whose coolant loop it measures.",
    )
    url = models.URLField()
    username = models.CharField(max_length=60, blank=True)
    password_encrypted = models.TextField(blank=True, editable=False)
    connector = models.CharField(
        max_length=60, blank=True, help_text="Id of the CDU's connector; empty where it has one."
    )
    coolant = models.CharField(max_length=5, choices=Coolant.choices, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(unit__isnull=False, bay__isnull=True) | Q(unit__isnull=True, bay__isnull=False),
                name="meter_of_a_unit_or_a_bay",
            )
        ]

    def __str__(self) -> str:
        return self.url


class RunMeter(models.Model):
    """What one meter told during one run, integrated over time. Joules, and seconds of the clock.

    Seconds without two readings close enough together are in none of the sums. ``load_`` sums are those while
    the rack soaked, ``steady_`` sums those of the heat balance: soaking, and the water warm by then.
    """

    class Role(models.TextChoices):
        SHELF = "power_shelf"
        TRAYS = "trays"
        COOLANT = "coolant"

    run = models.ForeignKey("burnin.BurnInRun", on_delete=models.CASCADE, related_name="meters")
    role = models.CharField(max_length=11, choices=Role.choices)
    name = models.CharField(max_length=40, help_text="Its slot or bay.")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, related_name="+")
    asked_since = models.DateTimeField(null=True)
    asked_until = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    missed = models.PositiveIntegerField(default=0, help_text="Polls in a row without an answer.")
    said = models.CharField(max_length=200, blank=True, help_text="Why it gave no reading, last time.")
    last_at = models.DateTimeField(null=True)
    last = models.JSONField(default=dict, help_text="The last reading, in W, Cel and L/min.")
    seconds = models.FloatField(default=0)
    joules_in = models.FloatField(default=0)
    joules_out = models.FloatField(default=0)
    load_seconds = models.FloatField(default=0)
    load_joules_in = models.FloatField(default=0)
    load_joules_out = models.FloatField(default=0)
    counter_first_kwh = models.FloatField(null=True)
    counter_last_kwh = models.FloatField(null=True)
    joules_heat = models.FloatField(default=0)
    steady_seconds = models.FloatField(default=0)
    steady_joules_heat = models.FloatField(default=0)
    steady_joules_electric = models.FloatField(default=0)
    steady_source = models.CharField(max_length=40, blank=True)
    coolant = models.CharField(max_length=5, blank=True)
    liquid_share = models.FloatField(
        null=True, help_text="How much of the electrical heat goes into the coolant by the rack's design."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "role", "name"], name="run_meter_once")]

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


class GridFactor(models.Model):
    """What the electricity of a site emits, from a day on until a later factor begins."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="grid_factors")
    valid_from = models.DateField(help_text="The first day it counts for.")
    grams_per_kwh = models.FloatField(help_text="g CO2e per kWh.")
    source = models.CharField(max_length=300, help_text="Who publishes it, for which year.")
    assumption = models.TextField(blank=True)

    class Meta:
        ordering = ["site", "-valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["site", "valid_from"], name="one_grid_factor_a_day"),
            models.CheckConstraint(condition=Q(grams_per_kwh__gte=0), name="grid_factor_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.grams_per_kwh:g} g/kWh from {self.valid_from}"
