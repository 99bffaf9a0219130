"""Every refusal code of the product is provoked somewhere in these tests; the rarer ones here."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from mes.backoffice import release_definition
from mes.burnin.models import BurnInRun
from mes.burnin.services import abort_run, require_bmc_url
from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.services import Answer, StaleRow, decide_again_when_stale
from mes.serials.models import Unit
from mes.workorders.models import WorkOrder
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_person,
    make_route,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    ordered_unit,
    supervisor_client,
)
from tests.test_house import ROOT, modules
from tests.workorders.test_operations import Line

pytestmark = pytest.mark.django_db


@pytest.fixture
def line() -> Line:
    return Line()


def scan(line: Line, *codes: str) -> Any:
    for code in codes:
        answer = line.builder.scan(code)
    return answer


def shipped(line: Line) -> Any:
    gpu = make_unit(line.gpu)
    Unit.objects.filter(pk=gpu.pk).update(state=Unit.State.SHIPPED)
    line.act(line.builder, 10, "start")
    return line.install(gpu)


def complete_again(line: Line) -> Any:
    line.build()
    return line.act(line.builder, 10, "start")


def order_taken_back(line: Line) -> Any:
    WorkOrder.objects.update(state=WorkOrder.State.DRAFT)
    return line.act(line.builder, 10, "start")


def finished(line: Line) -> Any:
    line.finish()
    return scan(line, line.unit.serial)


def same_number_twice(line: Line) -> Any:
    number = WorkOrder.objects.get().number
    body = {"number": number, "part": line.tray.part.number, "revision": "A", "quantity": 1, "site": "S1"}
    return supervisor_client().post("/api/v1/work-orders/", body, format="json")


def contents_of_ours(line: Line) -> Any:
    contents = [{"slot": "GPU0", "child": str(make_unit(line.gpu).uid)}]
    return line.builder.post(f"units/{line.unit.uid}/contents/", {"contents": contents})


def start_inside_a_rack(line: Line) -> Any:
    line.finish()
    rack = make_assembly("rack", level=11, takes={"U08": line.tray})
    rack_unit = make_unit(rack)
    contents = [{"slot": "U08", "child": str(line.unit.uid)}]
    line.builder.post(f"units/{rack_unit.uid}/contents/", {"contents": contents})
    return line.builder.post(f"units/{line.unit.uid}/remove/", {"slot": "GPU0", "reason": "x"})


def held_inside(line: Line) -> Any:
    line.act(line.builder, 10, "start")
    gpu = make_unit(line.gpu)
    line.install(gpu)
    line.builder.post(f"units/{gpu.uid}/hold/", {"reason": "recalled"})
    return line.act(line.builder, 10, "complete")


def as_a_person(line: Line) -> Any:
    return supervisor_client().post(f"/api/v1/units/{line.unit.uid}/operations/10/start/")


PROVOCATIONS: dict[str, Callable[[Line], Any]] = {
    "unknown_command": lambda line: scan(line, "CMD:DANCE"),
    "no_unit": lambda line: scan(line, "CMD:DONE"),
    "no_work_order": lambda line: line.builder.post(f"units/{make_unit(line.tray).uid}/operations/10/start/"),
    "no_operation": lambda line: line.act(line.builder, 99, "start"),
    "no_device": as_a_person,
    "operation_complete": complete_again,
    "order_not_released": order_taken_back,
    "route_complete": finished,
    "order_exists": same_number_twice,
    "not_as_received": contents_of_ours,
    "unit_shipped": shipped,
    "unit_closed": start_inside_a_rack,
    "child_held": held_inside,
}


@pytest.mark.parametrize("code", PROVOCATIONS)
def test_refusal(line: Line, code: str) -> None:
    answer = PROVOCATIONS[code](line)
    body = answer.json()
    assert body["code"] == code, body
    assert answer.status_code in {403, 422}
    assert body["rule"] and body["next"] and body["release"] and body["detail"]
    if answer.status_code == 422:
        assert Event.objects.filter(kind="act.refused").latest("id").payload["refusal"]["code"] == code


def test_rivals_without_end_are_refused_at_last() -> None:
    def always_stale() -> Answer:
        raise StaleRow("unit:x")

    with pytest.raises(RuleViolation) as refusal:
        decide_again_when_stale(always_stale)
    assert (refusal.value.code, refusal.value.status) == ("changed_meanwhile", 409)


def test_unit_resumed_by_nobody_or_elsewhere_is_refused(line: Line) -> None:
    line.act(line.builder, 10, "start")
    assert make_scanner(make_station("BUILD"), signed_on=False).scan(line.unit.serial).status_code == 422
    assert make_scanner(make_station("TEST")).scan(line.unit.serial).json()["code"] == "wrong_station"


def test_two_orders_of_one_part_do_not_share_serials_with_what_was_received() -> None:
    tray = make_part("tray", level=10)
    tray.part.serial_prefix = "CT"
    tray.part.save()
    make_unit(tray, "CT0001")
    assert ordered_unit(tray, make_route(tray)).serial == "CT0002"


def test_every_code_is_provoked_by_some_test() -> None:
    pattern = re.compile(r'(?:RuleViolation|_refusal|_refuse)\(\s*f?"([a-z_{}.]+)"')
    codes = {code for path in modules() for code in pattern.findall(path.read_text()) if "{" not in code}
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    assert sorted(code for code in codes if f'"{code}"' not in tests) == []


def test_contents_of_another_site_are_refused(line: Line) -> None:
    board = make_unit(make_assembly("board", level=4, takes={"GPU0": line.gpu}))
    elsewhere = make_unit(line.gpu, site=make_site("S2"))
    body = {"contents": [{"slot": "GPU0", "child": str(elsewhere.uid)}]}
    path = f"/api/v1/units/{board.uid}/contents/"
    answer = supervisor_client().post(path, body, format="json")
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_site")


def refusal_of(act: Callable[[], object]) -> str:
    with pytest.raises(RuleViolation) as refusal:
        act()
    return refusal.value.code


def test_definition_is_released_once() -> None:
    person, draft = make_person(), make_part(released=False)
    release_definition(definition=draft, person=person, by=person.actor())
    again = refusal_of(lambda: release_definition(definition=draft, person=person, by=person.actor()))
    assert again == "already_released"


def test_address_of_a_bmc_holds_no_credentials() -> None:
    for url in ("http://user:password@10.0.0.7", "ftp://10.0.0.7", "not an address", "http://[::1"):
        assert refusal_of(lambda url=url: require_bmc_url(url)) == "bmc_url_invalid"  # type: ignore[misc]


def test_burn_in_is_interrupted_for_a_reason() -> None:
    run = BurnInRun()
    assert refusal_of(lambda: abort_run(run=run, reason=" ", by=TESTER)) == "reason_required"
