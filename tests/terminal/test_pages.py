"""The terminal's pages: pairing, what they show, and what a browser may load."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mes.products.models import Operation, Route, Slot
from mes.serials.models import Unit
from mes.stations.models import Device
from mes.stations.services import revoke_device
from tests.builders import TESTER, make_assembly, make_route, make_unit, ordered_unit, release
from tests.terminal.floor import Floor, scan

pytestmark = pytest.mark.django_db
APP = Path(__file__).resolve().parents[2] / "mes" / "terminal"


def paired(floor: Floor) -> Client:
    """Return a browser that is paired with the floor's terminal."""
    client = Client()
    client.post("/terminal/pair/", {"token": floor.token})
    return client


def text_of(response: Any) -> str:
    """Return the words of a page, without tags and with single blanks."""
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def title_of(client: Client) -> str:
    """Return the next action, as the page's heading says it."""
    found = re.search(r"<h1[^>]*>(.*?)</h1>", client.get("/terminal/").content.decode())
    assert found
    return found[1]


def test_unpaired_browser_is_sent_to_pairing(client: Client) -> None:
    assert client.get("/", follow=True).redirect_chain[-1] == ("/terminal/pair/", 302)
    assert client.get("/terminal/state/").status_code == 403


def test_token_in_the_address_only_fills_the_field_in(floor: Floor, client: Client) -> None:
    response = client.get("/terminal/pair/", {"token": floor.token})
    assert f'value="{floor.token}"' in response.content.decode()
    assert client.get("/terminal/").status_code == 302


def test_pairing_with_a_scanned_token(floor: Floor, client: Client) -> None:
    response = client.post("/terminal/pair/", {"token": f" {floor.token}\n"}, follow=True)
    assert response.redirect_chain == [("/terminal/", 302)]
    assert floor.station.name in text_of(response)
    assert client.session.get_expiry_age() > 300 * 24 * 3600


@pytest.mark.parametrize("token", ["", "nonsense", "abc.def"])
def test_unknown_token_is_refused_in_words(client: Client, token: str) -> None:
    response = client.post("/terminal/pair/", {"token": token})
    assert response.status_code == 422
    assert "This token is unknown, expired or revoked." in text_of(response)
    assert client.get("/terminal/").status_code == 302


def test_pairing_needs_the_form_of_our_own_page(floor: Floor) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/terminal/pair/", {"token": floor.token}).status_code == 403


def test_unpairing_is_a_post(floor: Floor) -> None:
    client = paired(floor)
    assert client.get("/terminal/unpair/").status_code == 405
    assert client.post("/terminal/unpair/").status_code == 302
    assert client.get("/terminal/").status_code == 302


def test_revoked_device_is_no_terminal_any_more(floor: Floor) -> None:
    client = paired(floor)
    revoke_device(device=floor.device, reason="lost", by=TESTER)
    assert client.get("/terminal/").status_code == 302
    assert client.get("/terminal/state/").status_code == 403


def test_nobody_signed_on_is_asked_for_a_badge_and_shown_no_unit(floor: Floor) -> None:
    client = paired(floor)
    assert title_of(client) == "Scan your badge."
    scan(client, floor.badge, floor.unit.serial, "CMD:SIGNOFF")
    assert title_of(client) == "Scan your badge."
    assert floor.unit.serial not in text_of(client.get("/terminal/"))


def test_page_shows_where_the_work_stands(floor: Floor) -> None:
    client, tray = paired(floor), floor.trays(1)[0]
    assert scan(client, floor.badge, floor.unit.serial, "U08", tray.serial) == 200
    words = text_of(client.get("/terminal/"))
    assert (
        f"Order {floor.unit.order_units.get().work_order.number} Step 1 of 2 Unit {floor.unit.serial}"
        in words
    )
    assert "Person Demo Operator" in words
    assert "1 of 4 slots filled" in words
    assert f"U08: installed, compute tray {tray.serial}" in words
    assert "U09: next, takes compute tray" in words
    assert "U10: empty, takes compute tray" in words


FILLED = "U08 {0} U09 {1} U10 {2} BUSBAR {3}"


@pytest.mark.parametrize(
    ("codes", "action"),
    [
        ("", "Scan the unit you build."),
        ("{unit}", "Scan slot U08, then the compute tray."),
        ("{unit} U10", "Scan the compute tray for U10."),
        (f"{{unit}} {FILLED}", "Finish the work, then scan CMD:DONE."),
        (f"{{unit}} {FILLED} CMD:DONE", "Take {unit} to TEST for 20 Step 20."),
    ],
)
def test_next_action(floor: Floor, codes: str, action: str) -> None:
    client, parts = paired(floor), [*floor.trays(3), make_unit(floor.busbar)]
    said = codes.format(*(part.serial for part in parts), unit=floor.unit.serial)
    assert scan(client, floor.badge, *said.split()) == 200
    assert title_of(client) == action.format(unit=floor.unit.serial)


