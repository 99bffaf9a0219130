"""Each step gates what follows; a wet break reopens exactly what its rule names."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from mes.cooling.coolant import read_particle_class
from mes.cooling.models import CoolantStep
from mes.cooling.services import (
    Branch,
    LoopState,
    ResultState,
    fit_coupling,
    read_loop,
    record_charge_reading,
    record_fill,
    record_flow,
)
from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.quality.services import place_hold
from mes.racks.services import remove_unit
from mes.serials.models import Lot, Supplier
from mes.serials.services import receive_lot
from mes.testing.models import TestRun
from mes.testing.services import Result
from mes.workorders.services import record_break, report_test
from tests.builders import TESTER, make_part, make_revision, make_site, make_unit
from tests.cooling.builders import LIMITS, WET, Rack, make_type

pytestmark = pytest.mark.django_db


def refusal_of(act: Callable[[], object]) -> str:
    with pytest.raises(RuleViolation) as refused:
        act()
    assert refused.value.next_step and refused.value.rule
    return refused.value.code


@pytest.fixture
def rack(db: None) -> Rack:
    return Rack()


def state(rack: Rack) -> LoopState:
    return read_loop(rack.unit).state


def standing(rack: Rack) -> dict[str, str]:
    return {name: row.state.value for name, row in read_loop(rack.unit).standings.items()}


def live(rack: Rack) -> list[str]:
    runs = TestRun.objects.filter(unit=rack.unit, superseded_at__isnull=True)
    return sorted(runs.values_list("procedure", flat=True))


def wet_break(rack: Rack) -> None:
    record_break(unit=rack.unit, kind="wet_break", reason="hose replaced", by=TESTER)


def test_the_steps_in_their_order(rack: Rack) -> None:
    states = [state(rack)]
    for act in (rack.leak_test, rack.exercise, rack.flush, rack.fill, rack.flow, rack.drain, rack.charge):
        act()
        states.append(state(rack))
    assert states == ["dry", *["leak_tested"] * 3, "filled", "filled", "drained", "charged"]
    assert set(standing(rack).values()) == {"passed"}


def test_each_step_waits_for_those_before_it(rack: Rack) -> None:
    assert refusal_of(rack.flush) == "leak_test_missing"
    assert refusal_of(rack.fill) == "leak_test_missing"
    assert refusal_of(rack.charge) == "leak_test_missing"
    rack.leak_test()
    assert refusal_of(rack.fill) == "leak_sensors_missing"
    rack.exercise()
    assert refusal_of(rack.fill) == "not_flushed"
    assert refusal_of(rack.flow) == "not_filled"
    assert refusal_of(rack.drain) == "not_filled"
    rack.flush()
    rack.fill()
    assert refusal_of(rack.fill) == "already_filled"
    assert refusal_of(rack.flush) == "already_filled"
    assert refusal_of(rack.charge) == "not_drained"
    rack.drain()
    assert refusal_of(rack.drain) == "already_drained"
    assert refusal_of(rack.flow) == "not_filled"


def test_what_failed_gates_too(rack: Rack) -> None:
    rack.leak_test(9.0)
    assert refusal_of(rack.flush) == "leak_test_failed"
    rack.leak_test()
    rack.exercise(tripped_s=None, cleared_s=None)
    assert refusal_of(rack.fill) == "leak_sensors_failed"
    rack.exercise()
    rack.flush(particle_class="22/18/13")
    assert refusal_of(rack.fill) == "flush_failed"
    rack.flush()
    rack.fill(conductivity_us_cm=9000)
    assert (state(rack), refusal_of(rack.flow)) == (LoopState.FILLED, "fill_failed")
    rack.leak_test(9.0, medium="coolant")
    rack.drain()
    assert refusal_of(rack.fill) == "leak_test_failed"


def test_a_wet_break_reopens_exactly_what_its_rule_names(rack: Rack) -> None:
    rack.filled()
    wet_break(rack)
    reopened = {name for name, how in standing(rack).items() if how == ResultState.REOPENED}
    assert reopened == {"rack_leak", "leak_sensors", "flush", "fill", "flow"}
    assert read_loop(rack.unit).standings["fill"].why == "wet break: hose replaced"
    assert live(rack) == []
    assert (state(rack), refusal_of(rack.fill), refusal_of(rack.flow)) == (
        LoopState.FILLED,
        "already_filled",
        "not_filled",
    )
    rack.drain()
    assert refusal_of(rack.fill) == "leak_test_missing"
    rack.filled()
    assert (state(rack), standing(rack)["flow"]) == (LoopState.FILLED, "passed")


def test_a_leak_test_from_before_the_break_or_to_come_says_nothing(rack: Rack) -> None:
    rack.leak_test()
    before = timezone.now()
    wet_break(rack)
    assert refusal_of(lambda: rack.leak_test(ended_at=before)) == "leak_test_outdated"
    now = timezone.now()
    assert refusal_of(lambda: rack.leak_test(started_at=before, ended_at=now)) == "leak_test_outdated"
    assert refusal_of(lambda: rack.leak_test(ended_at=now + timedelta(hours=1))) == "leak_test_time"
    assert refusal_of(lambda: rack.leak_test(started_at=now, ended_at=before)) == "leak_test_time"
    assert rack.leak_test(started_at=now, ended_at=now).test_run.outcome == "PASS"


def test_a_first_leak_test_from_before_the_break_says_nothing(rack: Rack) -> None:
    before = timezone.now()
    wet_break(rack)
    with pytest.raises(RuleViolation) as refused:
        rack.leak_test(ended_at=before)
    assert refused.value.code == "leak_test_outdated"
    assert refused.value.detail.endswith("since then: wet break: hose replaced.")
    assert rack.leak_test(ended_at=timezone.now()).test_run.outcome == "PASS"


def test_a_first_leak_test_from_before_a_manifold_was_taken_out_says_nothing(rack: Rack) -> None:
    before, supply = timezone.now(), rack.unit.part_revision.slots.get(name="SUPPLY")
    remove_unit(parent=rack.unit, slot=supply, reason="dented", by=TESTER)
    with pytest.raises(RuleViolation, match="since then: SUPPLY opened: manifold changed") as refused:
        rack.leak_test(ended_at=before)
    assert refused.value.code == "leak_test_outdated"


def test_a_break_whose_rule_repeats_no_leak_test_leaves_it_alone() -> None:
    rack, before = Rack(repeats=(110,)), timezone.now()
    wet_break(rack)
    assert rack.leak_test(ended_at=before).test_run.outcome == "PASS"


def test_what_a_tester_measured_before_the_break_is_kept_as_superseded(rack: Rack) -> None:
    before = timezone.now()
    wet_break(rack)
    old = Result(procedure="rack_leak", outcome="PASS", ended_at=before)
    run = report_test(unit=rack.unit, result=old, by=TESTER)
    assert run.superseded_because == "measured before wet break: hose replaced"
    assert (live(rack), standing(rack)["rack_leak"]) == ([], "reopened")
    assert refusal_of(rack.flush) == "leak_test_missing"
    for ended_at in (timezone.now(), None):
        new = Result(procedure="rack_leak", outcome="PASS", ended_at=ended_at)
        assert report_test(unit=rack.unit, result=new, by=TESTER).superseded_at is None


def test_a_rule_that_names_less_reopens_less() -> None:
    rack = Rack(repeats=(80,)).filled()
    wet_break(rack)
    assert live(rack) == ["fill", "flow", "flush"]
    assert standing(rack)["rack_leak"] == standing(rack)["leak_sensors"] == "reopened"
    rack.drain()
    assert refusal_of(rack.fill) == "leak_test_missing"
    rack.leak_test()
    rack.exercise()
    rack.fill()


def test_a_manifold_taken_out_reopens_what_its_rule_names(rack: Rack) -> None:
    from mes.workorders.services import remove_child, start_operation
    from tests.builders import make_station

    rack.ready()
    station = make_station("COOLING")
    start_operation(unit=rack.unit, sequence=70, station=station, by=TESTER)
    remove_child(unit=rack.unit, slot_name="SUPPLY", reason="dented", by=TESTER)
    assert live(rack) == ["flush"]
    assert refusal_of(rack.fill) == "leak_test_missing"


def test_a_reopened_drain_can_be_done_again() -> None:
    rack = Rack(repeats=(170,)).filled()
    rack.drain()
    rack.charge()
    wet_break(rack)
    assert live(rack) == ["fill", "flow", "flush", "leak_sensors", "rack_leak"]
    assert refusal_of(rack.charge) == "drain_missing"
    again = rack.drain(0)
    assert (again.stays_l, again.test_run.outcome) == (2, "PASS")
    rack.charge()


def test_filling_again_makes_draining_untrue(rack: Rack) -> None:
    rack.filled()
    rack.drain()
    rack.charge()
    rack.fill()
    assert standing(rack)["drain"] == standing(rack)["nitrogen_charge"] == "reopened"
    assert read_loop(rack.unit).standings["drain"].why == "filled again"
    assert refusal_of(lambda: read(rack, 0.5)) == "not_charged"


def test_a_drain_that_leaves_too_much_is_gone_on_with(rack: Rack) -> None:
    rack.filled()
    first = rack.drain(40)
    assert (first.stays_l, first.test_run.outcome, state(rack)) == (20, "FAIL", LoopState.FILLED)
    assert refusal_of(rack.charge) == "not_drained"
    assert refusal_of(lambda: rack.drain(25)) == "drained_more_than_filled"
    second = rack.drain(18)
    assert (second.stays_l, second.test_run.outcome, state(rack)) == (2, "PASS", LoopState.DRAINED)


def test_nothing_comes_out_only_of_a_loop_that_was_drained(rack: Rack) -> None:
    rack.filled()
    assert refusal_of(lambda: rack.drain(0)) == "nothing_drained"
    assert state(rack) == LoopState.FILLED


def test_what_no_limit_judges_says_so() -> None:
    rack = Rack(limits=LIMITS[:1])
    rack.leak_test()
    steps: list[Any] = [rack.exercise(), rack.flush(), rack.fill(), rack.flow(), rack.drain(), rack.charge()]
    assert {step.test_run.outcome for step in steps} == {"PASS"}
    flow = (
        "flow, pressure_difference, supply_temperature, temperature_difference, heat, total_flow, total_heat"
    )
    assert [step.test_run.reasons for step in steps] == [
        ["No limit judges trip_time, clear_time."],
        ["No limit judges volume, duration, filter, particles_4um, particles_6um, particles_14um."],
        ["No limit judges volume, conductivity, ph, freeze_protection."],
        [f"No limit judges {flow}."],
        ["No limit judges volume, stays."],
        ["No limit judges charge_pressure, pressure_lost, temperature."],
    ]
    assert read(rack, 0.5).test_run.reasons == steps[-1].test_run.reasons


def test_a_branch_without_flow_fails_whatever_the_limits_are() -> None:
    rack = Rack(limits=LIMITS[:1]).ready()
    rack.fill()
    blocked = rack.flow(flow_l_min=0).test_run
    assert (blocked.outcome, blocked.reasons) == ("FAIL", ["U08: nothing flows."])
    backwards = rack.flow(return_bar=2.4).test_run
    assert backwards.reasons == ["U08: the supply pressure is not above that of the return."]


def test_a_nitrogen_charge_is_read_at_the_temperature_of_the_charge(rack: Rack) -> None:
    rack.leak_test()
    rack.charge(pressure_bar=0.5, temperature_cel=20.0)
    # 0.5 bar gauge are 1.51325 bar; at 30 Cel 1.51325 * 303.15 / 293.15 = 1.56487 bar, 0.55162 bar gauge
    holds = read(rack, 0.55162, 30.0)
    assert holds.corrected_bar == pytest.approx(0.5, abs=1e-4)
    assert holds.test_run.outcome == "PASS"
    lost = read(rack, 0.2)
    assert lost.test_run.outcome == "FAIL"
    assert lost.test_run.measurements.get(name="pressure_lost").value == pytest.approx(0.3)
    assert standing(rack)["nitrogen_charge"] == "failed"
    assert state(rack) == LoopState.LEAK_TESTED


def read(rack: Rack, bar: float, cel: float = 20.0) -> Any:
    return record_charge_reading(unit=rack.unit, pressure_bar=bar, temperature_cel=cel, by=TESTER)


def test_heat_is_flow_times_what_the_coolant_carries(rack: Rack) -> None:
    rack.ready().fill()
    branch = rack.flow().branches.get()
    # at the mean of 30 and 40 Cel: 1016.75 kg/m3, 3.95 kJ/(kg.K); 6 L/min = 1e-4 m3/s; dT 10 K
    assert branch.heat_kw == pytest.approx(1e-4 * 1016.75 * 3.95 * 10)
    assert branch.pressure_difference_bar == pytest.approx(1.2)


def test_heat_of_an_undefined_coolant_is_not_guessed(rack: Rack) -> None:
    rack.ready()
    part = make_part("coolant", level=1).part
    supplier = Supplier.objects.create(code="X", name="X")
    lot = receive_lot(site=make_site(), part=part, supplier=supplier, number="1", by=TESTER)
    rack.fill(lot=lot)
    assert rack.flow().branches.get().heat_kw is None


def test_flow_is_of_known_branches_within_limits(rack: Rack) -> None:
    rack.ready().fill()
    assert rack.flow(return_bar=2.2).test_run.outcome == "FAIL"
    assert rack.flow(branch=rack.unit.serial).test_run.outcome == "PASS"
    assert refusal_of(lambda: rack.flow(branch="U99")) == "branch_unknown"


def test_the_flow_of_every_branch_is_measured() -> None:
    rack = Rack(slots={**WET, "U09": ["supply", "return"], "U10": [], "U11": ["supply"]})
    manifold, kind = rack.child("SUPPLY"), make_type()
    for place in ("U10 supply", "SUPPLY hose"):
        fit_coupling(manifold=manifold, place=place, type=kind, serial=f"QD {place}", by=TESTER)
    for name in ("U08", "U09", "U10"):
        rack.install(name, make_unit(rack.tray))
    rack.ready().fill()
    assert missing_of(rack, "U08") == ["U09", "U10"]
    assert missing_of(rack, "u10 supply") == ["U08", "U09"]
    assert missing_of(rack, rack.unit.serial) == ["U08", "U09", "U10"]
    assert not CoolantStep.objects.filter(kind="flow").exists()
    assert flow(rack, "U08", "u09", "U10 supply").test_run.outcome == "PASS"


def missing_of(rack: Rack, *names: str) -> object:
    with pytest.raises(RuleViolation) as refused:
        flow(rack, *names)
    assert refused.value.code == "branches_not_measured"
    return refused.value.facts["missing"]


def flow(rack: Rack, *names: str) -> CoolantStep:
    branches = [Branch(name, 6.0, 2.4, 1.2, 30.0, 40.0) for name in names]
    return record_flow(unit=rack.unit, branches=branches, by=TESTER)


def test_flow_per_kw_is_of_the_rated_power(rack: Rack) -> None:
    rack.ready().fill()
    rack.unit.part_revision.power_w = None
    twice = [Branch("U08", 1, 2, 1, 30, 40), Branch("u08", 1, 2, 1, 30, 40)]
    assert refusal_of(lambda: record_flow(unit=rack.unit, branches=twice, by=TESTER)) == "branch_twice"
    one = {"flow_l_min": 1, "supply_bar": 2, "return_bar": 1, "supply_cel": 30, "return_cel": 40}
    for part in ("U08", rack.unit.serial):
        both = [Branch(branch=name, **one) for name in {part, rack.unit.serial, "SUPPLY"}]
        code = refusal_of(lambda both=both: record_flow(unit=rack.unit, branches=both, by=TESTER))  # type: ignore[misc]
        assert code == "branch_twice", "the loop as a whole counts its branches again"
    run = rack.flow().test_run
    assert not run.measurements.filter(name="flow_per_kw").exists()
    assert run.measurements.get(name="total_flow").value == 6


def test_flow_per_kw_is_of_what_is_inside_where_the_rack_states_no_power(rack: Rack) -> None:
    rack.ready().fill()
    rated = make_revision(rack.tray.part, "P", power_w=6000)
    rack.install("U08", make_unit(rated))
    assert rack.flow().test_run.measurements.get(name="flow_per_kw").value == 1


def test_coolant_that_may_not_be_used(rack: Rack) -> None:
    rack.ready()
    paste = make_part("paste", level=1).part
    supplier = Supplier.objects.get(code="COOL")
    wrong = receive_lot(site=make_site(), part=paste, supplier=supplier, number="P", by=TESTER)
    assert refusal_of(lambda: rack.fill(lot=wrong)) == "not_coolant"
    elsewhere = receive_lot(
        site=make_site("S2"), part=rack.lot.part, supplier=supplier, number="E", by=TESTER
    )
    assert refusal_of(lambda: rack.fill(lot=elsewhere)) == "wrong_site"
    Lot.objects.filter(pk=rack.lot.pk).update(expires_at=timezone.now() - timedelta(days=1))
    assert refusal_of(rack.fill) == "lot_expired"
    Lot.objects.filter(pk=rack.lot.pk).update(expires_at=None, held=True)
    assert refusal_of(rack.fill) == "lot_held"
    assert not CoolantStep.objects.filter(kind="fill").exists()


def test_held_units_are_drained_but_not_filled(rack: Rack) -> None:
    rack.ready()
    place_hold(unit=rack.unit, reason="drip seen", by=TESTER)
    assert refusal_of(rack.fill) == "unit_held"


def test_a_held_unit_may_be_drained(rack: Rack) -> None:
    rack.filled()
    place_hold(unit=rack.unit, reason="drip seen", by=TESTER)
    assert rack.drain().test_run.outcome == "PASS"


def test_a_person_answers_for_each_step(rack: Rack) -> None:
    act: dict[str, Any] = {
        "lot": rack.lot,
        "volume_l": 1,
        "conductivity_us_cm": 1,
        "ph": 7,
        "freeze_protection_cel": 0,
    }
    nobody = Actor(device="scanner")
    assert refusal_of(lambda: record_fill(unit=rack.unit, by=nobody, **act)) == "device_not_signed_on"


@pytest.mark.parametrize(
    "text", ["", "18/16", "18/16/x", "13/16/18", "99/16/13", "18/16/13/1", "-1/2/3", "²/1/1"]
)
def test_what_is_no_particle_class(text: str) -> None:
    assert refusal_of(lambda: read_particle_class(text)) == "particle_class_invalid"


def test_particle_class() -> None:
    assert read_particle_class("18/16/13") == (18, 16, 13)


def test_the_database_lets_no_second_fill_into_a_loop(rack: Rack) -> None:
    rack.filled()
    fill = CoolantStep.objects.get(kind="fill")
    fill.pk, fill.uid = None, rack.lot.uid
    fill.test_run = TestRun.objects.get(procedure="flush")
    CoolantStep.objects.filter(kind="flush").delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        fill.save(force_insert=True)
    incomplete: list[tuple[str, dict[str, Any]]] = [
        ("fill", {"lot": None}),
        ("fill", {"ph": 15}),
        ("flow", {"fill": None}),
        ("flow", {"drained_at": timezone.now()}),
    ]
    for kind, change in incomplete:
        with pytest.raises(IntegrityError), transaction.atomic():
            CoolantStep.objects.filter(kind=kind).update(**change)


def test_a_part_that_left_without_its_rule_leaves_results_alone(rack: Rack) -> None:
    rack.ready()
    remove_unit(parent=rack.unit, slot=rack.unit.part_revision.slots.get(name="LEAK"), reason="x", by=TESTER)
    assert live(rack) == ["flush", "leak_sensors", "rack_leak"]
