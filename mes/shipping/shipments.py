"""Shipments: drafted, described for the carrier, given crates, cancelled."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from mes.errors import RuleViolation
from mes.ledger.services import Actor, StaleRow, advance, locked, record
from mes.products.models import Part
from mes.racks.models import Installation
from mes.serials.services import count_up, lock_units
from mes.shipping.models import Crate, PackedUnit, Shipment
from mes.stations.models import Site
from mes.stations.services import require_sign_on
from mes.workorders.models import WorkOrder
from mes.workorders.services import place_ship_hold

State = Shipment.State
COUNTER, PREFIX, DIGITS = "shipment:", "SH-", 6
CRATE_COUNTER, CRATE_PREFIX = "crate:", "CR-"

# From which states each act is possible.
FROM: dict[str, tuple[State, ...]] = {
    "changed": (State.DRAFT, State.PACKING),
    "tracked": (State.DRAFT, State.PACKING, State.DEPARTED),
    "packed": (State.DRAFT, State.PACKING),
    "sent off": (State.PACKING,),
    "held": (State.PACKING,),
    "cancelled": (State.DRAFT, State.PACKING),
    "noted as arrived": (State.DEPARTED,),
    "pictured": (State.DRAFT, State.PACKING, State.DEPARTED, State.ARRIVED),
    "compared": (State.ARRIVED, State.DISPUTED),
    "accepted": (State.ARRIVED, State.DISPUTED),
    "disputed": (State.ARRIVED,),
}
WAY_ON: dict[str, str] = {
    State.DRAFT: "Add a crate to it and pack it.",
    State.PACKING: "Pack it and let it depart.",
    State.DEPARTED: "Wait until it arrives, then note how.",
    State.ARRIVED: "Compare what was received, then accept or dispute it.",
    State.ACCEPTED: "Nothing more to do; what comes back is a field return.",
    State.DISPUTED: "Clear it up, then accept it.",
    State.CANCELLED: "Draft another shipment.",
}
TRACKED = {"pro_number", "due_at"}
CHANGEABLE = {
    *("customer", "ship_to", "carrier", "mode", "bol_number", "seal_numbers", "freight_class", "nmfc"),
    *("incoterm", "hazards", "hazard_declaration", "planned_at", *TRACKED),
}


def require_state(shipment: Shipment, act: str) -> None:
    """Refuse with ``shipment_`` and its state, e.g. ``shipment_departed``, unless it can be ``act`` now."""
    if shipment.state in FROM[act]:
        return
    possible = " or ".join(FROM[act])
    raise RuleViolation(
        f"shipment_{shipment.state}",
        f"Shipment {shipment.number} is {shipment.state}; it cannot be {act}.",
        rule=f"a shipment is {act} while it is {possible}",
        next_step=WAY_ON[shipment.state],
        shipment=shipment.number,
    )


@transaction.atomic
def create_shipment(
    *, site: Site, customer: str, ship_to: str, by: Actor, order: WorkOrder | None = None, **more: Any
) -> Shipment:
    """Draft a shipment; ``more`` are further fields of the bill of lading, see ``CHANGEABLE``.

    Refuses with ``device_not_signed_on`` or, for an order of another site, ``wrong_site``.
    """
    require_sign_on(by)
    _require_known(more)
    if order is not None and order.site_id != site.pk:
        raise RuleViolation(
            "wrong_site",
            f"Order {order.number} belongs to site {order.site}, not to {site}.",
            rule="a shipment leaves from one site",
            next_step=f"Draft the shipment at {order.site}.",
        )
    shipment = Shipment.objects.create(
        site=site,
        number=f"{PREFIX}{count_up(COUNTER):0{DIGITS}d}",
        customer=customer,
        ship_to=ship_to,
        order=order,
        created_by=by.person,
        **more,
    )
    payload = {"number": shipment.number, "customer": customer, "ship_to": ship_to, **more}
    record(advance(shipment, "shipment.created", by=by, payload={**payload, "order": str(order or "")}))
    return shipment


@transaction.atomic
def change_shipment(*, shipment: Shipment, by: Actor, **changes: Any) -> Shipment:
    """Change what the bill of lading says; after departure only the carrier's number and the date due.

    Refuses with ``device_not_signed_on``, the shipment's state, or ``nothing_changed``.
    """
    require_sign_on(by)
    _require_known(changes)
    shipment = locked(shipment)
    new = {name: value for name, value in changes.items() if getattr(shipment, name) != value}
    require_state(shipment, "changed" if new.keys() - TRACKED else "tracked")
    if not new:
        raise RuleViolation(
            "nothing_changed",
            f"Shipment {shipment.number} says so already.",
            rule="a change changes something",
            next_step="Nothing more to do.",
        )
    payload = {"from": {name: getattr(shipment, name) for name in new}, "to": new}
    record(advance(shipment, "shipment.changed", by=by, payload=payload, **new))
    return shipment


def _require_known(fields: dict[str, Any]) -> None:
    if unknown := fields.keys() - CHANGEABLE:
        raise TypeError(f"a shipment keeps its {', '.join(sorted(unknown))}")


@transaction.atomic
def add_crate(
    *, shipment: Shipment, by: Actor, number: str = "", part: Part | None = None, **dimensions: int | None
) -> Crate:
    """Add a crate by the number on its label, or by the next of ours; the first one starts the packing.

    ``dimensions`` are outer ``length_mm``, ``width_mm`` and ``height_mm``. Refuses with
    ``device_not_signed_on``, ``crate_exists``, ``number_not_addressable`` or the shipment's state.
    """
    require_sign_on(by)
    shipment = locked(shipment)
    require_state(shipment, "packed")
    require_addressable(number)
    number = number.strip() or f"{CRATE_PREFIX}{count_up(CRATE_COUNTER):0{DIGITS}d}"
    if Crate.objects.filter(number__iexact=number).exists():
        raise RuleViolation(
            "crate_exists",
            f"There is a crate {number} already.",
            rule="a crate's number is used once",
            next_step="Scan the label again, or leave the number out.",
        )
    crate = Crate.objects.create(shipment=shipment, number=number, part=part, **dimensions)
    payload = {"crate": number, "shipment": shipment.number, "part": str(part or ""), **dimensions}
    events = [advance(crate, "crate.added", by=by, payload=payload)]
    events.append(
        advance(shipment, "shipment.crate_added", by=by, payload={"crate": number}, state=State.PACKING)
    )
    record(*events)
    return crate


@transaction.atomic
def hold_shipment(*, shipment: Shipment, reason: str, by: Actor) -> int:
    """Place a ship hold on every unit packed in a shipment; return how many.

    What is packed later is not held by it: hold the order for that. Refuses with ``shipment_empty``, the
    shipment's state, and as ``place_ship_hold`` does.
    """
    rows, shipment = lock_shipment(shipment)
    require_state(shipment, "held")
    require_packed(shipment, rows)
    for row in rows:
        place_ship_hold(target=row.unit, reason=reason, by=by)
    payload = {"reason": reason, "units": [row.unit.serial for row in rows]}
    record(advance(shipment, "shipment.held", by=by, payload=payload))
    return len(rows)


def packed_in(shipment: Shipment) -> QuerySet[PackedUnit]:
    """Return the rows of what is packed in a shipment now or, once it departed, of what departed in it."""
    rows = PackedUnit.objects.filter(crate__shipment=shipment)
    if shipment.state in Shipment.IN_FACTORY:
        return rows.filter(unpacked_at__isnull=True)
    return rows.filter(departed_at__isnull=False)


def lock_shipment(shipment: Shipment) -> tuple[list[PackedUnit], Shipment]:
    """Lock what is packed in a shipment, with everything inside, and then the shipment, in the house's order.

    Raises StaleRow when something was packed or unpacked meanwhile.
    """
    pks = list(_live(shipment).values_list("unit", flat=True))
    inside = Installation.objects.live().filter(root__in=pks).values_list("child", flat=True)
    units = lock_units(*pks, *inside)
    shipment = locked(shipment)
    rows = list(_live(shipment).select_related("crate", "test_run"))
    if [row.unit_id for row in rows] != pks:
        raise StaleRow(shipment.stream)
    for row in rows:
        row.unit = units[row.unit_id]
    return rows, shipment


def _live(shipment: Shipment) -> QuerySet[PackedUnit]:
    rows = PackedUnit.objects.filter(crate__shipment=shipment, unpacked_at=None, departed_at=None)
    return rows.order_by("unit")


def require_packed(shipment: Shipment, rows: list[PackedUnit]) -> None:
    """Refuse with ``shipment_empty``."""
    if not rows:
        raise RuleViolation(
            "shipment_empty",
            f"Nothing is packed in shipment {shipment.number}.",
            rule="a shipment has units in it",
            next_step="Scan a unit into one of its crates.",
        )


def require_addressable(number: str) -> None:
    """Refuse with ``number_not_addressable``."""
    if "/" in number:
        raise RuleViolation(
            "number_not_addressable",
            f"The number {number} has a slash in it.",
            rule="a number is part of a web address, where a slash divides",
            next_step="Leave the slash out, or put a label with another number on it.",
        )


def require_reason(reason: str) -> None:
    """Refuse with ``reason_missing``."""
    if not reason.strip():
        raise RuleViolation(
            "reason_missing",
            "This is done for a reason.",
            rule="an act that others must understand has a reason",
            next_step="Give the reason.",
        )
