"""The sensors of a simulated tray: where each sits, and what it reads idle and under stress."""

from dataclasses import dataclass
from typing import Literal

HOST_REPORT = "PlatformEnvironmentMetrics_0"
GPU_REPORT = "HGX_PlatformEnvironmentMetrics_0"
GPU_THROTTLE_CELSIUS = 87.0
# Resolutions as a captured tray reports them; its hot-swap controllers count in 6.134969 W.
CELSIUS_STEP, GPU_CELSIUS_STEP, MEMORY_CELSIUS_STEP, COARSE_CELSIUS_STEP = 1 / 16, 1 / 32, 1 / 256, 1.0
WATT_STEP, HOT_SWAP_WATT_STEP, VOLT_STEP, LEAK_VOLT_STEP, FAN_RPM_STEP = 0.001, 6.134969, 0.022, 0.0008, 100.0
LEAK_VOLTS = (1.3, 2.0)

Lag = Literal["power", "heat", "none", "energy", "headroom", "sum"]


@dataclass(frozen=True, slots=True)
class SensorSpec:
    """One sensor. ``lag`` says how it follows the load of the tray:

    ``power`` in seconds, ``heat`` in about a minute, ``none`` never; ``energy`` integrates the power from
    ``idle`` to ``stressed`` watts into joules; ``headroom`` is the distance of ``sources`` to the throttle
    limit; ``sum`` adds its ``sources`` up. ``step`` is the resolution that the sensor reads in, 0: any value.
    """

    name: str
    chassis: str
    report: str
    reading_type: str
    units: str
    idle: float
    stressed: float
    lag: Lag
    noise: float = 0.0
    low: float | None = None
    high: float | None = None
    sources: tuple[str, ...] = ()
    step: float = 0.0

    @property
    def path(self) -> str:
        """The Redfish path of the Sensor resource."""
        return f"/redfish/v1/Chassis/{self.chassis}/Sensors/{self.name}"


def compute_sensors() -> tuple[SensorSpec, ...]:
    """Return the sensors of a compute tray: 4 GPUs on 2 boards, fans, drives, NICs and leak detectors."""
    return (
        *_board_sensors(),
        *(sensor for backplane in range(2) for sensor in _drives(backplane)),
        *_power_board(),
        *_leak_detectors(("0_ColdPlate", "0_Manifold", "1_ColdPlate", "1_Manifold")),
        *_fans(8),
        _power(
            "Chassis_0_TotalHSC_Power_0", "Chassis_0", HOST_REPORT, 1361.0, 5400.0, step=HOT_SWAP_WATT_STEP
        ),
        *(sensor for gpu in range(4) for sensor in _gpu(gpu)),
        _total_gpu_power(),
        *(sensor for module in range(2) for sensor in _module(module)),
        _heat("HGX_BMC_0_Temp_0", "HGX_BMC_0", GPU_REPORT, 31.8, 36.0),
    )


def switch_sensors() -> tuple[SensorSpec, ...]:
    """Return the sensors of a switch tray: 2 switch ASICs, fans and leak detectors, in one report."""
    asics = [f"MGX_NVSwitch_{number}" for number in range(2)]
    return (
        _heat("BMC_0_DCSCM_Temp_0", "BMC_0", HOST_REPORT, 31.6, 34.0),
        *(_heat(f"{asic}_Temp_0", asic, HOST_REPORT, 38.0, 61.0, high=105.0) for asic in asics),
        *(_power(f"{asic}_Power_0", asic, HOST_REPORT, 180.0, 420.0) for asic in asics),
        *_leak_detectors(("0_ColdPlate", "0_Manifold")),
        *_fans(4),
        _power(
            "Chassis_0_TotalHSC_Power_0", "Chassis_0", HOST_REPORT, 620.0, 1150.0, step=HOT_SWAP_WATT_STEP
        ),
    )


def _heat(
    name: str,
    chassis: str,
    report: str,
    idle: float,
    stressed: float,
    *,
    high: float | None = None,
    step: float = CELSIUS_STEP,
) -> SensorSpec:
    return SensorSpec(
        name, chassis, report, "Temperature", "Cel", idle, stressed, "heat", 0.25, high=high, step=step
    )


def _power(
    name: str, chassis: str, report: str, idle: float, stressed: float, *, step: float = WATT_STEP
) -> SensorSpec:
    return SensorSpec(name, chassis, report, "Power", "W", idle, stressed, "power", idle * 0.01, step=step)


def _board_sensors() -> tuple[SensorSpec, ...]:
    adapters = [(board, adapter) for board in range(2) for adapter in range(2)]
    bluefield = "Riser_Slot2_BlueField_3_Card"
    return (
        _heat("BF3_Slot_2_Temp", bluefield, HOST_REPORT, 52.0, 66.0, step=COARSE_CELSIUS_STEP),
        *(
            _heat(
                f"IO_Board_{board}_CX8_{adapter}_Temp",
                f"IO_Board_{board}",
                HOST_REPORT,
                49.0,
                67.0,
                step=COARSE_CELSIUS_STEP,
            )
            for board, adapter in adapters
        ),
        _heat("BMC_0_DCSCM_Temp_0", "BMC_0", HOST_REPORT, 31.6, 34.0),
        _heat("Chassis_0_Front_IO_Temp_0", "Chassis_0", HOST_REPORT, 24.4, 25.5),
        _heat("NVME_M2_0_Temp_0", "NVME_M2_0", HOST_REPORT, 38.0, 46.0, step=COARSE_CELSIUS_STEP),
    )


def _drives(backplane: int) -> tuple[SensorSpec, ...]:
    chassis = f"StorageBackplane_{backplane}"
    return tuple(
        _heat(
            f"{chassis}_SSD_{bay}_Temp_0",
            chassis,
            HOST_REPORT,
            36.0,
            47.0,
            high=70.0,
            step=COARSE_CELSIUS_STEP,
        )
        for bay in range(2)
    )