def test_next_step_at_the_same_station_is_started_by_a_scan(floor: Floor) -> None:
    client, unit = paired(floor), plain_unit((10, "BUILD"), (20, "BUILD"))
    assert scan(client, floor.badge, unit.serial, "CMD:DONE") == 200
    assert title_of(client) == f"Scan {unit.serial} to start 20 Step 20."


def test_parallel_steps_show_the_one_of_this_station(floor: Floor) -> None:
    tray = make_assembly("tray", level=10, takes={})
    route = Route.objects.create(part=tray.part, version="1", name="parallel")
    for center in ("AUDIT", "BUILD"):
        Operation.objects.create(route=route, sequence=10, code=center, name=center, work_center=center)
    release(route)
    client, unit = paired(floor), ordered_unit(tray, route)
    assert scan(client, floor.badge, unit.serial) == 200
    assert "<h2>10 BUILD</h2>" in client.get("/terminal/").content.decode()


def test_unit_that_finished_its_route(floor: Floor) -> None:
    client, unit = paired(floor), plain_unit((10, "BUILD"))
    assert scan(client, floor.badge, unit.serial, "CMD:DONE") == 200
    assert title_of(client) == f"{unit.serial} has finished its route. Scan the next unit."
    assert "Step all 1 done" in text_of(client.get("/terminal/"))


def plain_unit(*operations: tuple[int, str]) -> Unit:
    """Order a unit that has no slots to fill."""
    tray = make_assembly("tray", level=10, takes={})
    return ordered_unit(tray, make_route(tray, operations=operations, fills=()))


def test_state_answers_only_when_something_changed(floor: Floor) -> None:
    client = paired(floor)
    for code in (floor.badge, floor.unit.serial, "U08", floor.trays(1)[0].serial, "CMD:LEAVE", "CMD:SIGNOFF"):
        before = {"cursor": cursor_on(client.get("/terminal/"))}
        assert client.get("/terminal/state/", before).status_code == 204
        scan(client, code)
        after = client.get("/terminal/state/", before)
        assert (after.status_code, cursor_on(after) != before["cursor"]) == (200, True), code


def cursor_on(page: Any) -> str:
    """Return the cursor that a page or a state carries."""
    found = re.search(r'data-cursor="([^"]+)"', page.content.decode())
    assert found
    return found[1]


def test_state_is_the_parts_of_the_page(floor: Floor) -> None:
    client = paired(floor)
    scan(client, floor.badge, floor.unit.serial)
    page, state = (client.get(path).content.decode() for path in ("/terminal/", "/terminal/state/"))
    named = [re.findall(r'data-part="(\w+)"', text) for text in (page, state)]
    assert sorted(named[0]) == sorted(named[1]) != []
    assert "<html" not in state


def test_polling_counts_as_a_sign_of_life(floor: Floor) -> None:
    paired(floor).get("/terminal/state/")
    assert Device.objects.filter(pk=floor.device.pk, last_seen_at__isnull=False).exists()


def test_a_bigger_rack_costs_no_more_queries() -> None:
    assert queries_of_state(Floor(trays=2)) == queries_of_state(Floor(trays=29)) <= 18


def queries_of_state(floor: Floor) -> int:
    """Return how many queries the state of a rack takes in which all slots but one are filled."""
    client, trays = paired(floor), floor.trays(Slot.objects.filter(revision=floor.rack).count() - 1)
    scan(client, floor.badge, floor.unit.serial)
    for number, tray in enumerate(trays, 8):
        assert scan(client, f"U{number:02}", tray.serial) == 200
    client.get("/terminal/state/")
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/terminal/state/").status_code == 200
    return len(queries)


@pytest.mark.parametrize("path", ["/terminal/", "/terminal/pair/", "/terminal/state/"])
def test_pages_load_from_our_own_origin_only(floor: Floor, path: str) -> None:
    response = paired(floor).get(path)
    assert response.status_code == 200
    policy = response["Content-Security-Policy"]
    for rule in ("default-src 'self'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
        assert f"{rule};" in f"{policy};"
    assert "unsafe" not in policy
    assert "no-store" in response["Cache-Control"]


def test_templates_hold_no_inline_script_and_no_inline_style() -> None:
    for path in (APP / "templates").rglob("*.html"):
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", path.read_text()), path


def test_static_files_name_no_other_server() -> None:
    for path in (APP / "static").rglob("*.*"):
        addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+/[^\s\"']*", path.read_text())
        assert [address for address in addresses if "www.w3.org" not in address] == [], path
