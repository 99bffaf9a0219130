"""Celery over a real Redis and PostgreSQL: workers killed, beat dead, the broker emptied, ticks doubled."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.db import connection

from mes.burnin.models import BurnInAttempt, BurnInRun, Gap
from mes.burnin.tasks import advance
from tests.burnin.builders import Bench, bench
from tests.burnin.rig import Programs, Redis, Soak, children_of, kill, read_log, time_of, wait_until
from tests.burnin.soundness import check_attempts, check_run

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="Redis is run beside PostgreSQL"),
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
]
KILLS = 20
QUEUE = "celery"
SHORT: dict[str, Any] = {
    "poll_seconds": 0.1,
    "poll_timeout_seconds": 1,
    "max_gap_seconds": 1,
    "missed_polls": 500,
}


def soaked(seconds: float) -> dict[str, Any]:
    """Return a profile that asks for so many seconds of soak."""
    return {**SHORT, "required_hours": seconds / 60}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Redis]:
    redis = Redis(tmp_path)
    yield redis
    redis.kill()


@pytest.fixture
def programs(tmp_path: Path, broker: Redis) -> Iterator[Programs]:
    with Programs(tmp_path, broker.url) as running:
        yield running


def test_workers_killed_twenty_times_in_a_soak_leave_one_verdict_and_every_gap(
    programs: Programs, tmp_path: Path
) -> None:
    log = tmp_path / "served"
    with bench(log=log, **soaked(12)) as rig:
        soak = Soak(rig, programs)
        programs.beat()
        worker = programs.worker(patches="short_lease")
        for number in range(KILLS):
            soak.earns()
            soak.hang_in_a_tick(1, log)
            if number % 10 == 9:
                kill(worker)
                worker = programs.worker(patches="short_lease")
            else:
                for child in children_of(worker):
                    os.kill(child, signal.SIGKILL)
            assert soak.run.lease_until is not None
            rig.fault(1, "none")
        soak.ends()
    check_run(rig, log)
    gaps = Gap.objects.filter(attempt__run=rig.run)
    assert gaps.filter(reason__startswith="our outage").count() >= KILLS


def test_without_an_end_of_the_lease_a_killed_worker_holds_the_run_for_ever(
    programs: Programs, tmp_path: Path
) -> None:
    log = tmp_path / "served"
    with bench(log=log, **soaked(12)) as rig:
        soak = Soak(rig, programs)
        programs.beat()
        worker = programs.worker(patches="endless_lease")
        soak.earns()
        soak.hang_in_a_tick(1, log)
        for child in children_of(worker):
            os.kill(child, signal.SIGKILL)
        rig.fault(1, "none")
        assert soak.is_stuck(3)


def beat_dies(programs: Programs, log: Path, seconds: float, **profile: Any) -> Bench:
    with bench(log=log, **{**soaked(4), **profile}) as rig:
        soak = Soak(rig, programs)
        beat = programs.beat()
        programs.worker()
        soak.earns()
        kill(beat)
        time.sleep(seconds)
        programs.beat()
        soak.ends()
    return rig


def test_while_beat_is_dead_for_10_s_nothing_is_earned(programs: Programs, tmp_path: Path) -> None:
    rig = beat_dies(programs, tmp_path / "served", 10)
    check_run(rig, tmp_path / "served")
    for attempt in rig.run.attempts.all():
        longest = max(attempt.gaps.all(), key=lambda gap: gap.to_at - gap.from_at)
        assert longest.reason.startswith("our outage: nobody polled for")
        assert (longest.to_at - longest.from_at).total_seconds() > 9


def test_a_profile_that_forgives_any_gap_would_earn_the_outage(programs: Programs, tmp_path: Path) -> None:
    rig = beat_dies(programs, tmp_path / "served", 2, max_gap_seconds=3600)
    assert not Gap.objects.exists()
    rig.profile.max_gap_seconds = 1
    with pytest.raises(AssertionError, match="neither credited nor a gap"):
        check_attempts(rig, tmp_path / "served", rig.profile)


def test_a_broker_emptied_and_one_that_lost_everything_cost_no_more_than_a_gap(
    programs: Programs, broker: Redis, tmp_path: Path
) -> None:
    with bench(log=tmp_path / "served", **soaked(4)) as rig:
        soak = Soak(rig, programs)
        programs.beat()
        programs.worker()
        soak.earns()
        broker.client.flushall()
        soak.earns(soak.run.credited_seconds + 30)
        broker.kill()
        time.sleep(2)
        broker.start()
        soak.ends()
    check_run(rig, tmp_path / "served")


def test_a_run_that_lived_in_messages_would_be_lost_with_the_broker(
    programs: Programs, broker: Redis, tmp_path: Path
) -> None:
    with bench(log=tmp_path / "served", **soaked(60)) as rig:
        soak = Soak(rig, programs)
        programs.beat()
        programs.worker(patches="chained")
        send_ticks(rig, broker, 1)
        soak.earns()
        broker.kill()
        time.sleep(2)
        broker.start()
        wait_until(lambda: broker.client.llen(QUEUE) == 0, 10, soak.tell)
        time.sleep(2)
        assert soak.is_stuck(3)


def send_ticks(rig: Bench, broker: Redis, count: int) -> None:
    with current_app.connection_for_write(broker.url) as door:
        for _ in range(count):
            current_app.send_task(advance.name, args=(rig.run.pk,), connection=door)


def duplicate(programs: Programs, broker: Redis, log: Path, patches: str, count: int) -> list[int]:
    """Send one due tick many times to two workers; return how many samples each tray has of it."""
    with bench(log=log, **{**soaked(60), "poll_seconds": 30, "poll_timeout_seconds": 8}) as rig:
        rig.until_soaking()
        before = {attempt.pk: attempt.polls.count() for attempt in rig.run.attempts.all()}
        BurnInRun.objects.update(next_due_at=rig.run.created_at)
        send_ticks(rig, broker, count)
        workers = [programs.worker(patches=patches) for _ in range(2)]
        wait_until(lambda: not broker.client.exists(QUEUE), 60, programs.logs)
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        assert [worker.wait(30) for worker in workers] == [0, 0]
        check_attempts(rig, log)
    return [attempt.polls.count() - before[attempt.pk] for attempt in BurnInAttempt.objects.all()]


def test_300_duplicate_ticks_take_one_sample(programs: Programs, broker: Redis, tmp_path: Path) -> None:
    assert duplicate(programs, broker, tmp_path / "served", "-", 300) == [1, 1]


def test_without_the_claim_duplicate_ticks_take_many(
    programs: Programs, broker: Redis, tmp_path: Path
) -> None:
    taken = duplicate(programs, broker, tmp_path / "served", "no_claim", 20)
    assert min(taken) > 1


def leak_to_stop(programs: Programs, log: Path, patches: str) -> float:
    """Let a tray leak while another hangs; return the seconds from its sample to the last stop received."""
    with bench(trays=6, log=log, **{**soaked(60), "poll_timeout_seconds": 6}) as rig:
        soak = Soak(rig, programs)
        programs.beat()
        programs.worker(patches=patches)
        soak.earns()
        rig.fault(5, "hang")
        rig.fault(2, "leak")
        soak.until(lambda run: not any(rig.stressed()[:5]))
        return seconds_to_stop(log, [tray.serial for tray in rig.trays[:5]])


def seconds_to_stop(log: Path, serials: list[str]) -> float:
    told = read_log(log)
    entries = [entry for serial in serials for entry in told[serial]]
    wet = min(time_of(entry) for entry in entries if entry["what"] == "leak_detection" and entry["wet"])
    stops = [time_of(entry) for entry in entries if entry["what"] == "stop_stress" and entry["applied"]]
    assert len(stops) == len(serials)
    return (max(stops) - wet).total_seconds()


def test_a_leak_stops_every_tray_within_3_s_of_its_sample(programs: Programs, tmp_path: Path) -> None:
    assert 0 < leak_to_stop(programs, tmp_path / "served", "-") <= 3


def test_a_poll_that_waited_for_slow_trays_would_stop_the_others_too_late(
    programs: Programs, tmp_path: Path
) -> None:
    assert leak_to_stop(programs, tmp_path / "served", "patient") > 3
