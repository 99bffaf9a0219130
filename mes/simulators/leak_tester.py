"""A simulated leak tester: pressurises a loop that leaks as told, and reports the curve through the API."""

import math
import random
from dataclasses import dataclass
from typing import Any

from mes.simulators.floor import FloorDevice

KELVIN = 273.15
ATMOSPHERE_MBAR = 1013.25
SAMPLE_S = 1.0
SETTLING_SHARE = 0.002  # of the pressure, by which compressed gas is too warm and cools
SETTLING_S = 12.0


@dataclass(frozen=True, slots=True)
class Leak:
    """What is tested: volume in L, leak rate in mbar.L/s at the test pressure, room temperature in Cel."""

    rate_mbar_l_s: float
    volume_l: float = 60.0
    cel: float = 22.0
    drift_k: float = 0.3  # of the room over the whole test
    noise_mbar: float = 0.05
    seed: int = 1


def simulate_decay(
    leak: Leak, *, pressure_mbar: float = 3000.0, stabilise_s: float = 120.0, measure_s: float = 300.0
) -> dict[str, list[float]]:
    """Return the curve of a pressure decay test, absolute in mbar, a sample a second.

    The gas first cools from being compressed; then it leaks, ever slower as its pressure nears the ambient
    (dp/dt = -rate / volume * (p - p0) / (p1 - p0)), follows the room (ideal gas law), and is read
    by a noisy gauge.
    """
    noise = random.Random(leak.seed)
    times = [number * SAMPLE_S for number in range(int(stabilise_s + measure_s) + 1)]
    over = pressure_mbar - ATMOSPHERE_MBAR
    constant = leak.volume_l * over / leak.rate_mbar_l_s if leak.rate_mbar_l_s else math.inf
    values, temperatures = [], []
    for time in times:
        cel = leak.cel + leak.drift_k * time / times[-1]
        gas = ATMOSPHERE_MBAR + over * math.exp(-time / constant)
        warm = 1 + SETTLING_SHARE * math.exp(-time / SETTLING_S)
        shown = gas * warm * (cel + KELVIN) / (leak.cel + KELVIN)
        values.append(round(shown + noise.gauss(0, leak.noise_mbar), 3))
        temperatures.append(round(cel, 3))
    return {"t_s": times, "value": values, "temperature_cel": temperatures}


class LeakTester:
    """A tester at a station: it tests a unit and posts what it saw; it says PASS or FAIL by its own limit."""

    def __init__(self, device: FloorDevice, instrument: str, *, limit_mbar: float = 0.5) -> None:
        self.device, self.instrument, self.limit_mbar = device, instrument, limit_mbar

    def test(self, unit: str, leak: Leak, **times: float) -> dict[str, Any]:
        """Test a unit (its uid) and return what the API answered."""
        window = {"stabilise_s": 120.0, "measure_s": 300.0, **times}
        curve = simulate_decay(leak, **window)
        decay = leak.rate_mbar_l_s / leak.volume_l * window["measure_s"]
        body = {
            "method": "pressure_decay",
            "medium": "nitrogen",
            "test_pressure_mbar": 3000.0,
            "volume_l": leak.volume_l,
            "instrument": self.instrument,
            "said": "PASS" if decay <= self.limit_mbar else "FAIL",
            "curve": curve,
            **window,
        }
        return self.device.post(f"units/{unit}/leak-tests/", body)
