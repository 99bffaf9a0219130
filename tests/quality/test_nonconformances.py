"""A nonconformance is opened by a test, a scan or by hand, and holds its unit at once."""

import threading
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from mes.attachments.models import Attachment
from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.services import Actor
from mes.ledger.verification import verify_ledger
from mes.quality.models import Hold, Nonconformance
from mes.quality.services import (
    add_pictures,
    close_nonconformance,
    open_nonconformance,
    release_hold,
    require_no_open_nonconformance,
)
from mes.racks.services import install_unit
from mes.serials.models import Unit
from mes.serials.services import scrap_unit
from mes.stations.models import Site
from mes.testing.models import TestRun
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_person,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    placed,
    supervisor_client,
)
from tests.workorders.test_operations import Line

pytestmark = pytest.mark.django_db
Source, State = Nonconformance.Source, Nonconformance.State


def open_on(unit: Unit, symptom: str = "leak", **more: Any) -> Nonconformance:
    given: dict[str, Any] = {"unit": unit, "symptom": symptom, "source": Source.HAND, "by": TESTER}
    return open_nonconformance(**{**given, **more})


def code_of(act: Any) -> str:
    with pytest.raises(RuleViolation) as refusal:
        act()
    return refusal.value.code


def make_picture(site: Site | None = None, name: str = "leak.jpg") -> Attachment:
    return Attachment.objects.create(
        site=site or make_site(),
        name=name,
        content_type="image/jpeg",
        size=1,
        sha256=name.ljust(64, "0"),
        file=f"attachments/{name}",
        uploaded_by="tester",
    )


def make_rack() -> Unit:
    """Return a rack with a tray in U08 that holds a board in SC1."""
    board = make_part("board", level=4)
    tray = make_assembly("tray", level=10, takes={"SC1": board})
    rack = make_unit(make_assembly("rack", level=11, takes={"U08": tray, "U09": tray}))
    inside = make_unit(tray)
    install_unit(parent=inside, slot=tray.slots.get(), child=make_unit(board), by=TESTER)
    slot = rack.part_revision.slots.get(name="U08")
    install_unit(parent=rack, slot=slot, child=inside, by=TESTER)
    return rack


def test_it_holds_the_unit_at_once() -> None:
    unit = make_unit(make_part())
    found = open_on(unit, "Bent  Pin", description="at J4")
    unit.refresh_from_db()
    assert (found.number, found.symptom, found.state) == ("NC-000001", "bent_pin", State.OPEN)
    assert unit.held
    assert found.holds.get().reason == "NC-000001: bent_pin"
    assert open_on(unit).number == "NC-000002"
    event = Event.objects.filter(kind="nonconformance.opened").earliest("pk")
    assert (event.payload["symptom"], event.actor) == ("bent_pin", "tester")
    assert verify_ledger().intact


def test_its_hold_is_released_by_its_disposition_only() -> None:
    found = open_on(make_unit(make_part()))
    assert (
        code_of(lambda: release_hold(hold=found.holds.get(), reason="x", by=TESTER)) == "nonconformance_open"
    )
    path = f"/api/v1/holds/{found.holds.get().pk}/release/"
    assert supervisor_client().post(path, {"reason": "x"}, format="json").status_code == 422
    close_nonconformance(nonconformance=found, reason="use_as_is", by=TESTER)
    assert Hold.objects.get().release_reason == "NC-000001: use_as_is"
    assert code_of(lambda: close_nonconformance(nonconformance=found, reason="x", by=TESTER)) == (
        "nonconformance_closed"
    )


def test_the_location_is_a_path_of_slots_below_the_unit() -> None:
    rack = make_rack()
    assert open_on(rack, location="u08/sc1").location == "U08/SC1"
    assert open_on(rack, location="U09").location == "U09"
    before = Nonconformance.objects.count(), Hold.objects.count()
    for path in ("U10", "U08/SC2", "U09/SC1", "U08/SC1/GPU0", "/", "U08/"):
        assert code_of(lambda path=path: open_on(rack, location=path)) == "slot_not_in_assembly"
    assert (Nonconformance.objects.count(), Hold.objects.count()) == before


