"""What a containment question finds, one confirmed hold on it, and the release by the same question."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models, transaction
from django.db.models import Case, Count, F, FilteredRelation, Q, QuerySet, Value, When

from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.quality.models import Containment
from mes.quality.services import lock_containment, lock_lots, place_containment, release_holds
from mes.racks.services import Path, paths_of
from mes.serials.models import Lot, Unit
from mes.serials.services import lock_units
from mes.traceability.questions import Found, Question, as_json, find
from mes.workorders.models import OrderUnit, WorkOrder

PAGE, MAX_PAGE = 50, 500


class Place(models.TextChoices):
    """Where a unit is, as far as it matters for fetching it."""

    IN_STOCK = "in_stock", "in stock"
    IN_PROGRESS = "in_progress", "in progress"
    INSIDE = "inside", "inside another unit"
    SHIPPED = "shipped"
    SCRAPPED = "scrapped"
    RETURNED = "returned", "returned to its supplier"


GONE = {Place.SCRAPPED.value, Place.RETURNED.value}
ORDER = {place: number for number, place in enumerate(Place.values)}


@dataclass(frozen=True, slots=True)
class AffectedUnit:
    """One unit that was found, and where it is.

    ``top`` is the topmost unit it is in, or itself; ``path`` the slots from there down; ``order`` the order
    that built, or builds, the topmost unit.
    """

    unit: Unit
    place: str
    top: Unit
    path: str
    order: WorkOrder | None

    @property
    def shipped(self) -> Unit | None:
        """Return what was shipped: the unit itself, or the topmost unit with it inside."""
        if self.place != Place.SHIPPED:
            return None
        return self.unit if self.unit.state == Unit.State.SHIPPED and self.unit.shipped_at else self.top


@dataclass(frozen=True, slots=True)
class Affected:
    """What a question found. Counts and digest are of all; ``units`` is one page.

    ``to_hold`` counts what a hold would stop: all but what is scrapped or returned. A hold is confirmed with
    ``count`` and ``digest``, the SHA-256 over the sorted uids of units and lots.
    """

    question: Question
    count: int
    places: dict[str, int]
    held: int
    to_hold: int
    digest: str
    lots: list[Lot]
    units: list[AffectedUnit]
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class _Sums:
    keys: list[tuple[int, str]]
    places: dict[str, int]
    held: int
    uids: list[str]


def find_affected(*, question: Question, place: str = "", offset: int = 0, limit: int = PAGE) -> Affected:
    """Return what a question finds, listed by place, part, serial; ``place`` lists those there alone.

    The number of queries is the same whatever is found. Refuses as ``questions.find`` does.
    """
    found = find(question)
    sums, lots = _sum_up(found), _lots(found)
    listed = [(pk, there) for pk, there in sums.keys if place in {"", there}]
    page = dict(listed[offset : offset + limit])
    return Affected(
        question=question,
        count=len(sums.keys),
        places=sums.places,
        held=sums.held,
        to_hold=len(sums.keys) - sum(sums.places[name] for name in GONE),
        digest=_digest(sums, lots),
        lots=lots,
        units=_whereabouts(page),
        next_offset=offset + limit if offset + limit < len(listed) else None,
    )


@transaction.atomic
def hold_containment(
    *, question: Question, reason: str, expected_count: int, digest: str, by: Actor
) -> Containment:
    """Hold everything a question finds, as it was seen and counted, under one number.

    Held is every unit that is not scrapped or returned: installed ones stop what they are in, shipped ones
    are on record, so that they are caught when they come back. Lots are held too: nothing more of them is
    received or used. Refuses with ``containment_changed`` when the question finds something else by now,
    ``containment_empty``, and as ``questions.find`` does.
    """
    # Lots first: nothing is received from them from here on, so the question finds every unit of theirs.
    lots = lock_lots(*find(question).lots.values_list("pk", flat=True))
    sums = _sum_up(find(question))
    _require_as_seen(sums, lots, expected_count, digest)
    units = lock_units(*(pk for pk, _ in sums.keys))
    return place_containment(
        site=question.site,
        question=as_json(question),
        reason=reason,
        units=[unit for unit in units.values() if unit.state not in GONE],
        lots=lots,
        by=by,
    )


@transaction.atomic
def release_containment(
    *,
    containment: Containment,
    reason: str,
    expected_count: int,
    digest: str,
    by: Actor,
    question: Question | None = None,
) -> Containment:
    """Release what a containment still holds, or the part of it that a narrower question finds.

    Its own holds alone are released: a unit that another hold stops stays on hold. Refuses with
    ``containment_released``, ``containment_changed``, ``containment_empty``, and as ``questions.find`` does.
    """
    containment = lock_containment(containment)
    question = of_containment(containment, question)
    found = find(question)
    sums, lots = _sum_up(found), _lots(found)
    _require_as_seen(sums, lots, expected_count, digest)
    if not sums.keys and not lots:
        raise RuleViolation(
            "containment_empty",
            f"{containment.number} holds nothing that this question finds.",
            rule="a release frees something",
            next_step="Check the question.",
        )
    return release_holds(
        containment=containment,
        units=[pk for pk, _ in sums.keys],
        lots=[lot.pk for lot in lots],
        reason=reason,
        question=as_json(question),
        by=by,
    )


def of_containment(containment: Containment, question: Question | None = None) -> Question:
    """Return the question what a containment still holds, narrowed by another one."""
    asked = question or Question(site=containment.site)
    return asked.narrowed(site=containment.site, containment=containment.number)


def with_counts(containments: QuerySet[Containment]) -> QuerySet[Containment]:
    """Annotate containments with how many units and lots they still hold."""
    still = Q(holds__released_at__isnull=True)
    return containments.annotate(
        units_still_held=Count("holds__unit", filter=still), lots_still_held=Count("holds__lot", filter=still)
    )


def _require_as_seen(sums: _Sums, lots: list[Lot], expected_count: int, digest: str) -> None:
    now = _digest(sums, lots)
    if (len(sums.keys), now) != (expected_count, digest):
        raise RuleViolation(
            "containment_changed",
            f"The question finds {len(sums.keys)} units now; you saw {expected_count}, or other ones.",
            rule="what is held or released is what was seen",
            next_step="Ask again, look at the list, and confirm it.",
            status=409,
            count=len(sums.keys),
            digest=now,
        )


def _digest(sums: _Sums, lots: list[Lot]) -> str:
    uids = sorted([*sums.uids, *(str(lot.uid) for lot in lots)])
    return hashlib.sha256("\n".join(uids).encode()).hexdigest()


def _sum_up(found: Found) -> _Sums:
    """Return where each unit found is, in the order of the list. One query."""
    names = ("pk", "place", "held", "uid", "part_revision__part__number", "serial")
    rows: list[Any] = list(_placed(found.units).values_list(*names))
    rows.sort(key=lambda row: (ORDER[row[1]], row[4], row[5], row[0]))
    counts = Counter(row[1] for row in rows)
    return _Sums(
        keys=[(row[0], row[1]) for row in rows],
        places={place: counts[place] for place in Place.values},
        held=sum(row[2] for row in rows),
        uids=[str(row[3]) for row in rows],
    )


def _placed(units: QuerySet[Unit]) -> QuerySet[Any]:
    """Annotate units with their place."""
    shipped = Q(state=Unit.State.SHIPPED) | Q(now_in__root__state=Unit.State.SHIPPED)
    in_progress = [Unit.State.PLANNED, Unit.State.IN_WORK, Unit.State.FINISHED]
    now_in = FilteredRelation("placements", condition=Q(placements__removed_at__isnull=True))
    place = Case(
        When(shipped, then=Value(Place.SHIPPED)),
        When(now_in__isnull=False, then=Value(Place.INSIDE)),
        When(state__in=in_progress, then=Value(Place.IN_PROGRESS)),
        default=F("state"),
        output_field=models.CharField(),
    )
    return units.annotate(now_in=now_in, place=place)


def _lots(found: Found) -> list[Lot]:
    return list(found.lots.select_related("part", "supplier").order_by("part__number", "number", "pk"))


def _whereabouts(page: Mapping[int, str]) -> list[AffectedUnit]:
    """Return units by primary key, in the order given, with where they are. Three queries."""
    paths = paths_of(page)
    pks = {*page, *(path.root_id for path in paths.values())}
    rows = Unit.objects.select_related("part_revision__part").filter(pk__in=pks)
    units = {unit.pk: unit for unit in rows}
    tops = {pk: paths[pk].root_id if pk in paths else pk for pk in page}
    orders = _orders(set(tops.values()))
    alone = Path(0, "")
    return [
        AffectedUnit(
            unit=units[pk],
            place=place,
            top=units[tops[pk]],
            path=paths.get(pk, alone).slots,
            order=orders.get(tops[pk]),
        )
        for pk, place in page.items()
    ]


def _orders(pks: set[int]) -> dict[int, WorkOrder]:
    dropped = (OrderUnit.Outcome.MOVED, OrderUnit.Outcome.CANCELLED)
    rows = OrderUnit.objects.filter(unit__in=pks).exclude(outcome__in=dropped).select_related("work_order")
    return {row.unit_id: row.work_order for row in rows.order_by("pk")}
