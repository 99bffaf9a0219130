"""The BMC loop of a process: connections that are kept, slow trays that delay nobody, forks and exits."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from mes.burnin import bmc_loop, redfish_http
from mes.burnin.bmc import MEMORIES
from mes.burnin.redfish import BmcAddress, RedfishError, TrayReading, read_trays
from mes.burnin.tick import _ask
from mes.simulators.bmc import SimulatorThread, running_simulator
from mes.simulators.bmc_identity import TrayIdentity
from tests.burnin.builders import bench

Answers = dict[int, TrayReading | RedfishError]


@contextmanager
def rack(trays: int) -> Iterator[tuple[SimulatorThread, dict[int, BmcAddress]]]:
    identities = [TrayIdentity(f"T{number}", slot_number=number) for number in range(1, trays + 1)]
    with running_simulator(identities) as simulator:
        yield (
            simulator,
            {
                number: BmcAddress(simulator.url(each.serial), "factory", "simulator")
                for number, each in enumerate(identities, start=1)
            },
        )


def poll(addresses: dict[int, BmcAddress], *, seconds: float = 5.0) -> Answers:
    return bmc_loop.ask(_ask(addresses, seconds=seconds, urgent=lambda _key, _reading: False))


def read(answers: Answers) -> set[int]:
    return {key for key, answer in answers.items() if isinstance(answer, TrayReading)}


@pytest.mark.django_db(transaction=True)
def test_a_run_keeps_its_connections_from_poll_to_poll() -> None:
    with bench(trays=2) as run:
        run.until_soaking()
        before = [run.simulator.status(tray.serial) for tray in run.trays]
        for _ in range(10):
            run.tick()
        after = [run.simulator.status(tray.serial) for tray in run.trays]
    assert all(now["requests"] - then["requests"] >= 40 for then, now in zip(before, after, strict=True))
    assert [each["connections"] for each in after] == [each["connections"] for each in before]
    assert all(each["peak_connections"] <= 4 for each in after)
    assert all(each["sessions"] == 1 for each in after)


def test_threads_share_the_four_connections_of_a_bmc() -> None:
    with rack(1) as (simulator, addresses), ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: poll(addresses), range(24)))
        status = simulator.status("T1")
    assert all(read(each) == {1} for each in answers)
    assert (status["peak_connections"], status["sessions"]) == (4, 1)
    assert status["connections"] <= 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("hanging", [[2], [0, 2]])
def test_the_trays_that_answer_are_judged_while_others_hang(hanging: list[int]) -> None:
    with bench(trays=4, poll_timeout_seconds=0.6, suspect_seconds=60) as run:
        run.until_soaking()
        credited = [run.attempt(tray).credited_seconds for tray in range(4)]
        for tray in hanging:
            run.fault(tray, "hang")
        begun = time.monotonic()
        run.tick()
        run.tick()
        assert time.monotonic() - begun < 2 * (0.6 + 0.5) + 1
        earned = {tray for tray in range(4) if run.attempt(tray).credited_seconds > credited[tray]}
        assert earned == set(range(4)) - set(hanging)
        assert [run.attempt(tray).missed for tray in hanging] == [2] * len(hanging)


def test_a_rack_that_hangs_does_not_delay_another() -> None:
    with rack(6) as (simulator, trays), ThreadPoolExecutor(1) as thread:
        bad, good = {key: trays[key] for key in (1, 2, 3)}, {key: trays[key] for key in (4, 5, 6)}
        assert read(poll(trays)) == set(trays)
        for key in bad:
            simulator.set_fault(f"T{key}", "hang")
        hung = thread.submit(poll, bad, seconds=3.0)
        for _ in range(5):
            assert read(poll(good)) == set(good)
        assert not hung.done()
        assert {str(answer)[:7] for answer in hung.result().values()} == {"timeout"}


def test_a_bmc_that_came_back_is_read_at_the_next_poll() -> None:
    with rack(1) as (simulator, addresses):
        assert read(poll(addresses)) == {1}
        port = simulator.ports["T1"]
    assert str(poll(addresses)[1]).startswith("unreachable")
    with running_simulator([TrayIdentity("T1", slot_number=1)], first_port=port):
        assert read(poll(addresses)) == {1}


def test_connections_are_closed_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redfish_http, "KEPT_SECONDS", 0.1)
    bmc_loop.close()
    with rack(1) as (simulator, addresses):
        poll(addresses)
        deadline = time.monotonic() + 5
        while simulator.status("T1")["open_connections"] and time.monotonic() < deadline:
            time.sleep(0.02)
        assert simulator.status("T1")["open_connections"] == 0
        assert read(poll(addresses)) == {1}
    bmc_loop.close()


def test_no_log_tells_a_password_or_a_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with rack(1) as (simulator, addresses):
        wrong = {1: BmcAddress(addresses[1].url, "factory", "hunter2-secret")}
        assert str(poll(wrong)[1]).startswith("unauthorised")
        assert read(poll(addresses)) == {1}
        simulator.set_fault("T1", "vanish")
        assert not read(poll(addresses))
        token = MEMORIES[addresses[1].url].token
    assert token
    assert not any(secret in caplog.text for secret in ("hunter2", "simulator", token))


FORKED = """
import os, sys, django
django.setup()
from mes.burnin import bmc_loop
from mes.burnin.redfish import BmcAddress, TrayReading, read_trays
from mes.burnin.bmc import MEMORIES
trays = {1: BmcAddress(sys.argv[1], "factory", "simulator")}
def is_read():
    answers = bmc_loop.ask(read_trays(trays, timeout=5, memories=MEMORIES))
    return isinstance(answers[1], TrayReading)
assert is_read()
child = os.fork()
if child == 0:
    assert not MEMORIES
    assert is_read() and is_read()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert is_read()
"""


def test_a_fork_has_a_loop_of_its_own_and_every_process_ends() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": str(Path.cwd())}
    with rack(1) as (simulator, addresses):
        done = subprocess.run(
            [sys.executable, "-c", FORKED, addresses[1].url],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        status = simulator.status("T1")
    assert (done.returncode, done.stderr) == (0, "")
    assert status["sessions"] == 2


def test_what_is_asked_twice_in_one_loop_logs_in_once() -> None:
    with rack(1) as (simulator, addresses):
        one = read_trays({**addresses, 2: addresses[1]}, timeout=5, memories={})
        assert read(bmc_loop.ask(one)) == {1, 2}
        assert simulator.status("T1")["sessions"] == 1
