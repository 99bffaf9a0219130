"""The door of quality: put units on hold and release them."""

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.quality.models import Hold
from mes.serials.models import Unit
from mes.serials.services import lock_units


@transaction.atomic
def place_hold(*, unit: Unit, reason: str, by: Actor) -> Hold:
    """Stop a unit until the hold is released."""
    unit = lock_units(unit.pk)[unit.pk]
    hold = Hold.objects.create(unit=unit, reason=reason, placed_by=by.person)
    record(advance(unit, "unit.held", by=by, payload={"hold": hold.pk, "reason": reason}, held=True))
    return hold


@transaction.atomic
def release_hold(*, hold: Hold, reason: str, by: Actor) -> Hold:
    """Release a hold; the unit moves once none is left. Refuses with ``hold_released`` a second time."""
    unit = lock_units(hold.unit_id)[hold.unit_id]
    now = timezone.now()
    released = {"released_at": now, "released_by": by.person, "release_reason": reason}
    if not Hold.objects.filter(pk=hold.pk, released_at__isnull=True).update(**released):
        raise RuleViolation(
            "hold_released",
            "This hold was released before.",
            rule="a hold is released once",
            next_step="Nothing more to do.",
        )
    still_held = Hold.objects.filter(unit=unit, released_at__isnull=True).exists()
    record(
        advance(
            unit, "unit.hold_released", by=by, payload={"hold": hold.pk, "reason": reason}, held=still_held
        )
    )
    hold.refresh_from_db()
    return hold
