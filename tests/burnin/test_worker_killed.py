"""A real Celery worker and beat over the filesystem broker; the worker is killed in the middle of a soak."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from mes.burnin.models import BurnInAttempt, BurnInRun, Gap
from mes.ledger.models import Event
from mes.testing.models import TestRun
from tests.burnin.builders import Bench, bench

PROJECT = Path(__file__).resolve().parents[2]


def environment(data: Path) -> dict[str, str]:
    """Return what makes a process work on the database of this test, with a broker of its own."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        login = f"{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
        url = f"postgresql://{login}/{database['NAME']}"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV") if name in os.environ}
    return {
        **kept,
        "SECRET_KEY": settings.SECRET_KEY,
        "DATABASE_URL": url,
        "MES_DATA_DIR": str(data),
        "BURNIN_DISPATCH_SECONDS": "0.25",
        "LOG_LEVEL": "WARNING",
    }


@contextmanager
def celery(data: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Celery program in a process group of its own, which is killed at the end."""
    command = [sys.executable, "-m", "celery", "-A", "config", *arguments]
    with (data / f"{arguments[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment(data), stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def worker(data: Path) -> tuple[Path, str, str, str, str, str]:
    return data, "worker", "--concurrency=2", "--without-gossip", "--without-mingle", "--loglevel=warning"


def wait_for(rig: Bench, condition: Callable[[BurnInRun], bool], seconds: float, data: Path) -> BurnInRun:
    deadline = time.monotonic() + seconds
    while True:
        rig.run.refresh_from_db()
        if condition(rig.run):
            return rig.run
        logs = "\n".join(log.read_text()[-3000:] for log in data.glob("*.log"))
        assert time.monotonic() < deadline, (rig.run.state, rig.run.waits_for, rig.run.reasons, logs)
        time.sleep(0.05)


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_the_soak_leaves_a_gap_and_one_verdict(tmp_path: Path) -> None:
    with (
        bench(poll_seconds=0.25, poll_timeout_seconds=1, max_gap_seconds=3) as rig,
        ExitStack() as programs,
    ):
        programs.enter_context(celery(tmp_path, "beat", "--loglevel=warning"))
        first = programs.enter_context(celery(*worker(tmp_path)))
        wait_for(rig, lambda run: run.credited_seconds > 0, 30, tmp_path)
        # While a tray hangs the tick is in its poll, so that the worker dies holding the run.
        rig.fault(1, "hang", for_seconds=2)
        wait_for(rig, lambda run: run.lease_until is not None, 5, tmp_path)
        kill(first)
        rig.run.refresh_from_db()
        assert (rig.run.state, rig.run.lease_until is not None) == ("soaking", True)
        rig.skip_ahead()
        credit = credits(rig)
        programs.enter_context(celery(*worker(tmp_path)))
        run = wait_for(rig, lambda run: run.state in BurnInRun.ENDED, 30, tmp_path)
        assert rig.stressed() == [False, False]
    assert run.state == "passed", run.reasons
    assert TestRun.objects.get().outcome == "PASS"
    assert Event.objects.filter(kind="burn_in.passed").count() == 1
    for attempt in BurnInAttempt.objects.all():
        gap = Gap.objects.get(attempt=attempt)
        assert gap.reason.startswith("our outage: nobody polled for") and attempt.last_good_at is not None
        soaked_since = (attempt.last_good_at - gap.to_at).total_seconds()
        assert attempt.credited_seconds - credit[attempt.pk] == pytest.approx(60 * soaked_since)


def credits(rig: Bench) -> dict[int, float]:
    return dict(BurnInAttempt.objects.filter(run=rig.run).values_list("pk", "credited_seconds"))
