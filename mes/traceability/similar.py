"""The question that finds units like a given one: of the same lot, worked on with the same tool, ..."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

from mes.errors import RuleViolation
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.testing.models import TestRun
from mes.traceability.questions import Question
from mes.workorders.models import Labor, OperationRun, ToolUse


def question_like(*, unit: Unit, by: str, value: str = "") -> Question:
    """Return the question for units that share something with a unit; the unit itself is among them.

    ``by`` is lot, supplier or date_code (those also of the same part), tool, station or person. Of several
    tools, stations or people that had to do with the unit, ``value`` says which. Refuses with
    ``nothing_similar`` when it has none, or not that one, and with ``similar_ambiguous``, naming the choices.
    """
    shared = SHARED[by](unit)
    chosen = [name for name in shared if name == value] if value else shared
    if not chosen:
        raise RuleViolation(
            "nothing_similar",
            f"{unit.serial} has no {by.replace('_', ' ')} {value}".strip() + " on record.",
            rule="similar units share something",
            next_step="Look for something else that they share.",
            choices=shared,
        )
    if len(chosen) > 1:
        raise RuleViolation(
            "similar_ambiguous",
            f"{unit.serial} has {len(chosen)} of them: {', '.join(chosen)}.",
            rule="what is ambiguous is answered with the choices",
            next_step="Say which one, as value.",
            choices=chosen,
        )
    part = unit.part_revision.part.number if by in {"supplier", "date_code"} else ""
    return Question(site=unit.site, part=part).narrowed(**{by: chosen[0]})


def _lot(unit: Unit) -> list[str]:
    return [str(unit.lot.uid)] if unit.lot else []


def _supplier(unit: Unit) -> list[str]:
    return [unit.supplier.code] if unit.supplier else []


def _date_code(unit: Unit) -> list[str]:
    return [unit.lot.date_code] if unit.lot and unit.lot.date_code else []


def _tools(unit: Unit) -> list[str]:
    return _names(ToolUse.objects.filter(run__unit=unit).values_list("tool__code"))


def _stations(unit: Unit) -> list[str]:
    return _names(
        OperationRun.objects.filter(unit=unit, station__isnull=False).values_list("station__code"),
        Labor.objects.filter(run__unit=unit, station__isnull=False).values_list("station__code"),
        TestRun.objects.filter(unit=unit).values_list("station"),
    )


def _people(unit: Unit) -> list[str]:
    runs = OperationRun.objects.filter(unit=unit)
    return _names(
        runs.values_list("started_by"),
        runs.values_list("completed_by"),
        Labor.objects.filter(run__unit=unit).values_list("person"),
        TestRun.objects.filter(unit=unit).values_list("person"),
        Installation.objects.filter(child=unit).values_list("installed_by"),
    )


SHARED: dict[str, Callable[[Unit], list[str]]] = {
    "lot": _lot,
    "supplier": _supplier,
    "date_code": _date_code,
    "tool": _tools,
    "station": _stations,
    "person": _people,
}


def _names(*acts: QuerySet[Any, Any]) -> list[str]:
    first, *others = (rows.order_by() for rows in acts)
    return sorted(name for (name,) in first.union(*others) if name)
