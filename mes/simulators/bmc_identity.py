"""Who a simulated tray is: serials, position, firmware and login, as read from a trays file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self
from uuid import NAMESPACE_OID, uuid5

from mes.simulators.bmc_sensors import SensorSpec, compute_sensors, switch_sensors


@dataclass(frozen=True, slots=True)
class TrayIdentity:
    """Who a simulated tray is. ``firmware`` maps a component kind ("BMC", "GPU") to its version.

    Two GPUs share each board serial. What is left out is derived from the serial. ``part_serials`` and
    ``part_numbers`` give those of any part by its Id ("IO_Board_0_CX8_1", "NVMe_SSD_210"); the adapters of a
    card that are not named have those of the card. ``neighbours`` maps a network port
    ("IO_Board_0_CX8_0/Port_0", "BMC_0/eth0") to whom it sees: ``{device: LEAF-1, port: "1"}``. Without
    ``reports`` the BMC has no TelemetryService, without ``expand`` it refuses $expand.

    A power shelf or a CDU feeds or cools all trays of its simulator; ``flow_l_min`` is what the CDU pumps,
    ``liquid_share`` how much of the trays' heat goes into it.
    """

    serial: str
    part_number: str = "DEMO-COMPUTE-TRAY"
    slot_number: int = 1
    tray_index: int | None = None
    kind: Literal["compute", "switch", "power_shelf", "cdu"] = "compute"
    gpu_uuids: tuple[str, ...] = ()
    board_serials: tuple[str, ...] = ()
    bmc_mac: str = "02:00:00:00:00:01"
    firmware: Mapping[str, str] = field(default_factory=dict)
    part_serials: Mapping[str, str] = field(default_factory=dict)
    part_numbers: Mapping[str, str] = field(default_factory=dict)
    neighbours: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reports: bool = True
    expand: bool = True
    flow_l_min: float = 150.0
    liquid_share: float = 1.0
    username: str = "factory"
    password: str = field(default="simulator", repr=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the identity written in a trays file; raises ValueError for a field that does not exist."""
        unknown = set(data) - {each.name for each in fields(cls)}
        if unknown or "serial" not in data:
            raise ValueError(f"a tray needs a serial and knows no {sorted(unknown)}")
        lists = {name: tuple(data[name]) for name in ("gpu_uuids", "board_serials") if name in data}
        return cls(**{**data, **lists})

    def version(self, kind: str) -> str:
        """Return the firmware version of a component kind ("" when none is given)."""
        spelled = {spelled_kind(name): version for name, version in self.firmware.items()}
        return spelled.get(kind, "")

    def board_serial(self, number: int) -> str:
        """Return the serial of a superchip board (or, in a switch tray, of a switch ASIC)."""
        return self.board_serials[number] if number < len(self.board_serials) else f"{self.serial}-B{number}"

    def gpu_uuid(self, number: int) -> str:
        """Return the UUID of a GPU."""
        return self.gpu_uuids[number] if number < len(self.gpu_uuids) else self.uuid(f"GPU_{number}")

    def uuid(self, name: str) -> str:
        """Return a UUID that is always the same for this tray and name."""
        return str(uuid5(NAMESPACE_OID, f"{self.serial}/{name}"))

    def part_serial(self, name: str) -> str:
        """Return the serial of a part by its resource Id."""
        return self.part_serials.get(name, f"{self.serial}-{name}")

    def sensors(self) -> tuple[SensorSpec, ...]:
        """Return the sensors of this kind of tray; a meter has none."""
        kinds = {"compute": compute_sensors, "switch": switch_sensors}
        return kinds[self.kind]() if self.kind in kinds else ()

    @property
    def is_meter(self) -> bool:
        """Return whether this is a power shelf or a CDU."""
        return self.kind in ("power_shelf", "cdu")


def spelled_kind(kind: str) -> str:
    """Return a component kind in the spelling of the firmware baselines: "hmc_cpld" becomes "HMC CPLD"."""
    return " ".join(kind.upper().replace("_", " ").split())
