"""The page of a burn-in: what it shows, who may act on it, and that it renews itself."""

import re
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page, expect

from mes.burnin.findings import Breach
from mes.burnin.models import BurnInAttempt, BurnInRun, Gap, Violation
from mes.burnin.tick import advance_run
from mes.ledger.models import Event
from tests.builders import make_part, make_unit
from tests.burnin.soaked import even, make_run, soak
from tests.burnin.test_standing import HOT, after, ended, hotter
from tests.terminal.floor import Floor, scan
from tests.terminal.test_elevation_in_browser import log_in
from tests.terminal.test_unit_pages import office
from tests.traceability.builders import ENERGY, tool_result

pytestmark = pytest.mark.django_db


def address(run: BurnInRun, query: str = "") -> str:
    return f"/units/{run.unit.uid}/burn-in/{query}"


def said(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]+>", " ", answer.content.decode(), flags=re.S)
    return " ".join(text.split())


def gap_of(run: BurnInRun, *, begin: float, seconds: float) -> None:
    """Give every tray of a run a gap, so many seconds after the soak began."""
    assert run.soak_started_at is not None
    since = run.soak_started_at + timedelta(seconds=begin)
    until = since + timedelta(seconds=seconds)
    for attempt in run.attempts.all():
        Gap.objects.create(attempt=attempt, from_at=since, to_at=until, reason="our outage: nobody polled")


def test_how_a_run_stands() -> None:
    run = make_run(2, polls=12, signal=hotter(27))
    gap_of(run, begin=30, seconds=90)
    BurnInAttempt.objects.filter(run=run, slot__name="C2").update(state="suspect")
    page = said(office("view_unit"), address(run))
    assert "▶ soaking" in page and "0.03 of 72 h credited" in page and "Still to go 71.97 h, until" in page
    c1, c2 = page[page.index("Closest to a limit") : page.index("Closest to each")].split(" C2 ")
    assert "▶ running 0.03 h 1, 90 s" in c1 and "Gpu temperature: 89." in c1 and "✕ outside" in c1
    assert f"10 samples outside {HOT}; at most 87 Cel" in c1
    assert "✕ suspect" in c2 and "Gpu power:" in c2 and " left" in c2


def test_charts_of_what_is_asked_for() -> None:
    run = make_run(3, polls=4, signal=hotter(27))
    page = said(office("view_unit"), address(run))
    assert f"Gpu temperature (Cel) ✕ outside: C1 {HOT}, 61." in page and "Gpu power (W)" in page
    page = said(office("view_unit"), address(run, f"?tray=C2&series={HOT}&window=run"))
    chart = page[page.index("Show Gpu temperature") : page.index("Trays Slot")]
    assert f"C2 {HOT}" in chart and "C1" not in chart and "Gpu power" not in chart
    nothing = said(office("view_unit"), address(run, "?tray=C9&window=forever&series=%3Cb%3E"))
    assert "Nothing to draw for this choice." in nothing


def test_earlier_runs_are_listed_and_shown() -> None:
    first = ended(make_run(1, polls=2))
    unit, tray = first.unit, first.attempts.get().unit
    second = make_run(rack=(unit, [tray]), polls=2)
    client = office("view_unit")
    assert "▶ soaking" in said(client, address(second))
    page = said(client, address(first, f"?run={first.uid}"))
    assert "✓ passed" in page and "Live" not in page and "– It was not compared." in page
    tray_page = said(client, f"/units/{tray.uid}/burn-in/")
    assert f"The burn-in of {tray.serial} is shown on the page of its rack." in tray_page
    assert f"passed {unit.serial} 0.01 of 72 h" in tray_page
    new = make_unit(make_part("rack"))
    assert "It was never burned in" in said(client, f"/units/{new.uid}/burn-in/")


def test_a_run_unlike_the_last_racks_says_so() -> None:
    run = after(5, by=9)
    run.attempts.update(credited_seconds=run.profile.required_seconds)
    BurnInRun.objects.filter(pk=run.pk).update(
        state="judging", credited_seconds=run.profile.required_seconds, next_due_at=run.created_at
    )
    assert advance_run(run.pk)
    page = said(office("view_unit"), address(run))
    assert "Compared with the last racks: 2 unlike them A remark, no failure" in page
    assert re.search(rf"C1 gpu temperature {HOT} max 7\d\.\d+ Cel", page)


def test_what_speaks_for_and_against_a_run() -> None:
    run = make_run(2, polls=4, signal=hotter(27))
    page = said(office("view_unit"), address(run))
    near = page[page.index("Near misses Limit") : page.index("Excursions outside a limit")]
    assert f"level: gpu temperature C1 {HOT}" in near and "≤ 87, 3 of 5 are too many" in near
    assert "outside, not long enough" in near and "What decided" not in page
    assert "✓ None." in page and "Results of stress tools" not in page and "Nothing was metered yet." in page
    attempt = run.attempts.get(slot__name="C1")
    hot = Breach(run.profile.limits.get(group="gpu temperature"), HOT, 91.5, 3)
    at = hot_since = run.created_at
    finding = hot.finding("C1", at).on(attempt, at=at, profile=run.profile)
    Violation.objects.create(
        attempt=attempt,
        limit=hot.limit,
        series=HOT,
        from_at=hot_since,
        to_at=at,
        samples=3,
        worst=91.5,
        worst_at=at,
        most=3,
        is_open=True,
    )
    assert "✕ goes on 3 91.5" in said(office("view_unit"), address(run))
    tool_result(run)
    ended(run, "failed")
    facts = {"findings": [finding.as_json()], "energy": {**ENERGY, "metered_seconds": 40.0}}
    BurnInRun.objects.filter(pk=run.pk).update(phase="ramp", step=2, **facts)
    page = said(office("view_unit"), address(run))
    assert "Phase ramp, step 2" in page
    assert f"✕ level: gpu temperature C1 {HOT}" in page and "91.5 Cel ≤ 87, 3 of 5 are too many" in page
    assert re.search(rf"gpu temperature C1 {HOT} \S+ \S+ the end 3 91.5", page)
    assert "C1 dcgm ✓ PASS PCIe is Warn: slow." in page
    assert "12.500 kWh, told by the power shelves" in page and "✕ -14.5 %" in page and "366.2 g/kWh" in page


