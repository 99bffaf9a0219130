"""What the terminal shows of a step: rules, instruction, values, tools, people, holds, rework."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.people.services import prove
from mes.quality.services import place_hold
from mes.stations.models import Tool
from mes.workorders.services import release_gate
from tests.builders import PIN, TESTER, make_scanner, make_station, numbers
from tests.terminal.bench import Bench
from tests.terminal.floor import scan
from tests.terminal.test_pages import paired, text_of, title_of
from tests.workorders.reworking import Review

pytestmark = pytest.mark.django_db


def part_of(client: Client, name: str) -> str:
    """Return the words of one part of the page."""
    html = client.get("/terminal/state/").content.decode()
    found = re.search(rf'data-part="{name}".*?(?=<[a-z0-9]+ [^>]*data-part=|\Z)', html, re.DOTALL)
    assert found, name
    return " ".join(re.sub(r"<[^>]*>", " ", found[0].partition(">")[2]).split())


def running(bench: Bench) -> Client:
    """Return a terminal at which the step runs."""
    client = paired(bench)
    assert scan(client, bench.badge, bench.unit.serial) == 200
    return client


def record(client: Client, bench: Bench, field: str, value: Any) -> dict[str, Any]:
    path = f"/api/v1/units/{bench.unit.uid}/operations/10/values/"
    key = {"Idempotency-Key": f"key-{next(numbers)}"}
    answer = client.post(path, {"field": field, "value": value}, "application/json", headers=key)
    return dict(answer.json())


def test_rules_that_hold_the_start_come_first_and_the_others_are_counted() -> None:
    bench = Bench()
    client = running(bench)
    words = part_of(client, "asks")
    assert words.startswith("What this step asks for ✕ Blocked")
    assert f"has not confirmed reading {bench.instruction}." in words
    assert "May release: Line Lead or Supervisor, with a reason and a signature. Release…" in words
    assert "10 rules met" in words
    assert "✓ Open: Person is qualified" in words
    assert 'id="start"' in client.get("/terminal/").content.decode()
    assert title_of(client) == f"Scan {bench.unit.serial} to start 10 Step 10."


def test_who_is_not_qualified_sees_what_holds_the_unit() -> None:
    bench = Bench(must_read=False, qualified=False)
    client = running(bench)
    asks = part_of(client, "asks")
    assert "✕ Blocked" in asks
    assert "May release: Supervisor, with a reason and a signature." in asks
    assert 'class="gate blocked alarm"' in client.get("/terminal/").content.decode()


def test_a_released_rule_says_by_whom_and_why() -> None:
    bench = Bench()
    client = running(bench)
    release_gate(
        unit=bench.unit,
        sequence=10,
        gate="instruction_read",
        reason="trained beside me",
        proof=prove(badge=bench.lead.badge, pin=PIN),
        by=TESTER,
        station=bench.station,
    )
    asks = part_of(client, "asks")
    assert "◇ Released Instruction is read." in asks
    assert f"By {bench.lead.username} until" in asks
    assert "trained beside me" in asks
    assert scan(client, "CMD:START") == 200


def test_a_running_step_asks_for_what_completes_it() -> None:
    bench = Bench(must_read=False)
    client = running(bench)
    asks = part_of(client, "asks")
    assert "leaves 2 slots empty: GPU0, GPU1." in asks
    assert "takes 2 people" in asks
    assert "gate blocked alarm" not in client.get("/terminal/").content.decode()
    assert 'data-code="CMD:DONE">Step done' in client.get("/terminal/").content.decode()


def test_instruction_is_folded_once_it_is_read() -> None:
    bench = Bench()
    client = running(bench)
    html = client.get("/terminal/").content.decode()
    assert f'src="/api/v1/attachments/{bench.picture.uid}/"' in html
    assert re.search(r'id="instruction-\d+-unread" open', html)
    assert "Read and understood" in part_of(client, "instruction")
    assert scan(client, "CMD:READ") == 200
    words = part_of(client, "instruction")
    assert "✓ read" in words
    assert "Read and understood" not in words
    assert client.get(f"/api/v1/attachments/{bench.picture.uid}/").status_code == 200


def test_values_show_limits_and_verdict() -> None:
    bench = Bench(must_read=False)
    client = running(bench)
    assert "Torque of the cold plate screws at least 1 and at most 2 N.m ○ missing" in part_of(
        client, "values"
    )
    assert record(client, bench, "torque", "2.4")["verdict"] == "FAIL"
    assert "✕ 2.4 N.m · outside its limits" in part_of(client, "values")
    assert record(client, bench, "torque", "1.25")["verdict"] == "PASS"
    record(client, bench, "paste_pattern", "cross")
    words = part_of(client, "values")
    assert "✓ 1.25 N.m · within its limits" in words
    assert "✓ cross" in words
    assert "Serial of the retention clip optional" in words


def test_tool_is_missing_calibrated_overdue_or_retired() -> None:
    bench = Bench(must_read=False)
    client, tools = running(bench), Tool.objects.filter(pk=bench.tool.pk)
    assert f"Tool: torque driver {bench.tool.code} torque driver 1 to 5 N.m ✓ calibrated" in part_of(
        client, "needs"
    )
    tools.update(calibration_due_at=timezone.now())
    assert "✕ overdue: calibration was due" in part_of(client, "needs")
    tools.update(retired_at=timezone.now())
    assert "✕ retired." in part_of(client, "needs")
    tools.update(station=None)
    assert "○ missing. Scan the label of the one you use." in part_of(client, "needs")


def test_consumables_and_people_are_counted() -> None:
    bench = Bench(must_read=False)
    client = running(bench)
    words = part_of(client, "needs")
    assert "○ 2.5 g still needed. Scan the label of the lot." in words
    assert "Demo Operator ○ 2 people needed, 1 here." in words
    assert scan(client, bench.lot.number, bench.other.badge, bench.unit.serial) == 200
    words = part_of(client, "needs")
    assert f"2.5 g of lot {bench.lot.number} ✓ recorded" in words
    assert "Demo Operator, Demo Helper 2 people needed, 2 here" in words


def test_hold_says_who_why_and_what_next() -> None:
    bench = Bench(must_read=False)
    client = running(bench)
    place_hold(unit=bench.unit, reason="scratched", by=TESTER)
    words = part_of(client, "banner")
    assert "On hold · scratched" in words
    assert "Held by tester on" in words
    assert "call a supervisor, who releases it with a reason." in words
    assert title_of(client) == f"{bench.unit.serial} is on hold. Put it on the hold shelf."
    assert "Step done The unit is on hold" in part_of(client, "actions")


def test_rework_names_its_route_and_where_the_unit_returns_to() -> None:
    review = Review()
    review.finish()
    found = review.open()
    review.dispose(found)
    scanner = make_scanner(make_station("REPAIR"))
    assert scanner.scan(review.unit.serial).json()["title"] == "Started"

    client = Client()
    client.post("/terminal/pair/", {"token": scanner.token})
    words = part_of(client, "banner")
    assert f"In rework for {found.number} on rework R1, returns to 20 Step 20." in words


def test_only_an_optional_step_may_be_skipped() -> None:
    assert "Skip step…" not in part_of(running(Bench()), "actions")
    assert "Skip step…" in part_of(running(Bench(optional=True)), "actions")


def test_state_follows_a_reading_and_a_tool() -> None:
    bench = Bench()
    client = running(bench)
    before = cursor(client)
    scan(client, "CMD:READ")
    read = cursor(client)
    scan(client, bench.tool.code)
    assert len({before, read, cursor(client)}) == 3


def cursor(client: Client) -> str:
    found = re.search(r'data-cursor="([^"]+)"', client.get("/terminal/").content.decode())
    assert found
    return found[1]


def test_what_was_recorded_costs_no_more_queries() -> None:
    bench = Bench(must_read=False)
    client = running(bench)
    before = queries_of_state(client)
    record(client, bench, "torque", "1.5")
    record(client, bench, "paste_pattern", "cross")
    scan(client, bench.lot.number, bench.other.badge, bench.unit.serial, "GPU0", bench.gpus[0].serial)
    assert queries_of_state(client) <= before <= 34


def queries_of_state(client: Client) -> int:
    client.get("/terminal/state/")
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/terminal/state/").status_code == 200
    return len(queries)


def test_dialogs_are_labelled_and_hold_no_act_of_their_own() -> None:
    html = paired(Bench()).get("/terminal/").content.decode()
    names = set(re.findall(r'<dialog[^>]*aria-labelledby="([\w-]+)"', html))
    assert names == {"problem-title", "opened-title", "skip-title", "sign-title"}
    assert all(f'id="{name}"' in html for name in names)
    assert "action=" not in html


def test_nothing_is_asked_without_a_unit() -> None:
    client = paired(Bench())
    assert part_of(client, "asks") == part_of(client, "values") == ""
    assert "What this step asks for" not in text_of(client.get("/terminal/"))
