"""Stops on units and lots: placed and released, never deleted."""

from typing import cast

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.quality.containments import close_when_done
from mes.quality.models import Containment, Hold, Nonconformance
from mes.serials.models import Lot, Unit
from mes.serials.services import lock_units


@transaction.atomic
def place_hold(
    *,
    unit: Unit,
    reason: str,
    by: Actor,
    nonconformance: Nonconformance | None = None,
    containment: Containment | None = None,
) -> Hold:
    """Stop a unit until the hold is released."""
    unit = lock_units(unit.pk)[unit.pk]
    hold = Hold.objects.create(
        unit=unit, reason=reason, placed_by=by.person, nonconformance=nonconformance, containment=containment
    )
    record(advance(unit, "unit.held", by=by, payload={"hold": hold.pk, "reason": reason}, held=True))
    return hold


@transaction.atomic
def place_lot_hold(*, lot: Lot, reason: str, by: Actor, containment: Containment | None = None) -> Hold:
    """Stop a lot: nothing more of it is received into units or used up until the hold is released."""
    lot = locked(lot)
    hold = Hold.objects.create(lot=lot, reason=reason, placed_by=by.person, containment=containment)
    record(advance(lot, "lot.held", by=by, payload={"hold": hold.pk, "reason": reason}, held=True))
    return hold


@transaction.atomic
def release_hold(*, hold: Hold, reason: str, by: Actor) -> Hold:
    """Release a hold; what it held moves once none is left. A containment's last hold releases it too.

    Refuses with ``hold_released``, or ``nonconformance_open`` while the review board has not decided.
    """
    containment = locked(hold.containment) if hold.containment is not None else None
    held = _lock_held(hold)
    _require_decided(hold)
    released = {"released_at": timezone.now(), "released_by": by.person, "release_reason": reason}
    if not Hold.objects.filter(pk=hold.pk, released_at__isnull=True).update(**released):
        raise RuleViolation(
            "hold_released",
            "This hold was released before.",
            rule="a hold is released once",
            next_step="Nothing more to do.",
        )
    open_holds = Hold.objects.filter(unit=hold.unit_id, lot=hold.lot_id, released_at__isnull=True)
    kind = "unit.hold_released" if hold.unit_id else "lot.hold_released"
    payload = {"hold": hold.pk, "reason": reason}
    record(advance(held, kind, by=by, payload=payload, held=open_holds.exists()))
    if containment is not None:
        close_when_done(containment, by=by, payload={**payload, "released": 1})
    hold.refresh_from_db()
    return hold


def _require_decided(hold: Hold) -> None:
    waiting = Nonconformance.objects.filter(holds=hold, state=Nonconformance.State.OPEN).first()
    if waiting is not None:
        raise RuleViolation(
            "nonconformance_open",
            f"This hold belongs to {waiting.number}: {waiting.symptom}.",
            rule="what a nonconformance holds is released by its disposition",
            release="The review board decides about it.",
            next_step=f"Ask the review board to decide about {waiting.number}.",
            nonconformance=waiting.number,
        )


def _lock_held(hold: Hold) -> Unit | Lot:
    if hold.lot is not None:
        return locked(hold.lot)
    pk = cast(int, hold.unit_id)
    return lock_units(pk)[pk]
