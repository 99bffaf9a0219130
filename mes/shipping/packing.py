"""Crates: units and loose items go in, the crate is weighed and closed, which proves each unit as packed."""

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, StaleRow, advance, locked, record
from mes.products.models import Part
from mes.racks.services import require_nothing_held_inside, require_out
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_usable
from mes.shipping.indicators import (
    live_indicators,
    require_indicators,
    require_not_withdrawn,
    require_photos,
)
from mes.shipping.models import Crate, CratePhoto, LooseItem, PackedUnit, Shipment
from mes.shipping.rules import NOTHING, Requirement, requirement_for
from mes.shipping.shipments import require_reason, require_state
from mes.stations.services import require_sign_on
from mes.testing.models import TestRun
from mes.testing.services import Result, measure
from mes.workorders.services import report_test

PROCEDURE = "crate"
CAME_BACK = "came back into the factory"
Weights = dict[str, Decimal]


@transaction.atomic
def pack_unit(*, crate: Crate, unit: Unit, by: Actor) -> PackedUnit:
    """Put a unit into an open crate, with all that is in it.

    Refuses with ``device_not_signed_on``, ``unit_held``, ``child_held``, ``unit_closed``, ``wrong_site``,
    ``unit_in_crate``, ``crate_closed``, the shipment's state, and as ``require_here`` for units that are
    gone.
    """
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    require_usable(unit)
    require_out(unit)
    require_nothing_held_inside(unit)
    _release_from_the_last_journey(unit, by)
    shipment, crate = _lock_open(crate)
    if unit.site_id != shipment.site_id:
        raise RuleViolation(
            "wrong_site",
            f"{unit.serial} belongs to another site than shipment {shipment.number}.",
            rule="a shipment leaves from one site",
            next_step="Draft a shipment at the site of the unit.",
        )
    _require_in_no_crate(unit)
    row = PackedUnit.objects.create(crate=crate, unit=unit, packed_by=by.person)
    payload = {"crate": crate.number, "shipment": shipment.number, "unit": unit.serial}
    record(
        advance(unit, "unit.packed", by=by, payload=payload),
        advance(crate, "crate.unit_packed", by=by, payload=payload),
    )
    return row


def _release_from_the_last_journey(unit: Unit, by: Actor) -> None:
    """Close the packing of a unit that departed and is back, e.g. to be extended: it is in no crate now."""
    gone = PackedUnit.objects.filter(unit=unit, unpacked_at__isnull=True, departed_at__isnull=False)
    gone.update(unpacked_at=timezone.now(), unpacked_by=by.person, unpacked_because=CAME_BACK)


def _require_in_no_crate(unit: Unit) -> None:
    rows = PackedUnit.objects.filter(unit=unit, unpacked_at__isnull=True)
    row = rows.select_related("crate__shipment").first()
    if row is not None:
        raise RuleViolation(
            "unit_in_crate",
            f"{unit.serial} is in crate {row.crate} of shipment {row.crate.shipment} already.",
            rule="a unit is in one crate",
            next_step="Scan the serial label again; take it out of the other crate if it really is here.",
            crate=row.crate.number,
        )


@transaction.atomic
def unpack_unit(*, crate: Crate, unit: Unit, reason: str, by: Actor) -> PackedUnit:
    """Take a unit out of an open crate.

    Refuses with ``device_not_signed_on``, ``reason_missing``, ``unit_not_in_crate``, ``crate_closed`` or the
    shipment's state.
    """
    require_sign_on(by)
    require_reason(reason)
    unit = lock_units(unit.pk)[unit.pk]
    _, crate = _lock_open(crate)
    row = PackedUnit.objects.filter(crate=crate, unit=unit, unpacked_at__isnull=True).first()
    if row is None:
        raise RuleViolation(
            "unit_not_in_crate",
            f"{unit.serial} is not in crate {crate}.",
            rule="what is taken out was in",
            next_step="Look at the unit's shipping page for where it is.",
        )
    unpacked = {"unpacked_at": timezone.now(), "unpacked_by": by.person, "unpacked_because": reason}
    PackedUnit.objects.filter(pk=row.pk).update(**unpacked)
    payload = {"crate": crate.number, "unit": unit.serial, "reason": reason}
    record(
        advance(unit, "unit.unpacked", by=by, payload=payload),
        advance(crate, "crate.unit_unpacked", by=by, payload=payload),
    )
    row.refresh_from_db()
    return row


