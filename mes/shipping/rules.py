"""What a crate must carry and weigh: the latest released packing rule of each part in it, taken together."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from mes.errors import RuleViolation
from mes.serials.models import Unit
from mes.shipping.models import PackingRule

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Requirement:
    """What the packing rules of everything in a crate ask for; of each the strictest."""

    names: list[str]
    expected_kg: Decimal
    tolerance_percent: Decimal
    most_gross_kg: Decimal | None
    shock_indicators: int
    tilt_indicators: int
    departure_photos: int
    arrival_photos: int

    @property
    def tolerance_kg(self) -> Decimal:
        """Return by how much weights may differ, in kg."""
        return self.expected_kg * self.tolerance_percent / 100


def requirement_for(units: Iterable[Unit]) -> Requirement:
    """Return what a crate with these units must keep to. One query.

    Refuses with ``packing_rule_missing`` for a part without a released rule, or ``expected_weight_unknown``
    when neither the rule nor the revision says what a unit weighs.
    """
    units = list(units)
    rules = _latest({unit.part_revision.part_id for unit in units})
    used = [_rule_of(unit, rules) for unit in units]
    limits = [rule.most_gross_kg for rule in used if rule.most_gross_kg is not None]
    return Requirement(
        names=sorted({str(rule) for rule in used}),
        expected_kg=sum((_weight_of(unit, rule) for unit, rule in zip(units, used, strict=True)), NOTHING),
        tolerance_percent=min(rule.tolerance_percent for rule in used),
        most_gross_kg=min(limits, default=None),
        shock_indicators=max(rule.shock_indicators for rule in used),
        tilt_indicators=max(rule.tilt_indicators for rule in used),
        departure_photos=max(rule.departure_photos for rule in used),
        arrival_photos=max(rule.arrival_photos for rule in used),
    )


def _latest(parts: set[int]) -> dict[int, PackingRule]:
    rules = PackingRule.objects.select_related("part").filter(part__in=parts, released_at__isnull=False)
    return {rule.part_id: rule for rule in rules.order_by("released_at", "pk")}


def _rule_of(unit: Unit, rules: dict[int, PackingRule]) -> PackingRule:
    part = unit.part_revision.part
    if part.pk not in rules:
        raise RuleViolation(
            "packing_rule_missing",
            f"No packing rule of {part.number} is released.",
            rule="what ships is packed by a rule of its part",
            release="Engineering releases a packing rule.",
            next_step=f"Ask engineering how {part.name} is packed.",
            part=part.number,
        )
    return rules[part.pk]


def _weight_of(unit: Unit, rule: PackingRule) -> Decimal:
    weight = rule.expected_kg or unit.part_revision.weight_kg
    if weight is None:
        raise RuleViolation(
            "expected_weight_unknown",
            f"Neither {rule} nor {unit.part_revision} says what {unit.serial} weighs.",
            rule="a crate is weighed against what it should weigh",
            release="Engineering, by a new version of the packing rule.",
            next_step="Ask engineering for the weight.",
        )
    return weight
