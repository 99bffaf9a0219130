"""The embedded broker: a worker on a bare machine takes an idle task at once, and messages are whole."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

from config.broker import Channel
from tests.test_house import ROOT

TASK = """
import time
from config.celery import app

@app.task(name="probe")
def probe(path, sent):
    with open(path, "a") as file:
        file.write(f"{time.time() - sent}\\n")
"""


REDIS_URL = "redis://127.0.0.1:6379/9"


def redis_answers() -> bool:
    try:
        socket.create_connection(("127.0.0.1", 6379), timeout=0.5).close()
    except OSError:
        return False
    return True


BROKERS = [
    pytest.param({}, id="embedded"),
    pytest.param(
        {"REDIS_URL": REDIS_URL},
        id="redis",
        marks=pytest.mark.skipif(not redis_answers(), reason="no Redis answers on 127.0.0.1:6379"),
    ),
]


def environment(folder: Path, broker: dict[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "SECRET_KEY")}
    paths = {"MES_DATA_DIR": str(folder), "PYTHONPATH": f"{folder}:{ROOT}", "LOG_LEVEL": "WARNING"}
    return {**kept, **paths, **broker}


@contextmanager
def running_worker(folder: Path, broker: dict[str, str]) -> Iterator[None]:
    """Run a real worker on a broker."""
    (folder / "probe_tasks.py").write_text(TASK)
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--include", "probe_tasks"]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--concurrency", "1", "--loglevel", "INFO"],
            cwd=ROOT,
            env=environment(folder, broker),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: "ready." in (folder / "worker.log").read_text(), 30)
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_until(holds: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


@pytest.mark.parametrize("broker", BROKERS)
def test_idle_task_starts_within_a_second(tmp_path: Path, broker: dict[str, str]) -> None:
    latencies = tmp_path / "latencies"
    send = f"from probe_tasks import probe; import time; probe.delay({str(latencies)!r}, time.time())"
    command, sender = [sys.executable, "-c", send], environment(tmp_path, broker)
    with running_worker(tmp_path, broker):
        for count in (1, 2, 3):
            time.sleep(0.3)
            subprocess.run(command, cwd=ROOT, env=sender, check=True)
            wait_until(lambda: latencies.exists() and len(latencies.read_text().split()) == count, 10)  # noqa: B023
    _, median, _ = sorted(float(line) for line in latencies.read_text().split())
    assert median < 1.0


def channel_on(folder: Path) -> Channel:
    for name in ("messages", "control"):
        (folder / name).mkdir(exist_ok=True)
    messages = str(folder / "messages")
    options = {
        "data_folder_in": messages,
        "data_folder_out": messages,
        "control_folder": str(folder / "control"),
    }
    channel = Connection("embedded://localhost", transport_options=options).channel()
    assert isinstance(channel, Channel)
    return channel


def test_messages_come_whole_once_and_in_order(tmp_path: Path) -> None:
    """Readers race a writer of large messages; a half-written one would not be JSON."""
    sent, body = 300, "x" * 50_000
    taken: list[int] = []
    done = threading.Event()

    def read() -> None:
        channel = channel_on(tmp_path)
        while True:
            all_written = done.is_set()
            try:
                taken.append(channel._get("q")["number"])
            except Empty:
                if all_written:
                    return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    writer = channel_on(tmp_path)
    for number in range(sent):
        writer._put("q", {"number": number, "body": body})
    done.set()
    for reader in readers:
        reader.join(30)
    assert sorted(taken) == list(range(sent))
    assert not list((tmp_path / "messages").iterdir())


def test_message_half_written_is_not_seen(tmp_path: Path) -> None:
    channel = channel_on(tmp_path)
    (tmp_path / "messages" / "0_a.q.part").write_text('{"half":')
    with pytest.raises(Empty):
        channel._get("q")
    channel._put("q", {"whole": True})
    assert json.dumps(channel._get("q")) == '{"whole": true}'