@transaction.atomic
def add_item(
    *,
    crate: Crate,
    by: Actor,
    kind: str = LooseItem.Kind.ACCESSORY,
    part: Part | None = None,
    description: str = "",
    quantity: int = 1,
    weight_kg: Decimal = NOTHING,
) -> LooseItem:
    """Put an accessory or a document into an open crate; ``weight_kg`` is that of all of it.

    Refuses with ``device_not_signed_on``, ``item_unnamed``, ``crate_closed`` or the shipment's state.
    """
    require_sign_on(by)
    _, crate = _lock_open(crate)
    if part is None and not description.strip():
        raise RuleViolation(
            "item_unnamed",
            "What is put into the crate has no name.",
            rule="a pack list says what each thing is",
            next_step="Give its part number or say what it is.",
        )
    item = LooseItem.objects.create(
        crate=crate,
        kind=kind,
        part=part,
        description=description,
        quantity=quantity,
        weight_kg=weight_kg,
        packed_by=by.person,
    )
    payload = {"item": item.pk, "kind": kind, "what": str(part or description), "quantity": quantity}
    record(advance(crate, "crate.item_packed", by=by, payload={**payload, "weight_kg": weight_kg}))
    return item


@transaction.atomic
def remove_item(*, item: LooseItem, reason: str, by: Actor) -> LooseItem:
    """Take a loose item out of an open crate. Refuses with ``item_removed`` and as ``add_item`` does."""
    require_sign_on(by)
    require_reason(reason)
    _, crate = _lock_open(item.crate)
    live = LooseItem.objects.filter(pk=item.pk, removed_at__isnull=True)
    if not live.update(removed_at=timezone.now(), removed_because=reason):
        raise RuleViolation(
            "item_removed",
            f"{item} was taken out before.",
            rule="what is taken out was in",
            next_step="Nothing more to do.",
        )
    record(advance(crate, "crate.item_removed", by=by, payload={"item": item.pk, "reason": reason}))
    item.refresh_from_db()
    return item


@transaction.atomic
def close_crate(*, crate: Crate, tare_kg: Decimal, net_kg: Decimal, gross_kg: Decimal, by: Actor) -> Crate:
    """Close a crate, weighed: empty, what is in it, and all together, in kg; each unit in it is proved so.

    The proof is a test run ``crate`` on each unit, judged by the limits of its route. Refuses with
    ``device_not_signed_on``, ``crate_empty``, ``unit_held``, ``child_held``, ``packing_rule_missing``,
    ``expected_weight_unknown``, ``weight_mismatch``, ``crate_too_heavy``, ``indicator_missing``,
    ``indicator_tripped``, ``photos_missing``, ``crate_closed`` or the shipment's state.
    """
    require_sign_on(by)
    units = _lock_units_of(crate)
    shipment, crate = _lock_open(crate)
    rows = _rows_of(crate, units)
    for unit in units.values():
        require_usable(unit)
        require_nothing_held_inside(unit)
    needs = requirement_for(units.values())
    weights = {"tare_kg": tare_kg, "net_kg": net_kg, "gross_kg": gross_kg}
    _require_weights(crate, needs, weights)
    indicators = live_indicators([crate])
    require_indicators(crate, needs, indicators)
    photos = require_photos(crate, CratePhoto.Moment.DEPARTURE, needs.departure_photos)
    payload = {"shipment": shipment.number, "rules": needs.names, **weights}
    state = {"state": Crate.State.CLOSED, "packed_at": timezone.now(), "packed_by": by.person}
    record(advance(crate, "crate.closed", by=by, payload=payload, **state, **weights))
    for row in rows:
        result = _proof(crate, needs, weights, indicators=len(indicators), photos=photos)
        row.test_run = report_test(unit=row.unit, result=result, by=by)
    PackedUnit.objects.bulk_update(rows, ["test_run"])
    return crate


