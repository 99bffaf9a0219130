"""Definitions of cooling: how often a coupling may be mated, what a coolant is like, which sensors watch."""

from django.db import models
from django.db.models import Q

from mes.products.models import Part, Released


class CouplingType(Released):
    """A kind of quick-disconnect in one version, and how often one of it may be mated."""

    code = models.CharField(max_length=40)
    version = models.CharField(max_length=20)
    name = models.CharField(max_length=120)
    maximum_mates = models.PositiveIntegerField(help_text="Mate cycles, after which it is worn out.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code", "version"], name="coupling_type_once"),
            models.CheckConstraint(condition=Q(maximum_mates__gt=0), name="coupling_type_maximum_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.version}"


class Coolant(Released):
    """What a coolant is like at rising temperatures, in one version: three lists of equal length."""

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="coolants")
    version = models.CharField(max_length=20)
    temperatures_cel = models.JSONField(help_text="Rising, in Cel.")
    densities_kg_m3 = models.JSONField(help_text="At these temperatures, in kg/m3.")
    specific_heats_kj_kg_k = models.JSONField(help_text="At these temperatures, in kJ/(kg.K).")
    source = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["part", "version"], name="coolant_version_once")]

    def __str__(self) -> str:
        return f"{self.part} coolant {self.version}"


class CoolingPlan(Released):
    """Which leak sensors a part has besides installed detectors, by the names its BMC reports."""

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="cooling_plans")
    version = models.CharField(max_length=20)
    sensors = models.JSONField(help_text="Names, e.g. Chassis_0_LeakDetector_0_ColdPlate.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["part", "version"], name="cooling_plan_once")]

    def __str__(self) -> str:
        return f"{self.part} cooling plan {self.version}"
