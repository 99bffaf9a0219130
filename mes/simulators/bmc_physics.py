"""How the readings of a simulated tray move: first-order lags behind its load, with small seeded noise."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random

from mes.simulators.bmc_faults import Fault
from mes.simulators.bmc_sensors import GPU_REPORT, GPU_THROTTLE_CELSIUS, SensorSpec

POWER_LAG_SECONDS = 4.0
HEAT_LAG_SECONDS = 45.0
OVERHEAT_MARGIN_CELSIUS = 6.0
LEAKING_VOLTS = 0.62
UNPOWERED_SHARE = 0.04
TOTAL_POWER = "Chassis_0_TotalHSC_Power_0"


@dataclass(slots=True)
class _Lag:
    """A value between 0 (idle) and 1 (stressed) that follows a target; ``area`` is its time integral."""

    seconds: float
    level: float = 0.0
    area: float = 0.0

    def follow(self, target: float, elapsed: float) -> None:
        decay = math.exp(-elapsed / self.seconds)
        gap = self.level - target
        self.area += target * elapsed + gap * self.seconds * (1.0 - decay)
        self.level = target + gap * decay


@dataclass(slots=True)
class TrayPhysics:
    """The moving state of one tray.

    ``speed`` is how many simulated seconds pass in one second of the caller's clock. The solution of the lag
    is exact, so nothing runs between two calls however far apart they are.
    """

    sensors: tuple[SensorSpec, ...]
    seed: str
    speed: float
    now: float
    stressed: bool = False
    load: float = 1.0
    powered: bool = True
    _power: _Lag = field(default_factory=lambda: _Lag(POWER_LAG_SECONDS))
    _heat: _Lag = field(default_factory=lambda: _Lag(HEAT_LAG_SECONDS))
    _elapsed: float = 0.0
    _noise: Random = field(init=False)

    def __post_init__(self) -> None:
        self._noise = Random(self.seed)

    def advance(self, now: float) -> None:
        """Move the state on to ``now``; call it before changing ``stressed``, ``load`` or ``powered``."""
        elapsed = max(0.0, now - self.now) * self.speed
        self.now = max(self.now, now)
        self._elapsed += elapsed
        target = self.load if self.stressed and self.powered else 0.0
        self._power.follow(target, elapsed)
        self._heat.follow(target, elapsed)

    def drawn_watts(self) -> float:
        """Return what the tray draws in all, without the noise of its sensor."""
        return sum(self._level(sensor) for sensor in self.sensors if sensor.name == TOTAL_POWER)

    def read(self, faults: Collection[Fault]) -> dict[str, float]:
        """Return the reading of every sensor by name; a sensor that reads nothing gives NaN."""
        values: dict[str, float] = {}
        for sensor in self.sensors:
            values[sensor.name] = self._read_one(sensor, values, faults)
        if Fault.NAN in faults:
            values.update({name: math.nan for name in values if is_gpu_temperature(name)})
        return values

    def _read_one(self, sensor: SensorSpec, values: dict[str, float], faults: Collection[Fault]) -> float:
        if not self.powered and sensor.report == GPU_REPORT:
            return math.nan
        if sensor.lag == "headroom":
            return GPU_THROTTLE_CELSIUS - values[sensor.sources[0]]
        if sensor.lag == "sum":
            return sum(values[name] for name in sensor.sources)
        value = self._level(sensor) + sensor.noise * self._noise.uniform(-1.0, 1.0)
        return _disturb(sensor, _resolved(value, sensor.step), faults)

    def _level(self, sensor: SensorSpec) -> float:
        rise = sensor.stressed - sensor.idle
        if sensor.lag == "energy":
            return sensor.idle * self._elapsed + rise * self._power.area
        if sensor.lag == "power":
            share = 1.0 if self.powered or sensor.units != "W" else UNPOWERED_SHARE
            return share * (sensor.idle + rise * self._power.level)
        if sensor.lag == "heat":
            return sensor.idle + rise * self._heat.level
        return sensor.idle


def is_gpu_temperature(name: str) -> bool:
    """Return whether a sensor measures the temperature, or the headroom, of a GPU or switch ASIC."""
    return name.startswith(("HGX_GPU_", "MGX_NVSwitch_")) and "_TEMP_" in name.upper()


def is_first_leak_detector(name: str) -> bool:
    """Return whether this is the detector that gets wet when the tray leaks."""
    return name == "Chassis_0_LeakDetector_0_ColdPlate"


def _resolved(value: float, step: float) -> float:
    return round(value / step) * step if step else value


def _disturb(sensor: SensorSpec, value: float, faults: Collection[Fault]) -> float:
    if Fault.LEAK in faults and is_first_leak_detector(sensor.name):
        return LEAKING_VOLTS
    if Fault.OVERHEAT in faults and is_gpu_temperature(sensor.name) and sensor.high:
        return max(value, sensor.high + OVERHEAT_MARGIN_CELSIUS)
    return value
