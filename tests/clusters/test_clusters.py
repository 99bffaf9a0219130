"""A cluster from order to hand-over: racks placed, tests passed, one status; here and at a customer's."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.burnin.models import BurnInProfile, BurnInRun
from mes.clusters.services import status_of
from mes.quality.models import Nonconformance
from mes.quality.services import open_nonconformance, place_hold, release_hold
from mes.racks.models import Installation
from mes.racks.services import install_unit
from mes.serials.models import Unit
from tests.builders import TESTER, make_part, make_scanner, make_unit
from tests.clusters.builders import CENTERS, TESTS, Hall
from tests.terminal.test_unit_pages import office

pytestmark = pytest.mark.django_db
HALL_7 = "Demo customer, hall 7"


def test_a_cluster_of_two_racks_from_order_to_hand_over() -> None:
    hall = Hall()
    status = hall.status()
    assert (status["status"], status["why"]) == ("planned", "No rack is placed; 2 of 2 racks are on order.")
    assert [rack["step"] for rack in status["coming"]] == ["0 of 1 done, next 10 Step 10"] * 2
    early = hall.put(hall.unit, "R1-01", hall.racks[0], "PLACE")
    assert early.json()["code"] == "operation_not_running"
    hall.do(hall.unit, 10, "PLACE", "start")
    assert hall.put(hall.unit, "R1-01", hall.racks[0], "PLACE").json()["code"] == "unit_not_finished"
    for rack in hall.racks:
        hall.build(rack)
    assert hall.put(hall.unit, "R1-01", hall.racks[0], "PLACE").status_code == 201
    status = hall.status()
    assert (status["status"], status["placed"], status["planned"]) == ("assembling", 1, 2)
    assert status["why"] == "1 of 2 places filled; empty: R1-02."
    assert [place["rack"] and place["rack"]["serial"] for place in status["places"]] == [
        hall.racks[0].serial,
        None,
    ]
    assert [(rack["serial"], rack["step"]) for rack in status["coming"]] == [
        (hall.racks[1].serial, "Finished")
    ]
    assert hall.put(hall.unit, "R1-02", hall.racks[1], "PLACE").status_code == 201
    hall.do(hall.unit, 10, "PLACE", "complete")
    status = hall.status()
    assert (status["status"], status["coming"]) == ("testing", [])
    assert status["why"].startswith("All racks are placed; 1 of 4 operations done, left: 20 Step 20")
    hall.report("cabling", "FAIL")
    assert [test["state"] for test in hall.status()["tests"]] == ["failed", "open", "open"]
    for sequence, procedure in TESTS.items():
        hall.do(hall.unit, sequence, dict(CENTERS)[sequence], "start")
        hall.report(procedure)
        hall.do(hall.unit, sequence, dict(CENTERS)[sequence], "complete")
    status = hall.status()
    assert (status["status"], {test["state"] for test in status["tests"]}) == ("accepted", {"passed"})
    all_done = "All 4 operations of its route are done."
    for unit, said in ((hall.unit, ""), (hall.racks[1], "R1-02: ")):
        hold = place_hold(unit=Unit.objects.get(pk=unit.pk), reason="recall", by=TESTER)
        status = hall.status()
        assert (status["status"], status["why"]) == ("held", f"On hold: {said}recall. {all_done}")
        release_hold(hold=hold, reason="cleared", by=TESTER)
    assert (hall.status()["status"], hall.status()["why"]) == ("accepted", all_done)
    shipped = hall.scanner.post(f"units/{hall.unit.uid}/ship/", {"to": HALL_7})
    assert shipped.status_code == 200, shipped.json()
    status = hall.status()
    assert status["status"] == "shipped" and status["why"].startswith(f"Handed over to {HALL_7} on ")
    assert status["placed"] == 2


def test_a_rack_that_is_changed_repeats_what_the_rule_names() -> None:
    hall = Hall()
    hall.do(hall.unit, 10, "PLACE", "start")
    for name, rack in zip(hall.names, hall.racks, strict=True):
        hall.build(rack)
        hall.put(hall.unit, name, rack, "PLACE")
    hall.do(hall.unit, 10, "PLACE", "complete")
    hall.do(hall.unit, 20, "CABLE", "start")
    hall.report("cabling")
    hall.do(hall.unit, 20, "CABLE", "complete")
    body = {"slot": "R1-02", "reason": "dented"}
    removed = hall.scanner.post(f"units/{hall.unit.uid}/remove/", body)
    assert removed.status_code == 200, removed.json()
    status = hall.status()
    assert (status["status"], [test["state"] for test in status["tests"]]) == ("assembling", ["open"] * 3)
    assert [rack["serial"] for rack in status["coming"]] == [hall.racks[1].serial]


def test_racks_shipped_to_the_customer_are_placed_in_a_cluster_that_is_built_up_there() -> None:
    hall = Hall()
    first, second = hall.racks
    hall.ship(first, HALL_7)
    hall.do(hall.unit, 10, "PLACE", "start")
    assert hall.put(hall.unit, "R1-01", first, "PLACE").json()["code"] == "unit_shipped"
    path = f"units/{hall.unit.uid}/cluster/set-up-at/"
    answer = hall.scanner.post(path, {"place": HALL_7})
    assert (answer.status_code, answer.json()["stands_at"]) == (200, HALL_7)
    hall.build(second)
    at_factory = hall.put(hall.unit, "R1-02", second, "PLACE").json()
    assert (at_factory["code"], "is at the factory" in at_factory["detail"]) == ("unit_elsewhere", True)
    answer = hall.put(hall.unit, "R1-01", first, "PLACE")
    assert answer.status_code == 201, answer.json()
    placed = Installation.objects.live().select_related("child").get(parent=hall.unit)
    assert (placed.child, placed.child.state) == (first, "shipped")
    assert hall.status()["places"][0]["rack"]["step"] == "Shipped"
    hall.scanner.post(f"units/{second.uid}/ship/", {"to": "Another hall"})
    elsewhere = hall.put(hall.unit, "R1-02", second, "PLACE").json()
    assert elsewhere["code"] == "unit_elsewhere" and "is at Another hall" in elsewhere["detail"]
    moved = hall.scanner.post(path, {"place": ""}).json()
    assert moved["code"] == "cluster_not_empty"
    place_hold(unit=first, reason="recall", by=TESTER)
    assert (
        hall.scanner.post(f"units/{hall.unit.uid}/remove/", {"slot": "R1-01", "reason": "x"}).status_code
        == 200
    )
    assert hall.put(hall.unit, "R1-01", first, "PLACE").json()["code"] == "unit_held"


def test_only_a_cluster_has_a_status_and_a_place_of_its_own() -> None:
    hall = Hall()
    rack = hall.racks[0]
    asked = hall.scanner.get(f"units/{rack.uid}/cluster/")
    assert (asked.status_code, asked.json()["code"]) == (422, "not_a_cluster")
    told = hall.scanner.post(f"units/{rack.uid}/cluster/set-up-at/", {"place": HALL_7})
    assert told.json()["code"] == "not_a_cluster"
    path = f"units/{hall.unit.uid}/cluster/set-up-at/"
    nobody = make_scanner(signed_on=False)
    assert nobody.post(path, {"place": HALL_7}).json()["code"] == "device_not_signed_on"
    with pytest.raises(IntegrityError), transaction.atomic():
        Unit.objects.filter(pk=rack.pk).update(stands_at=HALL_7)


def test_what_stops_a_rack_is_named_with_it_at_any_depth() -> None:
    hall = Hall(places=3)
    hall.do(hall.unit, 10, "PLACE", "start")
    for name, rack in zip(hall.names[:2], hall.racks, strict=False):
        hall.build(rack)
        hall.put(hall.unit, name, rack, "PLACE")
    tray = Installation.objects.live().get(parent=hall.racks[0]).child
    place_hold(unit=tray, reason="recall", by=TESTER)
    open_nonconformance(unit=hall.racks[2], symptom="dent", source=Nonconformance.Source.HAND, by=TESTER)
    place_hold(unit=hall.unit, reason="wet floor", by=TESTER)
    profile = BurnInProfile.objects.create(
        name="p",
        version="1",
        part=hall.rack.part,
        procedure="x",
        stressor="x",
        unit_kinds=[],
        required_hours=1,
    )
    for state in ("failed", "passed"):
        BurnInRun.objects.create(unit=hall.racks[1], profile=profile, state=state)
    status = status_of(Unit.objects.get(pk=hall.unit.pk))
    first, second, _ = (place.rack for place in status.places)
    assert first is not None and second is not None
    assert first.holds == [f"{tray.serial}: recall"] and not second.is_stopped
    assert (first.burn_in, second.burn_in) == ("", "passed")
    (coming,) = status.coming
    assert coming.nonconformances == ["NC-000001: dent"] and coming.is_stopped
    assert status.holds == ["wet floor"] and status.nonconformances == []
    assert (status.word, status.why) == (
        "held",
        f"On hold: wet floor; R1-01: {tray.serial}: recall. 2 of 3 places filled; empty: R2-01.",
    )


def test_a_hold_on_what_is_not_placed_or_on_what_was_handed_over_is_not_the_status() -> None:
    hall = Hall()
    place_hold(unit=hall.racks[0], reason="recall", by=TESTER)
    assert (hall.status()["status"], hall.status()["coming"][0]["holds"]) == ("planned", ["recall"])
    facts = {"state": "shipped", "shipped_at": timezone.now(), "shipped_to": HALL_7}
    Unit.objects.filter(pk=hall.unit.pk).update(**facts)
    place_hold(unit=Unit.objects.get(pk=hall.unit.pk), reason="recall", by=TESTER)
    assert (hall.status()["status"], hall.status()["holds"]) == ("shipped", ["recall"])


@pytest.mark.parametrize("path", ["/api/v1/units/{}/cluster/", "/units/{}/cluster/"])
def test_a_larger_cluster_costs_no_more_queries(path: str) -> None:
    counts, client = [], office("view_unit")
    for places in (3, 40):
        hall = Hall(places=places)
        cluster = Unit.objects.get(pk=hall.unit.pk)
        for index, name in enumerate(hall.names[:-1]):
            rack = make_unit(hall.rack)
            slot = hall.cluster.slots.get(name=name)
            cluster.refresh_from_db()
            install_unit(parent=cluster, slot=slot, child=rack, by=TESTER)
            if index % 2:
                place_hold(unit=rack, reason="recall", by=TESTER)
        url = path.format(cluster.uid)
        assert client.get(url).status_code == 200  # reads the released layout and routes once
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        counts.append(len(queries))
    assert counts[0] == counts[1], counts
    assert counts[0] <= 18


def test_the_page_lists_first_and_draws_the_rows_from_above() -> None:
    hall = Hall(places=3)
    client = office("view_unit")
    said = client.get(f"/units/{hall.unit.uid}/cluster/").content.decode()
    assert said.index("<table>") < said.index("<svg")
    assert "Planned" in said and "R2-01" in said and hall.racks[0].serial in said
    plain = make_unit(make_part())
    assert "is no cluster" in client.get(f"/units/{plain.uid}/cluster/").content.decode()
