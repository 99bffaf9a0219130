"""Budgets of an assembly, and which parts go together in it."""

from django.db import models
from django.db.models import Q

from mes.products.models.parts import PartRevision


class Budget(models.Model):
    """What the contents of an assembly may come to: a limit, or what others of its contents supply.

    ``demand_slots`` and ``supply_slots`` are names or types of slots of the assembly itself; empty: all.
    """

    class Figure(models.TextChoices):
        WEIGHT = "weight_kg", "weight"
        FLOOR = "floor_kg_m2", "floor load"
        CENTRE = "centre_mm", "height of the centre of gravity"
        POWER = "power_w", "power drawn"
        POWER_SUPPLIED = "power_supplied_w", "power supplied"
        LIQUID = "heat_liquid_w", "heat into liquid"
        AIR = "heat_air_w", "heat into air"
        COOLANT = "coolant_l_min", "coolant flow"

    revision = models.ForeignKey(PartRevision, on_delete=models.CASCADE, related_name="budgets")
    name = models.CharField(max_length=60)
    figure = models.CharField(max_length=16, choices=Figure.choices)
    limit = models.DecimalField(
        max_digits=12,
        decimal_places=3,
        null=True,
        blank=True,
        help_text="Empty: what is supplied (of power, heat into liquid, coolant flow).",
    )
    redundancy = models.PositiveSmallIntegerField(
        default=0, help_text="How many of the largest supplies may fail: 1 is N+1."
    )
    demand_slots = models.JSONField(
        default=list, blank=True, help_text="Names or types of the slots that demand; empty: all."
    )
    supply_slots = models.JSONField(
        default=list, blank=True, help_text="Names or types of the slots that supply; empty: all."
    )
    assumption = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["revision", "name"], name="budget_name_once"),
            models.CheckConstraint(
                condition=Q(limit__isnull=False)
                | Q(figure__in=["power_w", "heat_liquid_w", "coolant_l_min"]),
                name="budget_has_a_limit_or_a_supply",
            ),
            models.CheckConstraint(
                condition=Q(limit__isnull=True) | Q(limit__gt=0, redundancy=0),
                name="budget_limit_positive_without_redundancy",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CompatibilityRule(models.Model):
    """Which parts go together in an assembly, at any depth, by what their revisions state as properties.

    ``same``: all parts of ``kinds`` that state the property state the same. ``pair``: where a part of
    ``kinds`` states ``value``, each part of ``other_kinds`` that states ``other_property`` states one of
    ``other_values``; rows of one name make a table. The maker of a part is its property ``maker``.
    """

    class Relation(models.TextChoices):
        SAME = "same"
        PAIR = "pair"

    revision = models.ForeignKey(PartRevision, on_delete=models.CASCADE, related_name="compatibility_rules")
    name = models.CharField(max_length=60)
    relation = models.CharField(max_length=4, choices=Relation.choices)
    kinds = models.JSONField(help_text="Kinds of part it is about.")
    property = models.CharField(max_length=40)
    value = models.CharField(max_length=60, blank=True)
    other_kinds = models.JSONField(default=list, blank=True)
    other_property = models.CharField(max_length=40, blank=True)
    other_values = models.JSONField(default=list, blank=True)
    assumption = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["revision", "name", "value"], name="compatibility_rule_once"),
            models.CheckConstraint(
                condition=Q(relation="same", value="", other_property="")
                | (Q(relation="pair") & ~Q(value="") & ~Q(other_property="")),
                name="pair_rule_names_both_sides",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.value}".strip()
