"""Compactors that die, race and come late: no sample is lost, and none is there twice."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections

from mes.burnin import compaction, stretches, tasks
from mes.burnin.compaction import compact_due
from mes.burnin.models import BurnInRun, Poll, PollWindow, SeriesBlock
from mes.burnin.telemetry import Series, read_series, read_statistics
from tests.burnin.builders import bench
from tests.burnin.processes import kill_in_the_middle
from tests.burnin.samples import BEGIN, POLL, physical_readings, save, save_physics, soaked_run

ON_POSTGRESQL = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite lets one connection write at a time"
)
COMPACT = "from mes.burnin.compaction import compact_due; compact_due()"


def drawn(run: BurnInRun) -> list[list[Series]]:
    return [read_series(attempt=attempt, pattern="*") for attempt in run.attempts.order_by("pk")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["_blocks", "_drop"])
def test_a_compactor_killed_in_the_middle_has_done_nothing(tmp_path: Path, moment: str) -> None:
    run = soaked_run(2)
    save_physics(run, 90)
    before = drawn(run)
    kill_in_the_middle(tmp_path, "mes.burnin.compaction", moment, COMPACT)
    assert (Poll.objects.count(), PollWindow.objects.count()) == (180, 0)
    assert compact_due() == 180
    assert (Poll.objects.count(), PollWindow.objects.count()) == (0, 4)
    assert drawn(run) == before


@pytest.mark.django_db(transaction=True)
def test_in_two_transactions_a_killed_compactor_loses_samples(tmp_path: Path) -> None:
    run = soaked_run()
    save_physics(run, 60)
    before = drawn(run)
    kill_in_the_middle(tmp_path, "mes.burnin.compaction", "_blocks", COMPACT, split=True)
    assert (Poll.objects.count(), PollWindow.objects.count(), SeriesBlock.objects.count()) == (60, 1, 0)
    compact_due()
    assert drawn(run) != before


class Stalled:
    """A compactor in a thread of its own that stops before it deletes the polls, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.here, self.go_on = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.drop = compaction._drop
        monkeypatch.setattr(compaction, "_drop", self._stall)

    def _stall(self, polls: list[Poll]) -> None:
        if threading.current_thread() is self.thread:
            self.here.set()
            assert self.go_on.wait(20)
        self.drop(polls)

    def _run(self) -> None:
        try:
            compact_due()
        finally:
            connections.close_all()

    def __enter__(self) -> None:
        self.thread.start()
        assert self.here.wait(20)

    def __exit__(self, *_: Any) -> None:
        self.go_on.set()
        self.thread.join(20)


@ON_POSTGRESQL
@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_second_compactor_passes_over_what_the_first_one_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    run = soaked_run()
    save_physics(run, 60)
    before = drawn(run)
    with Stalled(monkeypatch):
        assert compact_due() == 0
        assert drawn(run) == before
        # One that comes meanwhile stays, for its window is not there yet.
        save(run.attempts.get(), [late := next(physical_readings("late", 1, begin=BEGIN + POLL / 2))])
    assert Poll.objects.get().taken_at == late.taken_at
    assert (compact_due(), Poll.objects.count(), PollWindow.objects.count()) == (1, 0, 1)
    assert [len(series.points) for series in drawn(run)[0]] == [61] * len(before[0])


@ON_POSTGRESQL
@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_eight_compactors_at_once_pack_everything_once() -> None:
    run = soaked_run(3)
    save_physics(run, 200)
    before, gate = drawn(run), threading.Barrier(8)
    done: list[int] = []

    def compact() -> None:
        gate.wait(10)
        try:
            done.append(compact_due())
        finally:
            connections.close_all()

    in_threads(compact, 8)
    assert sum(done) == 600
    assert (Poll.objects.count(), PollWindow.objects.count()) == (0, 12)
    assert drawn(run) == before


@pytest.mark.django_db
def test_a_reader_counts_once_what_is_compacted_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run = soaked_run()
    save_physics(run, 90)
    before, read_blocks = drawn(run), stretches._blocks

    def compact_first(*wanted: Any, **how: Any) -> Any:
        compact_due()
        return read_blocks(*wanted, **how)

    monkeypatch.setattr(stretches, "_blocks", compact_first)
    (statistics,) = read_statistics(attempt=run.attempts.get(), pattern="HGX_GPU_0_TEMP_0")
    assert (statistics.count, Poll.objects.count()) == (90, 0)
    assert drawn(run) == before


def in_threads(act: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=act) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


@pytest.mark.django_db
def test_the_samples_of_a_run_are_packed_when_it_ends(django_capture_on_commit_callbacks: Any) -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        rig.skip_ahead()
        with django_capture_on_commit_callbacks(execute=True):
            rig.to_the_end()
    assert rig.run.state == "passed"
    assert not Poll.objects.exists()
    attempt = rig.attempt(0)
    (series,) = read_series(attempt=attempt, pattern="HGX_GPU_0_TEMP_0")
    assert len(series.points) >= attempt.statistics["HGX_GPU_0_TEMP_0"]["count"] > 1


@pytest.mark.django_db
def test_the_task_and_the_command_compact(capsys: pytest.CaptureFixture[str]) -> None:
    run = soaked_run()
    save_physics(run, 30)
    tasks.compact()
    assert not Poll.objects.exists()
    save(run.attempts.get(), list(physical_readings("late", 2, begin=BEGIN + POLL / 2)))
    call_command("burnin_compact")
    assert capsys.readouterr().out == "2 polls packed\n"
    assert not Poll.objects.exists()
