"""Whether what is installed in an assembly goes together, by the rules of its revision."""

from collections.abc import Iterable, Sequence

from mes.errors import RuleViolation
from mes.products.models import CompatibilityRule, PartRevision
from mes.serials.models import Unit

RELEASE = "Engineering, by a new revision or a deviation."
Clash = tuple[str, str]


def stated(revision: PartRevision, name: str) -> str:
    """Return what a revision states as a property, the maker of its part among them; empty: nothing."""
    value = revision.properties.get(name, "")
    return str(value or (revision.part.maker if name == "maker" else ""))


def require_compatible(
    rules: Iterable[CompatibilityRule], present: Sequence[Unit], added: Sequence[Unit]
) -> None:
    """Refuse with ``parts_incompatible`` units that do not go with each other or with what is there.

    A pair of values that is there already, by a deviation, is not refused again. No query.
    """
    for rule in rules:
        new = _clashes(rule, [*present, *added]) - _clashes(rule, present)
        if new:
            raise _incompatible(rule, min(new), present, added)


def _clashes(rule: CompatibilityRule, units: Iterable[Unit]) -> set[Clash]:
    """Return the pairs of values that a rule forbids and that are there together."""
    units = list(units)
    if rule.relation == CompatibilityRule.Relation.SAME:
        values = sorted(_values(units, rule.kinds, rule.property))
        return {(one, other) for one in values for other in values if one < other}
    if rule.value not in _values(units, rule.kinds, rule.property):
        return set()
    others = _values(units, rule.other_kinds, rule.other_property)
    return {(rule.value, other) for other in others if other not in rule.other_values}


def _values(units: Iterable[Unit], kinds: Sequence[str], name: str) -> set[str]:
    revisions = (unit.part_revision for unit in units if unit.part_revision.part.kind in kinds)
    return {stated(revision, name) for revision in revisions} - {""}


def _incompatible(
    rule: CompatibilityRule, clash: Clash, present: Sequence[Unit], added: Sequence[Unit]
) -> RuleViolation:
    unit, other = _between(rule, clash, added, [*present, *added])
    mine, theirs = _side(rule, unit, clash), _side(rule, other, clash)
    return RuleViolation(
        "parts_incompatible",
        f"{_told(unit)} ({mine}) does not go with {_told(other)} ({theirs}): {rule.name}.",
        rule=rule.name,
        release=RELEASE,
        next_step=f"Take one that goes with {other.serial}, or call engineering.",
        unit=str(unit.uid),
        other=str(other.uid),
        part=unit.part_revision.part.number,
        other_part=other.part_revision.part.number,
        values=list(clash),
    )


def _between(
    rule: CompatibilityRule, clash: Clash, added: Sequence[Unit], everything: Sequence[Unit]
) -> tuple[Unit, Unit]:
    """Return one of the units added and the unit it clashes with."""
    for unit in added:
        for other in everything:
            if _sides(rule, unit, other) == clash or _sides(rule, other, unit) == clash:
                return unit, other
    raise AssertionError("a new clash has one of the units added")


def _sides(rule: CompatibilityRule, unit: Unit, other: Unit) -> Clash:
    """Return what two units state on the two sides of a rule."""
    pair = rule.relation == CompatibilityRule.Relation.PAIR
    kinds, name = (rule.other_kinds, rule.other_property) if pair else (rule.kinds, rule.property)
    one = next(iter(_values([unit], rule.kinds, rule.property)), "")
    return one, next(iter(_values([other], kinds, name)), "")


def _side(rule: CompatibilityRule, unit: Unit, clash: Clash) -> str:
    names = dict.fromkeys((rule.property, rule.other_property))
    return next(
        f"{name} {value}" for name in names if name and (value := stated(unit.part_revision, name)) in clash
    )


def _told(unit: Unit) -> str:
    return f"{unit.part_revision.part.name} {unit.serial}"
