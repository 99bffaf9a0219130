"""What is in what, now and before; where units and lots went; a unit's history, checked by its digests."""

import hashlib
import json
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.ledger.services import advance as next_event
from mes.ledger.services import record
from mes.serials.models import Unit
from tests.builders import TESTER, Scanner, make_scanner, make_site, make_station, make_unit
from tests.traceability.builders import Rack, put, take, taken_out

pytestmark = pytest.mark.django_db


@pytest.fixture
def scanner(rack: Rack) -> Scanner:
    return make_scanner()


def tree(scanner: Scanner, unit: Unit, **query: Any) -> dict[str, Any]:
    answer = scanner.get(f"units/{unit.uid}/genealogy/", **query)
    assert answer.status_code == 200, answer.json()
    return dict(answer.json())


def slots(node: dict[str, Any]) -> dict[str, Any]:
    """Return the tree as serials by slot."""
    return {child["slot"]: (child["serial"], slots(child)) for child in node["children"]}


def test_tree_is_nested_to_the_last_part(rack: Rack, scanner: Scanner) -> None:
    (gpu0, gpu1), (first, second) = rack.gpus[:2], rack.trays
    found = tree(scanner, rack.unit)
    assert (found["serial"], found["slot"]) == (rack.unit.serial, None)
    board = found["children"][0]["children"][0]
    assert slots(board) == {"GPU0": (gpu0.serial, {}), "GPU1": (gpu1.serial, {})}
    assert [child["serial"] for child in found["children"]] == [first.serial, second.serial]


def test_node_says_what_the_unit_is_and_where_it_comes_from(rack: Rack, scanner: Scanner) -> None:
    board = tree(scanner, rack.unit)["children"][0]["children"][0]
    node = board["children"][0]
    installed_at = datetime.fromisoformat(node.pop("installed_at"))
    assert (timezone.now() - installed_at).total_seconds() < 60
    assert node == {
        "uid": str(rack.gpus[0].uid),
        "serial": rack.gpus[0].serial,
        "part": rack.gpu.part.number,
        "part_name": "gpu",
        "revision": "A",
        "slot": "GPU0",
        "state": "in_stock",
        "held": False,
        "supplier": "DEMO-A",
        "lot": rack.lot.number,
        "date_code": "2642",
        "country_of_origin": "TW",
        "place_of_assembly": "Demo City",
        "children": [],
    }


def test_tree_at_a_time_is_what_was_in_it_then(rack: Rack, scanner: Scanner) -> None:
    board = rack.trays[0].installations.get().child
    old, new, before = rack.gpus[0], make_unit(rack.gpu), timezone.now()
    with taken_out(board):
        take(board, "GPU0")
        between = timezone.now()
        put(board, "GPU0", new)

    def gpus(**query: Any) -> list[str]:
        return [child["serial"] for child in tree(scanner, board, **query)["children"]]

    assert gpus() == [new.serial, rack.gpus[1].serial]
    assert gpus(at=between.isoformat()) == [rack.gpus[1].serial]
    assert gpus(at=before.isoformat()) == [old.serial, rack.gpus[1].serial]
    assert gpus(at="2001-01-01T00:00:00Z") == []


def test_parts_move_with_what_they_are_in(rack: Rack, scanner: Scanner) -> None:
    before = timezone.now()
    take(rack.unit, "U08")
    assert list(slots(tree(scanner, rack.unit))) == ["U09"]
    assert slots(tree(scanner, rack.trays[0]))["SC0"][1]["GPU0"][0] == rack.gpus[0].serial
    assert list(slots(tree(scanner, rack.unit, at=before.isoformat()))) == ["U08", "U09"]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_depth(rack: Rack, scanner: Scanner, depth: int) -> None:
    def levels(node: dict[str, Any]) -> int:
        return 1 + max((levels(child) for child in node["children"]), default=-1)

    assert levels(tree(scanner, rack.unit, depth=depth)) == depth


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"at": "yesterday"}, "at"),
        ({"depth": "0"}, "depth"),
        ({"depth": "many"}, "depth"),
    ],
)
def test_bad_query_is_a_problem_document(
    rack: Rack, scanner: Scanner, query: dict[str, str], field: str
) -> None:
    answer = scanner.get(f"units/{rack.unit.uid}/genealogy/", **query)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["code"] == "invalid_input"
    assert list(answer.json()["fields"]) == [field]


def test_where_used_lists_every_place_newest_first(rack: Rack, scanner: Scanner) -> None:
    gpu, spare = rack.gpus[0], make_unit(rack.board)
    board = rack.trays[0].installations.get().child
    with taken_out(board):
        take(board, "GPU0", reason="moved to the spare board")
    put(spare, "GPU1", gpu)
    body = scanner.get(f"units/{gpu.uid}/where-used/").json()
    assert body["unit"]["serial"] == gpu.serial
    now, then = body["places"]
    assert (now["parent"]["serial"], now["slot"], now["removed_at"]) == (spare.serial, "GPU1", None)
    assert now["root"]["serial"] == spare.serial
    assert (then["parent"]["serial"], then["slot"]) == (board.serial, "GPU0")
    assert then["root"]["serial"] == board.serial  # which had to be taken out of the rack to be opened
    assert (then["removal_reason"], then["removed_by"]) == ("moved to the spare board", "tester")
    assert then["installed_at"] < then["removed_at"] < now["installed_at"]


