"""Real processes on the database of a test, which stall where they are told to and are killed there."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.burnin.test_worker_killed import PROJECT, environment

PROGRAM = """
import sys, time, django
django.setup()
from importlib import import_module
from django.db import connection

def stall(*args, **kwargs):
    if sys.argv[3] == "split":
        connection.connection.commit()
    print("stalled", flush=True)
    time.sleep(60)

module, name = import_module(sys.argv[1]), sys.argv[2]
setattr(module, name, stall)
exec(sys.argv[4])
"""


def kill_in_the_middle(data: Path, module: str, name: str, statement: str, *, split: bool = False) -> None:
    """Run a statement in a process that is killed when it comes to a function.

    With ``split``, what it had written until then was committed, as without one transaction for all of it.
    """
    arguments = [module, name, "split" if split else "whole", statement]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=PROJECT,
        env={**environment(data), "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stalled\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        if process.stdout:
            process.stdout.close()
