"""The elevation of a full rack in a real browser: scanned into, read without colour, enlarged, printed."""

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page, expect

from mes.quality.services import place_hold
from tests.builders import TESTER, make_person
from tests.workorders.full_rack import FullRacks

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def log_in(page: Page, url: str) -> None:
    client = Client()
    client.force_login(make_person(is_staff=True, is_superuser=True))
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": url}])


def test_a_rack_is_looked_through_by_scanning(page: Page, live_server: Any, tmp_path: Path) -> None:
    racks = FullRacks(done_up_to=80)
    racks.spoil()
    place_hold(unit=racks.placed("U12").child, reason="suspect", by=TESTER)
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda message: failed.append(message.text) if message.type == "error" else None)
    log_in(page, live_server.url)
    page.goto(f"{live_server.url}/units/{racks.unit.uid}/elevation/")

    # Mismatches first, each with what belongs there
    headings = page.get_by_role("heading", level=2).all_inner_texts()
    assert headings[0].startswith("✕") and headings[1:4] == ["Mismatches", "Budgets", "Slots"]
    row = page.get_by_role("group", name="Mismatches").get_by_role("row").filter(has_text="U08/BMC")
    expect(row).to_contain_text("takes Compute tray BMC, holds E1S-1001 A")

    # States are told by words, without any colour
    boxes = page.locator("a.slot")
    words = {text.split(" ", 1)[1].lower() for text in page.locator("a.slot .word").all_text_contents()}
    assert words == {"installed", "expected", "differs inside", "held"}
    strokes = {
        word: page.locator(f"a.slot.{word.replace(' ', '-')} rect").first.evaluate(
            "rect => { const s = getComputedStyle(rect); return [s.strokeWidth, s.strokeDasharray].join() }"
        )
        for word in words
    }
    assert len(set(strokes.values())) == len(strokes), strokes

    # A scan goes into the one field and is answered
    tray = racks.placed("U13").child
    expect(page.get_by_label("Find a slot or a unit")).to_be_focused()
    page.keyboard.type(f"{tray.serial}\n")
    expect(page.get_by_role("status")).to_contain_text(f"{tray.serial} is in U13. U13 takes Compute tray.")
    expect(page.locator("a.slot.found")).to_have_count(1)
    expect(page.get_by_role("link", name=re.compile("U13: installed.*looked for"))).to_be_visible()

    # By keyboard from a box to its row, and on to the child
    boxes.filter(has_text="U13").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#slot-\d+$"))
    page.locator("tr.found").get_by_role("link", name=tray.serial).press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(tray.serial)
    page.go_back()

    assert Axe().run(page).response["violations"] == []
    page.set_viewport_size({"width": 640, "height": 400})  # as 1280 x 800 enlarged to 200 %
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.screenshot(path="/tmp/design_screen.png", full_page=True)
    page.emulate_media(media="print")
    page.pdf(path="/tmp/design.pdf", prefer_css_page_size=True)
    assert failed == []
