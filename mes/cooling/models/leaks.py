"""Leak tests with their curves, and leak sensors that were made to trip."""

import uuid

from django.db import models
from django.db.models import Q

from mes.serials.models import Unit
from mes.stations.models import Calibration, Tool
from mes.testing.models import TestRun


class LeakTest(models.Model):
    """One leak test of a unit; its verdict is the test run. Pressures are in mbar, times in s."""

    class Scope(models.TextChoices):
        TRAY = "tray_leak"
        RACK = "rack_leak"

    class Method(models.TextChoices):
        PRESSURE_DECAY = "pressure_decay"
        VACUUM_DECAY = "vacuum_decay"
        HELIUM = "helium", "helium leak rate"

    class Medium(models.TextChoices):
        NITROGEN = "nitrogen"
        DRY_AIR = "dry_air"
        HELIUM = "helium"
        FORMING_GAS = "forming_gas"
        WATER = "water"
        COOLANT = "coolant"

    class Reference(models.TextChoices):
        ABSOLUTE = "absolute"
        GAUGE = "gauge", "gauge, above the ambient pressure"

    LIQUIDS = (Medium.WATER, Medium.COOLANT)

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="leak_tests")
    test_run = models.OneToOneField(TestRun, on_delete=models.PROTECT, related_name="leak_test")
    scope = models.CharField(max_length=9, choices=Scope.choices)
    method = models.CharField(max_length=14, choices=Method.choices)
    medium = models.CharField(max_length=11, choices=Medium.choices)
    pressure_reference = models.CharField(
        max_length=8, choices=Reference.choices, help_text="Of every pressure of this test."
    )
    test_pressure_mbar = models.FloatField()
    ambient_pressure_mbar = models.FloatField(
        null=True, help_text="Absolute; makes gauge pressures absolute."
    )
    stabilise_s = models.FloatField()
    measure_s = models.FloatField()
    ambient_start_cel = models.FloatField(null=True)
    ambient_end_cel = models.FloatField(null=True)
    volume_l = models.FloatField(null=True, help_text="Of what was under test; gives a leak rate.")
    instrument = models.ForeignKey(Tool, on_delete=models.PROTECT, related_name="+")
    calibration = models.ForeignKey(
        Calibration, on_delete=models.PROTECT, null=True, related_name="+", help_text="In force when tested."
    )
    samples = models.PositiveIntegerField()
    curve = models.BinaryField(
        help_text="zlib: little-endian float64 times, values and, if any, temperatures."
    )
    computed = models.FloatField(help_text="Decay in mbar, or leak rate in mbar.L/s, from the curve.")
    uncompensated = models.FloatField(help_text="The same before the temperature was taken out.")
    resolution = models.FloatField(help_text="Three standard errors: what noise lets the curve tell.")
    said = models.CharField(max_length=20, blank=True, help_text="The verdict of the tester.")
    claimed = models.FloatField(null=True, help_text="The decay or leak rate of the tester.")
    findings = models.JSONField(default=list, help_text="What was wrong, by name.")
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=150, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(test_pressure_mbar__gt=0, measure_s__gt=0, stabilise_s__gte=0),
                name="leak_test_positive",
            ),
            models.CheckConstraint(
                condition=~Q(method="helium") | Q(medium__in=["helium", "forming_gas"]),
                name="helium_test_uses_helium",
            ),
            models.CheckConstraint(
                condition=Q(pressure_reference="absolute") | Q(ambient_pressure_mbar__isnull=False),
                name="gauge_test_knows_ambient_pressure",
            ),
        ]
        indexes = [models.Index(fields=["unit", "-id"], name="leak_tests_of_unit")]

    def __str__(self) -> str:
        return f"{self.get_method_display()} of {self.unit}"

    @property
    def value_unit(self) -> str:
        """Return the unit of the curve and of what is computed from it."""
        return "mbar.L/s" if self.method == self.Method.HELIUM else "mbar"


class LeakSensorExercise(models.Model):
    """All leak sensors of a unit made to trip and to clear, once each; its verdict is the test run."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="leak_sensor_exercises")
    test_run = models.OneToOneField(TestRun, on_delete=models.PROTECT, related_name="leak_sensor_exercise")
    done_at = models.DateTimeField()
    done_by = models.CharField(max_length=150)

    class Meta:
        indexes = [models.Index(fields=["unit", "-id"], name="exercises_of_unit")]

    def __str__(self) -> str:
        return f"leak sensors of {self.unit}"


class SensorResult(models.Model):
    """How long a sensor took to trip and to clear, in s; none: it did not."""

    class Stimulus(models.TextChoices):
        WETTED = "wetted"
        SHORTED = "shorted"

    exercise = models.ForeignKey(LeakSensorExercise, on_delete=models.CASCADE, related_name="results")
    sensor = models.CharField(max_length=120)
    detector = models.ForeignKey(
        Unit, on_delete=models.PROTECT, null=True, related_name="+", help_text="If it is a unit of its own."
    )
    stimulus = models.CharField(max_length=7, choices=Stimulus.choices)
    tripped_s = models.FloatField(null=True)
    cleared_s = models.FloatField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["exercise", "sensor"], name="sensor_exercised_once"),
            models.CheckConstraint(
                condition=Q(cleared_s__isnull=True) | Q(tripped_s__isnull=False), name="clears_what_tripped"
            ),
        ]

    def __str__(self) -> str:
        return self.sensor
