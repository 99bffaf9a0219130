"""Tracked things: units, their identifiers, lots, suppliers, and the origin of each."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone

from mes.ledger.models import Stream
from mes.products.models import Part, PartRevision
from mes.stations.models import Site


class Supplier(models.Model):
    """A company parts come from."""

    code = models.CharField(max_length=30, unique=True)
    name = models.CharField(max_length=120)
    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1 alpha-2.")
    cage = models.CharField(max_length=5, blank=True)

    def __str__(self) -> str:
        return self.code


class Origin(models.Model):
    """Where a lot or a unit comes from; empty means unknown."""

    country_of_origin = models.CharField(max_length=2, blank=True, help_text="ISO 3166-1 alpha-2.")
    place_of_assembly = models.CharField(max_length=120, blank=True)
    die_maker = models.CharField(max_length=60, blank=True)
    source_tier = models.CharField(max_length=30, blank=True, help_text="original maker, authorized, ...")

    class Meta:
        abstract = True


class Lot(Stream, Origin):
    """A quantity of one part received together."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="lots")
    supplier = models.ForeignKey(Supplier, on_delete=models.PROTECT, related_name="lots")
    number = models.CharField(max_length=60)
    date_code = models.CharField(max_length=10, blank=True)
    unit_cost_usd = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    received_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="End of its shelf life.")
    held = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["site", "part", "supplier", "number"], name="lot_once")
        ]
        indexes = [models.Index(fields=["number"], name="lot_by_number")]

    def __str__(self) -> str:
        return self.number


class Unit(Stream, Origin):
    """Any tracked thing, from a GPU to a rack."""

    class State(models.TextChoices):
        PLANNED = "planned"
        IN_WORK = "in_work"
        IN_STOCK = "in_stock"
        FINISHED = "finished"
        SHIPPED = "shipped"
        SCRAPPED = "scrapped"

        CANCELLED = "cancelled", "cancelled before it was built"
        RETURNED = "returned", "returned to its supplier"

    CLUSTER_LEVEL = 12
    GONE = (State.SHIPPED, State.SCRAPPED, State.RETURNED, State.CANCELLED)

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    part_revision = models.ForeignKey(PartRevision, on_delete=models.PROTECT, related_name="units")
    serial = models.CharField(max_length=80)
    level = models.PositiveSmallIntegerField(editable=False)
    state = models.CharField(max_length=10, choices=State.choices)
    held = models.BooleanField(default=False)
    locked_out = models.CharField(
        max_length=200,
        blank=True,
        editable=False,
        help_text="Why nobody may touch it now, e.g. a live high-voltage test; empty: anybody may.",
    )
    live_children = models.PositiveIntegerField(default=0, editable=False)
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, null=True, blank=True, related_name="units")
    supplier = models.ForeignKey(
        Supplier, on_delete=models.PROTECT, null=True, blank=True, related_name="units"
    )
    created_at = models.DateTimeField(default=timezone.now)
    shipped_at = models.DateTimeField(null=True, blank=True)
    shipped_to = models.CharField(max_length=120, blank=True)
    stands_at = models.CharField(
        max_length=120,
        blank=True,
        help_text="The customer's place at which a cluster is built up; empty: the factory.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(stands_at="") | Q(level__gte=12), name="only_clusters_stand_elsewhere"
            ),
            models.UniqueConstraint("part_revision", Upper("serial"), name="unit_serial_once"),
            models.CheckConstraint(condition=Q(live_children__gte=0), name="unit_children_not_negative"),
            models.CheckConstraint(
                condition=~Q(state="scrapped") | Q(live_children=0), name="scrapped_unit_has_no_children"
            ),
            models.CheckConstraint(
                condition=~Q(state="returned") | Q(live_children=0), name="returned_unit_has_no_children"
            ),
        ]
        indexes = [
            models.Index(fields=["serial"], name="unit_by_serial"),
            models.Index(fields=["site", "state"], name="unit_by_state"),
        ]

    def __str__(self) -> str:
        return self.serial


class Identifier(models.Model):
    """One of the names a unit goes by; kept in upper case, for scanners and BMCs differ in it."""

    class Kind(models.TextChoices):
        SERIAL = "serial"
        UUID = "uuid"
        MAC = "mac"
        BMC_MAC = "bmc_mac"
        ASSET_TAG = "asset_tag"
        IUID = "iuid"
        CUSTOMER_LABEL = "customer_label"
        BOARD_SERIAL = "board_serial", "serial its board reports"
        MODULE = "module", "module id on its board"

    SCANNED = (Kind.SERIAL, Kind.UUID, Kind.MAC, Kind.BMC_MAC, Kind.ASSET_TAG, Kind.IUID, Kind.CUSTOMER_LABEL)

    unit = models.ForeignKey(Unit, on_delete=models.CASCADE, related_name="identifiers")
    kind = models.CharField(max_length=14, choices=Kind.choices)
    value = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["unit", "kind", "value"], name="identifier_once")]
        indexes = [models.Index(fields=["value"], name="identifier_by_value")]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class SerialCounter(models.Model):
    """The last number given to a unit of ours under a prefix."""

    prefix = models.CharField(max_length=80, unique=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.prefix}{self.last}"
