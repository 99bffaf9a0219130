"""An operator at the terminal, in a real browser: scanning alone builds, and tells what happened."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request, Route, expect

from mes.ledger.models import Event
from mes.racks.models import Installation
from mes.racks.services import install_unit
from mes.serials.models import Unit
from tests.builders import TESTER, make_assembly, make_part, make_route, make_unit, ordered_unit, placed
from tests.terminal.floor import DemoFloor, Floor
from tests.terminal.keyboard import Keyboard

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PICTURES = Path(__file__).resolve().parents[2] / "test-results" / "terminal"
SCANS = "**/api/v1/scans/"


class Terminal:
    """The page of a paired browser, its keyboard, and every request it made."""

    def __init__(self, page: Page, server: str, floor: Floor) -> None:
        self.page, self.server, self.floor = page, server, floor
        self.keys = Keyboard(page)
        self.requests: list[Request] = []
        self.errors: list[str] = []
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if "Policy" in said.text else None)

    def _note(self, request: Request) -> None:
        self.requests.append(request)

    def pair(self) -> "Terminal":
        """Pair the browser through the page."""
        self.page.goto(f"{self.server}/terminal/pair/?token={self.floor.token}")
        self.page.get_by_role("button", name="Pair", exact=True).click()
        expect(self.page.locator("h1")).to_have_text("Scan your badge.")
        expect(self.page.locator("#band")).to_contain_text("Ready")
        return self

    def scan(self, *codes: str) -> None:
        """Scan codes, each after the answer to the one before."""
        for code in codes:
            with self.page.expect_response(SCANS):
                self.keys.scan(code)

    def send(self, code: str) -> None:
        """Type a code into its field and send it."""
        self.page.get_by_label("Type a code").fill(code)
        with self.page.expect_response(SCANS):
            self.page.get_by_role("button", name="Send").click()

    @property
    def sent(self) -> list[str]:
        """Return the codes sent so far, in order."""
        posts = [request for request in self.requests if request.url.endswith("/api/v1/scans/")]
        return [json.loads(request.post_data or "{}")["raw"] for request in posts]

    def picture(self, name: str) -> None:
        """Keep a screenshot for a person to look at."""
        self.page.screenshot(path=PICTURES / f"{name}.png")


@pytest.fixture
def terminal(page: Page, live_server: Any, floor: Floor) -> Iterator[Terminal]:
    """Return a paired terminal; afterwards no script failed, and nothing left our own server."""
    terminal = Terminal(page, live_server.url, floor)
    yield terminal.pair()
    assert terminal.errors == []
    strangers = [request.url for request in terminal.requests if not request.url.startswith(live_server.url)]
    assert strangers == []


def band(terminal: Terminal) -> Any:
    return terminal.page.locator("#band")


def test_operator_signs_on_and_installs_a_gpu_by_scanning_alone(terminal: Terminal) -> None:
    gpu = make_part("gpu")
    tray = make_assembly("tray", level=10, takes={"GPU0": gpu, "GPU1": gpu})
    unit, part = ordered_unit(tray, make_route(tray)), make_unit(gpu)
    title = terminal.page.locator("h1")
    terminal.scan(terminal.floor.badge)
    expect(band(terminal)).to_contain_text("Demo Operator works here now.")
    expect(title).to_have_text("Scan the unit you build.")
    terminal.scan(unit.serial)
    expect(title).to_have_text("Scan slot GPU0, then the gpu.")
    terminal.scan("GPU0")
    expect(title).to_have_text("Scan the gpu for GPU0.")
    terminal.scan(part.serial)
    expect(title).to_have_text("Scan slot GPU1, then the gpu.")
    expect(band(terminal)).to_have_attribute("data-kind", "accepted")
    expect(band(terminal)).to_contain_text(f"{part.serial} is in GPU0.")
    expect(terminal.page.get_by_role("link", name=f"GPU0: installed, gpu {part.serial}")).to_be_visible()
    expect(terminal.page.locator("#scans li")).to_have_count(4)
    terminal.picture("tray")
    installation = placed(unit, "GPU0")
    assert (installation.child, installation.installed_by) == (part, terminal.floor.person.username)


def test_what_a_person_types_is_no_scan(terminal: Terminal) -> None:
    field = terminal.page.get_by_label("Type a code")
    field.focus()
    terminal.keys.type(terminal.floor.badge)
    terminal.page.wait_for_timeout(1200)  # longer than a scan without an end is waited for
    expect(field).to_have_value(terminal.floor.badge)
    assert terminal.sent == []
    with terminal.page.expect_response(SCANS):
        terminal.keys.type("\n")
    expect(field).to_have_value("")
    assert terminal.sent == [terminal.floor.badge]


def test_scan_is_taken_back_out_of_a_text_field(terminal: Terminal) -> None:
    field = terminal.page.get_by_label("Type a code")
    field.focus()
    terminal.keys.type("AB")
    terminal.scan(terminal.floor.badge)
    expect(field).to_have_value("AB")
    assert terminal.sent == [terminal.floor.badge]
    terminal.keys.type("C")
    expect(field).to_have_value("ABC")


@pytest.mark.parametrize("end", ["\n", "\t", "", "\n\n"])
def test_scan_ends_with_enter_tab_or_nothing(terminal: Terminal, end: str) -> None:
    terminal.scan(terminal.floor.badge)
    leave = terminal.page.get_by_role("button", name="Sign off")
    leave.focus()
    with terminal.page.expect_response(SCANS):
        terminal.keys.scan(terminal.floor.unit.serial, end=end)
    expect(terminal.page.locator("h1")).to_contain_text("Scan slot U08")
    expect(leave).to_be_focused()
    assert terminal.sent == [terminal.floor.badge, terminal.floor.unit.serial]


def test_scan_without_an_end_is_not_lost_to_the_next_one(terminal: Terminal) -> None:
    terminal.keys.scan(terminal.floor.badge, end="")
    terminal.keys.scan(terminal.floor.unit.serial, end="")
    expect(terminal.page.locator("h1")).to_contain_text("Scan slot U08")
    assert terminal.sent == [terminal.floor.badge, terminal.floor.unit.serial]


def test_enter_that_comes_late_still_belongs_to_its_scan(terminal: Terminal) -> None:
    terminal.scan(terminal.floor.badge)
    terminal.page.get_by_role("button", name="Sign off").focus()
    serial = terminal.floor.unit.serial
    with terminal.page.expect_response(SCANS):
        terminal.keys.scan(serial, late={len(serial): 0.4})
    expect(terminal.page.locator("h1")).to_contain_text("Scan slot U08")
    assert terminal.sent == [terminal.floor.badge, serial]


def test_blanks_and_enter_of_a_scan_press_no_focused_button(terminal: Terminal) -> None:
    terminal.scan(terminal.floor.badge)
    terminal.page.get_by_role("button", name="Sign off").focus()
    terminal.scan("A 7")
    expect(band(terminal)).to_contain_text("A 7 is no badge")
    assert terminal.sent == [terminal.floor.badge, "A 7"]
    terminal.keys.rest(1)
    with terminal.page.expect_response(SCANS):
        terminal.keys.type("\n")
    assert terminal.sent[-1] == "CMD:SIGNOFF"


def test_late_keys_do_not_cut_a_scan(terminal: Terminal) -> None:
    terminal.keys.scan("TRAY0006-0815-4711", late={2: 0.2, 9: 0.2})
    expect(band(terminal)).to_contain_text("TRAY0006-0815-4711 is no badge")
    assert terminal.sent == ["TRAY0006-0815-4711"]


def test_first_keys_of_a_scan_are_kept_while_the_others_are_on_their_way(terminal: Terminal) -> None:
    terminal.keys.scan("TRAY0006-0815-4711", stalled={2: 1.8})
    expect(band(terminal)).to_contain_text("TRAY0006-0815-4711 is no badge")
    assert terminal.sent == ["TRAY0006-0815-4711"]


def test_separators_of_a_2d_code_arrive_as_control_keys(terminal: Terminal) -> None:
    floor, (tray,) = terminal.floor, terminal.floor.trays(1)
    label = f"[)>\x1e06\x1d1P{tray.part_revision.part.number}\x1dS{tray.serial}\x1e\x04"
    terminal.scan(floor.badge, floor.unit.serial, "U08", label)
    expect(band(terminal)).to_contain_text(f"{tray.serial} is in U08.")
    expect(band(terminal)).to_contain_text("[)>␞06␝1P")
    assert terminal.sent[-1] == label
    assert placed(floor.unit, "U08").child == tray


def test_refusal_says_what_happened_which_code_and_what_to_do(terminal: Terminal) -> None:
    floor = terminal.floor
    busbar = make_unit(floor.busbar, "BUSBAR-9")
    terminal.scan(floor.badge, floor.unit.serial, "U08", busbar.serial)
    expect(band(terminal)).to_have_attribute("data-kind", "refused")
    said = (
        "Wrong part. U08 takes compute tray. You scanned busbar BUSBAR-9. Put it back and scan compute tray."
    )
    expect(band(terminal).get_by_role("status")).to_have_text(f"✕ Refused {said} BUSBAR-9")
    expect(terminal.page.locator("h1")).to_have_text("Scan the compute tray for U08.")
    terminal.picture("refusal")
    terminal.page.get_by_role("button", name="OK, understood").click()
    expect(band(terminal)).to_have_attribute("data-kind", "neutral")


def test_refusal_stays_until_the_next_good_scan(terminal: Terminal) -> None:
    floor = terminal.floor
    terminal.scan(floor.badge, "NOBODY-KNOWS")
    expect(band(terminal)).to_have_attribute("data-kind", "refused")
    terminal.scan(floor.badge)
    expect(terminal.page.locator("#scans li").first).to_contain_text("Twice")
    expect(band(terminal)).to_contain_text("NOBODY-KNOWS")
    terminal.scan(floor.unit.serial)
    expect(band(terminal)).to_have_attribute("data-kind", "accepted")


def test_quick_scans_keep_their_order_though_the_first_is_slow(terminal: Terminal) -> None:
    floor, trays = terminal.floor, terminal.floor.trays(2)
    slow = iter([0.5])

    def delay(route: Route) -> None:
        terminal.page.wait_for_timeout(1000 * next(slow, 0))
        route.continue_()

    terminal.page.route(SCANS, delay)
    codes = [floor.badge, floor.unit.serial, "U08", trays[0].serial, "U09", trays[1].serial]
    for code in codes:
        terminal.keys.scan(code)
    expect(band(terminal)).to_contain_text(f"{trays[1].serial} is in U09.")
    assert terminal.sent == codes
    assert [placed(floor.unit, name).child for name in ("U08", "U09")] == trays


def test_scans_wait_on_the_terminal_while_the_network_is_down(terminal: Terminal) -> None:
    floor = terminal.floor
    refuse: list[Callable[[Route], None]] = [lambda route: route.abort()]
    terminal.page.route(SCANS, lambda route: refuse[0](route) if refuse else route.continue_())
    terminal.keys.scan(floor.badge)
    terminal.keys.scan(floor.unit.serial)
    expect(band(terminal)).to_contain_text("Saved on this terminal, 2 waiting.")
    terminal.picture("waiting")
    refuse.clear()
    expect(terminal.page.locator("h1")).to_contain_text("Scan slot U08")
    posts = [request for request in terminal.requests if request.url.endswith("/scans/")]
    keys = [request.headers["idempotency-key"] for request in posts]
    assert list(dict.fromkeys(terminal.sent)) == [floor.badge, floor.unit.serial]
    assert len(set(keys)) == 2 < len(keys)


def test_scan_whose_answer_was_lost_counts_once(terminal: Terminal) -> None:
    floor, (tray,) = terminal.floor, terminal.floor.trays(1)
    terminal.scan(floor.badge, floor.unit.serial, "U08")
    lost = iter([True])

    def lose_the_first_answer(route: Route) -> None:
        if next(lost, False):
            route.fetch()
            route.abort()
        else:
            route.continue_()

    terminal.page.route(SCANS, lose_the_first_answer)
    terminal.keys.scan(tray.serial)
    expect(band(terminal)).to_contain_text(f"{tray.serial} is in U08.")
    assert Installation.objects.filter(child=tray).count() == 1
    assert not Event.objects.filter(kind="act.refused").exists()


def test_waiting_scans_survive_a_reload(terminal: Terminal) -> None:
    floor = terminal.floor
    terminal.page.route(SCANS, lambda route: route.abort())
    terminal.keys.scan(floor.badge)
    expect(band(terminal)).to_contain_text("1 waiting")
    terminal.page.unroute(SCANS)
    terminal.page.reload()
    expect(terminal.page.locator("h1")).to_have_text("Scan the unit you build.")


def test_page_says_that_it_is_offline(terminal: Terminal) -> None:
    live = terminal.page.locator("#live")
    expect(live).to_have_text("● Live")
    terminal.page.context.set_offline(True)
    terminal.keys.scan(terminal.floor.badge)
    expect(live).to_have_text("○ Offline, 1 waiting")
    terminal.page.context.set_offline(False)
    expect(live).to_have_text("● Live")
    expect(terminal.page.locator("h1")).to_have_text("Scan the unit you build.")


def test_work_done_elsewhere_shows_by_itself(page: Page, live_server: Any, floor: Floor) -> None:
    page.clock.install()
    terminal = Terminal(page, live_server.url, floor).pair()
    terminal.send(floor.badge)
    terminal.send(floor.unit.serial)
    expect(page.locator("h1")).to_contain_text("Scan slot U08")
    slot = floor.rack.slots.get(name="U08")
    install_unit(parent=Unit.objects.get(pk=floor.unit.pk), slot=slot, child=floor.trays(1)[0], by=TESTER)
    page.clock.run_for(5000)
    expect(page.locator("h1")).to_contain_text("Scan slot U09")


def test_keys_are_made_where_the_browser_has_no_random_uuid(
    page: Page, live_server: Any, floor: Floor
) -> None:
    page.add_init_script("delete Crypto.prototype.randomUUID")
    terminal = Terminal(page, live_server.url, floor).pair()
    with page.expect_request(SCANS) as sent:
        terminal.keys.scan(floor.badge)
    assert re.fullmatch("[0-9a-f]{32}", sent.value.headers["idempotency-key"])


def test_outcomes_are_told_apart_by_ear(page: Page, live_server: Any, floor: Floor) -> None:
    page.add_init_script(
        "window.tones = []; window.OscillatorNode = class extends OscillatorNode {"
        " constructor(context, options) { super(context, options); tones.push(options.frequency); } }"
    )
    terminal = Terminal(page, live_server.url, floor).pair()

    def heard(code: str) -> list[float]:
        page.evaluate("tones.length = 0")
        terminal.scan(code)
        # The page's policy refuses the eval by which wait_for_function waits.
        while not (tones := page.evaluate("tones")):
            page.wait_for_timeout(20)
        return list(tones)

    accepted, again, refused = heard(floor.badge), heard(floor.badge), heard("NOBODY-KNOWS")
    assert (len(accepted), len(again), len(refused)) == (1, 1, 2)
    assert accepted[0] > 1000 > again[0] > 400 > refused[0] == refused[1]


def test_buttons_and_typed_codes_do_what_scans_do(terminal: Terminal) -> None:
    page, floor = terminal.page, terminal.floor
    terminal.send(floor.badge)
    expect(page.get_by_role("button", name="Leave unit")).to_be_disabled()
    terminal.send(floor.unit.serial)
    page.get_by_role("button", name="Step done").click()
    expect(band(terminal)).to_contain_text("10 Step 10 leaves 4 slots empty: U08, U09, U10, BUSBAR.")
    page.get_by_role("button", name="Leave unit").click()
    expect(page.locator("h1")).to_have_text("Scan the unit you build.")
    page.get_by_role("button", name="Sign off").click()
    expect(page.locator("h1")).to_have_text("Scan your badge.")
    assert terminal.sent[2:] == ["CMD:DONE", "CMD:LEAVE", "CMD:SIGNOFF"]


def test_targets_are_large_enough_for_gloves(terminal: Terminal) -> None:
    terminal.scan(terminal.floor.badge, terminal.floor.unit.serial)
    expect(terminal.page.locator("h1")).to_contain_text("Scan slot")
    for name in ("Step done", "Leave unit", "Sign off", "Send"):
        box = terminal.page.get_by_role("button", name=name).bounding_box()
        assert box and box["height"] >= 76 and box["width"] >= 76, name
    size = terminal.page.evaluate("parseFloat(getComputedStyle(document.querySelector('h1')).fontSize)")
    assert size >= 32


def test_slot_leads_to_its_row(terminal: Terminal) -> None:
    terminal.scan(terminal.floor.badge, terminal.floor.unit.serial)
    terminal.page.get_by_role("link", name="U08: next, takes compute tray").click()
    row = terminal.page.get_by_role("row", name="U08")
    expect(row).to_be_in_viewport()
    box, footer = row.bounding_box(), terminal.page.locator("footer").bounding_box()
    assert box and footer and 84 <= box["y"] <= footer["y"] - box["height"]


@pytest.mark.parametrize("size", [(1280, 800), (640, 400)], ids=["whole", "200 % zoom"])
def test_nothing_scrolls_sideways_and_axe_finds_nothing(terminal: Terminal, size: tuple[int, int]) -> None:
    page, floor = terminal.page, terminal.floor
    page.set_viewport_size({"width": size[0], "height": size[1]})
    looks: list[tuple[str, Callable[[], object], str]] = [
        ("signed-off", lambda: None, "Scan your badge."),
        ("empty-rack", lambda: terminal.scan(floor.badge, floor.unit.serial), "Scan slot U08"),
        ("refused", lambda: terminal.scan("NOBODY-KNOWS"), "Scan slot U08"),
        ("pair", lambda: page.goto(f"{terminal.server}/terminal/pair/"), "Pair this terminal"),
    ]
    for name, step, title in looks:
        step()
        expect(page.locator("h1")).to_contain_text(title)
        terminal.picture(f"{name}-{size[0]}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("filled", [16, 30, 45])
def test_rack_of_the_demo_pack_reads_at_a_glance(page: Page, live_server: Any, db: None, filled: int) -> None:
    floor = DemoFloor(filled=filled)
    terminal = Terminal(page, live_server.url, floor).pair()
    terminal.scan(floor.badge, floor.unit.serial)
    expect(page.locator(".drawing a.installed")).to_have_count(filled)
    expect(page.locator(".drawing a.next")).to_have_count(1 if filled < 45 else 0)
    drawing, footer = page.locator(".drawing").bounding_box(), page.locator("footer").bounding_box()
    assert drawing and footer and drawing["y"] + drawing["height"] <= footer["y"]
    terminal.picture(f"rack-{filled}-of-45")
    assert Axe().run(page).violations_count == 0


def test_states_are_told_apart_without_colour(page: Page, live_server: Any, db: None) -> None:
    floor = DemoFloor(filled=30)
    terminal = Terminal(page, live_server.url, floor).pair()
    terminal.scan(floor.badge, floor.unit.serial, "NOBODY-KNOWS")
    expect(band(terminal)).to_contain_text("Refused")
    page.evaluate("document.documentElement.style.filter = 'grayscale(1)'")
    terminal.picture("rack-grey")
    page.evaluate("document.documentElement.style.filter = ''")
    page.emulate_media(forced_colors="active")
    terminal.picture("rack-forced-colours")
    borders = set()
    for state, words in {"installed": "✓ installed", "next": "▶ next", "empty": "empty"}.items():
        assert set(page.locator(f".drawing a.{state} .word").all_text_contents()) == {words}
        border = "getComputedStyle(rect).strokeDasharray + getComputedStyle(rect).strokeWidth"
        borders.add(page.locator(f".drawing a.{state} rect").first.evaluate(f"rect => {border}"))
    assert len(borders) == 3


def test_pair_page_refuses_in_words(terminal: Terminal) -> None:
    terminal.page.goto(f"{terminal.server}/terminal/pair/")
    terminal.page.get_by_role("button", name="Unpair this browser").click()
    terminal.page.get_by_label("Device token").fill("wrong.token")
    terminal.page.get_by_role("button", name="Pair", exact=True).click()
    expect(terminal.page.get_by_role("alert")).to_contain_text("unknown, expired or revoked")
    assert Axe().run(terminal.page).violations_count == 0
    terminal.picture("pair-refused")
