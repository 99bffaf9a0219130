"""Quick-disconnects and every time one was mated."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper
from django.utils import timezone

from mes.cooling.models.definitions import CouplingType
from mes.ledger.models import Stream
from mes.serials.models import Unit


class Coupling(Stream):
    """A quick-disconnect with its serial; its mates go with it, whatever manifold or hose it is fitted to.

    The database itself refuses to count down and to count beyond the maximum.
    """

    type = models.ForeignKey(CouplingType, on_delete=models.PROTECT, related_name="couplings")
    serial = models.CharField(max_length=80)
    manifold = models.ForeignKey(
        Unit,
        on_delete=models.PROTECT,
        related_name="couplings",
        help_text="Manifold or hose it was fitted to.",
    )
    place = models.CharField(max_length=60, help_text="e.g. U08 supply")
    mates = models.PositiveIntegerField(default=0)
    maximum_mates = models.PositiveIntegerField(help_text="As its type says.")
    fitted_at = models.DateTimeField(default=timezone.now)
    removed_at = models.DateTimeField(null=True)
    removal_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("type", Upper("serial"), name="coupling_serial_once"),
            models.UniqueConstraint(
                "manifold",
                Upper("place"),
                name="one_coupling_per_place",
                condition=Q(removed_at__isnull=True),
            ),
            models.CheckConstraint(
                condition=Q(mates__gte=0, mates__lte=F("maximum_mates")), name="coupling_not_worn_out"
            ),
        ]

    def __str__(self) -> str:
        return self.serial


class CouplingMate(models.Model):
    """One mate of a coupling: its number, where, and with what."""

    coupling = models.ForeignKey(Coupling, on_delete=models.PROTECT, related_name="history")
    number = models.PositiveIntegerField()
    manifold = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="+")
    place = models.CharField(max_length=60)
    mated_with = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, related_name="+")
    mated_at = models.DateTimeField(default=timezone.now)
    mated_by = models.CharField(max_length=150)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["coupling", "number"], name="mate_number_once")]

    def __str__(self) -> str:
        return f"mate {self.number} of {self.coupling}"
