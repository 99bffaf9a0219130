"""Cables taken from a lot have no serial: a containment finds and holds the racks they are connected in."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.cabling.models import CableConnection
from mes.cabling.services import Cable, connect_cable
from mes.errors import RuleViolation
from mes.ledger.services import Answer, decide_again_when_stale
from mes.ledger.verification import verify_ledger
from mes.quality.models import Containment
from mes.racks.services import install_unit
from mes.serials.models import Lot, Unit
from mes.traceability.services import find_affected
from tests.builders import TESTER, make_assembly, make_scanner, make_site, make_station, make_unit
from tests.cabling.builders import Hall
from tests.racks.test_races import race
from tests.terminal.test_unit_pages import office
from tests.traceability.test_containment import ask, contain, found, free, make_lot, serials

pytestmark = pytest.mark.django_db
B8 = ("U08/BMC", "U41/1")


@pytest.fixture
def hall() -> Hall:
    """Return a rack with two cables of a lot in it."""
    hall = Hall()
    for label in ("B8", "B9"):
        connect(hall, label)
    return hall


def connect(hall: Hall, label: str, **more: Any) -> None:
    answer = hall.connect(label, **more)
    assert answer.status_code == 201, answer.json()


def next_rack(hall: Hall, lot: Lot | None = None) -> Unit:
    """Return one more rack with a cable of a lot in it."""
    hall.unit, hall.lot = hall.rack(), lot or hall.lot
    connect(hall, "B8")
    return hall.unit


def test_the_rack_is_found_once_with_the_lot_and_where_it_is(hall: Hall) -> None:
    placed, shipped, bare = next_rack(hall), next_rack(hall), hall.rack()
    in_progress = Unit.objects.get(cable_connections__planned__label="B9")
    next_rack(hall, make_lot(hall.parts["CAT6"], "OTHER"))
    lot = Lot.objects.exclude(number="OTHER").get()
    cluster = make_unit(make_assembly("cluster", level=12, takes={"R1": hall.revision}))
    slot = cluster.part_revision.slots.get()
    Unit.objects.filter(pk=placed.pk).update(state=Unit.State.FINISHED)
    install_unit(parent=cluster, slot=slot, child=Unit.objects.get(pk=placed.pk), by=TESTER)
    facts = {"state": "shipped", "shipped_at": timezone.now(), "shipped_to": "Demo customer"}
    Unit.objects.filter(pk=shipped.pk).update(**facts)
    asked = {"question": {"site": make_site().code, "lot": lot.number}}
    client = office("view_unit", "change_hold", "view_containment")
    answer = client.post("/api/v1/containments/preview/", asked, content_type="application/json").json()
    assert [row["number"] for row in answer["lots"]] == [lot.number]
    assert [(row["serial"], row["place"], row["path"], row["top_serial"]) for row in answer["units"]] == [
        (in_progress.serial, "in_progress", "", in_progress.serial),
        (placed.serial, "inside", "R1", cluster.serial),
        (shipped.serial, "shipped", "", shipped.serial),
    ]
    assert answer["units"][2]["shipped_to"] == "Demo customer"
    assert bare.serial not in found(lot=str(lot.uid))


def test_a_hold_stops_the_rack_and_its_release_frees_it(hall: Hall) -> None:
    containment = contain(ask(lot=hall.lot.number))
    assert (containment.units, containment.lots) == (1, 1)
    assert Unit.objects.get(pk=hall.unit.pk).held
    assert hall.connect("N8").json()["code"] == "unit_held"
    assert free(containment, question=ask(lot=hall.lot.number)).state == Containment.State.RELEASED
    assert not Unit.objects.get(pk=hall.unit.pk).held
    connect(hall, "N8")
    assert verify_ledger().intact


def test_a_cable_that_came_off_is_in_no_rack(hall: Hall) -> None:
    for label in ("B8", "B9"):
        assert hall.post("cables/disconnect", label=label, reason="frays").status_code == 200
    affected = find_affected(question=ask(lot=hall.lot.number))
    assert (affected.count, [lot.number for lot in affected.lots]) == (0, [hall.lot.number])


def test_what_says_where_a_lot_is_from_is_met_by_one_lot(hall: Hall) -> None:
    part = hall.parts["CAT6"].part.number
    first = hall.unit
    second = next_rack(hall, make_lot(hall.parts["CAT6"], "L2", "2640", "DEMO-B", country_of_origin="TW"))
    assert found(supplier="cables") == serials(first)
    assert found(date_code="2639..2641") == serials(second) == found(country_of_origin="TW")
    assert found(part=part) == serials(first, second)
    assert found(part=part, supplier="DEMO-B", date_code="2640") == serials(second)
    hall.unit = first
    hall.post("cables/disconnect", label="B8", reason="too short")
    connect(hall, "B8", cable=make_lot(hall.parts["CAT6"], "L3", "2640", "DEMO-A").number)
    assert found(supplier="CABLES", date_code="2640") == set()
    assert first.serial not in found(part=hall.revision.part.number, supplier="CABLES")


def test_other_criteria_are_asked_of_the_rack(hall: Hall) -> None:
    scanner = make_scanner(make_station("BUILD", "ST-9"))
    first, second = hall.unit, next_rack(hall)
    number = hall.lot.number
    path = f"units/{first.uid}/operations/10/start/"
    assert scanner.post(path).status_code in {200, 201}
    assert found(lot=number) == serials(first, second)
    assert found(lot=number, station="ST-9") == serials(first)
    assert found(lot=number, consumable_lot=number) == set()


def test_a_window_is_about_when_the_lot_was_received(hall: Hall) -> None:
    now = timezone.now()
    Unit.objects.filter(pk=hall.unit.pk).update(created_at=now - timedelta(days=9))
    assert found(lot=hall.lot.number, since=now - timedelta(days=1)) == serials(hall.unit)
    Lot.objects.update(received_at=now - timedelta(days=9))
    assert found(lot=hall.lot.number, since=now - timedelta(days=1)) == set()


def test_the_number_of_queries_does_not_depend_on_how_many_racks(hall: Hall) -> None:
    counts, question = [], ask(lot=hall.lot.number)
    for racks in (1, 4):
        with CaptureQueriesContext(connection) as captured:
            assert find_affected(question=question).count == racks
        counts.append(len(captured))
        for _ in range(3):
            next_rack(hall)
    assert counts[0] == counts[1] <= 6


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_no_cable_is_connected_past_the_hold_of_its_lot() -> None:
    hall = Hall()
    lot, racks = hall.lot, [hall.rack() for _ in range(39)]
    cable, question = Cable(lot=lot, cut_length_mm=1500), ask(lot=lot.number)

    def connecting(rack: Unit) -> Any:
        act = lambda: connect_cable(unit=rack, ends=B8, cable=cable, by=TESTER)  # noqa: E731
        return lambda: decide_again_when_stale(lambda: Answer(201, act()))

    def hold_what_is_seen() -> None:
        while not Containment.objects.exists():
            with suppress(RuleViolation):
                contain(question)

    ends = race([hold_what_is_seen, *map(connecting, racks)])
    assert ends["won"] + ends["cable_held"] == 40
    assert not CableConnection.objects.filter(lot=lot, unit__held=False).exists()