def _power_board() -> tuple[SensorSpec, ...]:
    sensors = [_heat("PDB_0_Inlet_Temp_0", "PDB_0", HOST_REPORT, 36.9, 43.0)]
    for swap in range(2):
        name = f"PDB_0_HSC_{swap}"
        sensors += [
            _power(f"{name}_Pwr_0", "PDB_0", HOST_REPORT, 680.0, 2700.0, step=HOT_SWAP_WATT_STEP),
            _heat(f"{name}_Temp_0", "PDB_0", HOST_REPORT, 34.1, 52.0),
            _volts(f"{name}_Volt_In_0"),
            _volts(f"{name}_Volt_Out_0"),
            _heat(f"PDB_0_Vreg_{swap}_Temp_0", "PDB_0", HOST_REPORT, 40.0, 58.0, step=COARSE_CELSIUS_STEP),
            _heat(f"PDB_0_Vreg_{swap}_Temp_1", "PDB_0", HOST_REPORT, 36.0, 55.0, step=COARSE_CELSIUS_STEP),
        ]
    return tuple(sensors)


def _volts(name: str) -> SensorSpec:
    return SensorSpec(name, "PDB_0", HOST_REPORT, "Voltage", "V", 49.93, 49.62, "power", 0.03, step=VOLT_STEP)


def _leak_detectors(names: tuple[str, ...]) -> tuple[SensorSpec, ...]:
    low, high = LEAK_VOLTS
    return tuple(
        SensorSpec(
            f"Chassis_0_LeakDetector_{name}",
            "Chassis_0",
            HOST_REPORT,
            "Voltage",
            "V",
            1.73,
            1.73,
            "none",
            0.01,
            low,
            high,
            step=LEAK_VOLT_STEP,
        )
        for name in names
    )


def _fans(count: int) -> tuple[SensorSpec, ...]:
    faces = [(number, face) for number in range(1, count + 1) for face in ("FRONT", "REAR")]
    return tuple(
        SensorSpec(
            f"Chassis_0_FAN_{number}_{face}",
            "Chassis_0",
            HOST_REPORT,
            "Rotational",
            "RPM",
            11_700.0 if face == "FRONT" else 9_900.0,
            15_800.0 if face == "FRONT" else 13_600.0,
            "heat",
            70.0,
            low=2204.0,
            step=FAN_RPM_STEP,
        )
        for number, face in faces
    )


def _gpu(number: int) -> tuple[SensorSpec, ...]:
    chassis = f"HGX_GPU_{number}"
    heat = f"{chassis}_TEMP_0"
    return (
        SensorSpec(f"{chassis}_Energy_0", chassis, GPU_REPORT, "EnergyJoules", "J", 235.0, 985.0, "energy"),
        _power(f"{chassis}_DRAM_0_Power_0", chassis, GPU_REPORT, 33.0, 160.0),
        _power(f"{chassis}_Power_0", chassis, GPU_REPORT, 235.0, 985.0),
        _heat(
            f"{chassis}_DRAM_0_Temp_0", chassis, GPU_REPORT, 33.0, 71.0, high=105.0, step=MEMORY_CELSIUS_STEP
        ),
        _heat(heat, chassis, GPU_REPORT, 33.0, 66.0, high=GPU_THROTTLE_CELSIUS, step=GPU_CELSIUS_STEP),
        SensorSpec(
            f"{chassis}_TEMP_1",
            chassis,
            GPU_REPORT,
            "Temperature",
            "Cel",
            0.0,
            0.0,
            "headroom",
            low=-4.0,
            sources=(heat,),
        ),
    )


def _total_gpu_power() -> SensorSpec:
    sources = tuple(f"HGX_GPU_{number}_Power_0" for number in range(4))
    name = "HGX_Chassis_0_TotalGPU_Power_0"
    return SensorSpec(name, "HGX_Chassis_0", GPU_REPORT, "Power", "W", 0.0, 0.0, "sum", sources=sources)


def _module(number: int) -> tuple[SensorSpec, ...]:
    board, cpu = f"HGX_ProcessorModule_{number}", f"HGX_CPU_{number}"
    core = f"ProcessorModule_{number}_CPU_0"
    regulator = f"ProcessorModule_{number}_Vreg_0"
    return (
        _heat(f"{board}_Exhaust_Temp_0", board, GPU_REPORT, 39.2, 51.0),
        _heat(f"{board}_Inlet_Temp_0", board, GPU_REPORT, 31.2, 33.0),
        _heat(f"{board}_Inlet_Temp_1", board, GPU_REPORT, 38.4, 41.0),
        SensorSpec(f"{core}_Energy_0", cpu, GPU_REPORT, "EnergyJoules", "J", 88.0, 260.0, "energy"),
        SensorSpec(f"{core}_EnforcedEDPc_0", cpu, GPU_REPORT, "Power", "W", 300.0, 300.0, "none"),
        SensorSpec(f"{core}_EnforcedEDPp_0", cpu, GPU_REPORT, "Power", "W", 420.0, 420.0, "none"),
        _power(f"{core}_Power_0", cpu, GPU_REPORT, 88.0, 260.0),
        _power(f"{regulator}_CpuPower_0", cpu, GPU_REPORT, 41.0, 150.0),
        _power(f"{regulator}_SocPower_0", cpu, GPU_REPORT, 6.0, 21.0),
        _heat(f"{core}_TempAvg_0", cpu, GPU_REPORT, 37.3, 62.0),
        _heat(f"{core}_TempLimit_0", cpu, GPU_REPORT, 51.1, 26.0),
    )
