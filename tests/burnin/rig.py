"""Real processes around a bench: workers, beat, loops, and a Redis and a PostgreSQL of the test's own."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from mes.burnin.models import BurnInRun
from tests.burnin.builders import Bench

PROJECT = Path(__file__).resolve().parents[2]
POSTGRESQL_PROGRAMS = Path("/usr/lib/postgresql")
# The server's programs refuse to run as root.
SERVER_USER = "postgres"


def required(found: object, what: str) -> None:
    """Skip the test where a program is not on this machine; fail it where CI asks for its programs."""
    if not found:
        refuse = pytest.fail if os.environ.get("CI_REQUIRE_SERVERS") == "1" else pytest.skip
        refuse(f"{what} is not on this machine")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], seconds: float, what: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


class Redis:
    """A redis-server that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        required(program, "redis-server")
        self.port = free_port()
        self.command = [str(program), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.folder = folder
        self.client = redis.Redis(port=self.port)
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=quiet, stderr=quiet)
        wait_until(self.answers, 10, lambda: "redis-server does not answer")

    def answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """End it as a power cut would; everything in it is lost."""
        self.process.kill()
        self.process.wait(10)


class Cluster:
    """A PostgreSQL server with a copy of the database of this test."""

    def __init__(self, folder: Path) -> None:
        found = sorted(POSTGRESQL_PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
        required(found, "initdb of PostgreSQL")
        self.programs, self.folder = found[-1].parent, folder
        self.user = SERVER_USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.port = free_port()
        if os.geteuid() == 0:
            shutil.chown(folder, SERVER_USER)
        self.run("initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "--no-sync")
        self.control("start")

    def run(self, program: str, *arguments: str) -> None:
        user = self.user if os.geteuid() == 0 else None
        command = [str(self.programs / program), *arguments]
        log = self.folder / "programs.log"
        with log.open("ab") as output:
            subprocess.run(command, cwd=self.folder, user=user, stdout=output, stderr=output, check=True)

    def control(self, *arguments: str) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        log = self.folder / "server.log"
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(log), "-o", options, *arguments)

    def restart(self) -> None:
        """Crash the server, all connections with it, and let it recover from its log."""
        self.control("restart", "-m", "immediate")

    def copy_database(self) -> None:
        """Copy the database of the test, its definitions and triggers included."""
        dump = subprocess.Popen(["pg_dump", database_url()], stdout=subprocess.PIPE)
        self.run("createdb", *self.login, str(connection.settings_dict["NAME"]))
        load = ["psql", *self.login, "-q", "-d", str(connection.settings_dict["NAME"])]
        subprocess.run(load, stdin=dump.stdout, stdout=subprocess.DEVNULL, check=True)
        assert dump.wait() == 0

    @property
    def login(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]


@contextmanager
def own_cluster() -> Iterator[Cluster]:
    """Let this test, and what it starts, work on a PostgreSQL server of its own."""
    folder = Path(tempfile.mkdtemp(prefix="cluster-"))
    kept = {name: connection.settings_dict[name] for name in ("HOST", "PORT", "USER", "PASSWORD")}
    cluster = None
    try:
        cluster = Cluster(folder)
        cluster.copy_database()
        move_to(HOST="127.0.0.1", PORT=str(cluster.port), USER="postgres", PASSWORD="")
        yield cluster
    finally:
        move_to(**kept)
        if cluster is not None:
            cluster.control("stop", "-m", "immediate")
        shutil.rmtree(folder)


def move_to(**server: Any) -> None:
    forget_connections()
    connection.settings_dict.update(server)


def forget_connections() -> None:
    database: Any = connection
    database.close()
    if getattr(database, "pool", None):
        database.close_pool()


def database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    login = f"{database['USER']}:{database['PASSWORD']}@{quote(str(database['HOST']), safe='')}"
    return f"postgresql://{login}:{database['PORT']}/{database['NAME']}"


class Programs:
    """Starts programs of the product on the database of the test; leaves none behind."""

    def __init__(self, data: Path, broker: str = "") -> None:
        self.data, self.broker = data, broker
        self.count = 0
        self.stack = ExitStack()

    def __enter__(self) -> "Programs":
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def worker(self, *, patches: str = "-", concurrency: int = 2) -> subprocess.Popen[bytes]:
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=info")
        return self._start(patches, "celery", "worker", f"--concurrency={concurrency}", *quiet)

    def beat(self) -> subprocess.Popen[bytes]:
        return self._start("-", "celery", "beat", "--loglevel=warning")

    def loop(self, *, patches: str = "-", workers: int = 2) -> subprocess.Popen[bytes]:
        return self._start(patches, "manage", "burnin_loop", f"--workers={workers}")

    def _start(self, patches: str, *arguments: str) -> subprocess.Popen[bytes]:
        self.count += 1
        command = [sys.executable, "-m", "tests.burnin.child", patches, *arguments]
        with (self.data / f"{self.count}-{arguments[1]}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=PROJECT, env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )
        self.stack.callback(kill, process)
        return process

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV") if name in os.environ}
        return {
            **kept,
            "SECRET_KEY": settings.SECRET_KEY,
            "DATABASE_URL": database_url(),
            "MES_DATA_DIR": str(self.data),
            "CELERY_BROKER_URL": self.broker,
            "BURNIN_DISPATCH_SECONDS": "0.2",
            "LOG_LEVEL": "INFO",
        }

    def logs(self) -> str:
        return "\n".join(log.read_text() for log in sorted(self.data.glob("*.log")))


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and all its children where they stand."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the process ids of a worker's pool."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


class Soak:
    """A bench whose ticks are done by other processes, watched from here."""

    def __init__(self, rig: Bench, programs: Programs) -> None:
        self.rig, self.programs = rig, programs

    @property
    def run(self) -> BurnInRun:
        """Return the run as it is now; a database that is restarting is asked again."""
        for _ in range(100):
            try:
                self.rig.run.refresh_from_db()
                return self.rig.run
            except (OperationalError, InterfaceError):
                forget_connections()
                time.sleep(0.1)
        raise AssertionError("the database does not come back")

    def until(self, condition: Callable[[BurnInRun], bool], seconds: float = 30) -> BurnInRun:
        wait_until(lambda: condition(self.run), seconds, self.tell)
        return self.rig.run

    def earns(self, credit: float = 0.0, seconds: float = 30) -> None:
        """Wait until more than ``credit`` seconds, and more than now, are credited."""
        least = max(credit, self.run.credited_seconds)
        self.until(lambda run: run.credited_seconds > least, seconds)

    def is_stuck(self, seconds: float) -> bool:
        """Return whether nothing at all is earned in so many seconds."""
        credit, deadline = self.run.credited_seconds, time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.run.credited_seconds > credit:
                return False
            time.sleep(0.05)
        return True

    def hang_in_a_tick(self, tray: int, log: Path, **when: Any) -> None:
        """Let a tray hang and wait until a tick has asked it: that tick lasts until its poll times out."""
        before = outages(log)
        self.rig.fault(tray, "hang", **when)
        wait_until(lambda: outages(log) > before, 30, self.tell)

    def ends(self, seconds: float = 60) -> BurnInRun:
        return self.until(lambda run: run.state in BurnInRun.ENDED, seconds)

    def tell(self) -> str:
        run = self.rig.run
        said = f"{run.state} {run.credited_seconds} {run.waits_for} {run.reasons}"
        return f"{said}\n{self.programs.logs()[-6000:]}"


def outages(log: Path) -> int:
    return log.read_text().count('"what": "outage"')


def read_log(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what each simulated tray wrote down, by its serial, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        found.setdefault(entry["tray"], []).append(entry)
    return found


def time_of(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["at"])
