"""What leaves the factory and what comes back: shipments, crates, what is in them, and field returns."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.ledger.models import Stream
from mes.products.models import Part, Released
from mes.quality.models import Nonconformance
from mes.serials.models import Unit
from mes.stations.models import Site
from mes.testing.models import TestRun
from mes.workorders.models import WorkOrder


class PackingRule(Released):
    """How a part is packed, in one version: its weight, the tolerance, and what its crate must carry."""

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="packing_rules")
    version = models.CharField(max_length=20)
    expected_kg = models.DecimalField(
        max_digits=9,
        decimal_places=3,
        null=True,
        blank=True,
        help_text="Of one complete unit; empty: the weight of its part revision.",
    )
    tolerance_percent = models.DecimalField(
        max_digits=5, decimal_places=2, help_text="By which weights may differ, of the expected weight."
    )
    most_gross_kg = models.DecimalField(
        max_digits=9, decimal_places=3, null=True, blank=True, help_text="The most that a crate may weigh."
    )
    shock_indicators = models.PositiveSmallIntegerField(default=0, help_text="At least so many on a crate.")
    tilt_indicators = models.PositiveSmallIntegerField(default=0, help_text="At least so many on a crate.")
    departure_photos = models.PositiveSmallIntegerField(default=0, help_text="At least so many of a crate.")
    arrival_photos = models.PositiveSmallIntegerField(default=0, help_text="At least so many of a crate.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["part", "version"], name="packing_rule_once"),
            models.CheckConstraint(condition=Q(tolerance_percent__gte=0), name="packing_tolerance_positive"),
        ]

    def __str__(self) -> str:
        return f"packing of {self.part} {self.version}"


class Shipment(Stream):
    """What leaves together to one customer under one bill of lading."""

    class State(models.TextChoices):
        DRAFT = "draft"
        PACKING = "packing"
        DEPARTED = "departed"
        ARRIVED = "arrived"
        ACCEPTED = "accepted"
        DISPUTED = "disputed"
        CANCELLED = "cancelled"

    class Mode(models.TextChoices):
        ROAD = "road"
        AIR = "air"
        SEA = "sea"
        RAIL = "rail"
        COURIER = "courier"

    IN_FACTORY = (State.DRAFT, State.PACKING)

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=20, unique=True)
    state = models.CharField(max_length=9, choices=State.choices, default=State.DRAFT)
    customer = models.CharField(max_length=120)
    ship_to = models.TextField(help_text="Name and address, line by line.")
    order = models.ForeignKey(
        WorkOrder, on_delete=models.PROTECT, null=True, blank=True, related_name="shipments"
    )
    carrier = models.CharField(max_length=120, blank=True)
    mode = models.CharField(max_length=7, choices=Mode.choices, blank=True)
    bol_number = models.CharField(max_length=40, blank=True, help_text="Number of the bill of lading.")
    pro_number = models.CharField(max_length=40, blank=True, help_text="The carrier's tracking number.")
    seal_numbers = models.JSONField(default=list, blank=True)
    freight_class = models.CharField(max_length=10, blank=True, help_text="NMFC freight class, e.g. 92.5.")
    nmfc = models.CharField(max_length=20, blank=True, help_text="NMFC item number.")
    incoterm = models.CharField(max_length=3, blank=True, help_text="Incoterms 2020, e.g. DAP.")
    hazards = models.JSONField(
        null=True, blank=True, help_text="Declared: coolant, batteries; none: []; not declared: null."
    )
    hazard_declaration = models.TextField(blank=True, help_text="UN numbers, quantities, packing.")
    planned_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, help_text="When it is expected to arrive.")
    departed_at = models.DateTimeField(null=True, blank=True)
    departed_by = models.CharField(max_length=150, blank=True)
    arrived_at = models.DateTimeField(null=True, blank=True)
    arrived_by = models.CharField(max_length=150, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True, help_text="When it was accepted or disputed.")
    settled_by = models.CharField(max_length=150, blank=True)
    settled_because = models.CharField(max_length=300, blank=True)
    pieces = models.PositiveIntegerField(null=True, blank=True, help_text="Crates that departed.")
    gross_kg = models.DecimalField(max_digits=10, decimal_places=3, null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["draft", "packing", "cancelled"])
                | Q(departed_at__isnull=False, pieces__isnull=False, gross_kg__isnull=False),
                name="departed_shipment_has_pieces_and_weight",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["accepted", "disputed"]) | Q(settled_at__isnull=False),
                name="settled_shipment_has_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["site", "state", "-id"], name="shipments_by_state"),
            models.Index(fields=["customer"], name="shipments_of_customer"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def live_crates(self) -> models.QuerySet["Crate"]:
        """Return its crates without those that were withdrawn."""
        return self.crates.exclude(state=Crate.State.WITHDRAWN)

    @property
    def destination(self) -> str:
        """Return where it goes in one line, as it is kept with each unit."""
        first = self.ship_to.strip().split("\n")[0].strip()
        return (self.customer if first in {"", self.customer} else f"{self.customer}, {first}")[:120]


class Crate(Stream):
    """A crate, case or pallet of a shipment, known by the number on its label."""

    class State(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"
        WITHDRAWN = "withdrawn"

    class Condition(models.TextChoices):
        GOOD = "good"
        DAMAGED = "damaged"
        MISSING = "missing"

    shipment = models.ForeignKey(Shipment, on_delete=models.PROTECT, related_name="crates")
    number = models.CharField(max_length=40, help_text="As on its label, scanned.")
    part = models.ForeignKey(Part, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    state = models.CharField(max_length=9, choices=State.choices, default=State.OPEN)
    length_mm = models.PositiveIntegerField(null=True, blank=True)
    width_mm = models.PositiveIntegerField(null=True, blank=True)
    height_mm = models.PositiveIntegerField(null=True, blank=True)
    tare_kg = models.DecimalField(max_digits=9, decimal_places=3, null=True, blank=True)
    net_kg = models.DecimalField(max_digits=9, decimal_places=3, null=True, blank=True)
    gross_kg = models.DecimalField(max_digits=9, decimal_places=3, null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    packed_at = models.DateTimeField(null=True, blank=True)
    packed_by = models.CharField(max_length=150, blank=True)
    condition = models.CharField(
        max_length=7, choices=Condition.choices, blank=True, help_text="As it arrived."
    )
    condition_note = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(Upper("number"), name="crate_number_once"),
            models.CheckConstraint(
                condition=~Q(state="closed")
                | Q(
                    tare_kg__isnull=False,
                    net_kg__isnull=False,
                    gross_kg__isnull=False,
                    packed_at__isnull=False,
                ),
                name="closed_crate_was_weighed",
            ),
            models.CheckConstraint(
                condition=Q(gross_kg__isnull=True) | Q(gross_kg__gt=0, net_kg__gt=0, tare_kg__gte=0),
                name="crate_weights_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.number


class PackedUnit(models.Model):
    """A unit in a crate; taken out, never deleted. What was in it as it departed is kept with it."""

    crate = models.ForeignKey(Crate, on_delete=models.PROTECT, related_name="units")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="packings")
    packed_at = models.DateTimeField(default=timezone.now)
    packed_by = models.CharField(max_length=150)
    unpacked_at = models.DateTimeField(null=True, blank=True)
    unpacked_by = models.CharField(max_length=150, blank=True)
    unpacked_because = models.CharField(max_length=300, blank=True)
    test_run = models.ForeignKey(
        TestRun, on_delete=models.PROTECT, null=True, blank=True, related_name="+", editable=False
    )
    departed_at = models.DateTimeField(null=True, blank=True, editable=False)
    contents = models.JSONField(
        null=True, blank=True, editable=False, help_text="What was in it as it departed: path, part, serial."
    )

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["unit"], name="one_live_crate_per_unit", condition=Q(unpacked_at__isnull=True)
            ),
            models.CheckConstraint(
                condition=Q(departed_at__isnull=True) | Q(contents__isnull=False),
                name="departed_unit_has_its_contents",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.unit} in {self.crate}"


class LooseItem(models.Model):
    """What else is in a crate: accessories by part and quantity, and documents."""

    class Kind(models.TextChoices):
        ACCESSORY = "accessory"
        DOCUMENT = "document"

    crate = models.ForeignKey(Crate, on_delete=models.PROTECT, related_name="items")
    kind = models.CharField(max_length=9, choices=Kind.choices, default=Kind.ACCESSORY)
    part = models.ForeignKey(Part, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    description = models.CharField(max_length=200, blank=True)
    quantity = models.PositiveIntegerField(default=1)
    weight_kg = models.DecimalField(
        max_digits=9, decimal_places=3, default=0, help_text="Of all of it together."
    )
    packed_at = models.DateTimeField(default=timezone.now)
    packed_by = models.CharField(max_length=150)
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_because = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(quantity__gt=0, weight_kg__gte=0), name="loose_item_quantity_positive"
            ),
            models.CheckConstraint(
                condition=Q(part__isnull=False) | ~Q(description=""), name="loose_item_says_what_it_is"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.part or self.description}"


class Indicator(models.Model):
    """A shock or tilt indicator on a crate: a one-way device that shows what happened to it on the way."""

    class Kind(models.TextChoices):
        SHOCK = "shock"
        TILT = "tilt"

    class State(models.TextChoices):
        OK = "ok", "not tripped"
        TRIPPED = "tripped"
        MISSING = "missing"

    crate = models.ForeignKey(Crate, on_delete=models.PROTECT, related_name="indicators")
    kind = models.CharField(max_length=5, choices=Kind.choices)
    serial = models.CharField(max_length=60)
    rating = models.DecimalField(
        max_digits=6, decimal_places=1, help_text="At which it trips: g of a shock, degrees of a tilt."
    )
    departure = models.CharField(max_length=7, choices=State.choices, default=State.OK)
    departure_read_at = models.DateTimeField(default=timezone.now)
    departure_read_by = models.CharField(max_length=150)
    departure_photo = models.ForeignKey(
        Attachment, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    arrival = models.CharField(max_length=7, choices=State.choices, blank=True)
    arrival_read_at = models.DateTimeField(null=True, blank=True)
    arrival_read_by = models.CharField(max_length=150, blank=True)
    arrival_photo = models.ForeignKey(
        Attachment, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_by = models.CharField(max_length=150, blank=True)
    removed_because = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(Upper("serial"), name="indicator_serial_once"),
            models.CheckConstraint(condition=Q(rating__gt=0), name="indicator_rating_positive"),
            models.CheckConstraint(
                condition=Q(arrival="") | Q(arrival_read_at__isnull=False), name="indicator_arrival_was_read"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.serial}"

    @property
    def unit_of_rating(self) -> str:
        """Return the unit of the rating."""
        return "g" if self.kind == self.Kind.SHOCK else "deg"


class CratePhoto(models.Model):
    """A picture of a crate, as it departed or as it arrived."""

    class Moment(models.TextChoices):
        DEPARTURE = "departure"
        ARRIVAL = "arrival"

    crate = models.ForeignKey(Crate, on_delete=models.PROTECT, related_name="photos")
    attachment = models.ForeignKey(Attachment, on_delete=models.PROTECT, related_name="+")
    moment = models.CharField(max_length=9, choices=Moment.choices)
    added_at = models.DateTimeField(default=timezone.now)
    added_by = models.CharField(max_length=150)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["crate", "attachment", "moment"], name="crate_photo_once")
        ]

    def __str__(self) -> str:
        return f"{self.crate} at {self.moment}"


class Receipt(models.Model):
    """What the receiver of a shipment found, and how it compares with what shipped; the last counts."""

    shipment = models.ForeignKey(Shipment, on_delete=models.PROTECT, related_name="receipts")
    received_at = models.DateTimeField(default=timezone.now)
    received_by = models.CharField(max_length=150)
    source = models.CharField(max_length=60, help_text="How it was read: scanned, redfish inventory, ...")
    found = models.JSONField(help_text="As it was sent: serials of units and of what is in them.")
    lines = models.JSONField(help_text="The comparison, line by line.")
    matched = models.PositiveIntegerField()
    missing = models.PositiveIntegerField()
    extra = models.PositiveIntegerField()
    different = models.PositiveIntegerField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"receipt of {self.shipment}"

    @property
    def agrees(self) -> bool:
        """Return whether what was received is what was shipped."""
        return not (self.missing or self.extra or self.different)


class FieldReturn(models.Model):
    """That a unit came back from the field, with its failure as the customer told it."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=30, help_text="RMA number, ours or the customer's.")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="field_returns")
    nonconformance = models.OneToOneField(
        Nonconformance, on_delete=models.PROTECT, related_name="field_return"
    )
    packed = models.ForeignKey(
        PackedUnit, on_delete=models.PROTECT, null=True, blank=True, related_name="+", editable=False
    )
    taken_from = models.ForeignKey(
        Unit, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="In the field."
    )
    slot = models.CharField(max_length=120, blank=True, help_text="Path of slots in there.")
    shipped_at = models.DateTimeField(null=True, blank=True)
    shipped_to = models.CharField(max_length=120, blank=True)
    symptom = models.CharField(max_length=60)
    customer_words = models.TextField(blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    hours_in_service = models.DecimalField(max_digits=9, decimal_places=1, null=True, blank=True)
    received_at = models.DateTimeField(default=timezone.now)
    received_by = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.UniqueConstraint(Upper("number"), name="return_number_once"),
            models.CheckConstraint(
                condition=Q(hours_in_service__isnull=True) | Q(hours_in_service__gte=0),
                name="return_hours_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(failed_at__isnull=True) | Q(failed_at__lte=F("received_at")),
                name="failed_before_it_came_back",
            ),
        ]
        indexes = [models.Index(fields=["site", "-id"], name="returns_of_site")]

    def __str__(self) -> str:
        return self.number
