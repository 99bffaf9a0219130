"""The door of stations: devices and who is signed on at them; roles, tools and shifts from their rooms."""

from collections.abc import MutableMapping
from datetime import datetime
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.people.models import User
from mes.people.services import require_permission
from mes.stations.models import Device, Site, Station, hash_secret
from mes.stations.roles import Role, end_role, grant_role, require_pin, require_role
from mes.stations.shifts import shift_at
from mes.stations.tools import (
    bring_tool,
    calibrate_tool,
    find_tool,
    register_tool,
    require_tool_usable,
    retire_tool,
)

__all__ = [
    "Role",
    "bring_tool",
    "calibrate_tool",
    "chosen_site",
    "end_role",
    "enroll_device",
    "find_by_token",
    "find_paired",
    "find_tool",
    "grant_role",
    "move_device",
    "note_seen",
    "of_site",
    "pair_session",
    "register_tool",
    "renew_token",
    "require_device",
    "require_floor",
    "require_pin",
    "require_role",
    "require_sign_on",
    "require_tool_usable",
    "retire_tool",
    "revoke_device",
    "shift_at",
    "sign_off",
    "sign_on",
    "site_of",
    "unpair_session",
]

RowT = TypeVar("RowT", bound=Model)

SESSION_KEY = "terminal_device"  # names the paired terminal in a browser's session


@transaction.atomic
def enroll_device(
    *, name: str, kind: Device.Kind, station: Station, by: Actor, expires_at: datetime | None = None
) -> tuple[Device, str]:
    """Register a device at a station; return it and its token, which is shown only this once."""
    device = Device(name=name, kind=kind, station=station, expires_at=expires_at)
    token = device.new_token()
    device.save()
    record(
        advance(
            device, "device.enrolled", by=by, payload={"name": name, "kind": kind, "station": station.code}
        )
    )
    return device, token


@transaction.atomic
def renew_token(*, device: Device, by: Actor) -> str:
    """Replace the device's token; the old one stops working at once. The new one is shown only now."""
    device = locked(device)
    _require_not_revoked(device)
    token = device.new_token()
    record(
        advance(device, "device.token_renewed", by=by, prefix=device.prefix, secret_hash=device.secret_hash)
    )
    return token


@transaction.atomic
def revoke_device(*, device: Device, reason: str, by: Actor) -> None:
    """Take a device's right to call the API away."""
    device = locked(device)
    _require_not_revoked(device)
    record(advance(device, "device.revoked", by=by, payload={"reason": reason}, revoked_at=timezone.now()))


def _require_not_revoked(device: Device) -> None:
    if device.revoked_at is not None:
        raise RuleViolation(
            "device_revoked",
            f"{device.name} was revoked.",
            rule="a revoked device stays revoked",
            release="A supervisor enrols devices.",
            next_step="Enrol it anew under another name.",
        )


@transaction.atomic
def sign_on(*, device: Device, person: User, by: Actor) -> Device:
    """Sign a person on at a device; whoever was signed on before is signed off by it."""
    device = locked(device)
    payload = {"person": person.username}
    record(
        advance(
            device, "device.signed_on", by=by, payload=payload, operator=person, signed_on_at=timezone.now()
        )
    )
    return device


@transaction.atomic
def sign_off(*, device: Device, by: Actor) -> Device:
    """Sign the person at a device off."""
    device = locked(device)
    record(advance(device, "device.signed_off", by=by, operator=None, signed_on_at=None))
    return device


def pair_session(session: MutableMapping[str, Any], device: Device) -> None:
    """Let a browser's session act as a device, until the device's token is renewed or revoked."""
    session[SESSION_KEY] = [device.pk, device.prefix]


def unpair_session(session: MutableMapping[str, Any]) -> None:
    """Let a browser's session act as no device any more."""
    session.pop(SESSION_KEY, None)


def find_paired(session: MutableMapping[str, Any]) -> Device | None:
    """Return the usable device a browser's session is paired with, if any."""
    pk, prefix = session.get(SESSION_KEY) or (None, None)
    devices = Device.objects.select_related("station__line__site", "operator")
    device = devices.filter(pk=pk, prefix=prefix).first() if pk else None
    return device if device is not None and device.is_usable else None


def find_by_token(token: str) -> Device | None:
    """Return the device a `prefix.secret` token belongs to, if the token is right and usable."""
    prefix, _, secret = token.replace("\x00", "").partition(".")
    device = Device.objects.select_related("station__line__site", "operator").filter(prefix=prefix).first()
    if device is None or not secret or device.secret_hash != hash_secret(secret):
        return None
    return device if device.is_usable else None


def require_sign_on(by: Actor) -> None:
    """Refuse with ``device_not_signed_on`` unless a person is named."""
    if not by.person:
        raise RuleViolation(
            "device_not_signed_on",
            "Nobody is signed on at this device.",
            rule="every act has a person",
            next_step="Scan your badge first.",
        )


def note_seen(device: Device) -> None:
    """Note that the device called, at most every 10 s."""
    now = timezone.now()
    if device.last_seen_at is None or now - device.last_seen_at > Device.SEEN_EVERY:
        Device.objects.filter(pk=device.pk).update(last_seen_at=now)


@transaction.atomic
def move_device(*, device: Device, station: Station, by: Actor) -> Device:
    """Bind a hand scanner to another station of its site. Others are refused, ``device_fixed``."""
    if device.kind != Device.Kind.SCANNER:
        raise RuleViolation(
            "device_fixed",
            f"{device.name} belongs to {device.station.code}.",
            rule="terminals and testers stay at their station",
            next_step=f"Work on operations of {device.station.name} here.",
        )
    device = locked(device)
    payload = {"station": station.code}
    record(advance(device, "device.moved", by=by, payload=payload, station=station))
    return device


def site_of(auth: object) -> Site | None:
    """Return the only site a caller sees: that of its device; None for people, who see every site."""
    return auth.station.line.site if isinstance(auth, Device) else None


def of_site(rows: QuerySet[RowT], auth: object, *, through: str = "site") -> QuerySet[RowT]:
    """Narrow rows to the site of the caller, which ``through`` leads to; people see every site."""
    site = site_of(auth)
    return rows.filter(**{through: site}) if site else rows


def chosen_site(auth: object, named: Site | None) -> Site:
    """Return the site an act is for: the device's own, else the one a person names.

    Refuses with ``site_missing``, and with ``wrong_site`` when a device names another site than its own.
    """
    own = site_of(auth)
    if own is not None and named not in {None, own}:
        raise RuleViolation(
            "wrong_site",
            f"This device works at {own}, not at {named}.",
            rule="a device acts at its own site",
            next_step="Leave the site out, or do it in the admin.",
        )
    site = own or named
    if site is None:
        raise RuleViolation(
            "site_missing",
            "Name the site.",
            rule="what is recorded belongs to a site",
            next_step="Send the code of the site as site.",
            status=400,
        )
    return site


def require_floor(auth: object, user: object, permission: str) -> None:
    """Let devices through, and people who have a permission; raises PermissionDenied for others."""
    if not isinstance(auth, Device):
        require_permission(user, permission)


def require_device(auth: object) -> Device:
    """Return the calling device. Refuses with ``no_device``, for floor acts happen at a station."""
    if not isinstance(auth, Device):
        raise RuleViolation(
            "no_device",
            "This is done at a station, by a device with a token or at a paired terminal.",
            rule="floor acts happen at a station",
            next_step="Use a scanner or terminal of the station.",
            status=403,
        )
    return auth
