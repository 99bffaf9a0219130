"""What one poll of a tray's BMC says: metric reports and leak detectors, read with suspicion.

MetricValue is always a string, may be "nan", and may be a value the BMC stopped refreshing; such a sample has
no value here, so that missing data can never pass for good data.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric at one time: ``at`` is the BMC's time, ``value`` is None when missing, NaN or stale."""

    series: str
    value: float | None
    at: datetime
    stale: bool = False
    unit: str = ""


# A sensor in one of these states measures nothing, whatever its Reading says (DSP0268, Status).
NOT_MEASURING = frozenset(
    {"Absent", "Deferring", "Disabled", "Quiesced", "StandbyOffline", "UnavailableOffline"}
)


@dataclass(frozen=True, slots=True)
class TrayReading:
    """One poll of one tray.

    ``taken_at`` is our clock (UTC) when the poll began, so that a reading never looks fresher than it is.
    ``leak`` names the detectors that are not OK, ``leak_detectors`` counts those the BMC has. ``boot_id``
    changes when the host reboots. ``slot_number`` and ``tray_index`` are read at discovery and again when
    serial or boot change. ``health`` holds metrics that are words, and the system's own Health, PowerState
    and BootProgress. ``stress_active`` is None where the BMC does not tell.
    """

    taken_at: datetime
    samples: tuple[Sample, ...]
    leak: tuple[str, ...]
    leak_detectors: int
    boot_id: str
    serial: str
    slot_number: int | None
    tray_index: int | None
    health: dict[str, str]
    stress_active: bool | None


