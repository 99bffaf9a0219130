"""Cables connected, checked, judged and taken off over REST; and everything that is refused."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.attachments.services import store_attachment
from mes.cabling.models import CableConnection, CableEnd, CablingVerdict, PlannedCable
from mes.cabling.services import Found, check_plan, disconnect_cable, record_check
from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.quality.services import place_hold
from mes.racks.services import install_unit, remove_unit
from mes.serials.models import Lot, Unit
from mes.serials.services import receive_lot
from mes.testing.models import TestRun
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_route,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    ordered_unit,
    placed,
)
from tests.cabling.builders import Hall, make_plan

pytestmark = pytest.mark.django_db
DACS = [(f"N{n}", f"U08/P{n}", f"LEAF-1/{n}", "DAC", 2000, ["seat"]) for n in range(40)]


@pytest.fixture
def hall() -> Hall:
    return Hall()


def photo(site: str = "S1") -> Attachment:
    content = b"\x89PNG\r\n\x1a\n" + site.encode()
    return store_attachment(
        site=make_site(site), name="end.png", content_type="image/png", content=content, by=TESTER
    )


def check(hall: Hall, label: str, kind: str, **more: Any) -> Any:
    return hall.post("cables/checks", label=label, kind=kind, **more)


def check_all(hall: Hall) -> None:
    for answer in (
        check(hall, "N8", "seat"),
        check(hall, "B8", "bend", value=30, unit="mm"),
        check(hall, "T8", "torque", value=0.6),
        check(hall, "T8", "clean_and_inspect", photo=str(photo().uid)),
    ):
        assert (answer.status_code, answer.json()["outcome"]) == (201, "PASS")


def test_a_rack_is_cabled_checked_and_judged(hall: Hall) -> None:
    failed = hall.post("cables/verify").json()
    assert failed["outcome"] == "FAIL" and "N8 (U08/NIC1 to LEAF-1/1): not connected." in failed["faults"]
    hall.connect_all()
    assert [hall.state(label) for label in ("N8", "N9", "B8", "T8")] == [
        *("unchecked", "done", "unchecked", "unchecked")
    ]
    check_all(hall)
    passed = hall.post("cables/verify").json()
    assert (passed["outcome"], passed["faults"]) == ("PASS", [])
    run = TestRun.objects.get(uid=passed["test_run"])
    assert (run.procedure, run.operation and run.operation.sequence) == ("cabling", 20)
    assert hall.get("cables").json()["counts"]["done"] == 5
    kinds = set(Event.objects.filter(stream=hall.unit.stream).values_list("kind", flat=True))
    assert {"unit.cable_connected", "unit.cable_checked"} <= kinds


def test_ends_are_read_in_either_order_and_case_and_kept_as_planned(hall: Hall) -> None:
    answer = hall.post("cables/connect", end_a="PORT:leaf-1/1", end_b="u08/nic1", cable=hall.cable().serial)
    assert answer.json()["ends"] == ["U08/NIC1", "LEAF-1/1"]


def test_what_the_rules_name_is_repeated_when_a_cable_comes_off(hall: Hall) -> None:
    hall.connect_all()
    check_all(hall)
    hall.scanner.scan(hall.unit.serial)
    passed = hall.post("cables/verify").json()
    answer = hall.post("cables/disconnect", label="N8", reason="scratched").json()
    assert answer["rules"] == ["cable changed"]
    assert answer["connection"]["disconnect_reason"] == "scratched"
    assert TestRun.objects.get(uid=passed["test_run"]).superseded_at is not None
    assert hall.state("N8") == "missing"
    assert hall.connect("N8").status_code == 201


def test_a_bad_check_takes_the_verdict_back(hall: Hall) -> None:
    hall.connect_all()
    check_all(hall)
    assert hall.post("cables/verify").json()["outcome"] == "PASS"
    assert check(hall, "B8", "bend", value=20).json()["outcome"] == "FAIL"
    verdict = CablingVerdict.objects.latest("pk")
    assert verdict.test_run.outcome == "FAIL" and verdict.faults == ["B8 (U08/BMC to U41/1): bend failed."]
    assert hall.state("B8") == "failed"
    check(hall, "B8", "bend", value=26)
    assert hall.state("B8") == "done"


def test_a_cable_on_hold_does_not_count(hall: Hall) -> None:
    hall.connect_all()
    check_all(hall)
    cable = CableConnection.objects.get(planned__label="N8").cable
    assert cable is not None
    place_hold(unit=cable, reason="the lot frays", by=TESTER)
    answer = hall.post("cables/verify").json()
    assert answer["outcome"] == "FAIL"
    assert answer["faults"] == [f"N8 (U08/NIC1 to LEAF-1/1): {cable.serial} is on hold."]


def test_a_swapped_tray_leaves_its_cables_loose(hall: Hall) -> None:
    hall.connect("N9")
    slot = placed(hall.unit, "U09").slot
    remove_unit(parent=hall.unit, slot=slot, reason="bad", by=TESTER)
    assert hall.state("N9") == "loose"
    install_unit(parent=hall.unit, slot=slot, child=make_unit(hall.tray), by=TESTER)
    assert hall.state("N9") == "loose"
    assert hall.state("N8") == "missing"


def test_the_plan_of_the_first_cable_stays(hall: Hall) -> None:
    hall.connect("N8")
    later: list[Any] = [("X1", "U08/NIC1", "LEAF-9/1", "DAC", 2000, [])]
    make_plan(hall.revision.part, hall.parts, later)
    assert hall.get("cables").json()["plan"] == "Demo cabling 1"
    hall.unit = hall.rack()
    assert hall.get("cables").json()["plan"] == "Demo cabling 2"


def test_a_cluster_is_cabled_from_rack_to_rack(hall: Hall) -> None:
    cluster = make_assembly("cluster", level=12, takes={"R01": hall.revision, "R02": hall.revision})
    route = make_route(cluster, operations=((10, "BUILD"),), tests={10: "cabling"}, fills=())
    ends = (("R01/U41", "UP1"), ("R02/U41", "UP1"))
    make_plan(cluster.part, hall.parts, [("C1", *ends, "DAC", 2000, [])])
    hall.unit = ordered_unit(cluster, route)
    connect = connect_ends("R02/U41/UP1", "R01/U41/UP1")
    assert connect(hall).json()["code"] == "device_not_installed"
    for slot in cluster.slots.all():
        install_unit(parent=hall.unit, slot=slot, child=make_unit(hall.revision), by=TESTER)
    assert connect(hall).status_code == 201
    assert hall.post("cables/verify").json()["outcome"] == "PASS"


def held_cable(hall: Hall) -> Any:
    cable = hall.cable()
    place_hold(unit=cable, reason="recalled", by=TESTER)
    return hall.connect("N8", cable.serial)


def held_lot(hall: Hall) -> Any:
    Lot.objects.filter(pk=hall.lot.pk).update(held=True)
    return hall.connect("B8")


def expired_lot(hall: Hall) -> Any:
    Lot.objects.filter(pk=hall.lot.pk).update(expires_at=timezone.now() - timedelta(days=1))
    return hall.connect("B8")


def scrapped_cable(hall: Hall) -> Any:
    cable = hall.cable()
    Unit.objects.filter(pk=cable.pk).update(state=Unit.State.SCRAPPED)
    return hall.connect("N8", cable.serial)


def in_two_places(hall: Hall) -> Any:
    cable = hall.cable().serial
    hall.connect("N8", cable)
    return hall.connect("N9", cable)


def in_two_racks(hall: Hall) -> Any:
    cable = hall.cable().serial
    hall.connect("N8", cable)
    hall.unit = hall.rack()
    return hall.connect("N8", cable)


def used_twice(hall: Hall) -> Any:
    cable = hall.cable("AOC").serial
    hall.connect("T8", cable)
    hall.post("cables/disconnect", label=cable, reason="dirty")
    return hall.connect("T8", cable)


def occupied(hall: Hall) -> Any:
    hall.connect("N8")
    return hall.connect("N8")


def other_site(hall: Hall) -> Any:
    there = make_scanner(make_station("CABLING", site=make_site("S2")))
    Unit.objects.filter(pk=hall.unit.pk).update(site=make_site("S2"))
    path = f"units/{hall.unit.uid}/cables/connect/"
    cable = hall.cable().serial
    return there.post(path, {"end_a": "U08/NIC1", "end_b": "LEAF-1/1", "cable": cable})


def held_rack(hall: Hall) -> Any:
    place_hold(unit=hall.unit, reason="leak", by=TESTER)
    return hall.connect("N8")


def shipped_rack(hall: Hall) -> Any:
    hall.connect("N8")
    Unit.objects.filter(pk=hall.unit.pk).update(state=Unit.State.SHIPPED)
    return hall.post("cables/disconnect", label="N8", reason="scratched")


def empty_slot(hall: Hall) -> Any:
    remove_unit(parent=hall.unit, slot=placed(hall.unit, "U08").slot, reason="bad", by=TESTER)
    return hall.connect("N8")


def no_plan(hall: Hall) -> Any:
    bare = make_unit(make_part("rack", level=11))
    return hall.scanner.get(f"units/{bare.uid}/cables/")


def not_signed_on(hall: Hall) -> Any:
    scanner = make_scanner(make_station("CABLING"), signed_on=False)
    ends = {"end_a": "U08/NIC1", "end_b": "LEAF-1/1", "cable": hall.cable().serial}
    return scanner.post(f"units/{hall.unit.uid}/cables/connect/", ends)


def connect_ends(a: str, b: str, **more: Any) -> Callable[[Hall], Any]:
    return lambda hall: hall.post(
        "cables/connect", **{"end_a": a, "end_b": b, "cable": hall.cable().serial, **more}
    )


def checked_without(kind: str, **more: Any) -> Callable[[Hall], Any]:
    def act(hall: Hall) -> Any:
        hall.connect("T8")
        return check(hall, "T8", kind, **more)

    return act


REFUSALS: tuple[tuple[str, Callable[[Hall], Any]], ...] = (
    ("no_such_port", connect_ends("U08/NIC9", "LEAF-1/1")),
    ("no_such_port", connect_ends("U77/NIC1", "LEAF-1/1")),
    ("no_such_cable", connect_ends("U08/NIC1", "LEAF-1/1", label="N77")),
    ("same_end_twice", connect_ends("U08/NIC1", "u08/nic1")),
    ("cables_swapped", connect_ends("U08/NIC1", "LEAF-1/2")),
    ("wrong_port", connect_ends("U08/NIC1", "LEAF-1/2", label="N8")),
    ("port_occupied", occupied),
    ("wrong_cable", lambda hall: hall.connect("N8", hall.cable("AOC").serial)),
    ("wrong_cable", lambda hall: hall.connect("N8", hall.lot.number)),
    ("wrong_cable", lambda hall: hall.connect("N8", make_unit(make_part("gpu")).serial)),
    ("wrong_cable", lambda hall: hall.connect("B8", cut_length_mm=1551)),
    ("unknown_cable", lambda hall: hall.connect("N8", "NOBODY")),
    ("unknown_cable", lambda hall: hall.connect("N8", "[)>\x1e06")),
    ("unknown_cable", other_site),
    ("cable_held", held_cable),
    ("cable_held", held_lot),
    ("lot_expired", expired_lot),
    ("unit_scrapped", scrapped_cable),
    ("cable_reused", in_two_places),
    ("cable_reused", in_two_racks),
    ("cable_reused", used_twice),
    ("unit_held", held_rack),
    ("unit_shipped", shipped_rack),
    ("device_not_installed", empty_slot),
    ("no_cable_plan", no_plan),
    ("device_not_signed_on", not_signed_on),
    ("not_connected", lambda hall: hall.post("cables/disconnect", label="N8", reason="scratched")),
    ("not_connected", lambda hall: check(hall, "N8", "seat")),
    ("check_value_required", checked_without("torque")),
    ("check_unit", checked_without("torque", value=5, unit="lbf.in")),
    ("check_unit", checked_without("seat", value=5)),
    ("photo_required", checked_without("clean_and_inspect")),
    ("no_bmc", lambda hall: hall.post("port-map/poll")),
)


@pytest.mark.parametrize(("code", "act"), REFUSALS)
def test_refused(hall: Hall, code: str, act: Callable[[Hall], Any]) -> None:
    before = CableConnection.objects.count()
    answer = act(hall)
    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, code), body
    assert body["rule"] and body["next"] and body["detail"] and body["release"]
    assert CableConnection.objects.count() - before <= 1


def test_a_cable_comes_off_for_a_reason(hall: Hall) -> None:
    hall.connect("N8")
    with pytest.raises(RuleViolation) as refusal:
        disconnect_cable(unit=hall.unit, label="N8", reason=" ", by=TESTER)
    assert refusal.value.code == "reason_required"
    assert hall.post("cables/disconnect", label="N8", reason=" ").status_code == 400
    assert hall.state("N8") == "unchecked"


def test_refusals_name_where_each_end_belongs(hall: Hall) -> None:
    swapped = connect_ends("U08/NIC1", "LEAF-1/2")(hall).json()
    assert swapped["cables"] == ["N8", "N9"]
    assert "U08/NIC1 goes to LEAF-1/1, LEAF-1/2 to U09/NIC1." in swapped["next"]
    wrong = connect_ends("U08/NIC1", "LEAF-1/2", label="N8")(hall).json()
    assert (wrong["right"], wrong["belongs_to"]) == (["LEAF-1/1"], ["N9"])
    assert wrong["detail"] == "LEAF-1/2 belongs to N9 (U09/NIC1 to LEAF-1/2); N8 goes to LEAF-1/1."
    port = connect_ends("U08/NIC9", "LEAF-1/1")(hall).json()
    assert port["ports"] == ["NIC1", "BMC", "NIC2"]


def test_a_photo_of_another_site_is_not_taken(hall: Hall) -> None:
    hall.connect("T8")
    answer = check(hall, "T8", "clean_and_inspect", photo=str(photo("S2").uid))
    assert answer.status_code == 404
    with pytest.raises(RuleViolation) as refusal:
        record_check(
            unit=hall.unit, label="T8", found=Found("clean_and_inspect", photo=photo("S2")), by=TESTER
        )
    assert refusal.value.code == "wrong_site"


def test_a_cut_length_within_tolerance_is_kept(hall: Hall) -> None:
    assert hall.connect("B8", cut_length_mm=1550).json()["cut_length_mm"] == 1550


def test_a_length_cut_from_a_lot_is_said(hall: Hall) -> None:
    ends = {"end_a": "U08/BMC", "end_b": "U41/1", "cable": hall.lot.number}
    refused = hall.post("cables/connect", **ends)
    assert (refused.status_code, refused.json()["code"]) == (422, "cut_length_required")
    assert refused.json()["length_mm"] == 1500
    assert not CableConnection.objects.exists()


def test_a_lot_of_cables_made_in_a_length_needs_no_cut_length(hall: Hall) -> None:
    dac = hall.parts["DAC"].part
    lot = receive_lot(site=make_site(), part=dac, supplier=hall.lot.supplier, number="MADE", by=TESTER)
    assert hall.connect("N8", lot.number).json()["cut_length_mm"] is None


def test_the_database_itself_takes_one_cable_per_port(hall: Hall) -> None:
    hall.connect("N8")
    live = CableConnection.objects.get()
    other = PlannedCable.objects.get(plan=hall.plan, label="N9")
    twice = CableConnection(unit=hall.unit, planned=other, cable=live.cable, connected_by="x")
    with pytest.raises(IntegrityError, match="cable"), transaction.atomic():
        twice.save()
    twice.cable = hall.cable()
    twice.save()
    # the B end of one cable in the port of the A end of another: one row per end lets an index see it
    with pytest.raises(IntegrityError), transaction.atomic():
        CableEnd.objects.create(connection=twice, side="B", unit=hall.unit, device="U08", port="NIC1")
    with pytest.raises(IntegrityError), transaction.atomic():
        CableConnection.objects.create(unit=hall.unit, planned=live.planned, lot=hall.lot, connected_by="x")


@pytest.mark.parametrize(
    ("cables", "fault"),
    [
        ([("A", "U08/1", "L/1", "DAC", 2000, []), ("B", "L/1", "U08/2", "DAC", 2000, [])], "more than one"),
        ([("A", "U08/1", "u08/1", "DAC", 2000, [])], "more than one"),
        ([("A", "U08/1", "L/1", "DAC", 1999, [])], "2000 mm long, not 1999 mm"),
        ([("A", "U08/1", "L/1", "DAC", 2000, ["smell"])], "no check 'smell'"),
        ([], "no cables"),
    ],
)
def test_a_faulty_plan_is_not_released(cables: Any, fault: str) -> None:
    hall = Hall()
    draft = make_plan(hall.revision.part, hall.parts, cables, released=False)
    with pytest.raises(RuleViolation, match=fault) as refusal:
        check_plan(draft)
    assert refusal.value.code == "cable_plan_faulty"


def test_a_released_plan_is_frozen_by_the_database(hall: Hall) -> None:
    for change in (
        lambda: PlannedCable.objects.filter(label="N8").update(b_port="9"),
        lambda: PlannedCable.objects.filter(label="N8").delete(),
        lambda: hall.plan.kinds.update(single_use=True),
        lambda: hall.plan.port_names.update(port="X"),
    ):
        with pytest.raises(IntegrityError, match="frozen"), transaction.atomic():
            change()


def test_the_cut_list_and_csv(hall: Hall) -> None:
    hall.connect("N8")
    rows = {row["part"]: row for row in hall.get("cut-list").json()["rows"]}
    dac = rows[hall.parts["DAC"].part.number]
    assert (dac["count"], dac["connected"], dac["length_mm"], dac["labels"]) == (2, 1, 2000, ["N8", "N9"])
    table = hall.get("cut-list", format="csv").content.decode()
    assert len(list(csv.DictReader(io.StringIO(table)))) == 3
    table = hall.get("cables", format="csv", state="missing").content.decode()
    assert [row["label"] for row in csv.DictReader(io.StringIO(table))] == ["N9", "B8", "B9", "T8"]
    assert hall.get("cables", device="u41").json()["rows"][0]["label"] == "B8"
    assert hall.get("cables", state="lost").status_code == 400


def test_the_list_costs_the_same_however_long() -> None:
    counts = []
    for many in (3, 40):
        hall = Hall(cables=DACS[:many])
        hall.lay_all()
        hall.get("cables")
        with CaptureQueriesContext(connection) as queries:
            assert len(hall.get("cables").json()["rows"]) == many
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 9


def test_plans_and_connections_are_listed(hall: Hall) -> None:
    hall.connect("N8")
    (plan,) = hall.scanner.get("cable-plans/").json()["results"]
    detail = hall.scanner.get(f"cable-plans/{plan['id']}/").json()
    assert [cable["label"] for cable in detail["cables"]] == ["N8", "N9", "B8", "B9", "T8"]
    live = hall.scanner.get("cable-connections/", live=True, label="N8").json()["results"]
    assert [row["ends"] for row in live] == [["U08/NIC1", "LEAF-1/1"]]
