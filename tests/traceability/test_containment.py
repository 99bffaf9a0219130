"""Which units and lots a question finds, and where they are; one confirmed hold and its release."""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.verification import verify_ledger
from mes.quality.models import Containment, Hold
from mes.quality.services import place_hold, release_hold
from mes.racks.services import record_firmware
from mes.serials.models import Lot, Supplier, Unit
from mes.serials.services import receive_lot, scrap_unit
from mes.stations.models import Tool
from mes.traceability.containment import Affected, Place
from mes.traceability.services import (
    Question,
    find_affected,
    hold_containment,
    question_like,
    release_containment,
)
from mes.workorders.models import ConsumableUse, Labor, OperationRun, ToolUse, WorkOrder
from mes.workorders.services import complete_operation, start_operation
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_person,
    make_route,
    make_site,
    make_station,
    make_unit,
    ordered_unit,
)
from tests.racks.test_races import race
from tests.traceability.builders import Rack, at_station, put, take

pytestmark = pytest.mark.django_db
logger = logging.getLogger(__name__)
LONG_AGO = timezone.now() - timedelta(days=30)


def ask(**criteria: Any) -> Question:
    return Question(site=criteria.pop("site", None) or make_site(), **criteria)


def found(**criteria: Any) -> set[str]:
    return {row.unit.serial for row in find_affected(question=ask(**criteria), limit=500).units}


def serials(*units: Unit) -> set[str]:
    return {unit.serial for unit in units}


def contain(question: Question, reason: str = "suspect", seen: Affected | None = None) -> Containment:
    seen = seen or find_affected(question=question)
    return hold_containment(
        question=question, reason=reason, expected_count=seen.count, digest=seen.digest, by=TESTER
    )


def free(containment: Containment, reason: str = "cleared", question: Question | None = None) -> Containment:
    narrowed = (question or Question(site=containment.site)).narrowed(containment=containment.number)
    seen = find_affected(question=narrowed)
    return release_containment(
        containment=containment,
        reason=reason,
        expected_count=seen.count,
        digest=seen.digest,
        by=TESTER,
        question=question,
    )


def refusal(act: Callable[[], object]) -> RuleViolation:
    with pytest.raises(RuleViolation) as caught:
        act()
    return caught.value


def make_lot(part: Any, number: str, date_code: str = "2642", supplier: str = "DEMO-A", **more: Any) -> Lot:
    company = Supplier.objects.get_or_create(code=supplier, defaults={"name": supplier})[0]
    return receive_lot(
        site=make_site(),
        part=part.part,
        supplier=company,
        number=number,
        by=TESTER,
        date_code=date_code,
        **more,
    )


