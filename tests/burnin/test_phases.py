"""Phases of a soak: what the trays are told when, what is good then, and what a gap leaves."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from mes.burnin.intents import Kind
from mes.burnin.models import BurnInAttempt, BurnInPhase, BurnInProfile, Gap
from mes.burnin.phase_rules import find_phase_faults
from mes.burnin.phases import credit_after_gap, plan_of, step_at
from mes.burnin.services import pause_run, require_sound_phases, resume_run
from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.verification import verify_ledger
from mes.testing.models import TestRun
from tests.builders import TESTER, supervisor_client
from tests.burnin.builders import LIMITS, Bench, bench, make_profile, make_rack
from tests.burnin.test_run import tell

Tray = BurnInAttempt.State
# An hour: two steps of a ramp, one thermal cycle, two loads by turns, then full load.
PHASES: tuple[dict[str, Any], ...] = (
    {"name": "warm up", "kind": "ramp", "hours": 0.2, "load_percent": 20, "to_load_percent": 60, "steps": 2},
    {"name": "cycle", "kind": "thermal_cycle", "hours": 0.2, "steps": 1, "stressor": "heat"},
    {"name": "swing", "kind": "power_step", "hours": 0.2, "load_percent": 90, "to_load_percent": 30},
    {"name": "soak", "kind": "steady", "hours": 0.4, "stressors": {"compute_tray": "gpu-burn"}},
)
SLOW: dict[str, Any] = {"phases": PHASES, "time_scale": 1}
TEMPERATURE = LIMITS[:1]


def phase(**columns: Any) -> dict[str, Any]:
    whole = {
        "name": "p",
        "kind": "steady",
        "hours": 1,
        "load_percent": 100.0,
        "to_load_percent": None,
        "steps": 1,
    }
    return {**whole, **columns}


def loads(**columns: Any) -> list[tuple[float | None, float]]:
    """Return the loads of a phase of an hour, each with the second that it ends at."""
    steps = plan_of(BurnInProfile(required_hours=1), [BurnInPhase(**phase(**columns))])
    return [(step.load_percent, round(step.ends)) for step in steps]


def test_every_kind_of_phase_is_a_list_of_loads() -> None:
    assert loads() == [(100, 3600)]
    ramp = loads(kind="ramp", load_percent=40, to_load_percent=100, steps=4)
    assert ramp == [(40, 900), (60, 1800), (80, 2700), (100, 3600)]
    assert loads(kind="thermal_cycle", steps=2) == [(100, 900), (0, 1800), (100, 2700), (0, 3600)]
    swing = loads(kind="power_step", load_percent=90, to_load_percent=30, steps=1)
    assert swing == [(90, 1800), (30, 3600)]


def test_the_step_follows_from_the_credit_alone() -> None:
    plan = plan_of(BurnInProfile(required_hours=1), [BurnInPhase(**each) for each in PHASES])
    found = [step_at(plan, seconds) for seconds in (0, 359, 360, 720, 1080, 1440, 1800, 2160, 3600, 9999)]
    assert [(step.phase, step.number) for step in found] == [
        *(("warm up", 1), ("warm up", 1), ("warm up", 2), ("cycle", 1), ("cycle", 2)),
        *(("swing", 1), ("swing", 2), ("soak", 1), ("soak", 1), ("soak", 1)),
    ]
    (only,) = plan_of(BurnInProfile(required_hours=2, stressor="x"), [])
    assert (only.load_percent, only.ends, only.stressor_of("any")) == (None, 7200, "x")


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({}, ""),
        ({"hours": 2}, "the phases last 2 h, but required_hours is 1"),
        ({"hours": -1}, "p: hours must be greater than 0"),
        ({"load_percent": 101}, "p: a load is from 0 to 100 %"),
        ({"kind": "ramp", "steps": 3}, "p: ramp takes to_load_percent"),
        ({"kind": "ramp", "to_load_percent": 50}, "p: ramp takes more steps"),
        ({"kind": "steady", "steps": 2}, "p: steady takes one step"),
        ({"kind": "thermal_cycle", "to_load_percent": 9}, "p: thermal_cycle takes no to_load_percent"),
    ],
)
def test_what_phases_must_keep_to(columns: dict[str, Any], fault: str) -> None:
    faults = find_phase_faults(1, [phase(**columns)])
    assert fault in faults if fault else not faults


def told(rig: Bench) -> list[tuple[str, float]]:
    """Return the stressor and the load that each tray runs at."""
    statuses = [rig.simulator.status(tray.serial) for tray in rig.trays]
    return [(each["stress"], each["load_percent"]) for each in statuses]


def soak_to(rig: Bench, hours: float) -> None:
    """Let every tray have soaked so long, and the run go on by two polls."""
    BurnInAttempt.objects.filter(run=rig.run).exclude(state="superseded").update(
        credited_seconds=hours * 3600
    )
    rig.tick()
    rig.tick()


@pytest.mark.django_db
def test_a_run_goes_through_its_phases() -> None:
    with bench(limits=TEMPERATURE, **SLOW) as rig:
        rig.until_soaking()
        assert told(rig) == [("gpu-stress", 20.0)] * 2
        seen = []
        for hours in (0.11, 0.21, 0.31, 0.41, 0.51, 0.61):
            soak_to(rig, hours)
            seen.append((rig.run.phase, rig.run.step, *told(rig)[1]))
            assert rig.run.credited_seconds > hours * 3600 and rig.attempt(1).missed == 0
        assert seen == [
            ("warm up", 2, "gpu-stress", 60),
            ("cycle", 1, "heat", 100),
            ("cycle", 2, "", 0),
            ("swing", 1, "gpu-stress", 90),
            ("swing", 2, "gpu-stress", 30),
            ("soak", 1, "gpu-burn", 100),
        ]
        soak_to(rig, 1)
        rig.until("passed")
        assert rig.stressed() == [False, False]
    assert not Gap.objects.exists()
    events = [event.payload for event in Event.objects.filter(kind="burn_in.phase").order_by("id")]
    assert [(each["phase"], each["step"], each["of"]) for each in events][:3] == [
        *(("warm up", 1, 2), ("warm up", 2, 2), ("cycle", 1, 2)),
    ]
    phases = TestRun.objects.get().details["phases"]
    assert [(each["name"], each["hours"]) for each in phases] == [
        *(("warm up", 0.2), ("cycle", 0.2), ("swing", 0.2), ("soak", 0.4)),
    ]
    times = [time for each in phases for time in (each["started_at"], each["ended_at"])]
    assert times == sorted(times) and None not in times
    assert verify_ledger().intact


@pytest.mark.django_db
def test_a_tray_that_does_not_idle_when_it_is_to_earns_nothing() -> None:
    with bench(limits=TEMPERATURE, suspect_policy="hold", **SLOW) as rig:
        rig.until_soaking()
        soak_to(rig, 0.31)
        assert rig.run.step == 2 and rig.stressed() == [False, False]
        tell(rig, 1, Kind.START)
        rig.tick_while(lambda: rig.attempt(1).state != Tray.SUSPECT)
        assert "C2 is suspect, a person must decide: its stress is still running" in rig.run.waits_for
        assert rig.attempt(0).credited_seconds > rig.attempt(1).credited_seconds


@pytest.mark.django_db
def test_a_limit_may_be_watched_in_some_phases_only() -> None:
    impossible = {**TEMPERATURE[0], "high": 1, "phases": ["cycle"]}
    with bench(trays=1, limits=(impossible,), **SLOW) as rig:
        rig.until_soaking()
        for _ in range(6):
            rig.tick()
        assert (rig.run.state, rig.run.phase) == ("soaking", "warm up")
        soak_to(rig, 0.21)
        rig.until("failed")
    assert "must be at most 1 Cel" in rig.run.reasons[0]


@pytest.mark.parametrize(
    ("policy", "patience", "left"),
    [
        (None, None, 900),
        ("not_counted", None, 900),
        ("restart_phase", None, 720),
        ("restart_phase", 1000, 900),
        ("restart_run", None, 0),
        ("fail", None, None),
        ("fail", 1000, 900),
    ],
)
def test_what_a_gap_leaves_is_said_by_the_profile(
    policy: str | None, patience: float | None, left: float | None
) -> None:
    profile = BurnInProfile(required_hours=1, max_gap_seconds=60, gap_policy=policy, gap_seconds=patience)
    plan = plan_of(profile, [BurnInPhase(**each) for each in PHASES])
    assert credit_after_gap(profile, plan, 900, gap_seconds=100) == left
    assert credit_after_gap(profile, plan, 900, gap_seconds=60) == 900


@pytest.mark.django_db
@pytest.mark.parametrize(("policy", "left"), [("restart_run", 0), ("fail", None)])
def test_a_gap_hits_the_tray_that_had_it(policy: str, left: float | None) -> None:
    with bench(limits=TEMPERATURE, gap_policy=policy, **SLOW) as rig:
        rig.until_soaking()
        soak_to(rig, 900 / 3600)
        long_ago = timezone.now() - timedelta(seconds=100)
        BurnInAttempt.objects.filter(pk=rig.attempt(1).pk).update(
            credited_seconds=900, last_good_at=long_ago, last_poll_at=long_ago
        )
        rig.tick()
        hit = rig.attempt(1)
        assert Gap.objects.get(attempt=hit).reason == "our outage: nobody polled for 100 s"
        if left is None:
            assert (rig.run.state, hit.state) == ("stopping", Tray.FAILED)
            assert "C2 had a gap of 100 s" in rig.run.reasons[0]
            return
        assert (rig.run.state, rig.run.phase, hit.credited_seconds) == ("soaking", "warm up", left)
        assert rig.attempt(0).credited_seconds >= 900
        change = Event.objects.filter(kind="burn_in.trays_changed").latest("id").payload["trays"][0]
        assert change == {"slot": "C2", "from": "900 s", "to": "0 s", "reason": "a gap of 100 s"}
        rig.tick()
        assert told(rig) == [("gpu-stress", 20.0)] * 2


@pytest.mark.django_db
def test_a_pause_goes_on_in_the_step_it_was_in() -> None:
    with bench(trays=1, limits=TEMPERATURE, **SLOW) as rig:
        rig.until_soaking()
        soak_to(rig, 0.41)
        rig.run = pause_run(run=rig.run, reason="lunch", by=TESTER, keep_stress=False)
        rig.tick()
        assert rig.stressed() == [False]
        rig.run = resume_run(run=rig.run, by=TESTER)
        rig.until("soaking")
        assert told(rig) == [("gpu-stress", 90.0)]


@pytest.mark.django_db
def test_a_swap_takes_the_rack_back_to_the_phase_of_the_new_tray() -> None:
    with bench(limits=TEMPERATURE, **SLOW) as rig:
        rig.until_soaking()
        soak_to(rig, 0.41)
        rig.run = pause_run(run=rig.run, reason="C2 is noisy", by=TESTER, keep_stress=True)
        rig.swap()
        rig.run = resume_run(run=rig.run, by=TESTER)
        rig.until("soaking")
        assert (rig.run.phase, rig.run.step) == ("warm up", 1)
        assert told(rig) == [("gpu-stress", 20.0)] * 2


@pytest.mark.django_db
def test_a_profile_is_not_released_with_phases_that_are_no_soak() -> None:
    rack, _ = make_rack(1)
    limits = ({**LIMITS[0], "phases": ["nap"]},)
    profile = make_profile(rack.part_revision, phases=PHASES[:2], limits=limits, released=False)
    client = supervisor_client()
    address = f"/admin/burnin/burninprofile/{profile.pk}/release/"
    page = client.post(address, {}, format="multipart", follow=True).content.decode()
    assert "the phases last 0.4 h, but required_hours is 1" in page
    assert "gpu temperature: no phase is called nap" in page
    profile.refresh_from_db()
    assert not profile.is_released


@pytest.mark.django_db
def test_the_phases_of_a_released_profile_are_frozen() -> None:
    rack, _ = make_rack(1)
    profile = make_profile(rack.part_revision, phases=PHASES)
    for act in (
        lambda: profile.phases.update(hours=9),
        lambda: profile.phases.all().delete(),
        lambda: BurnInPhase.objects.create(profile=profile, name="more", order=9, kind="steady", hours=1),
    ):
        with pytest.raises(DatabaseError, match="frozen"), transaction.atomic():
            act()


@pytest.mark.django_db
def test_phase_and_step_are_shown() -> None:
    with bench(trays=1, limits=TEMPERATURE, **SLOW) as rig:
        rig.until_soaking()
        client = supervisor_client()
        body = client.get(f"/api/v1/burn-in-runs/{rig.run.uid}/").json()
        assert (body["phase"], body["step"]) == ("warm up", 1)
        assert "warm up, step 1" in client.get("/burn-in/").content.decode()


@pytest.mark.django_db
def test_phases_that_are_no_soak_are_not_released() -> None:
    of_another = {**TEMPERATURE[0], "phases": ["cool down"]}
    draft = make_profile(
        make_rack(1)[0].part_revision, limits=(of_another,), released=False, phases=PHASES, required_hours=2
    )
    with pytest.raises(RuleViolation) as refused:
        require_sound_phases(draft)
    assert refused.value.code == "phases_unsound"
    assert "the phases last 1 h, but required_hours is 2" in str(refused.value)
    assert "no phase is called cool down" in str(refused.value)
