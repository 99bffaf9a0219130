"""Ticks that come twice, late or together: the fence lets exactly one of them write."""

import threading
from collections import Counter

import pytest
from django.db import connection, connections
from django.db.models import QuerySet

from mes.burnin import tick
from mes.burnin.models import BurnInAttempt, BurnInRun, Poll
from mes.burnin.transitions import decide
from mes.burnin.working import Tick
from mes.ledger.models import Event
from mes.testing.models import TestRun
from tests.burnin.builders import Bench, bench

ON_POSTGRESQL = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite lets one connection write at a time"
)


def overtaken_tick(rig: Bench, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let a tick stall past its lease until another one has taken over, and return whether it still wrote."""

    def stall(working: Tick) -> None:
        monkeypatch.setattr("mes.burnin.tick.decide", decide)
        BurnInRun.objects.filter(pk=rig.run.pk).update(lease_until=rig.run.created_at)
        assert tick.advance_run(rig.run.pk)
        decide(working)

    monkeypatch.setattr("mes.burnin.tick.decide", stall)
    return rig.tick()


def written(rig: Bench) -> tuple[int, int, float]:
    attempt = BurnInAttempt.objects.get(run=rig.run)
    return (
        Poll.objects.filter(attempt=attempt).count(),
        attempt.statistics["HGX_GPU_0_TEMP_0"]["count"],
        attempt.credited_seconds,
    )


@pytest.mark.django_db
def test_a_late_tick_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        polls, counted, _ = written(rig)
        assert not overtaken_tick(rig, monkeypatch)
        assert written(rig)[:2] == (polls + 1, counted + 1)
        rig.soak_to("passed")
    assert TestRun.objects.count() == 1


@pytest.mark.django_db
def test_without_the_fence_the_late_tick_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    def unfenced(run: BurnInRun) -> QuerySet[BurnInRun]:
        return BurnInRun.objects.filter(pk=run.pk)

    monkeypatch.setattr(tick, "fenced", unfenced)
    with bench(trays=1) as rig:
        rig.until_soaking()
        polls, counted, _ = written(rig)
        assert overtaken_tick(rig, monkeypatch)
        # Two polls are kept of one interval, and the statistics of the first are lost.
        assert written(rig)[:2] == (polls + 2, counted + 1)


@pytest.mark.django_db
def test_a_leased_run_is_left_alone_until_the_lease_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(trays=1) as rig:

        def die(working: Tick) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("mes.burnin.tick.decide", die)
            with pytest.raises(KeyboardInterrupt):
                rig.tick()
        assert (rig.tick(), tick.due_runs()) == (False, [])
        BurnInRun.objects.update(lease_until=rig.run.created_at)
        assert tick.due_runs() == [rig.run.pk]
        assert rig.tick()


def tick_from_threads(rig: Bench, count: int) -> list[bool]:
    """Send the same tick many times at once, each on a connection of its own."""
    gate, done = threading.Barrier(count), []

    def send() -> None:
        gate.wait(10)
        try:
            done.append(tick.advance_run(rig.run.pk))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


@ON_POSTGRESQL
@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_fifty_duplicate_ticks_write_one_sample() -> None:
    with bench(trays=1, poll_seconds=30) as rig:
        rig.until_soaking()
        polls, counted, _ = written(rig)
        BurnInRun.objects.update(next_due_at=rig.run.created_at)
        assert Counter(tick_from_threads(rig, 50)) == {True: 1, False: 49}
        assert written(rig)[:2] == (polls + 1, counted + 1)


@ON_POSTGRESQL
@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_duplicate_ticks_at_the_end_give_one_verdict() -> None:
    with bench(trays=1, poll_seconds=30) as rig:
        rig.soak_to("judging")
        BurnInRun.objects.update(next_due_at=rig.run.created_at)
        assert Counter(tick_from_threads(rig, 50))[True] == 1
        rig.run.refresh_from_db()
    assert rig.run.state == "passed"
    assert TestRun.objects.count() == 1
    assert Event.objects.filter(kind="burn_in.passed").count() == 1
