from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from mes.burnin.models import BurnInAttempt, Gap
from tests.burnin.soaked import even, make_run
from tests.terminal.test_elevation_in_browser import log_in


def signal(tray: int, series: str, poll: int) -> float | None:
    if 20 <= poll < 30 and tray == 4 or 45 <= poll < 52:
        return None
    value = even(tray, series, poll)
    return value + 27 if tray == 7 and series == "HGX_GPU_2_TEMP_0" and 35 < poll < 44 else value


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_look(page: Page, live_server: Any) -> None:
    run = make_run(27, signal=signal)
    begin = run.soak_started_at
    for attempt in run.attempts.all():
        Gap.objects.create(
            attempt=attempt,
            from_at=begin + timedelta(seconds=440),
            to_at=begin + timedelta(seconds=520),
            reason="our outage: nobody polled for 80 s",
        )
    log_in(page, live_server.url)
    page.goto(f"{live_server.url}/units/{run.unit.uid}/burn-in/")
    page.screenshot(path="/tmp/page_1.png")
    page.screenshot(path="/tmp/page_full.png", full_page=True)
    page.locator("#charts").scroll_into_view_if_needed()
    page.locator("#charts").screenshot(path="/tmp/page_charts.png")
    for violation in Axe().run(page).response["violations"]:
        print(violation["id"], violation["help"], [n["html"][:150] for n in violation["nodes"]][:3])
    page.goto(f"{live_server.url}/units/{run.unit.uid}/burn-in/?tray=C8&series=HGX_GPU_%3F_TEMP_0&window=1h")
    page.locator("#charts").screenshot(path="/tmp/page_chart1.png")
    page.set_viewport_size({"width": 390, "height": 844})
    print("phone", page.evaluate("[document.documentElement.scrollWidth, innerWidth]"))
    page.screenshot(path="/tmp/page_phone.png", full_page=True)
    assert 0
