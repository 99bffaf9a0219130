"""When an order will be done, from standard times, the queue at each work center, and what it waits for."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from django.utils import timezone

from mes.workorders.load import Load, Standing, read_load
from mes.workorders.models import WorkOrder
from mes.workorders.waits import waits_of
from mes.workorders.working_time import add_working_minutes

State = WorkOrder.State
DONE = (State.COMPLETE, State.CLOSED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class PromiseLine:
    """The work of an order at a work center, what is ahead of it there, and how many stations share it."""

    work_center: str
    stations: int
    queue_minutes: Decimal
    own_minutes: Decimal


@dataclass(slots=True)
class Promise:
    """The earliest date an order is done once what it waits for is there; None where it cannot be said."""

    order: WorkOrder
    date: datetime | None
    waits_for: list[str] = field(default_factory=list)
    lines: list[PromiseLine] = field(default_factory=list)


def promise(order: WorkOrder) -> Promise:
    """Return the promise of an order. A constant number of queries, whatever there is to build."""
    if order.state in DONE:
        return Promise(order, order.completed_at)
    load = read_load(order)
    made = _promise(load, load.of(order), timezone.now())
    made.waits_for = waits_of(order, load.units_of(order)) + made.waits_for
    return made


def _promise(load: Load, standing: Standing, now: datetime) -> Promise:
    order, made = standing.order, Promise(standing.order, None)
    starts: list[datetime | None] = [now]
    for child in load.children_of(order):
        below = _promise(load, child, now)
        starts.append(below.date)
        made.waits_for.append(_of_child(below))
    family = load.family_of(order)
    ahead = [each for each in load.queue if each.order.pk not in family and each.rank < standing.rank]
    made.lines, unknown = _lines(load, standing, ahead)
    made.waits_for += unknown
    known = [start for start in starts if start is not None]
    if not unknown and len(known) == len(starts):
        made.date = add_working_minutes(max(known), _minutes(standing, made.lines), load.shifts)
        if made.date is None:
            made.waits_for.append("more than ten years of work")
    return made


def _lines(load: Load, standing: Standing, ahead: list[Standing]) -> tuple[list[PromiseLine], list[str]]:
    queue: dict[str, Decimal] = defaultdict(Decimal)
    unknown = dict.fromkeys(standing.unknown)
    for each in ahead:
        for work_center in each.minutes.keys() & standing.work_centers:
            queue[work_center] += each.minutes[work_center]
        unknown |= dict.fromkeys(each.unknown_at(standing.work_centers))
    lines = [
        PromiseLine(name, load.stations.get(name, 0), queue[name], standing.minutes.get(name, Decimal(0)))
        for name in sorted(standing.work_centers)
    ]
    unknown |= dict.fromkeys(
        f"a station of work center {line.work_center}" for line in lines if not line.stations
    )
    return lines, list(unknown)


def _minutes(standing: Standing, lines: list[PromiseLine]) -> float:
    """Return the working time: the load of the tightest work center, then the rest of one unit's route."""
    unit, whole = standing.longest, sum(standing.longest.values(), Decimal(0))
    return float(
        max(
            (
                (line.queue_minutes + line.own_minutes) / line.stations
                + whole
                - unit.get(line.work_center, Decimal(0))
                for line in lines
            ),
            default=Decimal(0),
        )
    )


def _of_child(below: Promise) -> str:
    when = f"{below.date.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if below.date else "no date"
    return f"child order {below.order.number} ({below.order.state}), promised {when}"
