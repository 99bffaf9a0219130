"""Holds on many units and lots at once, under one number, and their release."""

from collections.abc import Collection, Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.ledger.services import Actor, advance, locked, record
from mes.quality.models import Containment, Hold
from mes.serials.models import Lot, Unit
from mes.serials.services import count_up, lock_units
from mes.stations.models import Site

COUNTER, PREFIX, DIGITS = "containment:", "CT-", 4
HELD, RELEASED = Containment.State.HELD, Containment.State.RELEASED


def lock_lots(*pks: int) -> list[Lot]:
    """Return lots, read anew and locked in the order of their id. Lots are locked before units."""
    rows = Lot.objects.select_for_update(of=("self",), no_key=True)
    return list(rows.filter(pk__in=pks).order_by("pk"))


@transaction.atomic
def place_containment(
    *,
    site: Site,
    question: dict[str, Any],
    reason: str,
    units: Iterable[Unit],
    lots: Iterable[Lot],
    by: Actor,
) -> Containment:
    """Hold units and lots, which the caller has locked in this transaction, under one new number.

    Refuses with ``containment_empty``. What other holds keep is held once more, so that none is lost.
    """
    units, lots = list(units), list(lots)
    if not units and not lots:
        raise RuleViolation(
            "containment_empty",
            "There is nothing to hold.",
            rule="a containment holds something",
            next_step="Check the question; what is scrapped needs no hold.",
        )
    containment = Containment.objects.create(
        site=site,
        number=_next_number(),
        question=question,
        reason=reason,
        units=len(units),
        lots=len(lots),
        held_by=by.person,
    )
    held: list[Unit | Lot] = [*lots, *units]
    holds = Hold.objects.bulk_create(
        Hold(
            unit=row if isinstance(row, Unit) else None,
            lot=row if isinstance(row, Lot) else None,
            reason=reason,
            containment=containment,
            placed_by=by.person,
        )
        for row in held
    )
    facts = {"containment": containment.number, "reason": reason}
    record(*(_held(row, {**facts, "hold": hold.pk}, by) for row, hold in zip(held, holds, strict=True)))
    payload = {
        **{"number": containment.number, "question": question, "reason": reason},
        **{"units": [unit.serial for unit in units], "lots": [lot.number for lot in lots]},
    }
    record(advance(containment, "containment.held", by=by, payload=payload))
    return containment


def _held(row: Unit | Lot, payload: dict[str, Any], by: Actor) -> Event:
    return advance(row, f"{row._meta.model_name}.held", by=by, payload=payload, held=True)


@transaction.atomic
def release_holds(
    *,
    containment: Containment,
    units: Collection[int],
    lots: Collection[int],
    reason: str,
    question: dict[str, Any],
    by: Actor,
) -> Containment:
    """Release a containment's holds on units and lots (primary keys); every other hold stays.

    The caller has locked the containment. It is RELEASED once none of its holds is left.
    """
    rows: list[Unit | Lot] = [*lock_lots(*lots), *lock_units(*units).values()]
    holds = Hold.objects.filter(containment=containment, released_at__isnull=True)
    of_row = {_key(hold): hold for hold in holds}
    chosen = [(row, of_row[key]) for row in rows if (key := (row._meta.model_name, row.pk)) in of_row]
    keys = [hold.pk for _, hold in chosen]
    Hold.objects.filter(pk__in=keys).update(
        released_at=timezone.now(), released_by=by.person, release_reason=reason
    )
    kept = _still_held(rows)
    facts = {"containment": containment.number, "reason": reason}
    record(*(_freed(row, {**facts, "hold": hold.pk}, by, held=_key(hold) in kept) for row, hold in chosen))
    done = {"reason": reason, "question": question, "released": len(keys)}
    close_when_done(containment, by=by, payload=done)
    return containment


def _key(hold: Hold) -> tuple[str, int | None]:
    return ("lot", hold.lot_id) if hold.unit_id is None else ("unit", hold.unit_id)


def _still_held(rows: Iterable[Unit | Lot]) -> set[tuple[str, int | None]]:
    rows = list(rows)
    held = Hold.objects.filter(released_at__isnull=True)
    of_units = held.filter(unit__in=[row.pk for row in rows if isinstance(row, Unit)])
    of_lots = held.filter(lot__in=[row.pk for row in rows if isinstance(row, Lot)])
    return {_key(hold) for hold in (*of_units, *of_lots)}


def _freed(row: Unit | Lot, payload: dict[str, Any], by: Actor, *, held: bool) -> Event:
    return advance(row, f"{row._meta.model_name}.hold_released", by=by, payload=payload, held=held)


def close_when_done(containment: Containment, *, by: Actor, payload: dict[str, Any]) -> None:
    """Note that holds of a locked containment were released; it is RELEASED once none is left."""
    left = Hold.objects.filter(containment=containment, released_at__isnull=True).count()
    changes: dict[str, Any] = {}
    if not left:
        changes = {"state": RELEASED, "released_at": timezone.now(), "released_by": by.person}
    kind = "containment.released_in_part" if left else "containment.released"
    record(advance(containment, kind, by=by, payload={**payload, "left": left}, **changes))


def lock_containment(containment: Containment) -> Containment:
    """Return a containment, read anew and locked. Refuses with ``containment_released``."""
    containment = locked(containment)
    if containment.state == RELEASED:
        raise RuleViolation(
            "containment_released",
            f"{containment.number} was released before.",
            rule="a containment is released once",
            next_step="Nothing more to do.",
        )
    return containment


def _next_number() -> str:
    """Return the next number; the counter's row stays locked until the transaction ends."""
    return f"{PREFIX}{count_up(COUNTER):0{DIGITS}d}"
