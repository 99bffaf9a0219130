"""The demo's people, tools, devices and simulated trays; every name says that it is demo data."""

import secrets
from datetime import timedelta

from django.contrib.auth.models import Permission
from django.utils import timezone

from mes.burnin.models import BurnInBay
from mes.ledger.services import Actor
from mes.people.models import Qualification, User
from mes.people.services import record_training, set_pin
from mes.stations.models import Device, RoleAssignment, Site, Station, Tool
from mes.stations.services import Role, calibrate_tool, enroll_device, grant_role, register_tool, renew_token

DEMO = Actor(person="demo")
TORQUED = ("TRAY-BUILD", "RACK-MECHANICAL")
OVERDUE_TOOL = "DEMO-TD-OVERDUE"
BAY = "DEMO-BAY-1"
LEAK_TESTER, SAFETY_ANALYZER = "DEMO-LT-1", "DEMO-SA-1"
INSTRUMENTS = {LEAK_TESTER: "leak_tester", SAFETY_ANALYZER: "safety_analyzer"}
SCANNERS = {
    **{"TRAY-BUILD": 3, "SHELF-BUILD": 3, "TRAY-LEAK": 3, "TRAY-TEST": 3, "SHELF-TEST": 3},
    "RACK-POWER": 2,  # a high voltage test takes two people
}


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
    *("ledger", "people", "stations", "attachments", "products", "serials", "testing", "racks", "quality"),
    *("workorders", "burnin", "traceability", "cabling", "cooling", "electrical", "inventory", "shipping"),
)


def demo_authority(supervisor: User) -> str:
    """Let the demo's supervisor decide for quality and the review board; return a PIN made anew."""
    site = Site.objects.get(code="DEMO")
    held = RoleAssignment.objects.filter(person=supervisor, site=site, ended_at__isnull=True)
    for role in {Role.QUALITY, Role.REVIEW_BOARD} - set(held.values_list("role", flat=True)):
        grant_role(person=supervisor, role=Role(role), site=site, by=DEMO)
    pin = f"{secrets.randbelow(10**6):06}"
    set_pin(person=supervisor, pin=pin, by=DEMO)
    return pin


def demo_training(people: int) -> None:
    """Train the demo's operators in everything that the loaded routes ask for."""
    for number in range(1, people + 1):
        person = demo_operator(number)
        for qualification in Qualification.objects.exclude(records__person=person):
            record_training(person=person, qualification=qualification, trainer="demo-trainer", by=DEMO)


def demo_tools() -> dict[str, str]:
    """Return the code of the torque driver of each work center that takes one; one more is overdue."""
    site, now = Site.objects.get(code="DEMO"), timezone.now()
    due = {f"DEMO-TD-{name}": now + timedelta(days=180) for name in TORQUED}
    for code, at in {**due, OVERDUE_TOOL: now - timedelta(days=1)}.items():
        if not Tool.objects.filter(code=code).exists():
            register_tool(
                site=site,
                code=code,
                type="torque_driver",
                name="Demo torque driver",
                by=DEMO,
                calibration_due_at=at,
            )
    return {name: f"DEMO-TD-{name}" for name in TORQUED}


def demo_instruments() -> None:
    """Register the instruments that have a certificate of calibration: leak tester and safety analyzer."""
    site, now = Site.objects.get(code="DEMO"), timezone.now()
    for code, kind in INSTRUMENTS.items():
        if Tool.objects.filter(code=code).exists():
            continue
        tool = register_tool(site=site, code=code, type=kind, name=f"Demo {kind}", by=DEMO)
        calibrate_tool(
            tool=tool,
            calibrated_at=now - timedelta(days=30),
            due_at=now + timedelta(days=335),
            certificate=f"DEMO-CERT-{code}",
            found_within_limits=True,
            by=DEMO,
        )


def demo_bay() -> None:
    """Add a burn-in bay with room for one rack at a time."""
    facts = {"site": Site.objects.get(code="DEMO"), "positions": 1, "power_kw": 142, "coolant_lpm": 200}
    BurnInBay.objects.get_or_create(code=BAY, defaults=facts)


def demo_witnesses(people: int) -> list[dict[str, str]]:
    """Return how the first operators sign what two of them do: badges, with PINs made anew."""
    signatures = []
    for number in range(1, people + 1):
        person, pin = demo_operator(number), f"{secrets.randbelow(10**6):06}"
        set_pin(person=person, pin=pin, by=DEMO)
        signatures.append({"badge": person.badge, "pin": pin})
    return signatures


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


def new_password() -> str:
    """Return a password of a BMC, made anew at each start."""
    return secrets.token_urlsafe(12)
