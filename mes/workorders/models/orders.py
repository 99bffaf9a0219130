"""Orders and the units they build."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from mes.ledger.models import Stream
from mes.products.models import FirmwareBaseline, PartRevision, Route
from mes.serials.models import Unit
from mes.stations.models import Site


class WorkOrder(Stream):
    """An order to build units of one frozen revision along one frozen route, or to extend one shipped unit.

    A child order builds sub-assemblies for its parent; a cluster order is an order of a part of level 12.
    ``finished``, ``scrapped`` and ``cancelled`` count its units; together with the open ones they are
    ``quantity``.
    """

    class Kind(models.TextChoices):
        BUILD = "build"
        EXPANSION = "expansion", "expansion of a shipped unit"

    class State(models.TextChoices):
        DRAFT = "draft"
        RELEASED = "released"
        RUNNING = "running"
        HELD = "held"
        COMPLETE = "complete"
        CLOSED = "closed"
        CANCELLED = "cancelled"

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=9, choices=Kind.choices, default=Kind.BUILD)
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    extends = models.ForeignKey(
        Unit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="expansions",
        help_text="The shipped unit that an expansion order extends.",
    )
    part_revision = models.ForeignKey(PartRevision, on_delete=models.PROTECT, related_name="+")
    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="+")
    firmware_baseline = models.ForeignKey(
        FirmwareBaseline, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    quantity = models.PositiveIntegerField()
    finished = models.PositiveIntegerField(default=0, editable=False)
    scrapped = models.PositiveIntegerField(default=0, editable=False)
    cancelled = models.PositiveIntegerField(default=0, editable=False)
    state = models.CharField(max_length=9, choices=State.choices, default=State.DRAFT)
    state_before_hold = models.CharField(max_length=9, blank=True, editable=False)
    customer = models.CharField(max_length=120, blank=True)
    contract = models.CharField(max_length=60, blank=True)
    program = models.CharField(max_length=60, blank=True)
    priority = models.PositiveSmallIntegerField(default=50, help_text="1 is built first, 99 last.")
    due_at = models.DateTimeField(null=True, blank=True)
    options = models.JSONField(
        default=list, blank=True, help_text="Names that conditional operations ask for."
    )
    created_at = models.DateTimeField(default=timezone.now)
    released_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_positive"),
            models.CheckConstraint(
                condition=Q(quantity__gte=F("finished") + F("scrapped") + F("cancelled")),
                name="order_counts_at_most_its_quantity",
            ),
            models.CheckConstraint(
                condition=Q(kind="build", extends__isnull=True)
                | Q(kind="expansion", extends__isnull=False, quantity=1),
                name="expansion_extends_one_unit",
            ),
            models.CheckConstraint(
                condition=Q(priority__gte=1, priority__lte=99), name="order_priority_1_to_99"
            ),
        ]
        indexes = [models.Index(fields=["site", "state", "priority", "due_at"], name="orders_by_urgency")]

    def __str__(self) -> str:
        return self.number


class OrderUnit(models.Model):
    """A unit that an order builds or built, by the route it follows; one order at a time has a unit."""

    class Outcome(models.TextChoices):
        OPEN = "open"
        FINISHED = "finished"
        SCRAPPED = "scrapped"
        CANCELLED = "cancelled"
        MOVED = "moved", "moved to another order"

    work_order = models.ForeignKey(WorkOrder, on_delete=models.PROTECT, related_name="order_units")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="order_units")
    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=9, choices=Outcome.choices, default=Outcome.OPEN)
    closed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the unit left the order: shipped, moved, cancelled."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unit"], name="one_order_at_a_time", condition=Q(closed_at__isnull=True)
            ),
            models.UniqueConstraint(fields=["work_order", "unit"], name="order_unit_once"),
        ]

    def __str__(self) -> str:
        return f"{self.work_order} {self.unit}"
