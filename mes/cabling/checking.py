"""What is looked at on a connected cable: seat, torque, bend radius, clean and inspected."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from mes.attachments.models import Attachment
from mes.cabling.connecting import live_connection
from mes.cabling.models import CableCheck, CableConnection, CableKind, Check
from mes.cabling.plans import plan_of
from mes.cabling.verdict import withdraw_pass
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.racks.services import require_out
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_usable
from mes.stations.services import require_sign_on

UNITS = {Check.TORQUE: "N.m", Check.BEND: "mm"}


@dataclass(frozen=True, slots=True)
class Found:
    """What a person found: of which check, whether it is good, and the value where one is measured."""

    kind: str
    passed: bool = True
    value: float | None = None
    unit: str = ""
    note: str = ""
    photo: Attachment | None = None


@transaction.atomic
def record_check(*, unit: Unit, label: str, found: Found, by: Actor) -> CableCheck:
    """Record what was found on a connected cable; a value outside the limits of its kind is a FAIL.

    Torque is given in N.m, a bend radius in mm. Refuses with ``check_value_required``, ``check_unit``,
    ``photo_required``, ``no_such_cable``, ``not_connected``, ``wrong_site``, ``unit_held``, ``unit_closed``,
    ``device_not_signed_on``, or as ``require_here`` does.
    """
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    require_usable(unit)
    require_out(unit)
    connection = live_connection(unit, label)
    kind = plan_of(unit).kinds[connection.planned.part_id]
    _require_value(connection, found)
    _require_photo(unit, kind, connection, found)
    low, high = _limits(kind, found.kind)
    outside = found.value is not None and not _within(found.value, low, high)
    check = CableCheck.objects.create(
        connection=connection,
        kind=found.kind,
        outcome="FAIL" if outside or not found.passed else "PASS",
        value=found.value,
        unit=UNITS.get(Check(found.kind), "") if found.value is not None else "",
        low=low,
        high=high,
        photo=found.photo,
        note=found.note[:200],
        checked_by=by.person,
        station=by.station,
    )
    payload: dict[str, Any] = {"label": connection.planned.label, "kind": check.kind}
    payload["outcome"] = check.outcome
    payload |= {"value": check.value, "unit": check.unit} if check.value is not None else {}
    payload |= {"photo": str(found.photo.uid)} if found.photo else {}
    record(advance(unit, "unit.cable_checked", by=by, payload=payload))
    if check.outcome == CableCheck.Outcome.FAIL:
        withdraw_pass(unit, by)
    return check


def _require_value(connection: CableConnection, found: Found) -> None:
    wanted = UNITS.get(Check(found.kind))
    if wanted and found.value is None:
        raise RuleViolation(
            "check_value_required",
            f"The {found.kind} of {connection.planned} is measured, in {wanted}.",
            rule="what has a limit is measured",
            next_step=f"Give the value in {wanted}.",
        )
    if found.value is not None and (wanted is None or found.unit not in {"", wanted}):
        said = f"is given in {wanted}, not in {found.unit}" if wanted else "has no value"
        raise RuleViolation(
            "check_unit",
            f"The {found.kind} of a cable {said}.",
            rule="a value is in the unit of its limit",
            next_step=f"Give the value in {wanted}." if wanted else "Leave the value out.",
        )


def _require_photo(unit: Unit, kind: CableKind, connection: CableConnection, found: Found) -> None:
    if found.photo is None and found.kind in kind.photo_checks:
        raise RuleViolation(
            "photo_required",
            f"The {found.kind} of {connection.planned} needs a photo.",
            rule=f"the {found.kind} of {connection.planned.part.number} is photographed",
            next_step="Take a photo, store it as an attachment and name it.",
        )
    if found.photo is not None and found.photo.site_id != unit.site_id:
        raise RuleViolation(
            "wrong_site",
            f"{found.photo} was stored at another site.",
            rule="a photo is of the site of its unit",
            next_step="Store the photo at this site.",
        )


def _limits(kind: CableKind, check: str) -> tuple[float | None, float | None]:
    if check == Check.TORQUE:
        return kind.torque_low, kind.torque_high
    return (kind.bend_radius_low, None) if check == Check.BEND else (None, None)


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)
