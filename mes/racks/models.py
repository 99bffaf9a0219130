"""What is installed where and which firmware it runs, now and at any time before."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from mes.products.models import Operation, Slot
from mes.serials.models import Unit


class InstallationQuerySet(models.QuerySet["Installation"]):
    """Reads of the as-built structure."""

    def live(self) -> "InstallationQuerySet":
        """Only what is installed now."""
        return self.filter(removed_at__isnull=True)

    def at(self, when: datetime) -> "InstallationQuerySet":
        """Only what was installed at a time."""
        return self.filter(Q(removed_at__isnull=True) | Q(removed_at__gt=when), installed_at__lte=when)


class Installation(models.Model):
    """A child unit in a slot of a parent; closed when removed, never deleted."""

    parent = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="installations")
    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="+")
    child = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="placements")
    root = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="+", help_text="The topmost unit.")
    parent_level = models.PositiveSmallIntegerField()
    child_level = models.PositiveSmallIntegerField()
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, null=True, related_name="+")
    installed_at = models.DateTimeField(default=timezone.now)
    installed_by = models.CharField(max_length=150)
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_by = models.CharField(max_length=150, blank=True)
    removal_reason = models.CharField(max_length=200, blank=True)

    objects = InstallationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["child"], name="one_place_per_unit", condition=Q(removed_at__isnull=True)
            ),
            models.UniqueConstraint(
                fields=["parent", "slot"], name="one_unit_per_slot", condition=Q(removed_at__isnull=True)
            ),
            models.CheckConstraint(condition=Q(child_level__lt=F("parent_level")), name="child_below_parent"),
        ]
        indexes = [
            models.Index(fields=["root"], name="live_as_built", condition=Q(removed_at__isnull=True)),
            models.Index(fields=["parent", "installed_at"], name="as_built_at_a_time"),
        ]

    def __str__(self) -> str:
        return f"{self.child} in {self.slot} of {self.parent}"


class InstalledFirmware(models.Model):
    """The firmware version of a component of a unit, from when until when; closed, never deleted."""

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="firmware")
    component = models.CharField(max_length=40)
    version = models.CharField(max_length=60)
    since = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True)
    recorded_by = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unit", "component"],
                name="one_version_per_component",
                condition=Q(until__isnull=True),
            )
        ]
        indexes = [models.Index(fields=["component", "version"], name="units_with_firmware")]

    def __str__(self) -> str:
        return f"{self.component} {self.version}"