def test_inside_a_rack_the_child_is_held() -> None:
    rack = make_rack()
    tray = placed(rack, "U08").child
    found = open_on(placed(tray, "SC1").child)
    rack.refresh_from_db()
    assert not rack.held
    assert code_of(lambda: require_no_open_nonconformance(rack)) == "nonconformance_open"
    close_nonconformance(nonconformance=found, reason="use_as_is", by=TESTER)
    require_no_open_nonconformance(rack)


def test_what_is_refused() -> None:
    unit, gone = make_unit(make_part()), make_unit(make_part())
    scrap_unit(unit=gone, reason="burnt", by=TESTER)
    assert code_of(lambda: open_on(unit, "  ")) == "no_symptom"
    assert code_of(lambda: open_on(gone)) == "unit_scrapped"
    assert code_of(lambda: open_on(unit, by=Actor(device="scanner"))) == "device_not_signed_on"
    foreign = make_picture(make_site("S2"))
    assert code_of(lambda: open_on(unit, pictures=[foreign])) == "wrong_site"
    assert Nonconformance.objects.count() == 0


def test_pictures_are_added_until_it_is_closed() -> None:
    found, picture = open_on(make_unit(make_part())), make_picture()
    scanner, path = make_scanner(), f"nonconformances/{found.number}/pictures/"
    assert scanner.post(path, {"pictures": []}).status_code == 400
    foreign = make_picture(make_site("S2"), "other.jpg")
    assert scanner.post(path, {"pictures": [str(foreign.uid)]}).status_code == 400
    answer = scanner.post(path, {"pictures": [str(picture.uid)]})
    assert [shown["name"] for shown in answer.json()["pictures"]] == ["leak.jpg"]
    assert Event.objects.get(kind="nonconformance.pictures_added").payload["pictures"] == [picture.sha256]
    close_nonconformance(nonconformance=found, reason="use_as_is", by=TESTER)
    more: dict[str, Any] = {"nonconformance": found, "pictures": [picture], "by": TESTER}
    assert code_of(lambda: add_pictures(**more)) == "nonconformance_closed"
    assert scanner.post(path, {"pictures": [str(picture.uid)]}).json()["code"] == "nonconformance_closed"


def at_test(line: Line) -> Line:
    line.build()
    line.act(line.tester, 20, "start")
    return line


def test_a_failed_test_opens_one_by_itself_where_the_gate_says_so() -> None:
    line = at_test(Line(opens_nonconformance=True))
    assert line.report("RETEST").status_code == 201
    assert Nonconformance.objects.count() == 0
    assert line.report(power=2000).json()["outcome"] == "FAIL"
    found = Nonconformance.objects.get()
    assert (found.source, found.symptom, found.operation) == (
        "test",
        "tray_l10",
        line.route.operations.get(sequence=20),
    )
    assert found.test_run == TestRun.objects.latest("pk")
    assert "gpu_power is 2000 W" in found.description
    assert line.report(power=2100).status_code == 201
    assert Nonconformance.objects.count() == 1, "one is open of it already"
    assert line.act(line.tester, 20, "complete").json()["code"] == "unit_held"


def test_a_failed_test_opens_none_where_the_gate_does_not_say_so() -> None:
    line = at_test(Line())
    line.report("FAIL")
    assert Nonconformance.objects.count() == 0


def test_a_failed_test_of_what_is_gone_is_kept_and_opens_none() -> None:
    line = Line(opens_nonconformance=True)
    scrap_unit(unit=line.unit, reason="burnt", by=TESTER)
    assert line.report("FAIL").status_code == 201
    assert (TestRun.objects.count(), Nonconformance.objects.count()) == (1, 0)


def test_by_hand_it_names_the_failed_test_of_its_unit() -> None:
    line = at_test(Line())
    line.report()
    passed = TestRun.objects.get()
    assert code_of(lambda: open_on(line.unit, test_run=passed)) == "test_not_failed"
    failed = line.report("FAIL").json()["uid"]
    body = {"unit": str(line.unit.uid), "symptom": "gpu_ecc", "test_run": failed}
    assert line.tester.post("nonconformances/", {**body, "unit": str(make_unit(line.gpu).uid)}).json()[
        "code"
    ] == ("test_not_failed")
    shown = line.tester.post("nonconformances/", body).json()
    assert (shown["source"], shown["test_run"], shown["operation"]) == ("test", failed, 20)


