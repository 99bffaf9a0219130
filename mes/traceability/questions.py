"""Which units and lots a containment is about: a question of criteria that all must be met."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from django.db.models import F, Model, Q, QuerySet
from django.db.models.functions import Coalesce, Length

from mes.cabling.models import CableConnection
from mes.errors import RuleViolation
from mes.people.models import User
from mes.products.models import Part, PartRevision
from mes.quality.models import Containment, Hold
from mes.racks.models import Installation, InstalledFirmware
from mes.serials.models import Lot, Supplier, Unit
from mes.stations.models import Site, Station, Tool
from mes.testing.models import TestRun
from mes.workorders.models import ConsumableUse, Labor, OperationRun, ToolUse

RANGE = ".."


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which units and lots of a site are affected. What is left empty is not asked.

    Each criterion is asked of a unit by itself, and a unit that meets them all is found. The acts that meet
    two of them need not be the same run: to miss none weighs more than to find too many. Runs and tests that
    were superseded count, for what they did to the unit is not undone.

    - ``lot``: uid or number of the lot the unit is of; ``supplier``: code, of the unit or of its lot.
    - ``date_code``: of its lot; one, or a range of equally long ones (``2640..2645``, both ends in).
    - ``part``, ``revision`` (of that part), ``country_of_origin`` (of the unit, two letters).
    - ``firmware_component`` and ``firmware_version``: what it runs now; with a window, what it ran then.
    - ``tool``: code of one used in a run on it; ``consumable_lot``: uid or number of a lot used up in one.
    - ``station``: code of one where a run, somebody's part in a run, or a test of the unit was.
    - ``person``: user name of one who started, completed or worked in a run, tested it, or installed it.
    - ``since``, ``until``: the window, both ends in. It narrows the acts: use of a tool or consumable,
      installation and receipt of a test by their moment; a run, a part in it and firmware by any overlap. In
      a question without acts it narrows when the unit, or the lot, came to be here.
    - ``containment``: only what this containment still holds.

    A cable that was taken from a lot has no serial: the unit that it is connected in is found in its place,
    by ``lot``, ``supplier``, ``date_code``, ``part`` and ``country_of_origin``, all of one lot.

    Lots are found by ``lot``, ``consumable_lot``, ``supplier``, ``date_code``, ``part``,
    ``country_of_origin`` and ``containment``; a question with a criterion for units alone finds none.
    """

    site: Site
    lot: str = ""
    supplier: str = ""
    date_code: str = ""
    part: str = ""
    revision: str = ""
    country_of_origin: str = ""
    firmware_component: str = ""
    firmware_version: str = ""
    tool: str = ""
    station: str = ""
    person: str = ""
    consumable_lot: str = ""
    containment: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def criteria(self) -> dict[str, Any]:
        """Return what is asked, by name, the site left out."""
        names = [field.name for field in fields(self) if field.name != "site"]
        return {name: value for name in names if (value := getattr(self, name))}

    def narrowed(self, **criteria: Any) -> "Question":
        """Return the question with some criteria replaced."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return Question(**{**given, **criteria})


def as_json(question: Question) -> dict[str, str]:
    """Return what a question asks as JSON can hold it."""
    return {
        name: value if isinstance(value, str) else value.isoformat()
        for name, value in question.criteria().items()
    }


ACTS = {"firmware_component", "tool", "station", "person", "consumable_lot"}
ORIGIN = {"lot", "supplier", "date_code", "part", "country_of_origin"}
OF_UNITS_ALONE = {"revision", "firmware_component", "tool", "station", "person"}
WINDOW = {"since", "until"}


@dataclass(frozen=True, slots=True)
class Found:
    """What a question finds: two queries that are not run yet."""

    units: QuerySet[Unit]
    lots: QuerySet[Lot]


def find(question: Question) -> Found:
    """Return the units and lots that a question is about.

    Refuses with ``containment_too_wide``, ``question_malformed``, or ``unknown_criterion`` for a name that
    the site does not know, which must not read as "nothing is affected".
    """
    _require_sound(question)
    asked = set(question.criteria())
    wanted = {name: criterion(question) for name, criterion in CRITERIA.items() if name in asked}
    units, lots = _of_origin(question, [both for name, both in wanted.items() if name in ORIGIN])
    for of_units, of_lots in (both for name, both in wanted.items() if name not in ORIGIN):
        units = units.filter(of_units)
        lots = lots.filter(of_lots)
    return Found(units, lots.none() if OF_UNITS_ALONE & asked else lots)


def _of_origin(question: Question, criteria: list[tuple[Q, Q]]) -> tuple[QuerySet[Unit], QuerySet[Lot]]:
    """Return what comes from an origin: units, lots, and the units that are cabled from those lots."""
    here = Unit.objects.filter(site=question.site)
    units, lots = here, Lot.objects.filter(site=question.site)
    if not ACTS & set(question.criteria()):
        units = units.filter(_moment("created_at", question))
        lots = lots.filter(_moment("received_at", question))
    if not criteria:
        return units, lots
    for of_units, of_lots in criteria:
        units = units.filter(of_units)
        lots = lots.filter(of_lots)
    cables = CableConnection.objects.filter(lot__in=lots.values("pk"), disconnected_at__isnull=True)
    return here.filter(_any_of(units.values("pk"), cables.values("unit"))), lots


def _require_sound(question: Question) -> None:
    asked = set(question.criteria())
    if not asked - WINDOW:
        raise RuleViolation(
            "containment_too_wide",
            "The question would find everything at the site.",
            rule="a question names what is suspected",
            next_step="Name a lot, supplier, date code, part, country, firmware, tool, station or person.",
        )
    if "revision" in asked and "part" not in asked:
        _malformed("revision", "A revision is one of a part. Name the part too.")
    if ("firmware_component" in asked) != ("firmware_version" in asked):
        _malformed("firmware_version", "Firmware is named by its component and its version.")
    if question.since and question.until and question.since > question.until:
        _malformed("until", "The window ends before it begins.")
    low, dots, high = question.date_code.partition(RANGE)
    if dots and not (len(low) == len(high) > 0 and low <= high):
        _malformed("date_code", "A range of date codes is written 2640..2645, lower end first.")


def _malformed(criterion: str, detail: str) -> NoReturn:
    raise RuleViolation(
        "question_malformed",
        detail,
        rule="a question says one thing",
        next_step="Correct the question and ask again.",
        criterion=criterion,
    )


def _unknown(criterion: str, value: str) -> NoReturn:
    raise RuleViolation(
        "unknown_criterion",
        f"There is no {criterion.replace('_', ' ')} {value} at this site.",
        rule="a name that nobody knows finds nothing, which must not read as nothing affected",
        next_step="Check the spelling, or scan the label.",
        criterion=criterion,
    )


RowT = TypeVar("RowT", bound=Model)


def _one(rows: QuerySet[RowT], criterion: str, value: str) -> RowT:
    row = rows.first()
    return row if row is not None else _unknown(criterion, value)


def _lots_named(question: Question, criterion: str) -> list[int]:
    value = getattr(question, criterion)
    named = Q(number__iexact=value)
    with suppress(ValueError):
        named |= Q(uid=UUID(value))
    lots = list(Lot.objects.filter(named, site=question.site).values_list("pk", flat=True))
    return lots or _unknown(criterion, value)


def _lot(question: Question) -> tuple[Q, Q]:
    lots = _lots_named(question, "lot")
    return Q(lot__in=lots), Q(pk__in=lots)


def _supplier(question: Question) -> tuple[Q, Q]:
    suppliers = Supplier.objects.filter(code__iexact=question.supplier)
    supplier = _one(suppliers, "supplier", question.supplier)
    return Q(supplier=supplier) | Q(lot__supplier=supplier), Q(supplier=supplier)


def _date_code(question: Question) -> tuple[Q, Q]:
    low, dots, high = question.date_code.partition(RANGE)
    lots = Lot.objects.filter(site=question.site)
    if dots:
        lots = lots.annotate(length=Length("date_code")).filter(
            length=len(low), date_code__gte=low, date_code__lte=high
        )
    else:
        lots = lots.filter(date_code=low)
    return Q(lot__in=lots.values("pk")), Q(pk__in=lots.values("pk"))


def _part(question: Question) -> tuple[Q, Q]:
    part = _one(Part.objects.filter(number__iexact=question.part), "part", question.part)
    return Q(part_revision__part=part), Q(part=part)


def _revision(question: Question) -> tuple[Q, Q]:
    revisions = PartRevision.objects.filter(
        part__number__iexact=question.part, revision__iexact=question.revision
    )
    return Q(part_revision=_one(revisions, "revision", question.revision)), Q()


def _country(question: Question) -> tuple[Q, Q]:
    country = Q(country_of_origin=question.country_of_origin.upper())
    return country, country


def _firmware(question: Question) -> tuple[Q, Q]:
    component = question.firmware_component
    numbered = Q(component__iregex=rf"^{re.escape(component)} [0-9_ ]+$")  # GPU means GPU 0, GPU 1, ... too
    rows = InstalledFirmware.objects.filter(
        Q(component__iexact=component) | numbered, version__iexact=question.firmware_version
    )
    if question.since or question.until:
        rows = rows.filter(_overlap("since", "until", question))
    else:
        rows = rows.filter(until__isnull=True)
    return Q(pk__in=rows.values("unit")), Q()


def _tool(question: Question) -> tuple[Q, Q]:
    tool = _one(Tool.objects.filter(site=question.site, code__iexact=question.tool), "tool", question.tool)
    uses = ToolUse.objects.filter(_moment("used_at", question), tool=tool)
    return Q(pk__in=uses.values("run__unit")), Q()


def _station(question: Question) -> tuple[Q, Q]:
    stations = Station.objects.filter(line__site=question.site, code__iexact=question.station)
    station = _one(stations, "station", question.station)
    runs = _runs().filter(_overlap("started_at", "ended", question), station=station)
    labor = Labor.objects.filter(_overlap("started_at", "ended_at", question), station=station)
    tests = TestRun.objects.filter(_moment("received_at", question), station=station.code)
    return _any_of(runs.values("unit"), labor.values("run__unit"), tests.values("unit")), Q()


def _person(question: Question) -> tuple[Q, Q]:
    name = _one(User.objects.filter(username=question.person), "person", question.person).username
    labor = Labor.objects.filter(_overlap("started_at", "ended_at", question), person=name)
    tests = TestRun.objects.filter(_moment("received_at", question), person=name)
    runs = OperationRun.objects.filter(
        Q(_moment("started_at", question), started_by=name)
        | Q(_moment("completed_at", question), completed_by=name)
    )
    installed = Installation.objects.filter(_moment("installed_at", question), installed_by=name)
    acts = (labor.values("run__unit"), tests.values("unit"), runs.values("unit"), installed.values("child"))
    return _any_of(*acts), Q()


def _consumable(question: Question) -> tuple[Q, Q]:
    lots = _lots_named(question, "consumable_lot")
    uses = ConsumableUse.objects.filter(_moment("used_at", question), lot__in=lots)
    return Q(pk__in=uses.values("run__unit")), Q(pk__in=lots)


def _containment(question: Question) -> tuple[Q, Q]:
    containments = Containment.objects.filter(site=question.site, number__iexact=question.containment)
    containment = _one(containments, "containment", question.containment)
    holds = Hold.objects.filter(containment=containment, released_at__isnull=True)
    units, lots = holds.filter(unit__isnull=False), holds.filter(lot__isnull=False)
    return Q(pk__in=units.values("unit")), Q(pk__in=lots.values("lot"))


CRITERIA: dict[str, Callable[[Question], tuple[Q, Q]]] = {
    "lot": _lot,
    "supplier": _supplier,
    "date_code": _date_code,
    "part": _part,
    "revision": _revision,
    "country_of_origin": _country,
    "firmware_component": _firmware,
    "tool": _tool,
    "station": _station,
    "person": _person,
    "consumable_lot": _consumable,
    "containment": _containment,
}


def _runs() -> QuerySet[OperationRun]:
    return OperationRun.objects.annotate(ended=Coalesce(F("completed_at"), F("superseded_at")))


def _any_of(*acts: QuerySet[Any]) -> Q:
    """Return the units of any of these. As one UNION: an OR of subqueries would scan every unit."""
    first, *others = (rows.order_by() for rows in acts)
    return Q(pk__in=first.union(*others))


def _moment(field: str, question: Question) -> Q:
    """Return that a moment lies in the window."""
    since = Q(**{f"{field}__gte": question.since}) if question.since else Q()
    return since & (Q(**{f"{field}__lte": question.until}) if question.until else Q())


def _overlap(start: str, end: str, question: Question) -> Q:
    """Return that a time from ``start`` to ``end``, which may be open, has a part in the window."""
    begun = Q(**{f"{start}__lte": question.until}) if question.until else Q()
    if not question.since:
        return begun
    return begun & (Q(**{f"{end}__isnull": True}) | Q(**{f"{end}__gte": question.since}))
