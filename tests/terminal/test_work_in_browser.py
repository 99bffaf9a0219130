"""An operator at a step that asks for much, in a real browser: values, PIN, problems, releases."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FilePayload, Locator, Page, expect

from mes.ledger.models import Event, IdempotencyKey
from mes.products.models import InstructionReading
from mes.quality.models import Nonconformance
from mes.workorders.models import CapturedValue, GateRelease, OperationRun
from tests.builders import PIN
from tests.terminal.bench import Bench, png
from tests.terminal.test_browser import Terminal

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHOTO = FilePayload(name="photo.png", mimeType="image/png", buffer=png(64, 48))


@pytest.fixture
def bench(db: None) -> Bench:
    """Return a step that asks for everything but reading."""
    return Bench(must_read=False)


@pytest.fixture
def terminal(page: Page, live_server: Any, bench: Bench) -> Iterator[Terminal]:
    """Return a paired terminal; afterwards no script failed, and nothing left our own server."""
    terminal = Terminal(page, live_server.url, bench)
    yield terminal.pair()
    assert terminal.errors == []
    strangers = [request.url for request in terminal.requests if not request.url.startswith(live_server.url)]
    assert [url for url in strangers if not url.startswith("blob:")] == []


def take_up(terminal: Terminal, bench: Bench) -> None:
    terminal.scan(bench.badge, bench.unit.serial)
    expect(terminal.page.locator("h1")).to_contain_text("Scan slot GPU0")


def row(page: Page, prompt: str) -> Locator:
    """Return the row of a value."""
    return page.locator(".field", has_text=prompt)


def press_pin(page: Page, pin: str = PIN) -> None:
    for digit in pin:
        page.locator(f"#sign-dialog [data-digit='{digit}']").click()
    page.get_by_role("button", name="Confirm").click()


def test_a_scan_between_the_keys_of_a_torque_stays_out_of_it(terminal: Terminal, bench: Bench) -> None:
    take_up(terminal, bench)
    page, torque = terminal.page, row(terminal.page, "Torque of the cold plate screws")
    field = torque.get_by_label("Torque of the cold plate screws")
    field.focus()
    terminal.keys.type("1.")
    terminal.scan("GPU0", bench.gpus[0].serial)
    expect(page.get_by_role("link", name=re.compile("GPU0: installed"))).to_be_visible()
    expect(field).to_have_value("1.")
    expect(field).to_be_focused()
    terminal.keys.rest(1)
    terminal.keys.type("5\n")
    expect(torque).to_contain_text("✓ 1.5 N.m · within its limits")
    expect(field).to_have_value("")
    assert terminal.sent == [bench.badge, bench.unit.serial, "GPU0", bench.gpus[0].serial]
    assert CapturedValue.objects.get().number == 1.5


def test_a_value_outside_its_limits_is_kept_and_said(terminal: Terminal, bench: Bench) -> None:
    take_up(terminal, bench)
    torque = row(terminal.page, "Torque of the cold plate screws")
    torque.get_by_label("Torque of the cold plate screws").fill("2,4")
    torque.get_by_role("button", name="Record").click()
    expect(torque).to_contain_text("✕ 2.4 N.m · outside its limits")
    torque.get_by_label("Torque of the cold plate screws").fill("many")
    torque.get_by_role("button", name="Record").click()
    expect(terminal.page.locator("#band")).to_contain_text("Type the number that the instrument shows.")
    expect(torque.get_by_label("Torque of the cold plate screws")).to_have_value("many")


def test_choice_serial_photo_and_signature_are_recorded(terminal: Terminal, bench: Bench) -> None:
    take_up(terminal, bench)
    page = terminal.page
    page.get_by_role("button", name="cross").click()
    expect(page.get_by_role("button", name="cross")).to_have_attribute("aria-pressed", "true")
    clip = row(page, "Serial of the retention clip")
    clip.get_by_role("button", name="Scan into it").click()
    terminal.keys.scan("CLIP-0815")
    expect(clip.get_by_role("textbox")).to_have_value("CLIP-0815")
    expect(clip.get_by_role("button", name="Scan into it")).to_have_attribute("aria-pressed", "false")
    clip.get_by_role("button", name="Record").click()
    expect(clip).to_contain_text("✓ CLIP-0815")
    page.get_by_label("Photo of the paste").set_input_files(PHOTO)
    picture = page.get_by_role("img", name="Photo of the paste, as recorded")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    page.get_by_role("button", name="Sign…").click()
    terminal.keys.scan(bench.lead.badge)
    expect(page.locator("#sign-badge")).to_have_value(bench.lead.badge)
    press_pin(page)
    expect(row(page, "Checked by a second person")).to_contain_text(f"✓ {bench.lead.username}")
    assert terminal.sent == [bench.badge, bench.unit.serial]
    assert CapturedValue.objects.count() == 4


def test_supervisor_signs_on_by_badge_and_pin(terminal: Terminal, bench: Bench) -> None:
    page, dialog = terminal.page, terminal.page.locator("#sign-dialog")
    terminal.scan(bench.lead.badge)
    expect(dialog).to_be_visible()
    expect(page.locator("#sign-pin")).to_have_attribute("type", "password")
    press_pin(page, "0000")
    expect(dialog.get_by_role("alert")).to_contain_text("That is not the PIN")
    press_pin(page)
    expect(page.locator("h1")).to_have_text("Scan the unit you build.")
    expect(dialog).to_be_hidden()
    kept = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
    values = page.evaluate("[...document.querySelectorAll('input')].map(input => input.value).join(' ')")
    assert PIN not in kept + values + page.content()
    posts = [request for request in terminal.requests if request.url.endswith("/api/v1/scans/")]
    keys = [request.headers["idempotency-key"] for request in posts]
    assert len(keys) == len(set(keys)) == 3
    assert not IdempotencyKey.objects.filter(body__icontains=PIN).exists()
    assert not Event.objects.filter(payload_text__icontains=PIN).exists()


def test_another_scan_ends_the_question_for_a_pin(terminal: Terminal, bench: Bench) -> None:
    terminal.scan(bench.lead.badge)
    expect(terminal.page.locator("#sign-dialog")).to_be_visible()
    terminal.scan(bench.badge)
    expect(terminal.page.locator("#sign-dialog")).to_be_hidden()
    expect(terminal.page.locator("h1")).to_have_text("Scan the unit you build.")


def test_problem_with_a_photo_holds_the_unit(terminal: Terminal, bench: Bench) -> None:
    take_up(terminal, bench)
    page, dialog = terminal.page, terminal.page.get_by_role("dialog")
    terminal.scan("GPU0")
    expect(page.locator("h1")).to_have_text("Scan the gpu for GPU0.")
    page.keyboard.press("F4")
    expect(dialog.get_by_label("Where?")).to_have_value("GPU0")
    dialog.get_by_role("button", name="Report, hold the unit").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Choose what is wrong")
    dialog.get_by_text("Bent pin").click()
    dialog.get_by_label("Take photo").set_input_files(PHOTO)
    note = dialog.get_by_label("Note")
    note.focus()
    terminal.keys.type("Pin A7 ")
    terminal.keys.scan("NOBODY-KNOWS")
    expect(page.locator("#band")).to_contain_text("NOBODY-KNOWS is no badge")
    expect(note).to_have_value("Pin A7 ")
    dialog.get_by_role("button", name="Report, hold the unit").click()
    expect(page.locator(".banner.held")).to_contain_text("On hold: NC-000001")
    expect(page.locator(".banner.held")).to_contain_text("The review board decides what happens with it.")
    expect(page.get_by_role("button", name=re.compile("Step done"))).to_be_disabled()
    terminal.picture("on-hold")
    found = Nonconformance.objects.get()
    said = (found.symptom, found.location, found.description, found.source, found.pictures.count())
    assert said == ("bent_pin", "GPU0", "Pin A7", "terminal", 1)


def test_problem_is_opened_by_its_barcode_and_closed_by_esc(terminal: Terminal, bench: Bench) -> None:
    terminal.keys.scan("CMD:PROBLEM")
    expect(terminal.page.locator("#band")).to_contain_text("Scan the unit first.")
    take_up(terminal, bench)
    terminal.keys.scan("CMD:PROBLEM")
    dialog = terminal.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for _ in range(40):
        terminal.page.keyboard.press("Tab")
        inside = "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        assert terminal.page.evaluate(inside)
    terminal.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert not Nonconformance.objects.exists()


def test_a_scan_does_not_move_a_chosen_place(terminal: Terminal, bench: Bench) -> None:
    take_up(terminal, bench)
    terminal.page.keyboard.press("F4")
    where = terminal.page.get_by_role("dialog").get_by_label("Where?")
    where.select_option("GPU1")
    where.focus()
    terminal.scan("TRAY-NOT-KNOWN")
    expect(where).to_have_value("GPU1")


def test_what_was_opened_says_what_to_repeat(terminal: Terminal, bench: Bench) -> None:
    take_up(terminal, bench)
    page, dialog = terminal.page, terminal.page.get_by_role("dialog")
    page.get_by_role("button", name=re.compile("Opened")).click()
    dialog.get_by_text("Cooling loop").click()
    dialog.get_by_label("Why?").fill("a hose was swapped")
    dialog.get_by_role("button", name="Record").click()
    expect(dialog.get_by_role("status")).to_contain_text("10 Step 10, because of wet break")
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Start step")).to_be_visible()


def test_instruction_is_read_then_the_step_starts(page: Page, live_server: Any, db: None) -> None:
    bench = Bench()
    terminal = Terminal(page, live_server.url, bench).pair()
    terminal.scan(bench.badge, bench.unit.serial)
    expect(page.locator("#band")).to_contain_text("Not yet")
    expect(page.locator(".instruction")).to_contain_text("not read yet")
    picture = page.get_by_role("img", name="Picture of step 1")
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 240
    page.get_by_role("button", name="Read and understood").click()
    expect(page.locator(".instruction")).to_contain_text("✓ read")
    expect(page.get_by_role("button", name="Read and understood")).to_be_hidden()
    assert InstructionReading.objects.get().person == bench.person
    page.get_by_role("button", name="Start step").click()
    expect(page.locator("h1")).to_contain_text("Scan slot GPU0")


def test_quality_releases_an_overdue_tool(page: Page, live_server: Any, db: None) -> None:
    bench = Bench(must_read=False, tool_days=-1)
    terminal = Terminal(page, live_server.url, bench).pair()
    terminal.scan(bench.badge, bench.unit.serial)
    expect(page.locator(".needs")).to_contain_text("✕ overdue")
    held = page.locator(".gate.alarm", has_text="The calibration of")
    expect(held).to_contain_text("Quality, with a reason and a signature.")
    held.get_by_role("button", name="Release").click()
    page.get_by_label("Why?").last.fill("checked against the master")
    terminal.keys.scan(bench.lead.badge)
    press_pin(page)
    expect(page.locator(".gate.released")).to_contain_text("checked against the master")
    page.get_by_role("button", name="Start step").click()
    expect(page.locator("h1")).to_contain_text("Scan slot GPU0")
    release, run = GateRelease.objects.get(), OperationRun.objects.get()
    assert (release.gate, release.released_by, release.used) == ("tools", bench.lead.username, 1)
    assert run.started_by == bench.person.username
    assert terminal.errors == []


def test_optional_step_is_skipped_with_a_reason(page: Page, live_server: Any, db: None) -> None:
    bench = Bench(optional=True)
    terminal = Terminal(page, live_server.url, bench).pair()
    terminal.scan(bench.badge, bench.unit.serial, "CMD:READ")
    page.get_by_role("button", name="Skip step").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Skip step").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Say why.")
    dialog.get_by_label("Why?").fill("not in this order")
    dialog.get_by_role("button", name="Skip step").click()
    expect(page.locator("h1")).to_have_text(f"Take {bench.unit.serial} to TEST for 20 Step 20.")
    assert OperationRun.objects.get().skipped_because == "not in this order"


@pytest.mark.parametrize("size", [(1280, 800), (640, 400)], ids=["whole", "200 % zoom"])
def test_every_panel_and_dialog_is_accessible(
    page: Page, live_server: Any, db: None, size: tuple[int, int]
) -> None:
    bench = Bench()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    terminal = Terminal(page, live_server.url, bench).pair()

    def look(name: str) -> None:
        terminal.picture(f"{name}-{size[0]}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        found = Axe().run(page)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"

    terminal.scan(bench.badge, bench.unit.serial)
    expect(page.locator(".instruction")).to_contain_text("not read yet")
    look("unread")
    terminal.scan("CMD:READ", "CMD:START", bench.lot.number)
    expect(page.locator(".needs")).to_contain_text("of lot")
    page.locator("summary").first.click()
    look("every-panel")
    for opener in ("#problem", "#opened", "[data-sign]", "[data-release]"):
        page.locator(opener).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        look(f"dialog-{opener.strip('#[]').replace('data-', '')}")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()


def test_new_targets_are_large_enough_for_gloves(terminal: Terminal, bench: Bench) -> None:
    take_up(terminal, bench)
    page = terminal.page
    for name in ("Report a problem", "Opened", "cross", "Scan into it", "Sign…"):
        box = page.get_by_role("button", name=name).first.bounding_box()
        assert box and box["height"] >= 76 and box["width"] >= 76, name
    page.get_by_role("button", name="Sign…").click()
    for key in ("1", "0", "Confirm"):
        box = page.get_by_role("dialog").get_by_role("button", name=key, exact=True).bounding_box()
        assert box and box["height"] >= 76 and box["width"] >= 76, key
