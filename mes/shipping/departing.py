"""Departure: every unit of a shipment ships in one transaction, or none does."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.inventory.services import firmware_violation
from mes.ledger.services import Actor, advance, locked, record
from mes.people.services import digest_of
from mes.products.models import Gate
from mes.racks.services import configuration_digest
from mes.serials.models import Unit
from mes.shipping.contents import kept_contents
from mes.shipping.indicators import live_indicators, require_indicators, require_photos
from mes.shipping.models import Crate, CratePhoto, PackedUnit, Shipment
from mes.shipping.packing import require_closed
from mes.shipping.rules import NOTHING, requirement_for
from mes.shipping.shipments import lock_shipment, require_packed, require_state
from mes.stations.services import require_sign_on
from mes.testing.models import TestRun
from mes.testing.services import live_outcomes
from mes.workorders.models import OrderUnit
from mes.workorders.services import require_no_ship_hold, ship_unit

FIRMWARE = "firmware"
ON_THE_BILL = ("carrier", "mode", "bol_number")


@transaction.atomic
def depart_shipment(*, shipment: Shipment, by: Actor) -> Shipment:
    """Let a shipment depart with everything packed in it; all or nothing.

    Refuses with ``device_not_signed_on``, the shipment's state, ``shipment_empty``,
    ``bill_of_lading_incomplete``, ``hazards_undeclared``, ``crate_empty``, ``crate_open``,
    ``indicator_missing``, ``indicator_tripped``, ``photos_missing``, ``crate_not_passed``,
    ``firmware_mismatch``, ``firmware_not_at_baseline``, and for each unit as
    ``workorders.services.ship_unit`` does: ``ship_hold``, ``unit_held``, ``child_held``,
    ``nonconformance_open``, ``unit_not_finished``, ``unit_shipped``, ``order_held``.
    """
    require_sign_on(by)
    rows, shipment = lock_shipment(shipment)
    require_state(shipment, "sent off")
    require_packed(shipment, rows)
    _require_bill(shipment)
    crates = list(shipment.live_crates.all())
    _require_complete(crates, rows)
    for row in rows:
        _require_proved(row)
    now = timezone.now()
    _leave_crates(rows, now)
    for row in _in_order(rows):
        row.unit = ship_unit(unit=row.unit, to=shipment.destination, by=by)
        if shipment.order is not None:  # it may be another than the one that built the unit
            require_no_ship_hold(row.unit, locked(shipment.order))
    return _depart(shipment, crates, rows, now, by)


def _leave_crates(rows: list[PackedUnit], now: datetime) -> None:
    for row in kept_contents(rows):
        row.departed_at = now
    PackedUnit.objects.bulk_update(rows, ["departed_at", "contents"])


def _depart(
    shipment: Shipment, crates: list[Crate], rows: list[PackedUnit], now: datetime, by: Actor
) -> Shipment:
    gross = sum((crate.gross_kg or NOTHING for crate in crates), Decimal(0))
    left: dict[str, Any] = {"departed_at": now, "departed_by": by.person, "pieces": len(crates)}
    listed = {row.unit.serial: row.contents for row in rows}
    payload = {
        "pieces": len(crates),
        "gross_kg": gross,
        "units": sorted(listed),
        "pack_list": digest_of(listed),
        "to": shipment.destination,
    }
    state = Shipment.State.DEPARTED
    record(
        advance(shipment, "shipment.departed", by=by, payload=payload, state=state, gross_kg=gross, **left)
    )
    return shipment


def _require_bill(shipment: Shipment) -> None:
    missing = [name for name in ON_THE_BILL if not getattr(shipment, name)]
    if missing:
        raise RuleViolation(
            "bill_of_lading_incomplete",
            f"The bill of lading of {shipment.number} lacks {', '.join(missing)}.",
            rule="what departs has a bill of lading",
            next_step="Fill it in.",
            missing=missing,
        )
    if shipment.hazards is None or (shipment.hazards and not shipment.hazard_declaration.strip()):
        raise RuleViolation(
            "hazards_undeclared",
            f"It is not declared what is hazardous in {shipment.number}.",
            rule="coolant and batteries are declared to the carrier; none is declared too",
            next_step="Name the hazards with their declaration, or declare an empty list.",
        )


def _require_complete(crates: list[Crate], rows: list[PackedUnit]) -> None:
    indicators = live_indicators(crates)
    for crate in crates:
        units = [row.unit for row in rows if row.crate_id == crate.pk]
        if not units:
            raise RuleViolation(
                "crate_empty",
                f"No unit is in crate {crate}.",
                rule="a crate that is closed has units in it",
                next_step="Scan a unit into it, or ship without it by another shipment.",
            )
        require_closed(crate)
        needs = requirement_for(units)
        require_indicators(crate, needs, [each for each in indicators if each.crate_id == crate.pk])
        require_photos(crate, CratePhoto.Moment.DEPARTURE, needs.departure_photos)


def _require_proved(row: PackedUnit) -> None:
    run = row.test_run
    if run is None or run.superseded_at is not None or run.configuration != configuration_digest(row.unit):
        why = "is not of what is in it now"
    elif run.outcome != TestRun.Outcome.PASS:
        why = f"is {run.outcome}"
    else:
        return
    raise RuleViolation(
        "crate_not_passed",
        f"The crate check of {row.unit.serial} {why}.",
        rule="what departs was proved packed as it is",
        next_step=f"Open crate {row.crate}, look at what is in it, weigh it and close it.",
        crate=row.crate.number,
        unit=str(row.unit.uid),
    )


def require_free_to_leave(unit: Unit) -> None:
    """Refuse with ``unit_in_crate`` what leaves with its shipment only, and as ``_require_firmware``."""
    packed = PackedUnit.objects.filter(unit=unit, unpacked_at__isnull=True, departed_at__isnull=True)
    row = packed.select_related("crate__shipment").first()
    if row is not None:
        raise RuleViolation(
            "unit_in_crate",
            f"{unit.serial} is in crate {row.crate} of shipment {row.crate.shipment}.",
            rule="what is in a crate leaves with its shipment",
            next_step="Let the shipment depart, or take the unit out of the crate.",
            crate=row.crate.number,
        )
    _require_firmware(unit)


def _require_firmware(unit: Unit) -> None:
    """Refuse with ``firmware_not_at_baseline``, or ``firmware_mismatch`` where the route wants proof."""
    if (violation := firmware_violation(unit)) is not None:
        raise violation
    live = OrderUnit.objects.filter(unit=unit, closed_at__isnull=True)
    gates = Gate.objects.filter(
        rule=Gate.Rule.TEST_PASSED, procedure=FIRMWARE, operation__route__in=live.values("route")
    )
    if not gates.exists():
        return
    outcomes = live_outcomes(unit=unit, procedures=[FIRMWARE], configuration=configuration_digest(unit))
    if outcomes.get(FIRMWARE) != TestRun.Outcome.PASS:
        raise RuleViolation(
            "firmware_mismatch",
            f"The firmware of {unit.serial} is {outcomes.get(FIRMWARE, 'not proved to be')} at its baseline.",
            rule="what ships runs the firmware of its baseline",
            next_step="Compare the firmware with its baseline; bring what differs to it.",
            unit=str(unit.uid),
        )


def _in_order(rows: list[PackedUnit]) -> list[PackedUnit]:
    """Return rows in the order of their work orders, which ship_unit locks one by one."""
    units = [row.unit_id for row in rows]
    live = OrderUnit.objects.filter(unit__in=units, closed_at__isnull=True)
    orders = dict(live.values_list("unit", "work_order"))
    return sorted(rows, key=lambda row: (orders.get(row.unit_id, 0), row.unit_id))