@dataclass(frozen=True, slots=True)
class LeakDetector:
    """A leak detector; ``low`` and ``high`` are the volts its sensor stays between while dry, when known."""

    name: str
    path: str
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class LeakDetection:
    """A LeakDetection resource, whose status rolls up that of its detectors."""

    path: str
    detectors: tuple[LeakDetector, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What a poll reads samples from: metric reports, else sensor collections asked for with their members,
    else single sensors.

    ``units`` are those of the series of reports, which name none, as far as they are known.
    """

    reports: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrayLayout:
    """Where on a BMC a poll finds what it needs; ``identity`` (serial, boot) is whose position this is.

    ``system`` is the resource that says who this is: a ComputerSystem, or a Chassis where there is no system.
    """

    system: str
    source: Source
    leak_detections: tuple[LeakDetection, ...]
    position_path: str | None
    slot_number: int | None
    tray_index: int | None
    identity: tuple[str, str]


def parse_report(
    body: Body, taken_at: datetime, units: Mapping[str, str]
) -> tuple[list[Sample], dict[str, str]]:
    """Return the samples of a MetricReport and, apart, the metrics whose value is a word.

    ``units`` are those of the series that have a known one. A metric without a readable Timestamp counts as
    taken at ``taken_at``. Raises KeyError, TypeError or ValueError for a body that is no MetricReport.
    """
    samples: list[Sample] = []
    words: dict[str, str] = {}
    for metric in body.get("MetricValues") or []:
        name = series_name(metric["MetricProperty"])
        value, word = _parse_value(metric.get("MetricValue"))
        if word and "#" in name:
            words[name] = word
        else:
            samples.append(_sample(name, value, metric, taken_at, units.get(name, "")))
    return samples, words


def parse_sensors(collection: Body, taken_at: datetime) -> list[Sample]:
    """Return the samples of a collection of sensors that came with its members; see parse_sensor."""
    return [parse_sensor(body, taken_at) for body in collection.get("Members") or []]


def parse_sensor(body: Body, taken_at: datetime) -> Sample:
    """Return the sample of a Sensor resource; its Thresholds are not looked at.

    It is stale when the sensor does not measure, and has no value then, nor without a Reading. Raises
    KeyError, TypeError or ValueError for a body that is no sensor.
    """
    value, _word = _parse_value(body.get("Reading"))
    silent = (body.get("Status") or {}).get("State") in NOT_MEASURING
    stale = silent or _vendor_property(body, "MetricValueStale") is True
    return Sample(
        series=series_name(body["@odata.id"]),
        value=None if stale else value,
        at=parse_time(body.get("ReadingTime")) or taken_at,
        stale=stale,
        unit=str(body.get("ReadingUnits") or ""),
    )


@lru_cache(maxsize=65_536)
def series_name(metric_property: str) -> str:
    """Return the series of a MetricProperty: the sensor's name, or the resource and the JSON pointer.

    "/redfish/v1/Chassis/HGX_GPU_0/Sensors/HGX_GPU_0_TEMP_0" gives "HGX_GPU_0_TEMP_0" and
    "/redfish/v1/Chassis/HGX_CPU_0#/Status/Health" gives "HGX_CPU_0#/Status/Health". Deeper resources keep
    their path below the collection: 72 NVLink ports all end in "/Metrics".
    """
    path, mark, pointer = metric_property.partition("#")
    if not mark:
        return path.rpartition("/")[2]
    below_collection = path.split("/")[4:] or [path]
    return f"{'/'.join(below_collection)}#{pointer}"


def parse_time(text: object) -> datetime | None:
    """Return a Redfish date-time (UTC when it names no offset), or None when it is not one."""
    return _parse_moment(text) if isinstance(text, str) else None


@lru_cache(maxsize=4_096)
def _parse_moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def system_health(system: Body) -> dict[str, str]:
    """Return the health words of a ComputerSystem resource, named like the health metrics of a report."""
    name = system.get("Id", "System")
    words = {
        "Status/Health": (system.get("Status") or {}).get("Health"),
        "PowerState": system.get("PowerState"),
        "BootProgress/LastState": (system.get("BootProgress") or {}).get("LastState"),
    }
    return {f"{name}#/{pointer}": str(word) for pointer, word in words.items() if word}


def stress_active(system: Body) -> bool | None:
    """Return whether the stress workload runs, None where the BMC does not tell."""
    active = _vendor_property(system, "StressActive")
    return active if isinstance(active, bool) else None


def position(chassis: Body) -> tuple[int, int | None] | None:
    """Return the slot number and tray index a chassis reports (cable cartridges do), None if it does not."""
    slot = _vendor_property(chassis, "ChassisPhysicalSlotNumber")
    index = _vendor_property(chassis, "ComputeTrayIndex")
    if not isinstance(slot, int):
        return None
    return slot, index if isinstance(index, int) else None


def rollup(resource: Body) -> str | None:
    """Return the health a resource sums up, None when it gives none."""
    status = resource.get("Status") or {}
    health = status.get("HealthRollup") or status.get("Health")
    return str(health) if health else None


def is_surely_dry(detection: LeakDetection, resource: Body, volts: Mapping[str, float | None]) -> bool:
    """Return whether two independent signals say dry: the rolled-up health and every detector's voltage.

    ``volts`` are the values of the poll by series; a detector that is missing there proves nothing.
    """
    return rollup(resource) == "OK" and all(
        _within(detector, volts.get(detector.name)) is True for detector in detection.detectors
    )


def leaking(
    detection: LeakDetection,
    resource: Body,
    volts: Mapping[str, float | None],
    states: Mapping[str, Body],
) -> tuple[str, ...]:
    """Return the names of the detectors that are not OK; ``states`` are the LeakDetector bodies by path.

    A detector counts when its state is anything but OK (unless it is not fitted), or its voltage leaves its
    limits. A bad rollup that no detector explains counts under the resource's own name.
    """
    wet = tuple(
        detector.name
        for detector in detection.detectors
        if _is_wet(states.get(detector.path)) or _within(detector, volts.get(detector.name)) is False
    )
    if not wet and rollup(resource) not in ("OK", None):
        return (str(resource.get("Id") or "LeakDetection"),)
    return wet


def _sample(name: str, value: float | None, metric: Body, taken_at: datetime, unit: str) -> Sample:
    stale = _vendor_property(metric, "MetricValueStale") is True
    at = parse_time(metric.get("Timestamp")) or taken_at
    return Sample(name, None if stale else value, at, stale, unit)


def _parse_value(raw: object) -> tuple[float | None, str]:
    """Return (number, "") or (None, word): "nan", "inf" and nothing are a missing number."""
    if raw is None or isinstance(raw, bool):
        return None, "" if raw is None else str(raw).lower()
    try:
        number = float(str(raw))
    except ValueError:
        return None, str(raw)
    return (number, "") if math.isfinite(number) else (None, "")


def _vendor_property(resource: Body, name: str) -> Any:
    # The vendor's own key under Oem differs between makers of the same tray; the property's name does not.
    for vendor in (resource.get("Oem") or {}).values():
        if isinstance(vendor, dict) and name in vendor:
            return vendor[name]
    return None


def _within(detector: LeakDetector, volts: float | None) -> bool | None:
    """Return whether the voltage is one of a dry detector, None when that cannot be told."""
    if volts is None or detector.low is None or detector.high is None:
        return None
    return detector.low <= volts <= detector.high


def _is_wet(body: Body | None) -> bool:
    if body is None:
        return False
    fitted = (body.get("Status") or {}).get("State") != "Absent"
    return fitted and body.get("DetectorState") != "OK"
