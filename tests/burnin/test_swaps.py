"""A tray is swapped while its rack is burned in: what is held, what counts, and what the verdict tells."""

from collections.abc import Callable
from typing import Any

import pytest

from mes.burnin.intents import Kind
from mes.burnin.models import BurnInAttempt, BurnInRun
from mes.burnin.services import pause_run, resume_run, start_run, swap_tray
from mes.burnin.swapping import refuse_hot_removal
from mes.ledger.models import Event, OutboxMessage
from mes.racks.services import install_unit, remove_unit
from mes.testing.models import TestRun
from mes.workorders.services import remove_child
from tests.builders import TESTER, make_scanner, supervisor_client
from tests.burnin.builders import LIMITS, Bench, bench, make_profile
from tests.workorders.orders import refused as refusal_of

pytestmark = pytest.mark.django_db
Tray = BurnInAttempt.State
HOLD: dict[str, Any] = {"on_failure": "hold"}
STOP = {**LIMITS[0], "group": "over-temperature", "high": 90, "violations": 1, "window": 1}


def refused(code: str, act: Callable[[], object]) -> None:
    assert refusal_of(act).code == code


def told(rig: Bench, kind: Kind) -> list[str]:
    keys = OutboxMessage.objects.filter(key__startswith=str(rig.run.uid), payload__kind=kind)
    return [key.split(":", 1)[1] for key in keys.order_by("id").values_list("key", flat=True)]


def held(rig: Bench) -> None:
    """Soak half an hour, then let the second tray fail and be held."""
    rig.until_soaking()
    BurnInAttempt.objects.filter(run=rig.run).update(credited_seconds=1800)
    rig.fault(1, "overheat")
    rig.tick_while(lambda: rig.attempt(1).state != Tray.FAILED)


def test_a_failed_tray_is_stopped_and_the_others_soak_on_until_it_is_swapped() -> None:
    with bench(**HOLD) as rig:
        held(rig)
        before = rig.attempt(0).credited_seconds
        rig.tick_while(lambda: any(rig.stressed()[1:]))
        rig.tick()
        assert (rig.run.state, rig.stressed()) == ("soaking", [True, False])
        assert rig.attempt(0).credited_seconds > before
        assert rig.run.waits_for == "C2 failed: swap it, or abort the run"
        failed = rig.attempt(1)
        rig.swap()
        rig.tick_while(lambda: rig.attempt(1).state != Tray.RUNNING)
        new = rig.attempt(1)
        assert (new.number, new.soak_clock, new.carried_seconds) == (2, "restart_tray", 0)
        assert rig.run.credited_seconds == new.credited_seconds < rig.attempt(0).credited_seconds
        assert (rig.run.reasons, rig.stressed()) == ([], [True, True])
        run = rig.soak_to("passed")
        assert rig.stressed() == [False, False]
    old = BurnInAttempt.objects.get(pk=failed.pk)
    assert old.state == Tray.SUPERSEDED and "HGX_GPU_0_TEMP_0 was" in old.reasons[0]
    assert old.reasons[-1] == f"Swapped for {rig.trays[1].serial} by tester: fan dead"
    test = TestRun.objects.get()
    assert (test.outcome, test.details["soak_clock"]) == ("PASS", "restart_tray")
    assert [(row["slot"], row["attempt"]) for row in test.details["trays"]] == [("C1", 1), ("C2", 2)]
    (superseded,) = test.details["superseded"]
    assert (superseded["serial"], superseded["state"]) == (rig.spare.serial, "superseded")
    assert (
        f"C2 was swapped after {old.credited_seconds / 3600:.2f} h of {rig.spare.serial}" in test.reasons[1]
    )
    assert run.attempts.get(slot__name="C1").credited_seconds > run.credited_seconds
    assert Event.objects.get(kind="burn_in.tray_swapped").payload["to"] == rig.trays[1].serial
    assert told(rig, Kind.STOP).count("C2:1:stop") == 1


def test_a_failed_tray_that_is_not_swapped_fails_the_run_once_the_others_have_soaked() -> None:
    with bench(**HOLD) as rig:
        held(rig)
        rig.skip_ahead()
        run = rig.to_the_end()
    assert run.state == "failed"
    assert (rig.attempt(0).state, rig.attempt(1).state) == (Tray.PASSED, Tray.FAILED)


def test_the_last_tray_that_soaks_ends_the_run_when_it_fails() -> None:
    with bench(**HOLD) as rig:
        held(rig)
        rig.fault(0, "overheat")
        assert rig.to_the_end().state == "failed"


@pytest.mark.parametrize("fault", ["leak", "overheat"])
def test_what_endangers_the_rack_ends_a_run_that_holds_failed_trays(fault: str) -> None:
    stop = {**STOP, "action": "stop_rack"}
    with bench(limits=(*LIMITS[1:], stop), **HOLD) as rig:
        rig.until_soaking()
        rig.fault(1, fault)
        rig.tick()
        assert rig.run.state == "stopping"
        assert rig.stressed() == [False, False]


