"""A live hipot: two people, an empty rack, nothing else done to it meanwhile, and how it ends."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from mes.electrical.models import HipotSession, SafetyPlan, SafetyTest
from mes.electrical.services import abort_hipot, begin_hipot, finish_hipot, record_safety_test
from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.services import Actor
from mes.people.models import Qualification, Signature
from mes.people.services import record_training
from mes.quality.models import Nonconformance
from mes.quality.services import open_nonconformance, place_hold
from mes.racks.services import install_unit, remove_unit
from mes.serials.models import Unit
from mes.workorders.models import ToolUse
from mes.workorders.services import (
    complete_operation,
    install_child,
    record_break,
    scrap_ordered_unit,
    start_operation,
)
from tests.builders import TESTER, make_assembly, make_person, make_station, make_unit, release
from tests.electrical.builders import Bay, bond, high_voltage, make_instrument, proof_by

pytestmark = pytest.mark.django_db


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(RuleViolation) as refused:
        act()
    return refused.value.code


def finish(session: HipotSession, **more: object) -> SafetyTest:
    given = {"readings": high_voltage(), "discharged": True, "by": Actor(person=session.first_person)}
    return finish_hipot(session=session, **{**given, **more})  # type: ignore[arg-type]


def test_two_people_begin_it_and_the_result_ends_it() -> None:
    bay = Bay()
    session = bay.begin()
    unit = Unit.objects.get(pk=bay.unit.pk)
    assert unit.locked_out == f"live hipot by {bay.first.username} and {bay.second.username}"
    signers = set(Signature.objects.filter(meaning="live hipot").values_list("signer", flat=True))
    assert signers == {bay.first.username, bay.second.username}
    test = finish(session)
    unit.refresh_from_db()
    session.refresh_from_db()
    assert (unit.locked_out, session.state) == ("", "finished")
    assert (test.test_run.procedure, test.test_run.outcome) == ("hipot", "PASS")
    assert test.test_run.details["people"] == [bay.first.username, bay.second.username]
    assert test.session == session and test.plan == bay.plan
    kinds = list(Event.objects.filter(stream=unit.stream).order_by("seq").values_list("kind", flat=True))
    assert kinds[-3:] == ["unit.locked_out", "unit.lockout_ended", "unit.tested"]


def test_one_person_or_the_same_twice_is_refused() -> None:
    bay = Bay()
    assert code_of(lambda: bay.begin(bay.first)) == "hipot_needs_two_people"
    assert code_of(lambda: bay.begin(bay.first, bay.first)) == "hipot_same_person"
    assert code_of(lambda: bay.begin(lasts=timedelta(hours=3))) == "hipot_too_long"
    wrong = replace(proof_by(bay.second), refusal=RuleViolation("pin_wrong", "", rule="", next_step=""))
    assert code_of(lambda: bay.begin(proofs=[proof_by(bay.first), wrong])) == "pin_wrong"
    assert not HipotSession.objects.exists() and not Unit.objects.get(pk=bay.unit.pk).locked_out


def test_the_database_itself_refuses_one_person_and_a_second_live_session() -> None:
    bay = Bay()
    session = bay.begin()
    with pytest.raises(IntegrityError), transaction.atomic():
        HipotSession.objects.filter(pk=session.pk).update(second_person=session.first_person)
    finish(session)
    Unit.objects.filter(pk=bay.unit.pk).update(locked_out="")
    other = bay.begin()
    with pytest.raises(IntegrityError), transaction.atomic():
        HipotSession.objects.filter(pk=session.pk).update(state="live", ended_at=None)
    assert other.state == "live"


def test_both_must_hold_what_the_operation_asks_for() -> None:
    licence = Qualification.objects.create(code="high-voltage", name="High voltage")
    bay = Bay(ask=lambda operation: operation.qualifications.create(qualification=licence))
    record_training(person=bay.first, qualification=licence, trainer="trainer", by=TESTER)
    with pytest.raises(RuleViolation) as refused:
        bay.begin()
    assert (refused.value.code, refused.value.facts["person"]) == ("not_qualified", bay.second.username)
    record_training(person=bay.second, qualification=licence, trainer="trainer", by=TESTER)
    assert bay.begin().state == "live"


def test_only_what_the_plan_names_may_stay_in_the_rack_at_any_depth() -> None:
    bay = Bay()
    bay.put("BUSBAR", make_unit(bay.busbar))
    shelf = bay.put("U03", make_unit(bay.shelf))
    session = bay.begin()
    abort_hipot(session=session, reason="first look", discharged=True, by=TESTER)
    slot = bay.rack.slots.get(name="U03")
    remove_unit(parent=Unit.objects.get(pk=bay.unit.pk), slot=slot, reason="fill it", by=TESTER)
    psu = make_unit(bay.psu, "PSU-1")
    install_unit(parent=shelf, slot=bay.shelf.slots.get(), child=psu, by=TESTER)
    bay.put("U03", Unit.objects.get(pk=shelf.pk))
    with pytest.raises(RuleViolation) as refused:
        bay.begin()
    assert refused.value.code == "rack_not_empty"
    assert "psu PSU-1 in U03/PSU1" in refused.value.detail
    assert refused.value.facts["count"] == 1
    assert "nothing but busbar, power shelf" in refused.value.rule


def test_the_latest_released_plan_counts_and_a_draft_does_not() -> None:
    bay = Bay()
    bay.put("BUSBAR", make_unit(bay.busbar))
    newer = SafetyPlan.objects.create(part=bay.rack.part, version="2", may_stay=[])
    session = bay.begin()
    assert session.plan == bay.plan
    abort_hipot(session=session, reason="x", discharged=True, by=TESTER)
    release(newer)
    assert code_of(bay.begin) == "rack_not_empty"


def test_nothing_else_is_done_to_the_rack_meanwhile() -> None:
    bay, station = Bay(), make_station("BUILD")
    bay.put("BUSBAR", make_unit(bay.busbar))
    start_operation(unit=bay.unit, sequence=10, station=station, by=TESTER)
    session = bay.begin()
    unit, tray, slots = Unit.objects.get(pk=bay.unit.pk), make_unit(bay.tray), bay.rack.slots
    acts: list[Callable[[], object]] = [
        lambda: install_child(unit=unit, slot_name="U08", child=tray, station=station, by=TESTER),
        lambda: remove_unit(parent=unit, slot=slots.get(name="BUSBAR"), reason="x", by=TESTER),
        lambda: complete_operation(unit=unit, sequence=10, station=station, by=TESTER),
        lambda: record_break(unit=unit, kind="power_break", reason="x", by=TESTER),
        lambda: record_safety_test(unit=unit, instrument=bay.tool.code, readings=bond(), by=TESTER),
        lambda: scrap_ordered_unit(unit=unit, reason="x", by=TESTER),
        bay.begin,
    ]
    assert {code_of(act) for act in acts} == {"unit_locked_out"}
    found = open_nonconformance(unit=unit, symptom="smoke", source=Nonconformance.Source.TERMINAL, by=TESTER)
    assert found.state == "open"
    finish(session)
    assert Unit.objects.get(pk=unit.pk).held and not Unit.objects.get(pk=unit.pk).locked_out


def test_a_held_or_installed_rack_is_not_tested() -> None:
    bay = Bay()
    place_hold(unit=bay.unit, reason="dent", by=TESTER)
    assert code_of(bay.begin) == "unit_held"
    inside = Bay()
    cluster = make_assembly("cluster", level=12, takes={"R1-01": inside.rack})
    Unit.objects.filter(pk=inside.unit.pk).update(state="finished")
    install_unit(parent=make_unit(cluster), slot=cluster.slots.get(), child=inside.unit, by=TESTER)
    assert code_of(inside.begin) == "unit_closed"


def test_who_began_it_finishes_it_and_says_that_it_is_discharged() -> None:
    session = Bay().begin()
    assert code_of(lambda: finish(session, by=TESTER)) == "hipot_by_others"
    assert code_of(lambda: finish(session, discharged=False)) == "hipot_not_discharged"
    assert code_of(lambda: finish(session, readings=high_voltage(volts=-1))) == "reading_impossible"
    assert code_of(lambda: finish(session, readings=high_voltage(ramp_s=None))) == "reading_impossible"
    assert Unit.objects.get(pk=session.unit_id).locked_out
    finish(session, by=Actor(person=session.second_person))
    assert code_of(lambda: finish(session)) == "hipot_ended"
    ended = code_of(lambda: abort_hipot(session=session, reason="x", discharged=True, by=TESTER))
    assert ended == "hipot_ended"


def test_an_expired_session_takes_no_result_and_keeps_the_rack_locked_out_until_it_is_aborted() -> None:
    session = Bay().begin()
    HipotSession.objects.filter(pk=session.pk).update(expires_at=timezone.now())
    assert code_of(lambda: finish(session)) == "hipot_expired"
    assert Unit.objects.get(pk=session.unit_id).locked_out
    anybody = Actor(person=make_person().username)
    unsafe = code_of(lambda: abort_hipot(session=session, reason="x", discharged=False, by=anybody))
    assert unsafe == "hipot_not_discharged"
    assert code_of(lambda: abort_hipot(session=session, reason=" ", discharged=True, by=anybody)) == (
        "reason_missing"
    )
    abort_hipot(session=session, reason="forgotten", discharged=True, by=anybody)
    assert not Unit.objects.get(pk=session.unit_id).locked_out
    assert not SafetyTest.objects.exists()


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ({"volts": 1500, "supply": "ac"}, "PASS"),
        ({"volts": 1500, "supply": "dc"}, "FAIL"),
        ({"volts": 2100, "supply": "dc"}, "PASS"),
        ({"volts": 1400, "supply": "ac"}, "FAIL"),
        ({"leakage": 5.1}, "FAIL"),
        ({"arc_detected": True}, "FAIL"),
        ({"duration_s": 59}, "FAIL"),
    ],
)
def test_peak_leakage_dwell_and_arcs_decide(given: dict[str, object], outcome: str) -> None:
    run = finish(Bay().begin(), readings=high_voltage(**given)).test_run  # type: ignore[arg-type]
    assert run.outcome == outcome
    assert bool(run.reasons) == (outcome == "FAIL")


def test_the_instrument_is_in_calibration_at_the_begin_and_at_the_end() -> None:
    bay = Bay()
    overdue = make_instrument(due_in=timedelta(days=-1))
    assert code_of(lambda: bay.begin(instrument=overdue.code)) == "instrument_overdue"
    session = bay.begin()
    bay.tool.calibrations.update(due_at=timezone.now())
    assert code_of(lambda: finish(session)) == "instrument_overdue"


def test_the_instrument_is_noted_with_the_running_operation_that_takes_its_type() -> None:
    bay = Bay(ask=lambda operation: operation.tools.create(type="safety_analyzer"))
    station = make_station("TEST")
    start_operation(unit=bay.unit, sequence=10, station=make_station("BUILD"), by=TESTER)
    complete_operation(unit=bay.unit, sequence=10, station=make_station("BUILD"), by=TESTER)
    type(bay.tool).objects.filter(pk=bay.tool.pk).update(station=station, here_since=timezone.now())
    start_operation(unit=bay.unit, sequence=20, station=station, by=TESTER)
    other = make_instrument()
    at_station = Actor(person=bay.first.username, station=station.code)
    bay.begin(instrument=other.code, by=at_station)
    assert set(ToolUse.objects.values_list("tool__code", flat=True)) == {bay.tool.code, other.code}


def test_begin_needs_somebody_signed_on() -> None:
    bay = Bay()
    proofs = [proof_by(bay.first), proof_by(bay.second)]
    begun = code_of(
        lambda: begin_hipot(unit=bay.unit, instrument=bay.tool.code, reason="x", proofs=proofs, by=Actor())
    )
    assert begun == "device_not_signed_on"
