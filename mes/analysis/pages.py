"""Yield for supervisors, in the admin: one page that the address asks, and the runs behind each number."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from rest_framework import serializers

from mes.analysis.first_pass import GOOD, INCONCLUSIVE, PASSED, Yield, judged
from mes.analysis.pareto import Bar, Cause, Of
from mes.analysis.scope import Outcome
from mes.analysis.serializers import ScopeSerializer
from mes.analysis.services import (
    By,
    Scope,
    first_attempts,
    first_pass,
    last_days,
    most_repeated,
    pareto,
    rework,
    rolled,
)
from mes.backoffice import list_url, may, page_url
from mes.exports import CHUNK, csv_response
from mes.testing.models import Diagnosis, Measurement, TestRun

DAYS = 30
SHOWN = 200
CAUSES = ("measurement", "diagnosis")
FIRST = {"first": Q(), "passed": PASSED, "clean": PASSED & Q(retested=0), "good": GOOD}
COLUMNS = ("received_at", "serial", "procedure", "outcome", "station", "superseded_at")
NUMBERS = (
    ("inspected", "Inspected", "first"),
    ("first_pass", "Passed at first", "passed"),
    ("without_retest", "of these without retest", "clean"),
    ("good", "Good in the end", "good"),
    ("failures", "Failures", Outcome.FAIL.value),
    ("retests", "Retests", Outcome.RETEST.value),
    ("errors", "Errors", Outcome.ERROR.value),
    ("skips", "Skips", Outcome.SKIP.value),
)
WHICH = {
    "all": "All test runs",
    "first": "First conclusive runs",
    "passed": "First conclusive runs that passed",
    "clean": "First conclusive runs that passed without any retest before",
    "good": "First conclusive runs of units that passed in the end",
    Outcome.FAIL.value: "Failures",
    **{outcome.value: f"{outcome.value} runs" for outcome in INCONCLUSIVE},
}


class PageQuery(ScopeSerializer):
    """The question of the page: its filters, by what, and below which yield a row is marked."""

    by = serializers.ChoiceField(choices=[by.value for by in By], default=By.OPERATION.value)
    causes = serializers.ChoiceField(choices=[name.value for name in (*By, *Cause)], default="measurement")
    target = serializers.IntegerField(min_value=0, max_value=100, default=95)

    def group(self) -> By | Cause:
        """Return by what failures are grouped."""
        asked = self.validated_data["causes"]
        return By(asked) if asked in set(By) else Cause(asked)


@dataclass(frozen=True, slots=True)
class Cell:
    """A number, and where it leads."""

    value: Any
    href: str = ""


def asked(request: HttpRequest, query: type[ScopeSerializer]) -> ScopeSerializer:
    """Return the question in the address, checked; without a time, it is about the last 30 days."""
    given = {name: value for name, value in request.GET.items() if value}
    if not {"since", "until"} & set(given):
        since, _ = last_days(DAYS)
        given["since"] = since.strftime("%Y-%m-%dT%H:%M")
    question = query(data=given)
    question.is_valid()
    return question


def yield_page(request: HttpRequest) -> HttpResponse:
    """Show first-pass yield, rolled yield, what fails and what is retested most."""
    _require_view(request)
    question = cast(PageQuery, asked(request, PageQuery))
    context = {
        **admin.site.each_context(request),
        "title": "Yield",
        "fields": _fields(question),
        "problems": {} if question.is_valid() else question.errors,
    }
    if question.is_valid():
        context |= _answer(question)
    return TemplateResponse(request, "analysis/yield.html", context)


def _require_view(request: HttpRequest) -> None:
    if not may(request, "testing.view_testrun"):
        raise PermissionDenied


def _fields(question: ScopeSerializer) -> list[dict[str, Any]]:
    given = question.initial_data
    return [
        {
            "name": name,
            "label": name.capitalize(),
            "value": given.get(name, "" if field.default in (None, serializers.empty) else field.default),
            "choices": list(getattr(field, "choices", [])) if name in {"by", "causes"} else [],
            "type": {"since": "datetime-local", "until": "datetime-local", "target": "number"}.get(
                name, "text"
            ),
        }
        for name, field in question.fields.items()
    ]


def _answer(question: PageQuery) -> dict[str, Any]:
    data, scope = question.validated_data, question.scope()
    by, causes, target = By(data["by"]), question.group(), data["target"] / 100
    rows = first_pass(scope, by)
    return {
        "target": data["target"],
        "headers": [label for _, label, _ in NUMBERS],
        "keys": list(rows[0].key) if rows else [],
        "rows": [_row(question, row, target) for row in rows],
        "rolled": [(route, _is_low(route.rolled_throughput_yield, target)) for route in rolled(scope)],
        "rework": rework(scope),
        "paretos": [
            (of, [(bar, _bar_cell(question, bar, of)) for bar in pareto(scope, of, group)], group)
            for of, group in ((Of.FAILURES, causes), (Of.RETESTS, by))
        ],
        "repeated": [
            (
                row,
                _link(question, "all", {"operation": row.operation, "procedure": row.procedure}, row.serial),
            )
            for row in most_repeated(scope, limit=20)
        ],
        "csv": f"{reverse('api-yield')}?{_query(question, {'format': 'csv'})}",
    }


def _is_low(share: float | None, target: float) -> bool:
    return share is not None and share < target


def _row(question: ScopeSerializer, row: Yield, target: float) -> dict[str, Any]:
    cells = [
        Cell(number, _link(question, which, row.key) if which and number else "")
        for number, which in ((getattr(row, name), which) for name, _, which in NUMBERS)
    ]
    return {
        "key": list(row.key.values()),
        "cells": cells,
        "share": row.first_pass_yield,
        "low": _is_low(row.first_pass_yield, target),
    }


def _bar_cell(question: ScopeSerializer, bar: Bar, of: Of) -> Cell:
    outcome = {Of.FAILURES: Outcome.FAIL, Of.RETESTS: Outcome.RETEST}[of]
    return Cell(bar.count, _link(question, outcome.value, bar.key))


def _query(question: ScopeSerializer, more: dict[str, Any]) -> str:
    return urlencode({**question.initial_data, **more})


def _link(question: ScopeSerializer, which: str, key: dict[str, Any], serial: str = "") -> str:
    """Return the address of the runs behind a number; none for groups that no filter can name."""
    narrowed = {name: value for name, value in key.items() if name != "sequence"}
    if "day" in narrowed:
        since = datetime.fromisoformat(narrowed.pop("day"))
        narrowed |= {"since": since.isoformat(), "until": (since + timedelta(days=1)).isoformat()}
    if any(
        not value or name not in {*Scope.__dataclass_fields__, *CAUSES} for name, value in narrowed.items()
    ):
        return ""
    more = {**narrowed, "which": which, **({"serial": serial} if serial else {})}
    return f"{reverse('yield-runs')}?{_query(question, more)}"


class RunsQuery(ScopeSerializer):
    """The runs behind a number."""

    which = serializers.ChoiceField(choices=list(WHICH), default="all")
    serial = serializers.CharField(default="", allow_blank=True)
    measurement = serializers.CharField(default="", allow_blank=True)
    diagnosis = serializers.CharField(default="", allow_blank=True)

    def runs(self) -> QuerySet[TestRun]:
        """Return the runs asked for, newest first."""
        data, scope = self.validated_data, self.scope()
        which = data["which"]
        runs = judged(first_attempts(scope)).filter(FIRST[which]) if which in FIRST else scope.runs()
        if which in Outcome.values:
            runs = runs.filter(outcome=which)
        if data["serial"]:
            runs = runs.filter(unit__serial=data["serial"])
        if data["measurement"]:
            failed = Measurement.objects.filter(name=data["measurement"], verdict=Measurement.Verdict.FAIL)
            runs = runs.filter(pk__in=failed.values("run"))
        if data["diagnosis"]:
            said = Diagnosis.objects.filter(verdict=data["diagnosis"], type="FAIL")
            runs = runs.filter(pk__in=said.values("run"))
        return runs.select_related("unit").order_by("-pk")


def runs_page(request: HttpRequest) -> HttpResponseBase:
    """Show the test runs behind a number of the yield page, or send them as a CSV file."""
    _require_view(request)
    question = cast(RunsQuery, asked(request, RunsQuery))
    if not question.is_valid():
        return HttpResponse("There is no such list.", status=400, content_type="text/plain")
    runs = question.runs()
    if request.GET.get("format") == "csv":
        table = ([getattr(run, name, run.unit.serial) for name in COLUMNS] for run in runs.iterator(CHUNK))
        return csv_response("test-runs", COLUMNS, table)
    context = {
        **admin.site.each_context(request),
        "title": WHICH[question.validated_data["which"]],
        "total": runs.count(),
        "runs": [_shown(run) for run in runs[:SHOWN]],
        "shown": SHOWN,
        "question": _words(question),
        "csv": f"{request.path}?{_query(question, {'format': 'csv'})}",
        "back": f"{reverse('yield')}?{_query(question, {})}",
        "all": list_url("testing_testrun"),
    }
    return TemplateResponse(request, "analysis/runs.html", context)


def _shown(run: TestRun) -> dict[str, Any]:
    return {"run": run, "href": page_url(run), "unit": page_url(run.unit)}


def _words(question: ScopeSerializer) -> list[tuple[str, str]]:
    names = [*Scope.__dataclass_fields__, *CAUSES, "serial"]
    return [(name, str(question.initial_data[name])) for name in names if question.initial_data.get(name)]