def test_a_held_tray_that_leaks_ends_the_run() -> None:
    with bench(**HOLD) as rig:
        held(rig)
        rig.tick()
        rig.fault(1, "leak")
        rig.tick()
        assert rig.run.state == "stopping"
        assert rig.run.reasons[-1] == "C2 leaks: Chassis_0_LeakDetector_0_ColdPlate."
        assert rig.to_the_end().state == "failed"
        assert rig.stressed() == [False, False]


def test_a_stop_that_a_held_tray_did_not_get_is_still_delivered_when_the_run_ends() -> None:
    with bench(**HOLD) as rig:
        rig.until_soaking()
        rig.fault(1, "vanish")
        rig.tick_while(lambda: rig.attempt(1).state != Tray.FAILED)
        rig.skip_ahead()
        rig.until("stopping")
        rig.fault(1, "none")
        OutboxMessage.objects.filter(delivered_at=None).update(due_at=rig.run.created_at)
        rig.to_the_end()
        assert rig.stressed() == [False, False]


@pytest.mark.parametrize(
    ("policy", "minimum", "carried", "others"),
    [
        ("restart_tray", None, 0, 1800),
        ("restart_rack", None, 0, 0),
        ("continue", None, 0, 1800),
        ("continue", 0.75, 900, 1800),
    ],
)
def test_the_soak_clock_of_the_profile_says_what_counts(
    policy: str, minimum: float | None, carried: float, others: float
) -> None:
    with bench(soak_clock=policy, swap_min_hours=minimum) as rig:
        rig.until_soaking()
        rig.run = pause_run(run=rig.run, reason="C2 is noisy", by=TESTER, keep_stress=False)
        BurnInAttempt.objects.filter(run=rig.run).update(credited_seconds=1800)
        BurnInRun.objects.filter(pk=rig.run.pk).update(credited_seconds=1800)
        run = rig.swap()
        new = rig.attempt(1)
        assert (new.soak_clock, new.carried_seconds, new.credited_seconds) == (policy, carried, carried)
        assert rig.attempt(0).credited_seconds == others
        assert (run.state, run.credited_seconds) == ("paused", min(carried, others))
        rig.run = resume_run(run=run, by=TESTER)
        rig.until("soaking")
        assert rig.stressed() == [True, True]
        rig.soak_to("passed")
    test = TestRun.objects.get()
    hours = test.measurements.get(component="C2", name="soaked hours")
    taken_over = f"{carried / 3600:.2f} h of it taken over ({policy})"
    assert hours.text == (taken_over if carried else "")
    said = f"C2 took over {carried / 3600:.2f} h (soak clock: {policy})."
    assert (said in test.reasons) == bool(carried)


def test_a_swapped_tray_that_is_another_than_installed_fails_before_its_stress_starts() -> None:
    with bench(**HOLD) as rig:
        held(rig)
        rig.swap()
        rig.fault(1, "wrong_serial")
        rig.tick()
        new = rig.attempt(1)
        assert (new.state, rig.run.state) == (Tray.FAILED, "soaking")
        assert "reports serial OTHER-" in new.reasons[0]
        assert rig.stressed() == [True, False]


def test_a_swapped_tray_that_does_not_come_up_is_held_after_the_start_time() -> None:
    with bench(**HOLD) as rig:
        held(rig)
        rig.swap()
        rig.fault(1, "vanish")
        rig.tick()
        assert "C2: unreachable" in rig.run.waits_for
        BurnInAttempt.objects.filter(pk=rig.attempt(1).pk).update(opened_at="2020-01-01T00:00:00Z")
        rig.tick()
        assert (rig.attempt(1).state, rig.run.state) == (Tray.FAILED, "soaking")
        assert "C2 did not start its stress within 60 s: unreachable" in rig.attempt(1).reasons[0]


def test_what_a_swap_is_refused_for() -> None:
    with bench(**HOLD) as rig:
        refused("burn_in_not_swappable", lambda: swap_tray(run=rig.run, slot="C2", reason="x", by=TESTER))
        held(rig)
        refused("tray_not_swapped", lambda: swap_tray(run=rig.run, slot="C2", reason="x", by=TESTER))
        refused("not_burned_in_here", lambda: swap_tray(run=rig.run, slot="C9", reason="x", by=TESTER))
        rig.exchange()
        refused("reason_required", lambda: swap_tray(run=rig.run, slot="C2", reason=" ", by=TESTER))
        rig.trays[1].bmc.delete()
        rig.trays[1].refresh_from_db()
        refused("bmc_unknown", lambda: swap_tray(run=rig.run, slot="C2", reason="x", by=TESTER))


def test_nothing_is_taken_out_of_a_rack_under_stress() -> None:
    with bench(**HOLD) as rig:
        one, two = rig.rack.part_revision.slots.order_by("order")
        refuse_hot_removal(rig.rack, one)
        rig.until_soaking()
        refused(
            "rack_under_stress",
            lambda: remove_child(unit=rig.rack, slot_name="C2", reason="noisy", by=TESTER),
        )
        rig.run = pause_run(run=rig.run, reason="noise", by=TESTER, keep_stress=True)
        refused("rack_under_stress", lambda: refuse_hot_removal(rig.rack, one))
        rig.run = resume_run(run=rig.run, by=TESTER)
        rig.until("soaking")
        held(rig)
        refuse_hot_removal(rig.rack, two)
        refused("rack_under_stress", lambda: refuse_hot_removal(rig.rack, one))
        rig.run = pause_run(run=rig.run, reason="noise", by=TESTER, keep_stress=False)
        refuse_hot_removal(rig.rack, one)


