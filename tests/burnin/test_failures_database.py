"""PostgreSQL crashed in the middle of a soak, under Celery and under the loop."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.burnin.builders import bench
from tests.burnin.rig import Cluster, Programs, Redis, Soak, kill, own_cluster
from tests.burnin.soundness import check_run

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="it is PostgreSQL that is restarted"),
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
]
SHORT: dict[str, Any] = {
    "required_hours": 6 / 60,
    "poll_seconds": 0.2,
    "poll_timeout_seconds": 1,
    "max_gap_seconds": 1,
    "missed_polls": 500,
}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with own_cluster() as cluster:
        yield cluster


def test_a_soak_outlives_immediate_restarts_of_the_database(cluster: Cluster, tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    with Programs(tmp_path, redis.url) as programs, bench(log=tmp_path / "served", **SHORT) as rig:
        soak = Soak(rig, programs)
        celery = [programs.beat(), programs.worker(patches="short_lease")]
        soak.earns()
        cluster.restart()
        soak.earns()
        for process in celery:
            kill(process)
        # The control: one that does not reconnect ends with the database, and with it the soak.
        fragile = programs.loop(patches="short_lease,no_reconnect")
        soak.earns()
        cluster.restart()
        assert fragile.wait(30) != 0
        loop = programs.loop(patches="short_lease")
        soak.earns()
        cluster.restart()
        soak.ends()
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(15) == 0
        check_run(rig, tmp_path / "served")
    redis.kill()
    assert "the database does not answer" in programs.logs() or "the database is gone" in programs.logs()
