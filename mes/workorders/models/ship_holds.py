"""Holds on shipping: what may be built on, but leaves the factory only when the hold is released, signed."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mes.people.models import Signature
from mes.serials.models import Unit
from mes.stations.models import Site
from mes.workorders.models.orders import WorkOrder


class ShipHold(models.Model):
    """A stop on the shipping of a unit or of a whole order; released by a signature, never deleted.

    No role passes it: whoever ships, by whatever way, is refused until somebody else than who placed it has
    signed its release.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, blank=True, related_name="ship_holds")
    work_order = models.ForeignKey(
        WorkOrder, on_delete=models.PROTECT, null=True, blank=True, related_name="ship_holds"
    )
    reason = models.CharField(max_length=300)
    placed_at = models.DateTimeField(default=timezone.now)
    placed_by = models.CharField(max_length=150)
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.CharField(max_length=150, blank=True)
    release_reason = models.CharField(max_length=300, blank=True)
    role = models.CharField(max_length=16, blank=True, help_text="In which role it was released.")
    signature = models.OneToOneField(
        Signature, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(unit__isnull=False, work_order__isnull=True)
                | Q(unit__isnull=True, work_order__isnull=False),
                name="ship_hold_is_on_a_unit_or_an_order",
                violation_error_message="Name either a unit or an order.",
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True, signature__isnull=True)
                | Q(released_at__isnull=False, signature__isnull=False),
                name="ship_hold_is_released_by_a_signature",
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True) | ~Q(released_by=models.F("placed_by")),
                name="ship_hold_is_released_by_another",
            ),
        ]
        indexes = [
            models.Index(fields=["unit"], name="open_ship_holds", condition=Q(released_at__isnull=True)),
            models.Index(
                fields=["work_order"], name="open_order_ship_holds", condition=Q(released_at__isnull=True)
            ),
            models.Index(fields=["site", "-id"], name="ship_holds_of_site"),
        ]

    def __str__(self) -> str:
        return self.reason
