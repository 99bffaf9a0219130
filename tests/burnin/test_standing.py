"""What there is to see of a run: limits, events, wall and the comparison with the last racks, over REST."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from mes.burnin.models import BurnInRun, Gap
from mes.burnin.services import abort_run, compare_run, read_standing
from mes.burnin.tick import advance_run
from mes.serials.models import Unit
from mes.testing.models import TestRun
from tests.builders import TESTER, make_site, make_unit, supervisor_client
from tests.burnin.builders import make_rack
from tests.burnin.soaked import Signal, even, make_run
from tests.burnin.test_bays import make_bay, queue, tick
from tests.terminal.floor import Floor

pytestmark = pytest.mark.django_db
HOT = "HGX_GPU_2_TEMP_0"


def hotter(by: float) -> Signal:
    """Return a signal of which one GPU of the first tray is hotter from the third poll on."""
    return lambda tray, series, poll: (
        even(tray, series, poll) + (by if (tray, series) == (0, HOT) and poll > 2 else 0)
    )


def ended(run: BurnInRun, state: str = "passed") -> BurnInRun:
    BurnInRun.objects.filter(pk=run.pk).update(state=state, ended_at=timezone.now())
    run.attempts.update(state=state)
    return run


def after(racks: int, *, by: float = 0, trays: int = 1, **last: Any) -> BurnInRun:
    """Return a soaking run after so many alike that passed."""
    rack = make_rack(trays)
    for number in range(racks):
        alike = make_run(rack=rack, polls=4, signal=hotter(0.01 * number))
        ended(alike)
    return make_run(rack=rack, polls=4, **{"signal": hotter(by), **last})


def compared(run: BurnInRun) -> dict[str, Any]:
    return compare_run(run, run.attempts.select_related("slot", "unit__part_revision__part"))


def test_limits_tell_what_is_left_and_what_was_outside() -> None:
    run = make_run(2, polls=6, signal=hotter(27))
    attempt = run.attempts.first()
    assert attempt is not None and run.soak_started_at is not None
    gap = run.soak_started_at, run.soak_started_at + timedelta(seconds=90)
    Gap.objects.create(attempt=attempt, from_at=gap[0], to_at=gap[1], reason="our outage")
    rows = supervisor_client().get(f"/api/v1/burn-in-runs/{run.uid}/limits/").json()
    assert [(row["slot"], row["group"]) for row in rows] == [
        (slot, group) for slot in ("C1", "C2") for group in ("gpu temperature", "gpu headroom", "gpu power")
    ]
    hot, _, power, cool = rows[:4]
    assert (hot["series"], hot["violations"], hot["over_seconds"]) == (HOT, 4, 40)
    assert hot["left"] == pytest.approx(87 - hot["value"]) and hot["left"] < 0
    assert (hot["gaps"], hot["gap_seconds"], cool["gaps"]) == (1, 90, 0)
    assert power["count"] == 24 and power["minimum"] < power["mean"] < power["maximum"] < 1500
    assert cool["left"] > 0 and cool["violations"] == 0


def test_a_tray_without_any_sample_has_no_margin() -> None:
    run = make_run(1, polls=2, signal=lambda tray, series, poll: None)
    (tray,) = read_standing(run).trays
    assert [(margin.left, margin.is_outside) for margin in tray.margins] == [(None, True)] * 3


def test_limits_as_csv() -> None:
    run = make_run(2, polls=2)
    answer = supervisor_client().get(f"/api/v1/burn-in-runs/{run.uid}/limits/?format=csv")
    lines = answer.content.decode().splitlines()
    assert answer["Content-Type"].startswith("text/csv") and len(lines) == 7
    assert lines[0].startswith("slot,number,serial,state,credited_hours,gaps,gap_seconds,group")


def test_events_of_a_run_newest_first() -> None:
    run = make_run(1, polls=2)
    abort_run(run=run, reason="enough", by=TESTER)
    events = supervisor_client().get(f"/api/v1/burn-in-runs/{run.uid}/events/").json()["results"]
    assert [event["kind"] for event in events] == ["burn_in.abort_asked", "burn_in.queued"]
    assert events[0]["payload"]["reason"] == "enough"


def test_the_wall_has_the_numbers_of_its_trays() -> None:
    make_bay()
    standing, waiting = tick(queue()), tick(queue())
    standing.attempts.update(state="suspect")
    wall = supervisor_client().get("/api/v1/burn-in-wall/").json()
    (run,) = wall["bays"][0]["runs"]
    assert (run["uid"], run["trays"], run["suspect"], run["failed"]) == (str(standing.uid), 1, 1, 0)
    assert run["remaining_hours"] == pytest.approx(1 / 60)
    assert [each["uid"] for each in wall["waiting"]] == [str(waiting.uid)]


@pytest.mark.parametrize("what", ["limits", "events", "outliers"])
def test_a_device_of_another_site_sees_nothing_of_a_run(what: str) -> None:
    run = make_run(1, polls=2)
    path = f"/api/v1/burn-in-runs/{run.uid}/{what}/"
    terminal = Client()
    terminal.post("/terminal/pair/", {"token": Floor().token})
    assert terminal.get(path).status_code == 200
    Unit.objects.filter(pk=run.unit_id).update(site=make_site("S9"))
    assert terminal.get(path).status_code == 404


@pytest.mark.parametrize("trays", [2, 8])
@pytest.mark.parametrize(("what", "queries"), [("limits", 6), ("outliers", 6)])
def test_trays_cost_no_queries(trays: int, what: str, queries: int, django_assert_num_queries: Any) -> None:
    run, client = make_run(trays, polls=2), supervisor_client()
    with django_assert_num_queries(queries):
        client.get(f"/api/v1/burn-in-runs/{run.uid}/{what}/")


def test_a_hot_gpu_is_found_among_the_last_racks() -> None:
    run = after(6, by=9)
    answer = supervisor_client().get(f"/api/v1/burn-in-runs/{run.uid}/outliers/").json()
    assert (answer["racks"], answer["least_racks"], answer["sigmas"]) == (6, 5, 4)
    rows = {(row["slot"], row["series"], row["statistic"]): row for row in answer["found"]}
    assert set(rows) == {("C1", HOT, "mean"), ("C1", HOT, "max")}
    row = rows["C1", HOT, "max"]
    assert (row["group"], row["unit"], row["racks"]) == ("gpu temperature", "Cel", 6)
    assert row["value"] - row["median"] == pytest.approx(9, abs=0.1) and row["sigmas"] > 4


def test_a_rack_like_the_others_raises_no_remark() -> None:
    assert compared(after(6, by=0.03)) == {"racks": 6, "least_racks": 5, "sigmas": 4.0, "found": []}


def test_four_racks_are_too_few() -> None:
    answer = compared(after(4, by=9))
    assert (answer["racks"], answer["found"]) == (4, [])


@pytest.mark.parametrize("unlike", ["failed", "elsewhere", "other part", "later"])
def test_only_passed_racks_of_the_same_kind_before_it_count(unlike: str) -> None:
    run = after(5, by=9)
    first = BurnInRun.objects.order_by("pk").first()
    assert first is not None and compared(run)["racks"] == 5
    if unlike == "failed":
        ended(first, "failed")
    elif unlike == "elsewhere":
        there = make_unit(run.unit.part_revision, site=make_site("S9"))
        BurnInRun.objects.filter(pk=first.pk).update(unit=there)
    elif unlike == "other part":
        other = make_run(1, polls=2).profile
        BurnInRun.objects.filter(pk=first.pk).update(profile=other)
    else:
        run = BurnInRun.objects.order_by("pk")[4]
    answer = compared(run)
    assert (answer["racks"], answer["found"]) == (4, [])


@pytest.mark.parametrize("racks", [5, 9])
def test_racks_cost_no_queries(racks: int, django_assert_num_queries: Any) -> None:
    run = after(racks)
    attempts = list(run.attempts.select_related("slot", "unit__part_revision__part"))
    run = BurnInRun.objects.select_related("profile", "unit").get(pk=run.pk)
    with django_assert_num_queries(3):
        compare_run(run, attempts)


def test_the_verdict_keeps_the_remarks_and_passes_all_the_same() -> None:
    run = after(5, by=9)
    run.attempts.update(credited_seconds=run.profile.required_seconds)
    BurnInRun.objects.filter(pk=run.pk).update(
        state="judging", credited_seconds=run.profile.required_seconds, next_due_at=run.created_at
    )
    assert advance_run(run.pk)
    test = TestRun.objects.get(unit=run.unit, format="burn_in")
    assert test.outcome == "PASS"
    assert {row["series"] for row in test.details["outliers"]["found"]} == {HOT}