def test_a_retest_takes_over_the_soak_of_the_trays_that_were_good() -> None:
    with bench() as rig:
        held(rig)
        failed = rig.to_the_end()
        credit = rig.attempt(0).credited_seconds
        rig.exchange()
        rig.run = start_run(unit=rig.rack, profile=rig.profile, by=TESTER, retest_of=failed)
        good, new = rig.attempt(0), rig.attempt(1)
        assert (good.carried_seconds, new.carried_seconds) == (credit, 0)
        assert credit >= 1800 and rig.run.retest_of == failed
        BurnInAttempt.objects.filter(pk=new.pk).update(credited_seconds=3599)
        BurnInAttempt.objects.filter(pk=good.pk).update(credited_seconds=3599)
        rig.to_the_end()
    test = TestRun.objects.latest("id")
    assert (test.outcome, test.details["retest_of"]) == ("PASS", str(failed.uid))
    assert f"C1 took over {credit / 3600:.2f} h (soak clock: restart_tray)." in test.reasons


def test_a_retest_takes_nothing_over_from_a_tray_that_failed_or_was_taken_out() -> None:
    with bench() as rig:
        held(rig)
        failed = rig.to_the_end()
        slot = rig.rack.part_revision.slots.get(name="C1")
        remove_unit(parent=rig.rack, slot=slot, reason="looked at", by=TESTER)
        install_unit(parent=rig.rack, slot=slot, child=rig.trays[0], by=TESTER)
        rig.run = start_run(unit=rig.rack, profile=rig.profile, by=TESTER, retest_of=failed)
        assert [each.carried_seconds for each in rig.run.attempts.all()] == [0, 0]


def test_what_a_retest_is_refused_for() -> None:
    with bench(soak_clock="restart_rack") as rig:
        rig.until_soaking()
        unit, profile = rig.rack, rig.profile
        rig.fault(1, "reboot")
        failed = rig.to_the_end()
        retest: dict[str, Any] = {"unit": unit, "by": TESTER, "retest_of": failed}
        refused("rack_soaks_anew", lambda: start_run(profile=profile, **retest))
        other = make_profile(unit.part_revision)
        refused("profile_changed", lambda: start_run(profile=other, **retest))
        again = start_run(unit=unit, profile=profile, by=TESTER)
        BurnInRun.objects.filter(pk=again.pk).update(state="aborted")
        refused("not_the_last_burn_in", lambda: start_run(profile=profile, **retest))


def test_a_swap_over_rest_and_in_the_admin() -> None:
    with bench(**HOLD) as rig:
        held(rig)
        rig.exchange()
        page = supervisor_client().get(f"/admin/burnin/burninrun/{rig.run.pk}/swap/")
        assert page.status_code == 200 and b"C2: " in page.content and b"It starts at 0" in page.content
        answer = make_scanner().post(f"burn-in-runs/{rig.run.uid}/swap/", {"slot": "c2", "reason": "fan"})
        assert answer.status_code == 200, answer.json()
        trays = [(row["slot"], row["number"], row["state"]) for row in answer.json()["attempts"]]
        assert trays == [("C1", 1, "running"), ("C2", 1, "superseded"), ("C2", 2, "pending")]
        rig.trays[1], rig.spare = rig.spare, rig.trays[1]
        rig.exchange()
        given = {"slot": "C2", "reason": "the first one was right"}
        done = supervisor_client().post(
            f"/admin/burnin/burninrun/{rig.run.pk}/swap/", given, format="multipart"
        )
        assert done.status_code == 302
        assert list(rig.run.attempts.filter(slot__name="C2").values_list("state", flat=True)) == [
            *("superseded", "superseded", "pending"),
        ]


def test_a_pause_to_swap_a_held_tray_does_not_end_the_run() -> None:
    with bench(**HOLD) as rig:
        held(rig)
        rig.run = pause_run(run=rig.run, reason="to swap C2", by=TESTER, keep_stress=False)
        rig.tick()
        rig.tick()
        assert rig.run.state == "paused"
        rig.swap()
        rig.run = resume_run(run=rig.run, by=TESTER)
        rig.until("soaking")


def test_a_tray_that_was_put_in_and_never_soaked_lets_no_rack_pass() -> None:
    with bench() as rig:
        rig.soak_to("judging")
        slot = rig.rack.part_revision.slots.get(name="C2")
        BurnInAttempt.objects.filter(run=rig.run, slot=slot).update(state="superseded")
        rig.to_the_end()
    assert rig.run.state == "failed"
    assert [finding["rule"] for finding in rig.run.findings] == ["wrong_tray"]
    assert "did not soak" in rig.run.reasons[0]
