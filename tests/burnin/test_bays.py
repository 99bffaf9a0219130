"""Bays: racks wait for power, coolant and a place; the oldest first, one winner of the last place."""

from functools import partial
from typing import Any

import pytest
from django.db import connection

from mes.burnin.models import BurnInBay, BurnInRun
from mes.burnin.services import abort_run, bays_of, set_bmc, start_run, wall_of
from mes.burnin.tick import advance_run
from mes.ledger.models import Event
from tests.builders import TESTER, make_site, supervisor_client
from tests.burnin.builders import bench, make_profile, make_rack
from tests.racks.test_races import race
from tests.workorders.orders import refused

pytestmark = pytest.mark.django_db
NEEDS: dict[str, Any] = {"power_kw": 120, "coolant_lpm": 150}


def make_bay(code: str = "BAY-1", **facts: Any) -> BurnInBay:
    given = {"site": make_site(), "power_kw": 142, "coolant_lpm": 200, **facts}
    return BurnInBay.objects.create(code=code, **given)


def queue(bay: BurnInBay | None = None, **needs: Any) -> BurnInRun:
    """Queue a rack of one tray whose BMC answers nobody."""
    rack, (tray,) = make_rack(1)
    set_bmc(unit=tray, url="http://127.0.0.1:9", username="", password="", by=TESTER)
    profile = make_profile(rack.part_revision, **{**NEEDS, **needs})
    return start_run(unit=rack, profile=profile, bay=bay, by=TESTER)


def tick(run: BurnInRun) -> BurnInRun:
    BurnInRun.objects.filter(pk=run.pk).update(next_due_at=run.created_at)
    advance_run(run.pk)
    run.refresh_from_db()
    return run


def end(run: BurnInRun) -> None:
    abort_run(run=run, reason="enough", by=TESTER)
    while run.state != "aborted":
        tick(run)


def test_a_rack_is_burned_in_where_there_is_room_for_it() -> None:
    make_bay("BAY-0", power_kw=100)
    large = make_bay("BAY-1")
    run = tick(queue())
    assert (run.state, run.bay, run.waits_for) == ("preparing", large, "")
    assert Event.objects.get(kind="burn_in.preparing").payload["bay"] == "BAY-1"
    status = bays_of(make_site())[1]
    assert (status.free.positions, status.free.power_kw, status.free.coolant_lpm) == (0, 22, 50)


@pytest.mark.parametrize(
    ("bay", "waits_for"),
    [
        (None, "a bay: none at S1 gives 120 kW and 150 L/min"),
        ({"coolant_lpm": 100}, "a bay: none at S1 gives 120 kW and 150 L/min"),
        ({"is_open": False}, "a bay with 120 kW and 150 L/min: BAY-1 is closed"),
    ],
)
def test_a_queued_run_says_what_it_waits_for(bay: dict[str, Any] | None, waits_for: str) -> None:
    if bay is not None:
        make_bay(**bay)
    run = tick(queue())
    assert (run.state, run.waits_for.replace(make_site().code, "S1")) == ("queued", waits_for)
    assert not Event.objects.filter(kind="burn_in.preparing").exists()


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"positions": 1}, "BAY-1 is full"),
        ({"positions": 2, "power_kw": 239}, "BAY-1 has 119 kW and 250 L/min free"),
        ({"positions": 2, "coolant_lpm": 299}, "BAY-1 has 180 kW and 149 L/min free"),
    ],
)
def test_what_stands_in_a_bay_takes_of_it_until_it_ends(facts: dict[str, Any], why: str) -> None:
    make_bay(**{"power_kw": 300, "coolant_lpm": 400, **facts})
    first, second = tick(queue()), tick(queue())
    assert (first.state, second.state) == ("preparing", "queued")
    assert second.waits_for == f"a bay with 120 kW and 150 L/min: {why}"
    end(first)
    assert tick(second).state == "preparing"


def test_the_oldest_that_fits_goes_first() -> None:
    bay = make_bay(positions=2, power_kw=240, coolant_lpm=300)
    standing = tick(queue())
    large, small = tick(queue(power_kw=200)), tick(queue(power_kw=60))
    assert small.waits_for.endswith(f"BAY-1 is kept for {large.unit.serial}")
    too_large = queue(power_kw=500)
    end(standing)
    assert (tick(small).state, tick(large).state) == ("queued", "preparing")
    end(large)
    assert [tick(run).bay for run in (too_large, small)] == [None, bay]


def test_a_rack_may_wait_for_one_bay() -> None:
    make_bay("BAY-1")
    wanted = make_bay("BAY-2", is_open=False)
    run = tick(queue(bay=wanted))
    assert (run.state, run.waits_for) == ("queued", "a bay with 120 kW and 150 L/min: BAY-2 is closed")
    wanted.is_open = True
    wanted.save()
    assert (tick(run).state, run.bay) == ("preparing", wanted)


def test_a_bay_that_cannot_hold_the_rack_is_refused() -> None:
    far, small = make_bay("BAY-1", site=make_site("S9")), make_bay("BAY-2", power_kw=119)
    assert refused(lambda: queue(bay=far)).code == "bay_elsewhere"
    assert refused(lambda: queue(bay=small)).code == "bay_too_small"


def test_profiles_that_name_no_power_need_no_bay() -> None:
    run = tick(queue(power_kw=None, coolant_lpm=None))
    assert (run.state, run.bay) == ("preparing", None)


def test_a_run_keeps_its_bay_to_its_verdict() -> None:
    bay = make_bay()
    with bench(1, **NEEDS) as at:
        at.soak_to("judging")
        assert [each.runs for each in bays_of(None)] == [[at.run]]
        at.to_the_end()
    assert (at.run.state, at.run.bay) == ("passed", bay)
    assert bays_of(None)[0].runs == []


def test_bays_over_rest() -> None:
    bay, client = make_bay(), supervisor_client()
    run = tick(queue())
    (row,) = client.get("/api/v1/burn-in-bays/").json()
    assert (row["code"], row["free_kw"], row["free_lpm"], row["free_positions"]) == (bay.code, 22, 50, 0)
    assert [each["serial"] for each in row["runs"]] == [run.unit.serial]
    assert client.get(f"/api/v1/burn-in-runs/{run.uid}/").json()["bay"] == bay.code


@pytest.mark.parametrize("racks", [1, 4])
def test_the_wall_costs_four_queries(racks: int, django_assert_num_queries: Any) -> None:
    make_bay(positions=2, power_kw=1000, coolant_lpm=1000)
    for _ in range(racks):
        tick(queue())
    with django_assert_num_queries(4):
        wall = wall_of(None)
    standing = wall.bays[0].runs
    assert (len(standing), len(wall.waiting)) == (min(racks, 2), max(0, racks - 2))
    assert [run.trays for run in standing] == [1] * len(standing)  # type: ignore[attr-defined]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one transaction write at a time")
@pytest.mark.parametrize("locked", [True, False])
def test_rivals_never_share_the_last_place(locked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time is the control: without the lock, several get it."""
    if not locked:
        monkeypatch.setattr("mes.burnin.bays.lock_bays", lambda site: None)
    monkeypatch.setattr("mes.burnin.bays._older", lambda run: [])
    make_bay()
    runs = [queue() for _ in range(12)]
    race([partial(advance_run, run.pk) for run in runs])
    standing = BurnInRun.objects.filter(bay__isnull=False).count()
    assert standing == 1 if locked else standing > 1
