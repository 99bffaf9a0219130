"""A shipment that is given up: what was packed in it is free again, and proved packed no more."""

from django.db import transaction
from django.utils import timezone

from mes.ledger.services import Actor, advance, record
from mes.serials.services import lock_units
from mes.shipping.models import PackedUnit, Shipment
from mes.shipping.packing import disprove
from mes.shipping.shipments import lock_shipment, require_reason, require_state
from mes.stations.services import require_sign_on


@transaction.atomic
def cancel_shipment(*, shipment: Shipment, reason: str, by: Actor) -> Shipment:
    """Give up a shipment that has not departed.

    Refuses with ``device_not_signed_on``, ``reason_missing`` or the shipment's state.
    """
    require_sign_on(by)
    require_reason(reason)
    rows, shipment = lock_shipment(shipment)
    require_state(shipment, "cancelled")
    disprove(rows, reason, by)
    unpacked = {"unpacked_at": timezone.now(), "unpacked_by": by.person, "unpacked_because": reason}
    PackedUnit.objects.filter(pk__in=[row.pk for row in rows]).update(**unpacked)
    units = lock_units(*(row.unit_id for row in rows)).values()
    payload = {"shipment": shipment.number, "reason": reason}
    events = [advance(unit, "unit.unpacked", by=by, payload=payload) for unit in units]
    state = Shipment.State.CANCELLED
    events.append(advance(shipment, "shipment.cancelled", by=by, payload={"reason": reason}, state=state))
    record(*events)
    return shipment
