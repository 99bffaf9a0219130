"""What the slots of an assembly are expected to hold, and whether that keeps the assembly's own budgets."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.db.models import Count, Max

from mes.errors import RuleViolation
from mes.products.figures import Figures, Item, figures_of, in_group, reckon, unit_of
from mes.products.layouts import KEPT, Place, asks_of, layout_of
from mes.products.models import Budget, CompatibilityRule, PartRevision


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes with every release of a part revision: the time of the last one, and their number."""

    at: datetime | None
    count: int


@dataclass(frozen=True, slots=True)
class Design:
    """An assembly as designed: its figures, and what each slot is expected to hold."""

    figures: Figures
    items: tuple[Item, ...]


def newest_release() -> Stamp:
    """Return the stamp of the released part revisions. One query."""
    found = PartRevision.objects.filter(released_at__isnull=False).aggregate(
        at=Max("released_at"), count=Count("pk")
    )
    return Stamp(**found)


def design_of(revision: PartRevision, stamp: Stamp) -> Design:
    """Return an assembly as designed; of a released one, worked out once per process and stamp.

    A slot is expected to hold its first accepted part, by number, in the latest released revision that the
    bill of material allows. A part without one is left out.
    """
    if revision.released_at is None:
        return _work_out(revision, stamp)
    return _frozen_design(revision.pk, stamp)


@dataclass(frozen=True, slots=True)
class _Released:
    by_pk: Mapping[int, PartRevision]
    by_part: Mapping[int, Sequence[PartRevision]]


@lru_cache(maxsize=4)
def _released(stamp: Stamp) -> _Released:
    rows = PartRevision.objects.filter(released_at__isnull=False).select_related("part")
    by_part: dict[int, list[PartRevision]] = defaultdict(list)
    for row in rows.order_by("-released_at", "-pk"):
        by_part[row.part_id].append(row)
    return _Released({row.pk: row for group in by_part.values() for row in group}, by_part)


@lru_cache(maxsize=KEPT)
def _frozen_design(pk: int, stamp: Stamp) -> Design:
    return _work_out(_released(stamp).by_pk[pk], stamp)


def _work_out(revision: PartRevision, stamp: Stamp) -> Design:
    items = []
    for place in layout_of(revision):
        expected = _expected(place, _released(stamp))
        if expected is not None and expected.part.level < revision.part.level:
            items.append(Item(place.slot, expected, _frozen_design(expected.pk, stamp).figures))
    return Design(figures_of(revision, (item.figures for item in items)), tuple(items))


def _expected(place: Place, released: _Released) -> PartRevision | None:
    if place.first_part_id is None:
        return None
    allowed = place.revisions.get(place.first_part_id, [])
    rows = released.by_part.get(place.first_part_id, ())
    return next((row for row in rows if not allowed or row.revision in allowed), None)


def check_design(revision: PartRevision) -> None:
    """Refuse an assembly that cannot be built to its own budgets and rules.

    ``budget_unsound``: a budget names what the revision does not have, or a rule says nothing;
    ``design_exceeds_budget``: filled as designed, it breaks a budget.
    """
    asks = asks_of(revision)
    for budget in asks.budgets:
        if fault := _fault(budget, revision):
            raise _unsound(revision, f"budget {budget.name} {fault}")
    for rule in asks.rules:
        if fault := _rule_fault(rule):
            raise _unsound(revision, f"rule {rule} {fault}")
    if asks.budgets:
        _require_kept(revision, asks.budgets)


def _fault(budget: Budget, revision: PartRevision) -> str:
    if budget.figure == Budget.Figure.FLOOR and revision.footprint_m2 is None:
        return "needs the footprint_m2 of the revision"
    slots = [place.slot for place in layout_of(revision)]
    for name in (*budget.demand_slots, *budget.supply_slots):
        if not any(in_group(slot, [name]) for slot in slots):
            return f"names '{name}', which is neither a slot nor a type of slot"
    return ""


def _rule_fault(rule: CompatibilityRule) -> str:
    if not rule.kinds:
        return "names no kinds"
    one_sided = rule.relation == CompatibilityRule.Relation.PAIR and not (
        rule.other_kinds and rule.other_values
    )
    return "does not say what goes together" if one_sided else ""


def _unsound(revision: PartRevision, fault: str) -> RuleViolation:
    return RuleViolation(
        "budget_unsound",
        f"{revision} cannot be released: {fault}.",
        rule="budgets and rules are about what the assembly has",
        next_step="Correct the budget or rule.",
    )


def _require_kept(revision: PartRevision, budgets: Sequence[Budget]) -> None:
    items = design_of(revision, newest_release()).items
    for budget in budgets:
        found = reckon(budget, revision, items)
        if found.margin < 0:
            unit = unit_of(budget.figure)
            raise RuleViolation(
                "design_exceeds_budget",
                f"{revision} cannot be released: {budget.name} comes to {found.demand:.1f} {unit} when filled"
                f" as designed, of {found.limit:.1f} {unit}.",
                rule="a design keeps its own budgets",
                next_step="Correct the budget, or the parts.",
            )
