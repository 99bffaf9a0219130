"""Child processes of the demo: started together, watched, stopped cleanly."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

STOP_SECONDS = 10


class ChildDied(Exception):  # noqa: N818 - names what happened
    """A child process ended by itself; the message holds the end of its log."""


class Children:
    """Starts the project's programs, logs in one folder; as a context manager, stops them at its end."""

    def __init__(self, folder: Path, environment: Mapping[str, str], logs: Path) -> None:
        self.folder, self.logs = folder, logs
        self.environment = {**os.environ, **environment}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, *arguments: str) -> Path:
        """Start `python -m ...` or a script with this interpreter; return where its output goes.

        Each child gets a session of its own, so that Ctrl-C reaches only the parent, which then stops all.
        """
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            self.running[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return log

    def check(self) -> None:
        """Raise ChildDied if a child has ended by itself."""
        for name, child in self.running.items():
            if child.poll() is not None:
                tail = (self.logs / f"{name}.log").read_text(errors="replace")[-2000:]
                raise ChildDied(f"{name} ended with {child.returncode}:\n{tail}")

    def stop(self) -> None:
        """Ask every child to end, wait for it, and end its whole group if it does not."""
        for child in self.running.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.running.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        self.running.clear()


def free_port(preferred: int) -> int:
    """Return the preferred port of 127.0.0.1 if it is free, else any free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def wait_for_answer(url: str, children: Children, seconds: float = 30) -> None:
    """Wait until a URL answers; raises ChildDied or TimeoutError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        children.check()
        try:
            httpx.get(url, timeout=2)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer within {seconds:.0f} s")
