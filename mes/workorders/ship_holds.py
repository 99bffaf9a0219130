"""Holds on shipping: placed with a reason, released by another person's signature, passed by nobody."""

from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.people.services import Proof, digest_of, sign
from mes.racks.services import units_inside
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_here
from mes.stations.models import RoleAssignment
from mes.stations.services import require_role, require_sign_on
from mes.workorders.models import OrderUnit, ShipHold, WorkOrder

Outcome = OrderUnit.Outcome
Role = RoleAssignment.Role
RELEASED_BY = (Role.QUALITY, Role.REVIEW_BOARD)
MEANING = "release of a ship hold"


@transaction.atomic
def place_ship_hold(*, target: Unit | WorkOrder, reason: str, by: Actor) -> ShipHold:
    """Keep a unit, or every unit of an order, from leaving the factory; work on it goes on.

    Refuses with ``device_not_signed_on``, ``reason_missing``, and for units that are gone as
    ``require_here``, e.g. ``unit_shipped``.
    """
    require_sign_on(by)
    _require_reason(reason)
    held = lock_units(target.pk)[target.pk] if isinstance(target, Unit) else locked(target)
    if isinstance(held, Unit):
        require_here(held)
    about: dict[str, Any] = {"unit" if isinstance(held, Unit) else "work_order": held}
    hold = ShipHold.objects.create(site_id=held.site_id, reason=reason, placed_by=by.person, **about)
    record(advance(held, _kind(held, "held"), by=by, payload={"ship_hold": hold.pk, "reason": reason}))
    return hold


@transaction.atomic
def release_ship_hold(*, hold: ShipHold, reason: str, proof: Proof, by: Actor) -> ShipHold:
    """Release a hold on shipping, signed by quality or the review board, never by who placed it.

    Refuses with ``ship_hold_released``, ``role_missing``, ``own_work``, ``reason_missing`` and as the proof
    does.
    """
    signer = proof.require()
    hold = ShipHold.objects.select_related("unit", "work_order", "site").get(pk=hold.pk)
    held = _lock_held(hold)
    role = require_role(person=signer.username, roles=RELEASED_BY, site=hold.site)
    facts = {"ship_hold": hold.pk, "held_because": hold.reason, "placed_by": hold.placed_by, "reason": reason}
    signature = sign(
        proof=proof,
        meaning=MEANING,
        reason=reason,
        subject=held,
        digest=digest_of(facts),
        performers=[hold.placed_by],
    )
    released = ShipHold.objects.filter(pk=hold.pk, released_at__isnull=True).update(
        released_at=timezone.now(),
        released_by=signer.username,
        release_reason=reason,
        role=role,
        signature=signature,
    )
    if not released:
        raise _released_before()
    payload = {**facts, "role": role, "signature": str(signature.uid), "signed_by": signer.username}
    record(advance(held, _kind(held, "released"), by=by, payload=payload))
    hold.refresh_from_db()
    return hold


def require_no_ship_hold(unit: Unit, order: WorkOrder) -> None:
    """Refuse with ``ship_hold`` while shipping is held of a unit, of anything in it, or of their orders.

    One query. The caller has locked them: a hold that is placed meanwhile waits.
    """
    rows = ShipHold.objects.filter(
        holding(unit) | Q(work_order=order), released_at__isnull=True
    ).select_related("unit", "work_order")
    found = rows.order_by("pk").first()
    if found is not None:
        raise RuleViolation(
            "ship_hold",
            f"{found.unit or found.work_order} is not to ship: {found.reason} ({found.placed_by}).",
            rule="what is held from shipping leaves only after a signed release",
            release="Quality or the review board, by signature; not who placed it.",
            next_step="Ask quality to release the ship hold, or to say what must be done first.",
            ship_hold=found.pk,
            unit=str(unit.uid),
        )


def holding(unit: Unit) -> Q:
    """Return what finds the holds on a unit, on anything in it, and on the orders that have, or built, those.

    What an order built leaves inside of what another order built; it is held all the same.
    """
    inside = units_inside(unit)
    live = Q(unit=unit, closed_at__isnull=True)
    built = Q(unit__in=inside, outcome__in=(Outcome.OPEN, Outcome.FINISHED))
    orders = OrderUnit.objects.filter(live | built).values("work_order")
    return Q(unit=unit) | Q(unit__in=inside) | Q(work_order__in=orders)


def _lock_held(hold: ShipHold) -> Unit | WorkOrder:
    if hold.unit is not None:
        return lock_units(hold.unit.pk)[hold.unit.pk]
    assert hold.work_order is not None  # noqa: S101 - a constraint of the row
    return locked(hold.work_order)


def _kind(held: Unit | WorkOrder, what: str) -> str:
    return f"{'unit' if isinstance(held, Unit) else 'order'}.shipping_{what}"


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise RuleViolation(
            "reason_missing",
            "A ship hold says why.",
            rule="a hold has a reason",
            next_step="Give the reason.",
        )


def _released_before() -> RuleViolation:
    return RuleViolation(
        "ship_hold_released",
        "This ship hold was released before.",
        rule="a hold is released once",
        next_step="Nothing more to do.",
    )
