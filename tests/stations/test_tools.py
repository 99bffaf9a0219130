"""Tools: registered, calibrated, overdue, found out of limits, retired."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from mes.errors import RuleViolation
from mes.ledger.services import events_of
from mes.stations.models import Calibration, Tool
from mes.stations.services import (
    calibrate_tool,
    find_tool,
    register_tool,
    require_tool_usable,
    retire_tool,
)
from tests.builders import TESTER, Scanner, make_person, make_scanner, make_site, make_station
from tests.builders import supervisor_client as person_client
from tests.test_admin_pages import staff_client, superuser_client

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def make_tool(code: str = "T1", *, due_in: timedelta | None = DAY, site: str = "S1") -> Tool:
    due = timezone.now() + due_in if due_in is not None else None
    return register_tool(
        site=make_site(site),
        code=code,
        type="torque_driver",
        name="Torque driver",
        calibration_due_at=due,
        by=TESTER,
    )


def calibrate(
    tool: Tool, *, at: timedelta = -DAY, due: timedelta = 300 * DAY, good: bool = True
) -> Calibration:
    now = timezone.now()
    return calibrate_tool(
        tool=tool,
        calibrated_at=now + at,
        due_at=now + due,
        certificate="C-1",
        found_within_limits=good,
        by=TESTER,
    )


def refused(act: Callable[[], object]) -> RuleViolation:
    with pytest.raises(RuleViolation) as refusal:
        act()
    return refusal.value


def test_an_overdue_tool_is_refused_and_calibration_releases_it() -> None:
    tool = make_tool(due_in=-DAY)
    refusal = refused(lambda: require_tool_usable(tool))
    due = timezone.localtime(tool.calibration_due_at).strftime("%Y-%m-%d %H:%M")
    assert refusal.code == "tool_overdue"
    assert due in refusal.detail
    assert "calibrat" in refusal.release
    calibrate(tool)
    require_tool_usable(Tool.objects.get())
    assert [event.kind for event in events_of(tool)] == ["tool.registered", "tool.calibrated"]


def test_a_tool_that_needs_no_calibration_is_never_overdue() -> None:
    require_tool_usable(make_tool(due_in=None))


def test_a_retired_tool_stays_retired() -> None:
    tool = make_tool()
    retire_tool(tool=tool, reason="dropped", by=TESTER)
    tool.refresh_from_db()
    assert refused(lambda: require_tool_usable(tool)).code == "tool_retired"
    assert refused(lambda: retire_tool(tool=tool, reason="x", by=TESTER)).code == "tool_retired"
    assert refused(lambda: calibrate(tool)).code == "tool_retired"


def test_one_found_out_of_limits_says_since_when_it_is_in_doubt() -> None:
    tool = make_tool()
    good = calibrate(tool, at=-9 * DAY)
    calibrate(tool, at=-2 * DAY, good=False)
    calibrate(tool, at=-DAY, good=False)
    doubts = [event.payload for event in events_of(tool) if event.kind == "tool.found_out_of_limits"]
    assert [datetime.fromisoformat(doubt["last_good_at"]) for doubt in doubts] == [
        Calibration.objects.get(pk=good.pk).calibrated_at.replace(microsecond=0)
        + timedelta(milliseconds=good.calibrated_at.microsecond // 1000)
    ] * 2
    require_tool_usable(Tool.objects.get())


@pytest.mark.parametrize(
    ("at", "due"), [(DAY, 2 * DAY), (-DAY, -2 * DAY), (-DAY, -DAY), (-9 * DAY, 300 * DAY)]
)
def test_impossible_dates_are_refused(at: timedelta, due: timedelta) -> None:
    tool = make_tool()
    calibrate(tool, at=-5 * DAY)
    assert refused(lambda: calibrate(tool, at=at, due=due)).code == "calibration_dates"
    assert Calibration.objects.count() == 1


def test_a_tool_is_found_by_its_label_at_its_site_only() -> None:
    tool = make_tool("T-1")
    assert find_tool(code="t-1", site=make_site()) == tool
    assert find_tool(code="T-1", site=make_site("S2")) is None
    assert find_tool(code="", site=make_site()) is None
    assert refused(lambda: make_tool("t-1")).code == "tool_exists"


def test_tools_over_rest() -> None:
    client = person_client()
    make_site()
    body = {"code": "T1", "type": "torque_driver", "name": "Torque driver"}
    assert client.post("/api/v1/tools/", body).json()["code"] == "site_missing"
    made = client.post("/api/v1/tools/", {**body, "site": "S1"})
    assert (made.status_code, made.json()["code"], made.json()["site"]) == (201, "T1", "S1")
    assert client.post("/api/v1/tools/", {**body, "site": "S1"}).json()["code"] == "tool_exists"
    now = timezone.now()
    given = {"calibrated_at": now, "due_at": now + DAY, "certificate": "C1", "found_within_limits": False}
    path = "/api/v1/tools/T1/calibrations/"
    assert client.post(path, {**given, "found_within_limits": None}).status_code == 400
    assert client.post(path, {**given, "due_at": now}).json()["code"] == "calibration_dates"
    made = client.post(path, given)
    assert (made.status_code, made.json()["tool"]) == (201, "T1")
    assert client.post("/api/v1/tools/T1/retire/", {"reason": "worn"}).json()["retired_at"]
    assert client.post("/api/v1/tools/T1/retire/", {"reason": "worn"}).json()["code"] == "tool_retired"
    assert client.get("/api/v1/tools/", {"retired_at__isnull": True}).json()["results"] == []
    assert client.get("/api/v1/tools/T1/").json()["name"] == "Torque driver"


def test_tools_of_another_site_are_not_found_and_changes_take_a_permission() -> None:
    make_tool("T1")
    there = Scanner(make_station(site=make_site("S2")))
    assert there.get("tools/T1/").status_code == 404
    assert there.get("tools/").json()["results"] == []
    here, plain = make_scanner(), APIClient()
    plain.force_login(make_person())
    assert here.get("tools/").json()["results"][0]["code"] == "T1"
    assert here.post("tools/", {"code": "T2", "type": "x", "name": "x"}).status_code == 403
    for path in ("", "T1/calibrations/", "T1/retire/"):
        assert plain.post(f"/api/v1/tools/{path}", {"reason": "x"}).status_code == 403


def test_a_longer_list_of_tools_costs_no_more_queries() -> None:
    client = person_client()

    def queries(code: str) -> int:
        make_tool(code)
        with CaptureQueriesContext(connection) as captured:
            client.get("/api/v1/tools/")
        return len(captured)

    assert queries("T1") == queries("T2")


def test_a_tool_is_registered_calibrated_and_retired_on_its_page() -> None:
    client = superuser_client()
    given = {"site": make_site().pk, "code": "T1", "type": "torque_driver", "name": "Torque driver"}
    client.post(reverse("admin:stations_tool_add"), given)
    tool = Tool.objects.get()
    page = reverse("admin:stations_tool_calibrate", args=[tool.pk])
    dates = {"calibrated_at": "2026-01-05T08:00", "due_at": "2027-01-05T08:00"}
    unsaid = client.post(page, {**dates, "certificate": "C1", "found_within_limits": ""})
    assert unsaid.status_code == 200
    client.post(page, {**dates, "certificate": "C1", "found_within_limits": "no"})
    assert not Calibration.objects.get().found_within_limits
    assert staff_client("view_tool").get(page).status_code == 403
    client.post(reverse("admin:stations_tool_retire", args=[tool.pk]), {"reason": "worn"})
    tool.refresh_from_db()
    assert tool.retired_at is not None
    assert client.get(page).status_code == 403


@pytest.mark.parametrize(("choice", "codes"), [("overdue", ["LATE"]), ("soon", ["SOON"]), ("", None)])
def test_the_list_shows_what_is_overdue_and_due_soon(choice: str, codes: Any) -> None:
    days: dict[str, Any] = {"LATE": -DAY, "SOON": 13 * DAY, "FINE": 15 * DAY, "NEVER": None}
    for code, due_in in days.items():
        make_tool(code, due_in=due_in)
    retired = make_tool("GONE", due_in=-DAY)
    retire_tool(tool=retired, reason="x", by=TESTER)
    url = reverse("admin:stations_tool_changelist")
    page = superuser_client().get(url, {"calibration": choice} if choice else {})
    shown = [tool.code for tool in page.context["cl"].result_list]
    assert sorted(shown) == sorted(codes or [*days, "GONE"])
