"""Builders of assemblies with figures, budgets and rules."""

from decimal import Decimal
from typing import Any

from mes.products.models import Budget, CompatibilityRule, PartRevision, Slot
from mes.racks.services import install_unit
from mes.serials.models import Unit
from tests.builders import TESTER, make_part, make_unit, release


def part(kind: str = "gpu", *, level: int = 2, maker: str = "", **figures: Any) -> PartRevision:
    """Make a released part that states figures, properties or mates."""
    revision = make_part(kind, level=level, released=False)
    revision.part.maker = maker
    revision.part.save()
    return state(revision, **figures)


def again(revision: PartRevision, name: str = "B", **figures: Any) -> PartRevision:
    """Make a further released revision of a part."""
    return state(PartRevision.objects.create(part=revision.part, revision=name), **figures)


def state(revision: PartRevision, **figures: Any) -> PartRevision:
    for name, value in figures.items():
        exact = isinstance(value, int | float)
        setattr(revision, name, Decimal(str(value)) if exact else value)
    release(revision)
    revision.refresh_from_db()
    return revision


def assembly(
    takes: dict[str, PartRevision | list[PartRevision]],
    *,
    kind: str = "rack",
    level: int = 11,
    places: dict[str, dict[str, Any]] | None = None,
    budgets: tuple[dict[str, Any], ...] = (),
    rules: tuple[dict[str, Any], ...] = (),
    **figures: Any,
) -> PartRevision:
    """Make a released assembly; ``places`` adds to its slots, whose type is the kind of what they take."""
    revision = make_part(kind, level=level, released=False)
    for order, (name, given) in enumerate(takes.items()):
        taken = given if isinstance(given, list) else [given]
        more = (places or {}).get(name, {})
        slot = Slot.objects.create(
            revision=revision, name=name, type=taken[0].part.kind, filled_at=10, order=order, **more
        )
        slot.accepts.set([each.part for each in taken])
    for budget in budgets:
        Budget.objects.create(revision=revision, **budget)
    for rule in rules:
        CompatibilityRule.objects.create(revision=revision, **rule)
    return state(revision, **figures)


def put(parent: Unit, slot: str, what: PartRevision | Unit) -> Unit:
    """Install a unit, or one made for it, and return it."""
    child = what if isinstance(what, Unit) else make_unit(what)
    place = Slot.objects.get(revision=parent.part_revision, name=slot)
    install_unit(parent=parent, slot=place, child=child, by=TESTER)
    return child
