"""What is cabled how: plans of cables with both ends, kinds of cable, and what machines call the ports."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from mes.products.models import Part, Released

END_CHARACTERS = 60
LABEL_CHARACTERS = 60


class CablePlan(Released):
    """The external cables of a part, in one version: of a rack, of a cluster, of anything with places."""

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="cable_plans")
    version = models.CharField(max_length=20)
    name = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["part", "version"], name="cable_plan_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class CableKind(models.Model):
    """What holds for every cable of a part in a plan: its length, its limits, whether it is used once.

    Without a length the cable is cut to what each planned cable says.
    """

    plan = models.ForeignKey(CablePlan, on_delete=models.CASCADE, related_name="kinds")
    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="+")
    length_mm = models.PositiveIntegerField(null=True, blank=True, help_text="As made; empty: cut to length.")
    tolerance_mm = models.PositiveIntegerField(default=0, help_text="Of a cut length, either way.")
    single_use = models.BooleanField(default=False, help_text="Never connected again once it came off.")
    torque_low = models.FloatField(null=True, blank=True, help_text="N.m")
    torque_high = models.FloatField(null=True, blank=True, help_text="N.m")
    bend_radius_low = models.FloatField(null=True, blank=True, help_text="mm; the smallest radius allowed.")
    photo_checks = models.JSONField(default=list, blank=True, help_text="Checks that need a photo.")
    assumption = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "part"], name="cable_kind_once"),
            models.CheckConstraint(
                condition=Q(torque_low__isnull=True)
                | Q(torque_high__isnull=True)
                | Q(torque_low__lte=F("torque_high")),
                name="cable_torque_range",
            ),
        ]

    def __str__(self) -> str:
        return str(self.part)


class Check(models.TextChoices):
    """What is looked at on a connected cable."""

    SEAT = "seat", "seated"
    TORQUE = "torque", "torque of its screws"
    BEND = "bend", "bend radius"
    CLEAN_AND_INSPECT = "clean_and_inspect", "cleaned and inspected"


class PlannedCable(models.Model):
    """One cable of a plan: from a port of a device to a port of another.

    A device is a slot of the assembly, or a path of slots from it (``U08``, ``U03/PMC``), or the name of
    something outside (``LEAF-1``).
    """

    plan = models.ForeignKey(CablePlan, on_delete=models.CASCADE, related_name="cables")
    label = models.CharField(max_length=LABEL_CHARACTERS)
    order = models.PositiveSmallIntegerField(help_text="In which cables are laid and listed.")
    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="+")
    length_mm = models.PositiveIntegerField()
    a_device = models.CharField(max_length=END_CHARACTERS)
    a_port = models.CharField(max_length=END_CHARACTERS)
    b_device = models.CharField(max_length=END_CHARACTERS)
    b_port = models.CharField(max_length=END_CHARACTERS)
    checks = models.JSONField(default=list, blank=True, help_text="seat, torque, bend, clean_and_inspect")
    assumption = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["order", "label"]
        constraints = [
            models.UniqueConstraint(fields=["plan", "label"], name="planned_cable_once"),
            # An end in both columns is refused at release: no index reaches over two columns.
            models.UniqueConstraint(fields=["plan", "a_device", "a_port"], name="planned_a_end_once"),
            models.UniqueConstraint(fields=["plan", "b_device", "b_port"], name="planned_b_end_once"),
            models.CheckConstraint(condition=Q(length_mm__gt=0), name="planned_length_positive"),
        ]

    def __str__(self) -> str:
        return self.label


class PortName(models.Model):
    """What the machine calls a port of a kind of device, and which port of the plan that is."""

    plan = models.ForeignKey(CablePlan, on_delete=models.CASCADE, related_name="port_names")
    unit_kind = models.CharField(max_length=40, help_text="compute_tray, switch_tray, ...")
    reported = models.CharField(max_length=200, help_text="As the BMC or LLDP says it.")
    port = models.CharField(max_length=END_CHARACTERS)
    assumption = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "unit_kind", "reported"], name="port_name_once")
        ]

    def __str__(self) -> str:
        return f"{self.reported} is {self.port}"
