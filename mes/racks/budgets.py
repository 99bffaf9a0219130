"""Budgets of a unit: what its contents come to, now and when complete, and installs that break one.

The row of the parent is the guard: the caller holds it locked, and installing moves its version on, so that
of two installs the second is judged with the first in place. What is inside an installed child cannot change.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import TextChoices
from django.utils import timezone

from mes.errors import RuleViolation
from mes.products.models import Budget, PartRevision, Slot
from mes.products.services import (
    Centre,
    Figures,
    Item,
    Reckoning,
    Stamp,
    asks_of,
    centre_of_gravity,
    design_of,
    figures_of,
    newest_release,
    reckon,
    totals_of,
    unit_of,
    unstated,
)
from mes.racks.compatibility import RELEASE, require_compatible
from mes.racks.models import Installation
from mes.racks.tree import inside
from mes.serials.models import Unit

Contents = Mapping[int, Sequence[Installation]]


class BudgetState(TextChoices):
    """How a budget stands."""

    KEPT = "kept", "kept"
    NO_REDUNDANCY = "no_redundancy", "kept, but without its redundancy"
    NOT_NOW = "not_now", "not kept as it stands, kept when complete"
    EXCEEDED = "exceeded", "not kept when complete"


MARKS = {
    BudgetState.KEPT: "✓",
    BudgetState.NO_REDUNDANCY: "▶",
    BudgetState.NOT_NOW: "▶",
    BudgetState.EXCEEDED: "✕",
}


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """A budget of a unit: as it stands, and when every empty slot holds what is expected there.

    ``unstated`` are part revisions that do not state the figure and count as nothing.
    """

    budget: Budget
    now: Reckoning
    complete: Reckoning
    unstated: Sequence[str]

    @property
    def unit(self) -> str:
        """Return the unit of measure."""
        return unit_of(self.budget.figure)

    @property
    def state(self) -> BudgetState:
        """Return how the budget stands."""
        if self.complete.margin < 0:
            return BudgetState.EXCEEDED
        if self.now.margin >= 0:
            return BudgetState.KEPT
        whole = self.now.whole_limit >= self.now.demand
        return BudgetState.NO_REDUNDANCY if whole else BudgetState.NOT_NOW

    @property
    def word(self) -> str:
        """Return mark and words of the state."""
        return f"{MARKS[self.state]} {self.state.label}"


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of a figure over what is in a unit, now and when complete; None: nothing states it."""

    figure: str
    unit: str
    installed: Decimal | None
    expected: Decimal | None


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of a unit, its totals, and its centre of gravity now and when complete."""

    lines: Sequence[BudgetLine]
    totals: Sequence[Total]
    centre: Centre
    complete_centre: Centre


def budgets_of(*, unit: Unit) -> Budgets:
    """Return the budgets of a unit. Two queries, besides definitions that this process has not read yet."""
    revision, stamp = unit.part_revision, newest_release()
    contents = _by_parent(
        inside([unit.pk], timezone.now()).select_related("slot", "child__part_revision__part").order_by("pk")
    )
    now, complete = _installed(unit, contents), _projected(unit, contents, stamp)
    return Budgets(
        [
            BudgetLine(
                budget,
                reckon(budget, revision, now),
                reckon(budget, revision, complete),
                unstated(budget, complete),
            )
            for budget in asks_of(revision).budgets
        ],
        _totals(totals_of(revision, now), totals_of(revision, complete)),
        centre_of_gravity(revision, now),
        centre_of_gravity(revision, complete),
    )


def _totals(now: Figures, complete: Figures) -> list[Total]:
    return [Total(name, unit_of(name), now.get(name), complete[name]) for name in complete]


def _by_parent(rows: Iterable[Installation]) -> Contents:
    contents: dict[int, list[Installation]] = defaultdict(list)
    for row in rows:
        contents[row.parent_id].append(row)
    return contents


def _installed(unit: Unit, contents: Contents) -> list[Item]:
    """Return what is in the slots of a unit, with the figures of what is in it."""
    return [
        _item(row, (each.figures for each in _installed(row.child, contents)))
        for row in contents.get(unit.pk, ())
    ]


def _projected(unit: Unit, contents: Contents, stamp: Stamp) -> list[Item]:
    """Return what is in the slots of a unit, and what is expected in the empty ones, at any depth."""
    rows = contents.get(unit.pk, ())
    taken = {row.slot_id for row in rows}
    placed = [_item(row, (each.figures for each in _projected(row.child, contents, stamp))) for row in rows]
    design = design_of(unit.part_revision, stamp)
    return placed + [item for item in design.items if item.slot.pk not in taken]


def _item(row: Installation, inner: Iterable[Figures]) -> Item:
    revision = row.child.part_revision
    return Item(row.slot, revision, figures_of(revision, inner))


def require_asked(parent: Unit, slot: Slot, child: Unit) -> None:
    """Refuse a child that breaks a budget or a compatibility rule of the assembly it would go into.

    Refuses with ``budget_exceeded`` or ``parts_incompatible``. No query for an assembly without budgets and
    rules, else two, besides definitions that this process has not read yet.
    """
    asks = asks_of(parent.part_revision)
    if not asks:
        return
    # Both are topmost units here, so that their roots name all that is in them.
    rows = list(
        Installation.objects.live()
        .filter(root__in=(parent.pk, child.pk))
        .select_related("slot", "child__part_revision__part")
        .order_by("pk")
    )
    present = [row.child for row in rows if row.root_id == parent.pk]
    require_compatible(asks.rules, present, [child, *(row.child for row in rows if row.root_id == child.pk)])
    if asks.budgets:
        _require_kept(parent, rows, Installation(parent=parent, slot=slot, child=child))


def _require_kept(parent: Unit, rows: list[Installation], new: Installation) -> None:
    """Refuse what makes the projected total break a budget, or break it further.

    Where already the design as expected today would break it, for a newer revision came to be expected, so is
    what takes its share of the budget without making room. What does make room is never refused.
    """
    revision, stamp = parent.part_revision, newest_release()
    after = _projected(parent, _by_parent([*rows, new]), stamp)
    before: list[Item] | None = None
    for budget in asks_of(revision).budgets:
        found = reckon(budget, revision, after)
        if found.margin >= 0:
            continue
        before = before if before is not None else _projected(parent, _by_parent(rows), stamp)
        was = reckon(budget, revision, before)
        designed = reckon(budget, revision, design_of(revision, stamp).items)
        rest = [item for item in after if item.slot.pk != new.slot_id]
        takes_share = reckon(budget, revision, rest).margin > found.margin
        hopeless = designed.margin < 0 and found.margin == was.margin and takes_share
        if found.margin < was.margin or hopeless:
            raise _exceeded(budget, revision, found, new)


def _exceeded(budget: Budget, revision: PartRevision, found: Reckoning, new: Installation) -> RuleViolation:
    unit, spare = unit_of(budget.figure), budget.redundancy
    without = f" without the largest {spare} supplies" if spare > 1 else " without its largest supply"
    return RuleViolation(
        "budget_exceeded",
        f"{budget.name} of {new.parent.serial} would come to {found.demand:.1f} {unit} when complete,"
        f" of {found.limit:.1f} {unit}{without if spare else ''}, with {new.child.serial} in {new.slot}.",
        rule=f"budget {budget.name} of {revision}",
        release=RELEASE,
        next_step="Take the part the assembly was designed with, or call engineering.",
        budget=budget.name,
        figure=budget.figure,
        unit_of_measure=unit,
        projected=float(round(found.demand, 3)),
        limit=float(round(found.limit, 3)),
        margin=float(round(found.margin, 3)),
        redundancy=spare,
    )
