"""Engineering changes that move orders and units to new revisions, and deviations that permit exceptions."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from mes.ledger.models import Stream
from mes.people.models import Signature
from mes.products.models import Limit, Operation, Part, PartRevision, Route
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.stations.models import Site
from mes.testing.models import TestRun
from mes.workorders.models.orders import OrderUnit, WorkOrder


class EngineeringChange(Stream):
    """An engineering change order (ECO): chosen orders or units go to a new revision and route."""

    class State(models.TextChoices):
        DRAFT = "draft"
        APPROVED = "approved"
        APPLIED = "applied"
        CANCELLED = "cancelled"

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=20, unique=True)
    title = models.CharField(max_length=120)
    reason = models.TextField()
    to_revision = models.ForeignKey(PartRevision, on_delete=models.PROTECT, related_name="+")
    to_route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=9, choices=State.choices, default=State.DRAFT)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150)
    applied_at = models.DateTimeField(null=True, blank=True)
    applied_by = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return self.number


class ChangeTarget(models.Model):
    """An order or a unit that an engineering change is for."""

    change = models.ForeignKey(EngineeringChange, on_delete=models.PROTECT, related_name="targets")
    order = models.ForeignKey(WorkOrder, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(order__isnull=False, unit__isnull=True)
                | Q(order__isnull=True, unit__isnull=False),
                name="change_is_for_an_order_or_a_unit",
            ),
            models.UniqueConstraint(
                fields=["change", "order"], name="change_order_once", condition=Q(order__isnull=False)
            ),
            models.UniqueConstraint(
                fields=["change", "unit"], name="change_unit_once", condition=Q(unit__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.change} {self.order or self.unit}"


class ChangeApproval(models.Model):
    """One of the two signatures that an engineering change needs."""

    change = models.ForeignKey(EngineeringChange, on_delete=models.PROTECT, related_name="approvals")
    person = models.CharField(max_length=150)
    signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "person"], name="change_approved_once_each")]

    def __str__(self) -> str:
        return f"{self.change} by {self.person}"


class ChangeMove(models.Model):
    """What an engineering change did to one unit: from where, what was undone, what is repeated."""

    change = models.ForeignKey(EngineeringChange, on_delete=models.PROTECT, related_name="moves")
    order_unit = models.ForeignKey(OrderUnit, on_delete=models.PROTECT, related_name="moves")
    from_revision = models.ForeignKey(PartRevision, on_delete=models.PROTECT, related_name="+")
    from_route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="+")
    remove = models.JSONField(default=list, help_text="Slots whose part the new revision does not take.")
    repeat = models.JSONField(default=list, help_text="Sequences of the new route that are done again.")
    moved_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "order_unit"], name="change_moves_once")]

    def __str__(self) -> str:
        return f"{self.change} {self.order_unit}"


class CarriedOperation(models.Model):
    """That an operation of the route a unit left equals one of its new route: its tests count on."""

    move = models.ForeignKey(ChangeMove, on_delete=models.PROTECT, related_name="carried")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="+")
    from_operation = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="+")
    to_operation = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["move", "from_operation"], name="carried_once_a_move")]
        indexes = [models.Index(fields=["unit", "to_operation"], name="carried_to_operation")]

    def __str__(self) -> str:
        return f"{self.from_operation} as {self.to_operation}"


class Deviation(Stream):
    """A named exception that is permitted for a unit or an order: another part, or another limit.

    Of a part: in slots that take ``part``, ``instead`` is permitted. Of a limit: ``limit`` is replaced by
    ``low`` and ``high``. It ends by ``quantity``, by ``expires_at``, or when it is revoked.
    """

    class Kind(models.TextChoices):
        PART = "part"
        LIMIT = "limit"

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=20, unique=True)
    kind = models.CharField(max_length=5, choices=Kind.choices)
    order = models.ForeignKey(
        WorkOrder, on_delete=models.PROTECT, null=True, blank=True, related_name="deviations"
    )
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, blank=True, related_name="deviations")
    part = models.ForeignKey(Part, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    instead = models.ForeignKey(
        PartRevision, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    limit = models.ForeignKey(Limit, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    reason = models.CharField(max_length=300)
    quantity = models.PositiveIntegerField(default=1, help_text="How often it may be used.")
    used = models.PositiveIntegerField(default=0, editable=False)
    expires_at = models.DateTimeField()
    signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=150, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(order__isnull=False, unit__isnull=True)
                | Q(order__isnull=True, unit__isnull=False),
                name="deviation_is_for_an_order_or_a_unit",
            ),
            models.CheckConstraint(
                condition=Q(kind="part", part__isnull=False, instead__isnull=False, limit__isnull=True)
                | Q(kind="limit", limit__isnull=False, part__isnull=True, instead__isnull=True),
                name="deviation_names_its_exception",
            ),
            models.CheckConstraint(
                condition=~Q(kind="limit") | Q(low__isnull=False) | Q(high__isnull=False),
                name="limit_deviation_has_a_bound",
            ),
            models.CheckConstraint(condition=Q(used__lte=F("quantity")), name="deviation_used_at_most"),
        ]

    def __str__(self) -> str:
        return self.number


class DeviationUse(models.Model):
    """One use of a deviation: the installation or the test that it let pass."""

    deviation = models.ForeignKey(Deviation, on_delete=models.PROTECT, related_name="uses")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="+")
    installation = models.ForeignKey(
        Installation, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    test_run = models.ForeignKey(TestRun, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    used_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(installation__isnull=False) | Q(test_run__isnull=False),
                name="deviation_use_names_its_act",
            )
        ]

    def __str__(self) -> str:
        return f"{self.deviation} on {self.unit}"