def test_where_used_of_a_lot_names_racks_and_what_is_in_none(rack: Rack, scanner: Scanner) -> None:
    loose = rack.make_gpu()
    make_unit(rack.gpu)  # of no lot
    body = scanner.get(f"lots/{rack.lot.uid}/where-used/").json()
    assert (body["number"], body["supplier"], body["units"]) == (rack.lot.number, "DEMO-A", 5)
    assert [row["serial"] for row in body["racks"]] == [rack.unit.serial]
    assert {row["unit"]["serial"] for row in body["installed"]} == {gpu.serial for gpu in rack.gpus}
    assert {row["root"]["serial"] for row in body["installed"]} == {rack.unit.serial}
    assert [(row["serial"], row["state"]) for row in body["not_installed"]] == [(loose.serial, "in_stock")]


def test_history_is_chained_and_can_be_checked_from_the_answer(rack: Rack, scanner: Scanner) -> None:
    record(next_event(rack.unit, "unit.noted", by=TESTER, payload={"text": "µ — 1.50", "value": 0.1}))
    body = scanner.get(f"units/{rack.unit.uid}/events/", ordering="seq").json()
    rack.unit.refresh_from_db()
    assert [event["seq"] for event in body["results"]] == list(range(1, rack.unit.version + 1))
    previous = ""
    for event in body["results"]:
        assert event["digest"] == digest_of(rack.unit.stream, event, previous)
        previous = event["digest"]
    assert previous == rack.unit.head


def digest_of(stream: str, event: dict[str, Any], previous: str) -> str:
    """Recompute a digest from what the API says, as docs/traceability.md describes."""

    def time_text(value: str | None) -> str:
        return datetime.fromisoformat(value).isoformat(timespec="microseconds") if value else ""

    fields = (
        *(previous, stream, str(event["seq"]), event["kind"]),
        *(event["actor"], event["station"], event["device"]),
        *(time_text(event["at"]), time_text(event["device_at"])),
        json.dumps(event["payload"], sort_keys=True, separators=(",", ":")),
    )
    data = b"".join(len(field.encode()).to_bytes(8, "big") + field.encode() for field in fields)
    return hashlib.sha256(data).hexdigest()


def test_history_comes_in_pages_newest_first(rack: Rack, scanner: Scanner) -> None:
    page = scanner.get(f"units/{rack.unit.uid}/events/", limit=2).json()
    assert [event["seq"] for event in page["results"]] == [rack.unit.version, rack.unit.version - 1]
    following = scanner.client.get(page["next"]).json()
    assert following["results"][0]["seq"] == rack.unit.version - 2


def test_history_by_kind(rack: Rack, scanner: Scanner) -> None:
    page = scanner.get(f"units/{rack.unit.uid}/events/", kind="unit.tested").json()
    assert [event["payload"]["outcome"] for event in page["results"]] == ["PASS"]


@pytest.mark.parametrize("question", ["genealogy", "where-used", "events"])
def test_unit_of_another_site_is_not_found(rack: Rack, question: str) -> None:
    stranger = make_scanner(make_station(site=make_site("S2")))
    answer = stranger.get(f"units/{rack.unit.uid}/{question}/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_lot_of_another_site_is_not_found(rack: Rack) -> None:
    stranger = make_scanner(make_station(site=make_site("S2")))
    assert stranger.get(f"lots/{rack.lot.uid}/where-used/").status_code == 404


def test_units_of_a_lot_at_another_site_are_not_shown(rack: Rack, scanner: Scanner) -> None:
    other = make_site("S2")
    put(make_unit(rack.board, site=other), "GPU0", make_unit(rack.gpu, lot=rack.lot, site=other))
    make_unit(rack.gpu, lot=rack.lot, site=other)
    body = scanner.get(f"lots/{rack.lot.uid}/where-used/").json()
    assert (body["units"], len(body["installed"]), body["not_installed"]) == (4, 4, [])


@pytest.mark.parametrize("question", ["units/{0.unit.uid}/genealogy/", "lots/{0.lot.uid}/where-used/"])
def test_queries_do_not_grow_with_the_rack(question: str) -> None:
    counts = []
    for gpus in (3, 30):
        rack = Rack(gpus)
        rack.build()
        scanner = make_scanner()
        scanner.get("units/")  # first call of a device: writes when it was last seen
        with CaptureQueriesContext(connection) as queries:
            assert scanner.get(question.format(rack)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] <= 6