def test_by_scanner() -> None:
    line = Line()
    line.builder.scan(line.unit.serial)
    line.builder.scan("GPU0")
    answer = line.builder.scan("CMD:PROBLEM:bent pin").json()
    assert (answer["outcome"], answer["title"], answer["unit"]) == ("accepted", "NC-000001", None)
    found = Nonconformance.objects.get()
    assert (found.source, found.symptom, found.location) == ("terminal", "bent_pin", "GPU0")
    assert found.operation == line.route.operations.get(sequence=10)
    assert (found.opened_station, found.opened_by) == (
        line.builder.device.station.code,
        found.holds.get().placed_by,
    )
    assert line.builder.scan("CMD:PROBLEM:leak").json()["code"] == "no_unit"
    assert line.builder.scan("CMD:PROBLEM").json()["code"] == "no_unit"
    assert line.builder.scan(line.unit.serial).json()["code"] == "unit_held"


def test_over_rest_at_an_operation_named() -> None:
    line = Line()
    body = {"unit": str(line.unit.uid), "symptom": "leak", "source": "check", "operation": 20}
    shown = line.builder.post("nonconformances/", body).json()
    assert (shown["number"], shown["source"], shown["operation"]) == ("NC-000001", "check", 20)
    assert (shown["serial"], shown["part"], shown["state"]) == (
        line.unit.serial,
        line.tray.part.number,
        "open",
    )
    assert line.builder.post("nonconformances/", {**body, "operation": 99}).json()["code"] == "no_operation"
    loose = {**body, "unit": str(make_unit(line.gpu).uid)}
    assert line.builder.post("nonconformances/", loose).json()["code"] == "no_work_order"


def test_over_rest_by_who_may() -> None:
    unit = make_unit(make_part())
    body = {"unit": str(unit.uid), "symptom": "leak"}
    nobody = APIClient()
    nobody.force_login(make_person())
    assert nobody.post("/api/v1/nonconformances/", body, format="json").status_code == 403
    elsewhere = make_scanner(make_station(site=make_site("S2")))
    assert elsewhere.post("nonconformances/", body).status_code == 404
    answer = supervisor_client().post("/api/v1/nonconformances/", body, format="json")
    assert (answer.status_code, answer.json()["source"]) == (201, "hand")
    number = answer.json()["number"]
    assert elsewhere.get(f"nonconformances/{number}/").status_code == 404
    assert elsewhere.get("nonconformances/").json()["results"] == []
    off = make_scanner(signed_on=False)
    assert off.post("nonconformances/", body).json()["code"] == "device_not_signed_on"


def test_lists_are_filtered_and_cost_the_same() -> None:
    scanner, part = make_scanner(), make_part()
    units = [make_unit(part) for _ in range(12)]
    found = [open_on(unit, "leak" if number % 2 else "scratch") for number, unit in enumerate(units)]
    close_nonconformance(nonconformance=found[0], reason="use_as_is", by=TESTER)

    def count(**query: Any) -> int:
        return len(scanner.get("nonconformances/", **query).json()["results"])

    assert count() == 12
    assert count(state="closed") == 1
    assert count(symptom="leak") == 6
    assert count(source="test") == 0
    assert count(unit__uid=str(units[3].uid)) == 1
    assert count(unit__part_revision__part__number=part.part.number) == 12
    assert count(opened_at__lt="2000-01-01T00:00:00Z") == 0
    with CaptureQueriesContext(connection) as few:
        count(limit=2)
    with CaptureQueriesContext(connection) as many:
        count(limit=12)
    assert len(few) == len(many)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_rivals_get_numbers_of_their_own() -> None:
    units = [make_unit(make_part()) for _ in range(20)]

    def work(share: list[Unit]) -> None:
        for unit in share:
            open_on(unit)
        connections.close_all()

    threads = [threading.Thread(target=work, args=(units[number::5],)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = sorted(Nonconformance.objects.values_list("number", flat=True))
    assert numbers == [f"NC-{number:06}" for number in range(1, 21)]
    assert verify_ledger().intact