class Bench:
    """Two units on order, each worked on once at its own station by its own person, at its own time."""

    def __init__(self) -> None:
        part = make_assembly("tray", level=10, takes={})
        route = make_route(part, fills=())
        self.units = [ordered_unit(part, route) for _ in range(2)]
        self.stations = [make_station("BUILD", "ST-1"), make_station("BUILD", "ST-2")]
        self.people = [make_person("ann").username, make_person("ben").username]
        self.times = [LONG_AGO, timezone.now() - timedelta(days=1)]
        self.runs = [self._run(number) for number in range(2)]

    def _run(self, number: int) -> OperationRun:
        unit, at = self.units[number], self.times[number]
        route = unit.order_units.get().route
        return OperationRun.objects.create(
            unit=unit,
            operation=route.operations.get(sequence=10),
            state="complete",
            station=self.stations[number],
            started_at=at,
            started_by=self.people[number],
            completed_at=at + timedelta(hours=1),
            completed_by=self.people[number],
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_lot_is_found_by_number_and_by_uid_with_its_units() -> None:
    gpu = make_part("gpu")
    lot, other = make_lot(gpu, "L1"), make_lot(gpu, "L2")
    units = [make_unit(gpu, lot=lot) for _ in range(2)]
    make_unit(gpu, lot=other)
    for name in ("L1", "l1", str(lot.uid)):
        affected = find_affected(question=ask(lot=name))
        assert {row.unit.serial for row in affected.units} == serials(*units)
        assert [row.number for row in affected.lots] == ["L1"]


def test_supplier_of_the_unit_or_of_its_lot() -> None:
    gpu = make_part("gpu")
    of_lot = make_unit(gpu, lot=make_lot(gpu, "L1"))
    other = Supplier.objects.create(code="DEMO-B", name="Demo supplier B")
    own = make_unit(gpu, supplier=other)
    both = make_unit(gpu, lot=Lot.objects.get(), supplier=other)
    assert found(supplier="DEMO-A") == serials(of_lot, both)
    assert found(supplier="demo-b") == serials(own, both)


def test_one_date_code_or_a_range_of_equally_long_ones() -> None:
    gpu = make_part("gpu")
    codes = ("2639", "2640", "2645", "26401", "2646")
    units = {code: make_unit(gpu, lot=make_lot(gpu, f"L{code}", code)) for code in codes}
    assert found(date_code="2640") == serials(units["2640"])
    assert found(date_code="2640..2645") == serials(units["2640"], units["2645"])
    assert [lot.date_code for lot in find_affected(question=ask(date_code="2640..2645")).lots] == [
        "2640",
        "2645",
    ]


def test_part_revision_and_country_must_all_be_met() -> None:
    gpu = make_part("gpu")
    taiwan = make_unit(gpu, country_of_origin="TW")
    korea = make_unit(gpu, country_of_origin="KR")
    make_unit(make_part("nic"), country_of_origin="TW")
    assert found(part=gpu.part.number) == serials(taiwan, korea)
    assert found(part=gpu.part.number, revision="a") == serials(taiwan, korea)
    assert found(part=gpu.part.number, country_of_origin="tw") == serials(taiwan)
    assert found(part=gpu.part.number, revision="A", country_of_origin="US") == set()


def test_firmware_that_runs_now_or_ran_in_a_window() -> None:
    gpu = make_part("gpu")
    updated, not_yet = make_unit(gpu), make_unit(gpu)
    for unit in (updated, not_yet):
        record_firmware(unit=unit, component="BMC", version="1.0", by=TESTER)
    before = timezone.now()
    record_firmware(unit=updated, component="BMC", version="1.1", by=TESTER)
    firmware = {"firmware_component": "bmc", "firmware_version": "1.0"}
    assert found(**firmware) == serials(not_yet)
    assert found(**firmware, since=before) == serials(updated, not_yet)
    assert found(**firmware, since=timezone.now()) == serials(not_yet)
    assert found(**firmware, until=LONG_AGO) == set()


def test_a_tool_by_when_it_was_used_superseded_runs_included(bench: Bench) -> None:
    tool = Tool.objects.create(site=make_site(), code="TD-1", type="torque_driver", name="Driver 1")
    for run, at in zip(bench.runs, bench.times, strict=True):
        ToolUse.objects.create(run=run, tool=tool, used_at=at, used_by="ann")
    OperationRun.objects.update(superseded_at=timezone.now(), superseded_because="swap")
    assert found(tool="td-1") == serials(*bench.units)
    assert found(tool="TD-1", until=LONG_AGO + timedelta(days=1)) == serials(bench.units[0])
    assert found(tool="TD-1", since=LONG_AGO + timedelta(days=1)) == serials(bench.units[1])


def test_a_station_by_runs_by_parts_in_them_and_by_tests(bench: Bench) -> None:
    first, second = bench.units
    assert found(station="ST-1") == serials(first)
    assert found(station="ST-1", since=LONG_AGO + timedelta(minutes=30)) == serials(first)
    assert found(station="ST-1", since=LONG_AGO + timedelta(hours=2)) == set()
    Labor.objects.create(run=bench.runs[1], person="cas", station=bench.stations[0])
    assert found(station="st-1") == serials(first, second)


def test_a_person_by_work_by_parts_in_it_and_by_installing(bench: Bench) -> None:
    first, second = bench.units
    assert found(person="ann") == serials(first)
    Labor.objects.create(run=bench.runs[1], person="ann")
    assert found(person="ann") == serials(first, second)
    assert found(person="ann", until=LONG_AGO + timedelta(days=1)) == serials(first)
    make_person("tester")
    rack = Rack(gpus=1)
    rack.build()
    assert serials(rack.unit, *rack.gpus, *rack.trays) <= found(person="tester")


def test_a_test_counts_for_its_station_and_person() -> None:
    make_person("tester")
    rack = Rack(gpus=1)
    rack.build()
    OperationRun.objects.update(station=None, started_by="x", completed_by="x")
    Labor.objects.all().delete()
    assert found(station=make_station("TEST").code) == serials(rack.unit)
    assert rack.unit.serial in found(person="tester")


def test_a_consumable_by_the_runs_that_used_it(bench: Bench) -> None:
    paste = make_lot(make_part("paste"), "P1")
    uses = ConsumableUse.objects
    uses.create(run=bench.runs[0], lot=paste, quantity=1, unit="g", used_at=LONG_AGO, used_by="ann")
    affected = find_affected(question=ask(consumable_lot="P1"))
    assert [row.unit for row in affected.units] == [bench.units[0]]
    assert [lot.number for lot in affected.lots] == ["P1"]
    assert found(consumable_lot="P1", since=LONG_AGO + timedelta(days=1)) == set()


def test_criteria_are_met_by_the_unit_not_by_one_run(bench: Bench) -> None:
    Labor.objects.create(run=bench.runs[0], person="ben", station=bench.stations[1])
    assert found(station="ST-1", person="ben") == serials(bench.units[0])


def test_a_window_without_acts_is_that_of_receiving() -> None:
    gpu = make_part("gpu")
    old, new = make_unit(gpu), make_unit(gpu)
    lots = [make_lot(gpu, "L1"), make_lot(gpu, "L2")]
    Unit.objects.filter(pk=old.pk).update(created_at=LONG_AGO)
    Lot.objects.filter(pk=lots[0].pk).update(received_at=LONG_AGO)
    window = {"part": gpu.part.number, "since": LONG_AGO + timedelta(days=1)}
    assert found(**window) == serials(new)
    assert [lot.number for lot in find_affected(question=ask(**window)).lots] == ["L2"]


@pytest.mark.parametrize(
    ("criteria", "code"),
    [
        ({}, "containment_too_wide"),
        ({"since": LONG_AGO, "until": LONG_AGO}, "containment_too_wide"),
        ({"revision": "A"}, "question_malformed"),
        ({"firmware_component": "BMC"}, "question_malformed"),
        ({"firmware_version": "1.0"}, "question_malformed"),
        ({"date_code": "2640..26450"}, "question_malformed"),
        ({"date_code": "2645..2640"}, "question_malformed"),
        ({"date_code": ".."}, "question_malformed"),
        ({"lot": "x", "since": timezone.now(), "until": LONG_AGO}, "question_malformed"),
        *(({name: "nobody knows this"}, "unknown_criterion") for name in ("lot", "supplier", "part", "tool")),
        *(({name: "nobody"}, "unknown_criterion") for name in ("station", "person", "consumable_lot")),
        ({"containment": "CT-0001"}, "unknown_criterion"),
    ],
)
def test_a_question_that_is_not_sound_is_refused(criteria: dict[str, Any], code: str) -> None:
    assert refusal(lambda: find_affected(question=ask(**criteria))).code == code


def test_an_unknown_revision_is_refused() -> None:
    number = make_part("gpu").part.number
    violation = refusal(lambda: find_affected(question=ask(part=number, revision="Z")))
    assert (violation.code, violation.facts["criterion"]) == ("unknown_criterion", "revision")


def test_another_site_is_not_asked() -> None:
    gpu, other = make_part("gpu"), make_site("S2")
    make_unit(gpu, site=other)
    here = make_unit(gpu)
    assert found(part=gpu.part.number) == serials(here)
    make_lot(gpu, "L1")
    assert refusal(lambda: find_affected(question=ask(site=other, lot="L1"))).code == "unknown_criterion"


def everywhere() -> tuple[Question, dict[str, Unit]]:
    """Make one GPU of a lot in each place."""
    rack = Rack(gpus=1)
    WorkOrder.objects.update(customer="Demo customer")
    put(rack.unit, "U08", rack.trays[0])
    shipped, scrapped, loose = rack.make_gpu(), rack.make_gpu(), rack.make_gpu()
    scrap_unit(unit=scrapped, reason="burnt", by=TESTER)
    facts = {"state": "shipped", "shipped_at": timezone.now(), "shipped_to": "Demo customer"}
    Unit.objects.filter(pk=shipped.pk).update(**facts)
    Unit.objects.filter(pk=rack.trays[1].pk).update(**facts)
    busy = rack.make_gpu()
    Unit.objects.filter(pk=busy.pk).update(state="in_work")
    inside, sent = rack.gpus
    units = {
        "loose": loose,
        "busy": busy,
        "inside": inside,
        "sent": sent,
        "shipped": shipped,
        "gone": scrapped,
    }
    return ask(lot=rack.lot.number), units


def test_each_place_is_told_apart() -> None:
    question, units = everywhere()
    affected = find_affected(question=question)
    assert affected.places == {
        **{"in_stock": 1, "in_progress": 1, "inside": 1},
        **{"shipped": 2, "scrapped": 1, "returned": 0},
    }
    assert (affected.count, affected.to_hold, affected.held) == (6, 5, 0)
    rows = {row.unit.pk: row for row in affected.units}
    inside, sent, shipped = (rows[units[name].pk] for name in ("inside", "sent", "shipped"))
    assert (inside.place, inside.path) == (Place.INSIDE, "U08/SC0/GPU0")
    assert inside.order is not None and inside.order.customer == "Demo customer"
    assert (inside.top.part_revision.part.kind, inside.shipped) == ("rack", None)
    assert (sent.place, sent.path, sent.shipped) == (Place.SHIPPED, "SC0/GPU0", sent.top)
    assert shipped.shipped == units["shipped"]
    assert [row.place for row in affected.units] == [
        *("in_stock", "in_progress", "inside", "shipped", "shipped", "scrapped")
    ]


def test_pages_and_places_list_a_part_but_count_all() -> None:
    question, units = everywhere()
    pages = [find_affected(question=question, offset=offset, limit=4) for offset in (0, 4)]
    assert [len(page.units) for page in pages] == [4, 2]
    assert [page.next_offset for page in pages] == [4, None]
    assert pages[0].digest == pages[1].digest
    assert [page.count for page in pages] == [6, 6]
    there = find_affected(question=question, place="shipped")
    assert {row.unit for row in there.units} == {units["sent"], units["shipped"]}
    assert there.count == 6


def test_the_number_of_queries_does_not_depend_on_what_is_found() -> None:
    def queries(question: Question) -> int:
        with CaptureQueriesContext(connection) as captured:
            find_affected(question=question)
        return len(captured)

    question, _ = everywhere()
    small = queries(question)
    rack = Rack(gpus=4)
    put(rack.unit, "U08", rack.trays[0])
    assert queries(ask(lot=rack.lot.number)) == small == 6


def test_what_was_seen_is_held_with_one_number_and_an_event_each() -> None:
    question, units = everywhere()
    containment = contain(question)
    assert (containment.number, containment.units, containment.lots) == ("CT-0001", 5, 1)
    assert containment.question == {"lot": question.lot}
    held = {pk for (pk,) in Unit.objects.filter(held=True).values_list("pk")}
    assert held == {unit.pk for name, unit in units.items() if name != "gone"}
    assert Lot.objects.get(number=question.lot).held
    kinds = list(Event.objects.filter(kind__endswith=".held").values_list("kind", flat=True))
    assert sorted(kinds) == ["containment.held", "lot.held", *["unit.held"] * 5]
    payloads = [event.payload for event in Event.objects.filter(kind="unit.held")]
    assert {payload["containment"] for payload in payloads} == {"CT-0001"}
    assert contain(ask(lot=question.lot)).number == "CT-0002"
    assert verify_ledger().intact


def test_a_set_that_changed_is_not_held() -> None:
    gpu = make_part("gpu")
    make_unit(gpu)
    question = ask(part=gpu.part.number)
    seen = find_affected(question=question)
    make_unit(gpu)
    violation = refusal(lambda: contain(question, seen=seen))
    assert (violation.code, violation.facts["count"], violation.status) == ("containment_changed", 2, 409)
    wrong: dict[str, Any] = {"question": question, "reason": "x", "by": TESTER, "expected_count": 2}
    assert refusal(lambda: hold_containment(digest="0" * 64, **wrong)).code == "containment_changed"
    assert not Hold.objects.exists()
    assert not Containment.objects.exists()


def test_nothing_found_is_not_held() -> None:
    gpu = make_part("gpu")
    unit = make_unit(gpu)
    question = ask(part=gpu.part.number)
    scrap_unit(unit=unit, reason="burnt", by=TESTER)
    assert refusal(lambda: contain(question)).code == "containment_empty"


def test_a_held_child_stops_its_rack() -> None:
    rack = Rack(gpus=1)
    rack.work(10, trays=rack.trays)
    station = make_station("TEST")
    contain(ask(lot=rack.lot.number))
    start_operation(unit=rack.unit, sequence=20, station=station, by=at_station(station))
    rack.test(0.1)
    act: dict[str, Any] = {"unit": rack.unit, "sequence": 20, "station": station, "by": at_station(station)}
    assert refusal(lambda: complete_operation(**act)).code == "child_held"
    free(Containment.objects.get())
    complete_operation(**act)


def test_release_frees_its_own_holds_alone() -> None:
    question, units = everywhere()
    place_hold(unit=units["loose"], reason="scratched", by=TESTER)
    containment = free(contain(question))
    assert containment.state == Containment.State.RELEASED
    assert [unit.serial for unit in Unit.objects.filter(held=True)] == [units["loose"].serial]
    assert not Lot.objects.get(number=question.lot).held
    holds = Hold.objects.filter(containment=containment)
    assert {(hold.release_reason, hold.released_by) for hold in holds} == {("cleared", "tester")}
    assert Event.objects.get(kind="containment.released").payload["left"] == 0
    assert refusal(lambda: free(containment)).code == "containment_released"
    assert verify_ledger().intact


def test_a_narrower_question_releases_a_part() -> None:
    gpu = make_part("gpu")
    lots = [make_lot(gpu, f"L{code}", code) for code in ("2640", "2641")]
    units = [make_unit(gpu, lot=lot) for lot in lots]
    containment = free(contain(ask(supplier="DEMO-A")), question=ask(date_code="2640"))
    assert containment.state == Containment.State.HELD
    assert list(Unit.objects.filter(held=True)) == [units[1]]
    assert list(Lot.objects.filter(held=True)) == [lots[1]]
    payload = Event.objects.get(kind="containment.released_in_part").payload
    assert (payload["released"], payload["left"]) == (2, 2)
    assert refusal(lambda: free(containment, question=ask(date_code="2640"))).code == "containment_empty"
    assert free(containment).state == Containment.State.RELEASED


def test_a_release_is_confirmed_too() -> None:
    gpu = make_part("gpu")
    units = [make_unit(gpu) for _ in range(2)]
    containment = contain(ask(part=gpu.part.number))
    seen = find_affected(question=ask(containment=containment.number))
    release_hold(hold=units[0].holds.get(), reason="cleared", by=TESTER)
    given: dict[str, Any] = {"containment": containment, "reason": "x", "by": TESTER}
    act: dict[str, Any] = {**given, "expected_count": seen.count, "digest": seen.digest}
    assert refusal(lambda: release_containment(**act)).code == "containment_changed"
    assert Unit.objects.get(pk=units[1].pk).held


def test_the_last_hold_released_by_hand_releases_the_containment() -> None:
    gpu = make_part("gpu")
    units = [make_unit(gpu) for _ in range(2)]
    containment = contain(ask(part=gpu.part.number))
    for unit, state in zip(units, ("held", "released"), strict=True):
        release_hold(hold=unit.holds.get(), reason="cleared", by=TESTER)
        containment.refresh_from_db()
        assert containment.state == state


def test_two_thousand_units_are_held_and_released_in_seconds() -> None:
    gpu = make_part("gpu")
    lot = make_lot(gpu, "L1")
    facts = {"site": make_site(), "part_revision": gpu, "level": 2, "state": "in_stock", "lot": lot}
    Unit.objects.bulk_create(Unit(serial=f"BULK{number}", **facts) for number in range(2000))
    began: datetime = timezone.now()
    containment = contain(ask(lot="L1"))
    held = timezone.now()
    free(containment)
    logger.info("hold %s, release %s", held - began, timezone.now() - held)
    assert Hold.objects.filter(containment=containment).count() == 2001
    assert timezone.now() - began < timedelta(seconds=30)


def test_similar_units_share_what_is_asked(bench: Bench) -> None:
    gpu = make_part("gpu")
    lot = make_lot(gpu, "L1")
    unit = make_unit(gpu, lot=lot)
    site = make_site()
    assert question_like(unit=unit, by="lot") == Question(site=site, lot=str(lot.uid))
    part = gpu.part.number
    assert question_like(unit=unit, by="supplier") == Question(site=site, supplier="DEMO-A", part=part)
    assert question_like(unit=unit, by="date_code") == Question(site=site, date_code="2642", part=part)
    worked = bench.units[0]
    assert question_like(unit=worked, by="station") == Question(site=site, station="ST-1")
    assert question_like(unit=worked, by="person") == Question(site=site, person="ann")
    assert refusal(lambda: question_like(unit=worked, by="tool")).code == "nothing_similar"
    Labor.objects.create(run=bench.runs[0], person="ben")
    violation = refusal(lambda: question_like(unit=worked, by="person"))
    assert (violation.code, violation.facts["choices"]) == ("similar_ambiguous", ["ann", "ben"])
    assert question_like(unit=worked, by="person", value="ben").person == "ben"
    assert refusal(lambda: question_like(unit=worked, by="person", value="cas")).code == "nothing_similar"


def test_what_was_taken_out_is_where_it_is_now() -> None:
    rack = Rack(gpus=1)
    put(rack.unit, "U08", rack.trays[0])
    take(rack.unit, "U08")
    listed = find_affected(question=ask(lot=rack.lot.number)).units
    row = next(row for row in listed if row.unit == rack.gpus[0])
    assert (row.top, row.path) == (rack.trays[0], "SC0/GPU0")


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
def test_no_unit_is_received_past_the_hold_of_its_lot() -> None:
    gpu = make_part("gpu")
    lot, question = make_lot(gpu, "L1"), ask(lot="L1")

    def receive() -> None:
        make_unit(gpu, lot=lot)

    def hold_what_is_seen() -> None:
        while not Containment.objects.exists():
            with suppress(RuleViolation):
                contain(question)

    ends = race([hold_what_is_seen, *[receive] * 99])
    assert ends["won"] + ends["lot_held"] == 100
    assert not Unit.objects.filter(lot=lot, held=False).exists()
