"""Parts, their revisions, bills of material and slots."""

from typing import Any

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q


class Part(models.Model):
    """A kind of thing with a number: a rack, a tray, a GPU, a hose."""

    class Tracking(models.TextChoices):
        SERIAL = "serial"
        LOT = "lot"

    number = models.CharField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=40, help_text="compute_tray, gpu, psu, ...")
    level = models.PositiveSmallIntegerField(help_text="A child is always of a lower level than its parent.")
    tracking = models.CharField(max_length=6, choices=Tracking.choices, default=Tracking.SERIAL)
    maker = models.CharField(max_length=120, blank=True)
    maker_number = models.CharField(max_length=60, blank=True, help_text="The number on the maker's label.")
    serial_prefix = models.CharField(max_length=20, blank=True, help_text="For units that our orders create.")

    class Meta:
        indexes = [models.Index(fields=["maker_number"], name="part_by_maker_number")]

    def __str__(self) -> str:
        return self.number


class Released(models.Model):
    """A definition that the database freezes once it is released."""

    released_at = models.DateTimeField(null=True, blank=True, editable=False)
    assumption = models.TextField(blank=True, help_text="What has no public source, in words.")

    class Meta:
        abstract = True

    @property
    def is_released(self) -> bool:
        """Return whether the definition is frozen and may be built to."""
        return self.released_at is not None


def _figure(help_text: str, *, digits: int = 10, places: int = 1) -> "models.DecimalField[Any, Any]":
    return models.DecimalField(
        max_digits=digits,
        decimal_places=places,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=help_text,
    )


FIGURES = (
    *("weight_kg", "power_w", "power_supplied_w", "heat_liquid_w", "heat_air_w"),
    *("coolant_l_min", "cooling_supplied_w", "coolant_supplied_l_min"),
)
MEASURES = ("empty_weight_kg", "empty_centre_mm", "base_mm", "footprint_m2")
NOT_NEGATIVE = [Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": 0}) for name in (*FIGURES, *MEASURES)]


class PartRevision(Released):
    """One revision of a part, with its bill of material and slots.

    A figure that is left empty is the sum over what is in the slots; one that is written stands for the
    whole, contents included. ``empty_weight_kg`` is what a part weighs without its contents.
    """

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="revisions")
    revision = models.CharField(max_length=20)
    description = models.TextField(blank=True)
    weight_kg = _figure("kg, complete with contents.", digits=9, places=3)
    power_w = _figure("W drawn.")
    power_supplied_w = _figure("W given to others.")
    heat_liquid_w = _figure("W into the coolant.")
    heat_air_w = _figure("W into the air.")
    coolant_l_min = _figure("L/min of coolant needed.", places=2)
    cooling_supplied_w = _figure("W taken from others by coolant.")
    coolant_supplied_l_min = _figure("L/min of coolant given to others.", places=2)
    empty_weight_kg = _figure("kg without contents.", digits=9, places=3)
    empty_centre_mm = _figure("Height of the centre of gravity above the floor, empty.")
    base_mm = _figure("Height of the lower edge of U1 above the floor; empty: 0.")
    footprint_m2 = _figure("Area it stands on, m².", digits=8, places=4)
    mates = models.JSONField(
        default=list, blank=True, help_text="Blind mates it needs: busbar, supply, return, nvlink, ..."
    )
    properties = models.JSONField(
        default=dict, blank=True, help_text="What rules compare: generation, link speed, ..."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["part", "revision"], name="part_revision_once"),
            models.CheckConstraint(condition=Q(*NOT_NEGATIVE), name="figures_not_negative"),
            models.CheckConstraint(
                condition=Q(footprint_m2__isnull=True) | Q(footprint_m2__gt=0), name="footprint_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.part.number} {self.revision}"


class BomLine(models.Model):
    """How many of a part a revision takes."""

    parent = models.ForeignKey(PartRevision, on_delete=models.CASCADE, related_name="bom_lines")
    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="used_in")
    quantity = models.PositiveIntegerField()
    revisions = models.JSONField(
        default=list, blank=True, help_text="Revisions it takes; empty: any released one."
    )
    assumption = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["parent", "part"], name="bom_part_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="bom_quantity_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.part}"


class Slot(models.Model):
    """A place in an assembly: its name, where it is, what it takes and the position it must report."""

    class Face(models.TextChoices):
        FRONT = "front"
        REAR = "rear"
        LEFT = "left"
        RIGHT = "right"
        INSIDE = "inside"

    revision = models.ForeignKey(PartRevision, on_delete=models.CASCADE, related_name="slots")
    name = models.CharField(max_length=40)
    type = models.CharField(max_length=40)
    face = models.CharField(max_length=6, choices=Face.choices, default=Face.INSIDE)
    position = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Half units from the floor, from 2."
    )
    height = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Half units.")
    slot_number = models.PositiveSmallIntegerField(null=True, blank=True)
    tray_index = models.PositiveSmallIntegerField(null=True, blank=True)
    filled_at = models.PositiveSmallIntegerField(help_text="Sequence of the operation that fills it.")
    order = models.PositiveSmallIntegerField(help_text="In which it is filled and listed.")
    accepts = models.ManyToManyField(Part, related_name="fits")
    mates = models.JSONField(default=list, blank=True, help_text="Blind mates it offers.")
    assumption = models.TextField(blank=True)

    class Meta:
        ordering = ["order"]
        constraints = [models.UniqueConstraint(fields=["revision", "name"], name="slot_name_once")]

    def __str__(self) -> str:
        return self.name
