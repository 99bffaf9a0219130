"""The demo ends at once when it is told to, leaves no process behind, and can be started again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from mes.simulators.children import ChildDied, Children, free_port
from tests.test_house import ROOT


def descendants(pid: int) -> list[int]:
    """Return the processes a process has started, as the kernel knows them."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [number for child in map(int, children) for number in (child, *descendants(child))]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the demo has a SQLite database of its own")
def test_interrupted_while_it_builds(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "MES_DATA_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "manage.py", "demo", "--once", "--port", str(free_port(0))]
    output = tmp_path / "output"
    with output.open("wb") as file:
        demo = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 150
        while b"slot_not_in_assembly" not in output.read_bytes():
            assert time.monotonic() < deadline and demo.poll() is None, output.read_text()[-2000:]
            time.sleep(0.2)
        processes = descendants(demo.pid)
        assert len(processes) >= 3
        demo.send_signal(signal.SIGINT)
        assert demo.wait(25) == 130
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(30)
    assert "Stopping web server" in output.read_text()
    assert "Every child process has ended." in output.read_text()
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]


def test_child_that_dies_is_noticed_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Children(ROOT, {}, tmp_path) as children:
        children.start("broken", "-c", "raise SystemExit('it broke')")
        deadline = time.monotonic() + 10
        with pytest.raises(ChildDied, match="it broke"):
            while time.monotonic() < deadline:
                children.check()
                time.sleep(0.05)
