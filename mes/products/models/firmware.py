"""Published sets of firmware versions."""

from django.db import models

from mes.products.models.parts import Released


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
