"""The building blocks of a Redfish tree: paths, resources, collections and links."""

from typing import Any

ROOT = "/redfish/v1"
SYSTEM = f"{ROOT}/Systems/System_0"
SESSIONS = f"{ROOT}/SessionService/Sessions"
REPORTS = f"{ROOT}/TelemetryService/MetricReports"
LEAK_DETECTION = f"{ROOT}/Chassis/Chassis_0/ThermalSubsystem/LeakDetection"
FIRMWARE = f"{ROOT}/UpdateService/FirmwareInventory"

Body = dict[str, Any]
Tree = dict[str, Body]


def resource(path: str, kind: str, **properties: Any) -> Body:
    """Return a resource body; ``kind`` is the schema with its version, like ``Chassis.v1_22_0``."""
    name = path.rpartition("/")[2]
    odata_type = f"#{kind}.{kind.partition('.')[0]}"
    return {"@odata.id": path, "@odata.type": odata_type, "Id": name, "Name": name, **properties}


def collection(path: str, kind: str, members: list[str]) -> Body:
    """Return a collection body whose members are links."""
    return {
        "@odata.id": path,
        "@odata.type": f"#{kind}Collection.{kind}Collection",
        "Name": f"{kind} Collection",
        "Members": [link(member) for member in members],
        "Members@odata.count": len(members),
    }


def link(path: str) -> dict[str, str]:
    """Return a reference to another resource."""
    return {"@odata.id": path}


def healthy() -> dict[str, str]:
    """Return the Status of a part that works."""
    return {"State": "Enabled", "Health": "OK", "HealthRollup": "OK"}