def _lock_units_of(crate: Crate) -> dict[int, Unit]:
    rows = PackedUnit.objects.filter(crate=crate, unpacked_at__isnull=True)
    return lock_units(*rows.values_list("unit", flat=True))


def _rows_of(crate: Crate, units: dict[int, Unit]) -> list[PackedUnit]:
    rows = list(
        PackedUnit.objects.filter(crate=crate, unpacked_at__isnull=True).select_related("unit", "crate")
    )
    if {row.unit_id for row in rows} != set(units):
        raise StaleRow(crate.stream)
    if not rows:
        raise RuleViolation(
            "crate_empty",
            f"No unit is in crate {crate}.",
            rule="a crate that is closed has units in it",
            next_step="Scan a unit into it.",
        )
    return rows


def _require_weights(crate: Crate, needs: Requirement, weights: Weights) -> None:
    loose = LooseItem.objects.filter(crate=crate, removed_at__isnull=True)
    expected = needs.expected_kg + sum(loose.values_list("weight_kg", flat=True), NOTHING)
    net, weighed = weights["net_kg"], weights["gross_kg"] - weights["tare_kg"]
    facts: dict[str, Any] = {**weights, "expected_kg": expected, "tolerance_kg": needs.tolerance_kg}
    pairs = (
        ("net weight", net, "gross less tare", weighed),
        ("net weight", net, "expected weight", expected),
        ("gross less tare", weighed, "expected weight", expected),
    )
    for name, found, what, other in pairs:
        if abs(found - other) > needs.tolerance_kg:
            raise RuleViolation(
                "weight_mismatch",
                f"The {name}, {float(found):g} kg, differs from the {what}, {float(other):g} kg, by more than"
                f" {float(needs.tolerance_kg):g} kg.",
                rule="what a crate weighs agrees with what is in it",
                release="Engineering, by a new version of the packing rule.",
                next_step="Weigh again; then look for what is missing, or should not be in it.",
                **facts,
            )
    if needs.most_gross_kg is not None and weights["gross_kg"] > needs.most_gross_kg:
        raise RuleViolation(
            "crate_too_heavy",
            f"Crate {crate} weighs {float(weights['gross_kg']):g} kg; at most"
            f" {float(needs.most_gross_kg):g} kg are allowed.",
            rule="a crate weighs no more than it carries safely",
            next_step="Take something out, or pack it in a stronger crate.",
            **facts,
        )


def _proof(crate: Crate, needs: Requirement, weights: Weights, *, indicators: int, photos: int) -> Result:
    off = abs(weights["gross_kg"] - weights["tare_kg"] - weights["net_kg"])
    return Result(
        procedure=PROCEDURE,
        outcome=TestRun.Outcome.PASS,
        format=TestRun.Format.RECORD,
        ended_at=timezone.now(),
        measurements=[
            measure("gross", float(weights["gross_kg"]), unit="kg", high=_number(needs.most_gross_kg)),
            measure("net", float(weights["net_kg"]), unit="kg"),
            measure("weighing_difference", float(off), unit="kg", high=float(needs.tolerance_kg)),
            measure("indicators", indicators, low=needs.shock_indicators + needs.tilt_indicators),
            measure("photos", photos, low=needs.departure_photos),
        ],
        details={"crate": crate.number, "shipment": crate.shipment.number, "rules": needs.names},
    )


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


