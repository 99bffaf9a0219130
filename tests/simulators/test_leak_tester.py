"""The simulated leak tester: real curves over a real socket, judged by the product."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from mes.cooling.models import LeakTest
from mes.simulators.leak_tester import Leak, simulate_decay
from tests.builders import Scanner, make_station
from tests.cooling.builders import Rack


def test_a_leak_shows_as_its_rate_says() -> None:
    # 0.6 mbar.L/s from 60 L: 0.01 mbar/s, 3 mbar over the 300 s that are measured
    leak = Leak(0.6, drift_k=0.0, noise_mbar=0.0)
    curve = simulate_decay(leak)
    assert curve["value"][120] - curve["value"][420] == pytest.approx(3.0, rel=0.01)
    tight = simulate_decay(Leak(0.0, drift_k=1.0, noise_mbar=0.0))
    assert tight["value"][-1] == pytest.approx(3000 * 296.15 / 295.15, abs=0.01)


@pytest.mark.django_db(transaction=True)
def test_the_command_reports_over_a_socket(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rack = Rack()
    options = ["--url", live_server.url, "--unit", str(rack.unit.uid), "--instrument", rack.tester.code]
    with pytest.raises(CommandError, match="MES_DEVICE_TOKEN"):
        call_command("simulate_leak_tester", *options)
    monkeypatch.setenv("MES_DEVICE_TOKEN", Scanner(make_station("LEAK")).token)
    answers = []
    for rate in ("0.01", "0.6"):
        out = StringIO()
        call_command("simulate_leak_tester", *options, "--leak-rate", rate, stdout=out)
        answers.append(json.loads(out.getvalue()))
    assert [(answer["said"], answer["outcome"]) for answer in answers] == [("PASS", "PASS"), ("FAIL", "FAIL")]
    assert answers[0]["computed"] == pytest.approx(0.05, abs=0.1)
    assert answers[1]["computed"] == pytest.approx(3.0, abs=0.1)
    assert answers[1]["uncompensated"] < answers[1]["computed"], "the room got warmer"
    assert LeakTest.objects.count() == 2
    with pytest.raises(CommandError, match="invalid_input"):
        call_command("simulate_leak_tester", *options[:-1], "NOBODY")
