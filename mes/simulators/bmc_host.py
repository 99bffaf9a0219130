"""The host behind a simulated BMC: power, boot, stress and readings, as they are at any moment."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mes.simulators.bmc_faults import Fault, FaultPlan
from mes.simulators.bmc_identity import TrayIdentity
from mes.simulators.bmc_physics import TrayPhysics

SENSING_SECONDS = 0.25
# Each ResetType with whether the host is on afterwards.
RESET_TYPES = {"On": True, "ForceRestart": True, "ForceOff": False, "GracefulShutdown": False}
BOOT_STAGES = (
    (0.0, "SystemHardwareInitializationComplete"),
    (40.0, "OSBootStarted"),
    (120.0, "OSRunning"),
)


class NotPowered(Exception):  # noqa: N818 - a state of the host, not a program error
    """The act needs a host that is powered on."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The readings of every sensor at one time; ``stale`` when the BMC has stopped refreshing them."""

    values: dict[str, float]
    at: datetime
    stale: bool = False


class SimulatedHost:
    """What the BMC manages.

    ``clock`` counts the seconds that physics and faults go by; the times shown are wall-clock UTC.
    """

    def __init__(self, identity: TrayIdentity, *, speed: float, clock: Callable[[], float]) -> None:
        self.plan = FaultPlan()
        self.profile = ""
        self.intents: list[str] = []
        self._clock = clock
        self._physics = TrayPhysics(identity.sensors(), identity.serial, speed, clock())
        self._reset_at = datetime.now(UTC) - timedelta(hours=1)
        self._snapshot: Snapshot | None = None
        self._snapshot_key: tuple[float, frozenset[Fault]] = (float("-inf"), frozenset())

    @property
    def powered(self) -> bool:
        """Return whether the host is on."""
        return self._physics.powered

    @property
    def stress_active(self) -> bool:
        """Return whether the stress workload is running."""
        return self._physics.stressed

    def settle(self) -> frozenset[Fault]:
        """Bring everything up to now, reboots that are due included; returns the faults in force."""
        now = self._clock()
        while (reboot := self.plan.take_reboot(now)) is not None:
            self._physics.advance(reboot)
            self._reset(at=datetime.now(UTC) - timedelta(seconds=now - reboot))
            self._physics.powered = True
        self._physics.advance(now)
        return self.plan.active(now)

    def reset(self, reset_type: str) -> None:
        """Do one of RESET_TYPES; raises NotPowered for a restart of a host that is off."""
        powered = RESET_TYPES[reset_type]
        if reset_type == "ForceRestart" and not self.powered:
            raise NotPowered
        if reset_type == "ForceRestart" or powered != self.powered:
            self._reset(at=datetime.now(UTC))
            self._physics.powered = powered

    @property
    def load_percent(self) -> float:
        """Return how much of its full stress the workload asks for, in percent; 0 when none runs."""
        return self._physics.load * 100 if self.stress_active else 0.0

    def start_stress(self, profile: str, load_percent: float = 100.0) -> None:
        """Start the workload, or let it go on at another load; raises NotPowered when the host is off."""
        if not self.powered:
            raise NotPowered
        self.profile = profile
        self._physics.stressed, self._physics.load = True, load_percent / 100

    def stop_stress(self) -> None:
        """Stop the workload; nothing happens when none runs."""
        self.profile = ""
        self._physics.stressed = False

    def sense(self, faults: frozenset[Fault]) -> Snapshot:
        """Return the readings; they are refreshed every quarter of a simulated second, never while stale."""
        stale = Fault.STALE in faults
        key = (self._physics.now, faults - {Fault.STALE})
        if self._snapshot is None or (not stale and self._is_outdated(key)):
            self._snapshot = Snapshot(self._physics.read(faults), datetime.now(UTC))
            self._snapshot_key = key
        return replace(self._snapshot, stale=True) if stale else self._snapshot

    def drawn_watts(self) -> float:
        """Return what the host draws from the busbar now."""
        self.settle()
        return self._physics.drawn_watts()

    def body(self) -> dict[str, Any]:
        """Return the moving properties of the ComputerSystem resource."""
        stage, since = self._boot_stage()
        return {
            "PowerState": "On" if self.powered else "Off",
            "LastResetTime": stamp(self._reset_at),
            "BootProgress": {"LastState": stage, "LastStateTime": stamp(since)},
            "Oem": {
                "RackMES": {
                    "StressActive": self.stress_active,
                    "Profile": self.profile,
                    "LoadPercent": self.load_percent,
                    "Intents": list(self.intents),
                }
            },
        }

    def _reset(self, *, at: datetime) -> None:
        self.stop_stress()
        self._reset_at = at
        self._snapshot = None

    def _is_outdated(self, key: tuple[float, frozenset[Fault]]) -> bool:
        (now, faults), (then, before) = key, self._snapshot_key
        return faults != before or (now - then) * self._physics.speed >= SENSING_SECONDS

    def _boot_stage(self) -> tuple[str, datetime]:
        if not self.powered:
            return "None", self._reset_at
        elapsed = (datetime.now(UTC) - self._reset_at).total_seconds() * self._physics.speed
        begun, stage = [each for each in BOOT_STAGES if each[0] <= max(0.0, elapsed)][-1]
        return stage, self._reset_at + timedelta(seconds=begun / self._physics.speed)


def stamp(moment: datetime) -> str:
    """Return a time as Redfish writes it, to the millisecond."""
    return moment.isoformat(timespec="milliseconds")
