"""Every list of the API and of the admin comes as a CSV file with all its rows; a new one is found."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.http import HttpResponseBase
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from mes import exports, rest, theme
from mes.burnin.models import BurnInRun
from mes.serials.models import Unit
from mes.theme import ListAdmin
from mes.traceability.models import Report
from tests.builders import make_part, make_scanner, make_site, make_station, make_unit, supervisor_client
from tests.burnin.soaked import make_run
from tests.test_admin_pages import factory, registered, rows, staff_client, superuser_client, url_of

__all__ = ["factory", "rows"]


def patterns(resolver: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every address of the product with its view."""
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, path)
        elif isinstance(entry, URLPattern):
            yield path, entry.callback


def listed() -> list[str]:
    """Return the address of every list of the API."""
    found = []
    for path, view in patterns(get_resolver()):
        actions, view_class = getattr(view, "actions", None) or {}, getattr(view, "cls", None)
        is_list = actions.get("get") == "list" or (not actions and hasattr(view_class, "list"))
        if path.startswith("api/v1/") and is_list and "format" not in path:
            found.append("/" + re.sub(r"\^|\\Z|\$", "", path))
    return sorted(found)


def content(response: HttpResponseBase) -> str:
    parts: Any = response
    return b"".join(parts).decode()


def rows_of(response: HttpResponseBase) -> list[dict[str, str]]:
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in response["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(content(response))))


def test_the_lists_are_found() -> None:
    known = {
        "units",
        "lots",
        "holds",
        "test-runs",
        "work-orders",
        "burn-in-runs",
        "reports",
        "events",
        "routes",
    }
    assert {f"/api/v1/{name}/" for name in known} <= set(listed())
    assert len(listed()) >= 15


def test_an_export_keeps_filters_search_and_order(db: None) -> None:
    part, other = make_part(), make_part()
    wanted = [make_unit(part, f"A{n:03}") for n in range(60)]
    make_unit(other)
    rows = rows_of(
        supervisor_client().get(
            "/api/v1/units/", {"part": part.part.number, "ordering": "serial", "format": "csv"}
        )
    )
    assert [row["serial"] for row in rows] == [unit.serial for unit in wanted]
    client = superuser_client()
    page = client.get(url_of(Unit, "changelist"), {"q": "A007"}).content.decode()
    assert f"{url_of(Unit, 'export')}?q=A007" in page
    found = rows_of(client.get(url_of(Unit, "export"), {"q": "A007"}))
    assert len(found) == 1


def test_constant_queries_per_chunk(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "CHUNK", 10)
    client, part, counts = supervisor_client(), make_part(), []
    for total in (10, 30):
        while Unit.objects.count() < total:
            make_unit(part)
        with CaptureQueriesContext(connection) as queries:
            assert len(rows_of(client.get("/api/v1/units/?format=csv"))) == total
        counts.append(len(queries))
    assert counts[1] - counts[0] == 2  # the identifiers of two more chunks


def test_too_many_rows_are_refused_with_the_way_out(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MOST_ROWS", 2)
    monkeypatch.setattr(theme, "MOST_ROWS", 2)
    part = make_part()
    for _ in range(3):
        make_unit(part)
    refused = supervisor_client().get("/api/v1/units/?format=csv")
    assert (refused.status_code, refused["Content-Type"]) == (422, "application/problem+json")
    assert refused.json()["code"] == "too_many_rows"
    assert {"part", "created_at__gte"} <= set(refused.json()["filters"])
    response = superuser_client().get(url_of(Unit, "export"), follow=True)
    assert "Narrow it by its filters" in response.content.decode()


def test_a_single_thing_and_a_refusal_as_csv(db: None) -> None:
    client: APIClient = supervisor_client()
    unit = make_unit(make_part(), "ONE")
    assert "ONE" in client.get(f"/api/v1/units/{unit.uid}/?format=csv").content.decode()
    missing = client.get("/api/v1/units/00000000-0000-0000-0000-000000000000/?format=csv")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def owner_of(path: str, unit: Unit) -> Unit | BurnInRun:
    """Return whose list it is: that of a unit, or of a burn-in."""
    return make_run(1, polls=1) if "/burn-in-runs/<" in path else unit


@pytest.mark.parametrize("path", listed())
def test_every_list_of_the_api_comes_as_csv(factory: None, path: str) -> None:
    client = supervisor_client()
    unit = Unit.objects.exclude(order_units=None).earliest("pk")
    Report.objects.create(unit=unit, asked_by="tester")
    path = path.replace("<uuid:uid>", str(owner_of(path, unit).uid))
    shown = client.get(path, {"limit": 500}).json()["results"]
    rows = rows_of(client.get(path, {"format": "csv"}))
    assert len(rows) == len(shown)
    assert rows_of(client.get(path, headers={"Accept": "text/csv"})) == rows
    for name in shown[0] if shown else []:
        assert any(column.split(".")[0] == name for column in rows[0]), name


@pytest.mark.parametrize("path", listed())
def test_devices_of_another_site_get_nothing_of_ours(factory: None, path: str) -> None:
    definitions = {"parts", "part-revisions", "routes", "suppliers", "instructions", "qualifications"}
    definitions |= {"packing-rules", "cable-plans", "burn-in-profiles"}
    if path.split("/")[3] in definitions:
        pytest.skip("definitions are the same at every site")
    there = make_scanner(make_station(site=make_site("S2")), signed_on=False)
    own = {"/api/v1/events/": 1}  # that the scanner itself was enrolled happened without a station
    uid = owner_of(path, Unit.objects.all()[0]).uid
    response = there.get(path.removeprefix("/api/v1/").replace("<uuid:uid>", str(uid)))
    assert response.status_code in {403, 404} or len(response.json()["results"]) <= own.get(path, 0)


@registered
def test_every_admin_list_comes_as_csv(factory: None, model: type[Model]) -> None:
    model_admin, client = admin.site.get_model_admin(model), superuser_client()
    assert isinstance(model_admin, ListAdmin), "a list of the admin builds on mes.theme.ListAdmin"
    rows = rows_of(client.get(url_of(model, "export")))
    assert len(rows) == model._default_manager.count()
    assert all(None not in row for row in rows)
    page = client.get(url_of(model, "changelist")).content.decode()
    assert f'href="{url_of(model, "export")}"' in page
    assert staff_client("view_nothing").get(url_of(model, "export")).status_code == 403


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(("=1+1", "'=1+1"), ("+1+1", "'+1+1"), ("-1+1", "'-1+1"), ("@x", "'@x"), ("\tx", "'\tx")),
        *((-1.5, "-1.5"), ("-1.5000", "-1.5000"), (None, ""), (True, "true"), ("A-1", "A-1")),
        *(([{"a": 1}], '[{"a": 1}]'), ("a,b", "a,b")),
    ],
)
def test_cells_never_run_as_formulas(value: Any, text: str) -> None:
    (line,) = csv.reader(io.StringIO(list(exports.csv_lines(["x"], [[value]]))[1])) if text else ([""],)
    assert line == [text]


def test_a_filter_that_a_list_does_not_have_is_bad_input(factory: None) -> None:
    answer = supervisor_client().get("/api/v1/units/", {"serail": "X"})
    assert answer.status_code == 400
    assert "no such filter; it has" in answer.json()["fields"]["serail"][0]
