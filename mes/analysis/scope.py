"""Which test runs a question is about, and by what they are grouped."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce, TruncDate, TruncTime
from django.utils import timezone

from mes.stations.models import Shift, Site, Station
from mes.testing.models import TestRun
from mes.workorders.models import OrderUnit

Outcome = TestRun.Outcome
CONCLUSIVE = (Outcome.PASS, Outcome.FAIL)
LOOKUPS = {
    "station": "station",
    "part": "unit__part_revision__part__number",
    "revision": "unit__part_revision__revision",
    "supplier": "unit__supplier__code",
    "lot": "unit__lot__number",
    "procedure": "procedure",
    "operation": "operation__code",
}
ORDERED = {
    "order": "work_order__number",
    "customer": "work_order__customer",
    "program": "work_order__program",
}


class By(StrEnum):
    """What numbers are grouped by."""

    OPERATION = "operation"
    PROCEDURE = "procedure"
    STATION = "station"
    LINE = "line"
    PART = "part"
    REVISION = "revision"
    SUPPLIER = "supplier"
    LOT = "lot"
    SHIFT = "shift"
    DAY = "day"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A question's filters; what is left out does not narrow. Times are when the server received a run."""

    site: Site | None = None
    line: str = ""
    station: str = ""
    part: str = ""
    revision: str = ""
    supplier: str = ""
    lot: str = ""
    order: str = ""
    customer: str = ""
    program: str = ""
    procedure: str = ""
    operation: str = ""
    shift: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def runs(self) -> QuerySet[TestRun]:
        """Return the test runs of this scope, superseded ones included, for they were attempts too."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        rows = TestRun.objects.filter(
            **{lookup: given[name] for name, lookup in LOOKUPS.items() if given[name]}
        )
        if ordered := {lookup: given[name] for name, lookup in ORDERED.items() if given[name]}:
            rows = rows.filter(Exists(OrderUnit.objects.filter(unit=OuterRef("unit"), **ordered)))
        if self.site:
            rows = rows.filter(unit__site=self.site)
        if self.line:
            rows = rows.filter(station__in=Station.objects.filter(line__code=self.line).values("code"))
        if self.since:
            rows = rows.filter(received_at__gte=self.since)
        if self.until:
            rows = rows.filter(received_at__lt=self.until)
        return grouped_by_shift(rows).filter(Q(shift=self.shift)) if self.shift else rows


def grouped_by(rows: QuerySet[TestRun], by: By) -> tuple[QuerySet[TestRun], dict[str, str]]:
    """Return the rows able to be grouped, and the columns that make up the key by their names in answers."""
    if by is By.OPERATION:
        names = {"part": LOOKUPS["part"], "sequence": "operation__sequence", "operation": "operation__code"}
        return rows, {**names, "procedure": "procedure"}
    if by is By.LINE:
        line = Station.objects.filter(code=OuterRef("station")).values("line__code")
        return rows.annotate(line=Coalesce(Subquery(line), Value(""))), {"line": "line"}
    if by is By.DAY:
        return rows.annotate(day=Cast(TruncDate("received_at"), CharField())), {"day": "day"}
    if by is By.SHIFT:
        return (rows if "shift" in rows.query.annotations else grouped_by_shift(rows)), {"shift": "shift"}
    if by is By.REVISION:
        return rows, {"part": LOOKUPS["part"], "revision": LOOKUPS["revision"]}
    return rows, {by.value: LOOKUPS[by.value]}


def grouped_by_shift(rows: QuerySet[TestRun]) -> QuerySet[TestRun]:
    """Say of each run in which shift of its site it was received, in local time; empty: in none."""
    whens = [When(_within(shift), then=Value(shift.name)) for shift in Shift.objects.order_by("starts", "pk")]
    named = Case(*whens, default=Value(""), output_field=CharField()) if whens else Value("")
    return rows.annotate(clock=TruncTime("received_at")).annotate(shift=named)


def _within(shift: Shift) -> Q:
    after, before = Q(clock__gte=shift.starts), Q(clock__lt=shift.ends)
    during = after & before if shift.starts < shift.ends else after | before
    return Q(unit__site=shift.site_id) & during


def last_days(days: int) -> tuple[datetime, datetime]:
    """Return the window from local midnight some days ago until now."""
    now = timezone.localtime()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=days - 1), now


def same_step(*, before: bool) -> QuerySet[TestRun]:
    """Return the runs of the same unit at the same step, received earlier (or later) than the outer one.

    A step is an operation, by its code, and a procedure: when an engineering change moves a unit to another
    version of its route, the unit does not get a second first attempt.
    """
    order: Any = {"pk__lt" if before else "pk__gt": OuterRef("pk")}
    alike = TestRun.objects.filter(unit=OuterRef("unit"), procedure=OuterRef("procedure"), **order)
    return alike.alias(code=code_of()).filter(code=Coalesce(OuterRef("operation__code"), Value("")))


def code_of() -> Coalesce:
    """Return the operation's code of a run; empty when no operation asked for it."""
    return Coalesce(F("operation__code"), Value(""))
