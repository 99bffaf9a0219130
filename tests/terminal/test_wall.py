"""The bay wall: who sees it, what it says, and that it renews itself."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page, expect

from tests.builders import make_site
from tests.burnin.test_bays import end, make_bay, queue, tick
from tests.terminal.floor import Floor
from tests.terminal.test_elevation_in_browser import log_in
from tests.terminal.test_unit_pages import office

pytestmark = pytest.mark.django_db


def said(client: Client) -> str:
    answer = client.get("/burn-in/")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_what_stands_and_what_waits() -> None:
    make_bay()
    make_bay("BAY-9", is_open=False)
    standing, waiting = tick(queue()), tick(queue())
    alone = tick(queue(power_kw=None))
    page = said(office("view_burninrun"))
    assert "1 of 1 place, 120 of 142 kW, 150 of 200 L/min taken" in page
    assert "BAY-9 at" in page and "closed" in page
    places = [page.index(text) for text in (standing.unit.serial, alone.unit.serial, waiting.unit.serial)]
    assert places == sorted(places)
    assert "Waiting: 1" in page and "waits for a bay with 120 kW and 150 L/min: BAY-1 is full" in page


def test_who_sees_it(floor: Floor) -> None:
    assert Client().get("/burn-in/")["Location"].startswith("/admin/login/")
    assert office().get("/burn-in/").status_code == 403
    terminal = Client()
    terminal.post("/terminal/pair/", {"token": floor.token})
    make_bay("BAY-HERE")
    make_bay("BAY-THERE", site=make_site("S9"))
    page = said(terminal)
    assert "BAY-HERE" in page and "BAY-THERE" not in page


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_it_renews_itself(page: Page, live_server: Any) -> None:
    make_bay()
    first, second = tick(queue()), tick(queue())
    log_in(page, live_server.url)
    page.clock.install()
    page.goto(f"{live_server.url}/burn-in/")
    expect(page.get_by_role("heading", name="Waiting: 1")).to_be_visible()
    assert Axe().run(page).violations_count == 0
    end(first)
    tick(second)
    page.clock.run_for(10_000)
    expect(page.get_by_role("heading", name="Waiting: 0")).to_be_visible()
    expect(page.get_by_text("Live", exact=False)).to_contain_text("● Live")
    page.context.set_offline(True)
    page.clock.run_for(10_000)
    expect(page.get_by_text("Not live")).to_be_visible()
