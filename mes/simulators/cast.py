"""The demo's people, devices and simulated trays; every name says that it is demo data."""

import secrets
from typing import Any

from django.contrib.auth.models import Permission

from mes.ledger.services import Actor
from mes.people.models import User
from mes.products.models import FirmwareBaseline
from mes.racks.services import AsBuilt, as_built
from mes.serials.models import Identifier, Unit
from mes.stations.models import Device, Station
from mes.stations.services import enroll_device, renew_token

DEMO = Actor(person="demo")
SCANNERS = {"TRAY-BUILD": 3, "SHELF-BUILD": 3, "TRAY-LEAK": 3, "TRAY-TEST": 3, "SHELF-TEST": 3}


def demo_supervisor() -> tuple[User, str]:
    """Return the demo's supervisor and a password made anew at each start."""
    user, _ = User.objects.get_or_create(
        username="demo-supervisor", defaults={"is_staff": True, "badge": "DEMO-SUPERVISOR"}
    )
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=OFFICE))
    password = secrets.token_urlsafe(9)
    user.set_password(password)
    user.save()
    return user, password


OFFICE = (
    *("ledger", "people", "stations", "products", "serials", "testing", "racks", "quality"),
    *("workorders", "burnin", "traceability"),
)


def demo_operator(number: int) -> User:
    """Return one of the demo's operators, who sign on by badge only."""
    user, created = User.objects.get_or_create(
        username=f"demo-operator-{number}", defaults={"badge": f"DEMO-OPERATOR-{number}"}
    )
    if created:
        user.set_unusable_password()
        user.save()
    return user


def demo_devices() -> dict[str, list[tuple[str, str, User]]]:
    """Return for each work center its scanners: name, token, and the operator to sign on."""
    devices: dict[str, list[tuple[str, str, User]]] = {}
    for station in Station.objects.order_by("pk"):
        rows = devices.setdefault(station.work_center, [])
        for number in range(SCANNERS.get(station.work_center, 1)):
            name = f"demo-scanner {station.code} {number + 1}"
            rows.append((name, device_token(name, Device.Kind.SCANNER, station), demo_operator(number + 1)))
    return devices


def device_token(name: str, kind: Device.Kind, station: Station) -> str:
    """Return a new token of a device, which is enrolled on first use."""
    device = Device.objects.filter(name=name).first()
    if device is not None:
        return renew_token(device=device, by=DEMO)
    return enroll_device(name=name, kind=kind, station=station, by=DEMO)[1]


def tray_identities(rack: Unit, baseline: str) -> list[dict[str, Any]]:
    """Return what the BMC of each tray in a rack will say of itself: what was built in, at its slot."""
    slots = {slot.name: slot for slot in rack.part_revision.slots.all()}
    trays = []
    for tray in as_built(unit=rack).children:
        slot, kind = slots[tray.slot], tray.unit.part_revision.part.kind
        if slot.slot_number is None:
            continue
        firmware = FirmwareBaseline.objects.get(name=baseline).versions.filter(unit_kind=kind)
        trays.append(
            {
                "serial": tray.unit.serial,
                "part_number": tray.unit.part_revision.part.maker_number,
                "slot_number": slot.slot_number,
                "tray_index": slot.tray_index,
                "kind": kind.removesuffix("_tray"),
                "gpu_uuids": _serials(tray, "gpu"),
                "board_serials": _serials(tray, "superchip"),
                "bmc_mac": _bmc_mac(tray),
                "firmware": dict(firmware.values_list("component", "version")),
                "username": "factory",
                "password": secrets.token_urlsafe(12),
            }
        )
    return trays


def _serials(tray: AsBuilt, kind: str) -> list[str]:
    return [node.unit.serial for node in tray.walk() if node.unit.part_revision.part.kind == kind]


def _bmc_mac(tray: AsBuilt) -> str:
    units = [node.unit for node in tray.walk()]
    found = Identifier.objects.filter(unit__in=units, kind=Identifier.Kind.BMC_MAC).first()
    return found.value if found else "02:00:00:00:00:01"