@transaction.atomic
def open_crate(*, crate: Crate, reason: str, by: Actor) -> Crate:
    """Open a closed crate again; what was proved of the units in it holds no more.

    Refuses with ``device_not_signed_on``, ``reason_missing``, ``crate_open`` or the shipment's state.
    """
    require_sign_on(by)
    require_reason(reason)
    units = _lock_units_of(crate)
    shipment = locked(crate.shipment)
    crate = locked(crate)
    require_state(shipment, "packed")
    require_closed(crate)
    rows = _rows_of(crate, units)
    record(advance(crate, "crate.opened", by=by, payload={"reason": reason}, state=Crate.State.OPEN))
    disprove(rows, reason, by)
    return crate


@transaction.atomic
def withdraw_crate(*, crate: Crate, reason: str, by: Actor) -> Crate:
    """Take a crate with nothing in it or on it out of its shipment; its number stays used.

    Refuses with ``device_not_signed_on``, ``reason_missing``, ``crate_closed``, ``crate_withdrawn``,
    ``crate_not_empty`` or the shipment's state.
    """
    require_sign_on(by)
    require_reason(reason)
    shipment, crate = _lock_open(crate)
    _require_nothing_in(crate)
    state = {"state": Crate.State.WITHDRAWN}
    record(
        advance(crate, "crate.withdrawn", by=by, payload={"reason": reason}, **state),
        advance(shipment, "shipment.crate_withdrawn", by=by, payload={"crate": crate.number}),
    )
    return crate


def _require_nothing_in(crate: Crate) -> None:
    holds: dict[str, Any] = {
        "units": crate.units.filter(unpacked_at__isnull=True).count(),
        "items": crate.items.filter(removed_at__isnull=True).count(),
        "indicators": crate.indicators.filter(removed_at__isnull=True).count(),
    }
    if any(holds.values()):
        said = ", ".join(f"{count} {what}" for what, count in holds.items() if count)
        raise RuleViolation(
            "crate_not_empty",
            f"Crate {crate} still has {said}.",
            rule="a crate that is withdrawn takes nothing with it",
            next_step="Take everything out of it and off it first.",
            crate=crate.number,
            **holds,
        )


def disprove(rows: list[PackedUnit], reason: str, by: Actor) -> None:
    """Note that units are no longer packed as was proved; their last ``crate`` test says so from now on."""
    for row in rows:
        if row.test_run_id is not None:
            report_test(unit=row.unit, result=_undone(row.crate, reason), by=by)
        row.test_run = None
    PackedUnit.objects.bulk_update(rows, ["test_run"])


def _undone(crate: Crate, reason: str) -> Result:
    return Result(
        procedure=PROCEDURE,
        outcome=TestRun.Outcome.RETEST,
        format=TestRun.Format.RECORD,
        reasons=[f"It is no longer packed in crate {crate}: {reason}"],
        details={"crate": crate.number},
    )


def require_closed(crate: Crate) -> None:
    """Refuse with ``crate_open`` or ``crate_withdrawn``."""
    require_not_withdrawn(crate)
    if crate.state != Crate.State.CLOSED:
        raise RuleViolation(
            "crate_open",
            f"Crate {crate} is not closed.",
            rule="a crate that leaves is complete: weighed, with its indicators and photos",
            next_step="Complete it and close it.",
            crate=crate.number,
        )


def _lock_open(crate: Crate) -> tuple[Shipment, Crate]:
    """Lock a crate after its shipment.

    Refuses with ``crate_closed``, ``crate_withdrawn`` or the shipment's state.
    """
    shipment = locked(crate.shipment)
    crate = locked(crate)
    require_state(shipment, "packed")
    require_not_withdrawn(crate)
    if crate.state != Crate.State.OPEN:
        raise RuleViolation(
            "crate_closed",
            f"Crate {crate} is closed.",
            rule="a closed crate keeps what is in it",
            next_step="Open it, with a reason; it is weighed and closed anew afterwards.",
            crate=crate.number,
        )
    return shipment, crate


def facts_of(crate: Crate) -> dict[str, Any]:
    """Return a crate's weights and dimensions as a pack list says them."""
    names = ("tare_kg", "net_kg", "gross_kg", "length_mm", "width_mm", "height_mm")
    return {name: getattr(crate, name) for name in names}
