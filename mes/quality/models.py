"""What keeps a unit or a lot from moving on: holds and nonconformances, and what was decided and done."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.ledger.models import Stream
from mes.people.models import Signature
from mes.products.models import Operation, Route
from mes.serials.models import Lot, Unit
from mes.stations.models import Site
from mes.testing.models import TestRun


class Nonconformance(Stream):
    """Something wrong with a unit: what, where, found by whom; it holds the unit until it is closed."""

    class Source(models.TextChoices):
        TEST = "test", "a failed test"
        CHECK = "check", "a failed check"
        TERMINAL = "terminal", "reported at a terminal"
        HAND = "hand", "opened by hand"
        FIELD = "field", "returned from the field"

    class State(models.TextChoices):
        OPEN = "open"
        REWORK = "rework", "in rework"
        CLOSED = "closed"

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=20, unique=True)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="nonconformances")
    source = models.CharField(max_length=8, choices=Source.choices)
    symptom = models.CharField(max_length=60, help_text="A short code, e.g. leak, gpu_ecc, bent_pin.")
    description = models.TextField(blank=True)
    location = models.CharField(max_length=120, blank=True, help_text="Path of slots, e.g. U08/SC1.")
    operation = models.ForeignKey(
        Operation, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    test_run = models.ForeignKey(TestRun, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    pictures = models.ManyToManyField(Attachment, blank=True, related_name="+")
    state = models.CharField(max_length=6, choices=State.choices, default=State.OPEN)
    opened_at = models.DateTimeField(default=timezone.now)
    opened_by = models.CharField(max_length=150)
    opened_station = models.CharField(max_length=60, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["unit"], name="open_nonconformances", condition=~Q(state="closed")),
            models.Index(fields=["site", "state", "-id"], name="nonconformances_by_state"),
        ]

    def __str__(self) -> str:
        return self.number


class Disposition(models.Model):
    """What the review board decided about a nonconformance, signed."""

    class Kind(models.TextChoices):
        USE_AS_IS = "use_as_is"
        REWORK = "rework"
        REPAIR = "repair"
        SCRAP = "scrap"
        RETURN_TO_SUPPLIER = "return_to_supplier"

    nonconformance = models.ForeignKey(Nonconformance, on_delete=models.PROTECT, related_name="dispositions")
    kind = models.CharField(max_length=18, choices=Kind.choices)
    reason = models.CharField(max_length=300)
    rework_route = models.ForeignKey(Route, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    returns_to = models.ForeignKey(
        Operation, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="+")
    quality_signature = models.OneToOneField(
        Signature, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind__in=["rework", "repair"])
                | Q(rework_route__isnull=False, returns_to__isnull=False),
                name="rework_names_route_and_return",
            ),
            models.UniqueConstraint(fields=["nonconformance"], name="nonconformance_decided_once"),
        ]

    def __str__(self) -> str:
        return f"{self.nonconformance} {self.kind}"


class RepairRecord(models.Model):
    """What was done about a nonconformance: failed test, symptom, action, replaced part, time."""

    nonconformance = models.ForeignKey(Nonconformance, on_delete=models.PROTECT, related_name="repairs")
    failed_test = models.ForeignKey(
        TestRun, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    symptom = models.CharField(max_length=60)
    action = models.CharField(max_length=300)
    slot = models.CharField(max_length=120, blank=True)
    removed = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    fitted = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    minutes = models.DecimalField(max_digits=8, decimal_places=1, null=True, blank=True)
    repaired_at = models.DateTimeField(default=timezone.now)
    repaired_by = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(minutes__isnull=True) | Q(minutes__gte=0), name="repair_minutes_not_negative"
            )
        ]

    def __str__(self) -> str:
        return self.action


class Containment(Stream):
    """One confirmed hold on everything that a question found, and its release."""

    class State(models.TextChoices):
        HELD = "held"
        RELEASED = "released"

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=20, unique=True)
    question = models.JSONField(help_text="The criteria, as they were asked.")
    reason = models.CharField(max_length=300)
    state = models.CharField(max_length=8, choices=State.choices, default=State.HELD)
    units = models.PositiveIntegerField(help_text="How many units were put on hold.")
    lots = models.PositiveIntegerField(default=0, help_text="How many lots were put on hold.")
    held_at = models.DateTimeField(default=timezone.now)
    held_by = models.CharField(max_length=150)
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.CharField(max_length=150, blank=True)

    def __str__(self) -> str:
        return self.number


class Hold(models.Model):
    """A stop on a unit or a lot, with its reason; released, never deleted."""

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, null=True, blank=True, related_name="holds")
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, null=True, blank=True, related_name="holds")
    reason = models.CharField(max_length=300)
    nonconformance = models.ForeignKey(
        Nonconformance, on_delete=models.PROTECT, null=True, blank=True, related_name="holds"
    )
    containment = models.ForeignKey(
        Containment, on_delete=models.PROTECT, null=True, blank=True, related_name="holds"
    )
    placed_at = models.DateTimeField(default=timezone.now)
    placed_by = models.CharField(max_length=150)
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.CharField(max_length=150, blank=True)
    release_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(unit__isnull=False, lot__isnull=True) | Q(unit__isnull=True, lot__isnull=False),
                name="hold_is_on_a_unit_or_a_lot",
                violation_error_message="Name either a unit or a lot.",
            ),
            models.UniqueConstraint(fields=["containment", "unit"], name="containment_holds_unit_once"),
            models.UniqueConstraint(fields=["containment", "lot"], name="containment_holds_lot_once"),
        ]
        indexes = [
            models.Index(fields=["unit"], name="open_holds", condition=Q(released_at__isnull=True)),
            models.Index(fields=["lot"], name="open_lot_holds", condition=Q(released_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return self.reason