@pytest.mark.parametrize("trays", [2, 8])
def test_trays_cost_no_queries(trays: int, django_assert_num_queries: Any) -> None:
    run, client = make_run(trays, polls=3), office("view_unit", "change_burninrun")
    gap_of(run, begin=5, seconds=10)
    with django_assert_num_queries(19):
        client.get(address(run))


def test_who_may_act(floor: Floor) -> None:
    run = make_run(1, polls=2)
    terminal = Client()
    terminal.post("/terminal/pair/", {"token": floor.token})
    assert "Pause or abort" not in said(office("view_unit"), address(run))
    assert "Pause or abort" in said(office("view_unit", "change_burninrun"), address(run))
    assert "Nobody is signed on at this terminal." in said(terminal, address(run))
    scan(terminal, floor.badge)
    assert "Pause or abort" in said(terminal, address(run))
    ended(run)
    assert "abort" not in said(terminal, address(run))


@pytest.fixture
def errors(page: Page) -> list[str]:
    """Return what goes wrong in the page."""
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda message: failed.append(message.text) if message.type == "error" else None)
    return failed


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_rack_of_many_trays_is_read_by_anybody(page: Page, live_server: Any, errors: list[str]) -> None:
    def signal(tray: int, series: str, poll: int) -> float | None:
        return None if 45 <= poll < 52 else hotter(27 if 20 < poll < 30 else 0)(tray, series, poll)

    run = make_run(27, signal=signal)
    gap_of(run, begin=440, seconds=80)
    log_in(page, live_server.url)
    page.goto(live_server.url + address(run))
    assert Axe().run(page).response["violations"] == []
    chart = page.get_by_role("figure", name=re.compile("Gpu temperature"))
    expect(chart).to_contain_text(f"✕ outside: C1 {HOT}")
    worst = chart.locator("path.line.worst").first.get_attribute("d") or ""
    assert worst.count("M") == 2
    expect(chart.locator("rect.gap")).to_have_count(1)

    # By keyboard to the values of the chart
    chart.locator("summary").press("Enter")
    expect(chart.get_by_role("row").nth(1)).to_contain_text(HOT)
    expect(chart.get_by_role("row").last).to_contain_text("and 68 more")
    page.get_by_role("link", name="C8", exact=True).click()
    expect(page.get_by_label("Tray", exact=True)).to_have_value("C8")
    page.get_by_label("Series").select_option(label=HOT)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("figure")).to_have_count(1)
    expect(page.locator("figcaption")).to_contain_text(f"C8 {HOT}")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert errors == []


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_it_renews_itself_and_keeps_what_is_opened_and_typed(page: Page, live_server: Any) -> None:
    run = make_run(2, polls=6)
    gap_of(run, begin=5, seconds=10)
    log_in(page, live_server.url)
    page.clock.install()
    page.goto(live_server.url + address(run))
    expect(page.get_by_text("0.02 of 72 h credited")).to_be_visible()
    page.get_by_role("row", name="C1").first.locator("summary").click()
    page.get_by_text("Pause or abort").click()
    page.get_by_label("Reason").fill("leak at")
    assert Axe().run(page).response["violations"] == []
    assert run.soak_started_at is not None
    soak(run, polls=3, until=run.soak_started_at + timedelta(hours=1), signal=even)
    BurnInRun.objects.filter(pk=run.pk).update(credited_seconds=7200)
    page.clock.run_for(10_000)
    expect(page.get_by_text("2.00 of 72 h credited")).to_be_visible()
    expect(page.get_by_text("our outage: nobody polled").first).to_be_visible()
    expect(page.get_by_label("Reason")).to_have_value("leak at")
    page.context.set_offline(True)
    page.clock.run_for(10_000)
    expect(page.get_by_text("Not live")).to_be_visible()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_run_is_paused_resumed_and_aborted_from_the_page(page: Page, live_server: Any) -> None:
    run = make_run(1, polls=6)
    log_in(page, live_server.url)
    page.goto(live_server.url + address(run))
    page.get_by_text("Pause or abort").click()
    page.get_by_role("button", name="Abort").click()
    expect(page.get_by_label("Reason")).to_be_focused()  # nothing is sent without one
    page.get_by_label("Reason").fill("hose changed")
    page.get_by_role("button", name="Pause, stress off").click()
    expect(page.get_by_role("heading", name="‖ paused")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("heading", name="▶ starting")).to_be_visible()
    BurnInRun.objects.filter(pk=run.pk).update(state="stopping")
    page.get_by_label("Reason").fill("enough")
    page.get_by_role("button", name="Abort").click()
    expect(page.get_by_role("status")).to_contain_text("✕ Burn in not running.")
    BurnInRun.objects.filter(pk=run.pk).update(state="starting")
    page.get_by_role("button", name="Abort").click()
    expect(page.get_by_role("heading", name="▶ stopping")).to_be_visible()
    kinds = Event.objects.filter(stream=run.stream).order_by("seq").values_list("kind", flat=True)
    assert list(kinds)[1:] == ["burn_in.paused", "burn_in.resumed", "burn_in.abort_asked"]
    assert Event.objects.get(kind="burn_in.paused").payload["reason"] == "hose changed"
