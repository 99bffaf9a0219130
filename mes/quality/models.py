"""What keeps a unit from moving on."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mes.serials.models import Unit


class Hold(models.Model):
    """A stop on a unit, with its reason; released, never deleted."""

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="holds")
    reason = models.CharField(max_length=300)
    placed_at = models.DateTimeField(default=timezone.now)
    placed_by = models.CharField(max_length=150)
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.CharField(max_length=150, blank=True)
    release_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["unit"], name="open_holds", condition=Q(released_at__isnull=True))]

    def __str__(self) -> str:
        return self.reason
