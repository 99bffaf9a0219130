"""Expansion orders: a shipped unit comes back to be extended, with everything that shipped in it.

If the order is cancelled, the unit may go back as it came.
"""

from datetime import datetime

from django.db import transaction

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, events_of, record
from mes.products.models import PartRevision, Route
from mes.products.services import Place, place_named
from mes.quality.services import require_no_open_nonconformance
from mes.racks.models import Installation
from mes.racks.services import (
    AsBuilt,
    as_built,
    live_children,
    repoint_installations,
    require_nothing_held_inside,
    require_out,
)
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_usable
from mes.workorders.models import OperationRun, OrderUnit, WorkOrder

STARTED = "unit.expansion_started"


def require_expandable(*, unit: Unit, to: PartRevision, route: Route) -> None:
    """Ask whether a shipped unit can be extended to a revision by a route.

    Refuses with ``unit_not_shipped``, ``wrong_expansion``, ``serial_exists`` or ``expansion_loses_slots``.
    """
    if unit.state != Unit.State.SHIPPED:
        raise RuleViolation(
            "unit_not_shipped",
            f"{unit.serial} is {unit.state}; only a shipped unit is extended by an expansion order.",
            rule="an expansion extends what has shipped",
            next_step="Build it by its own order.",
            unit=str(unit.uid),
        )
    _require_new_revision(unit, to, route)
    lost = [each.slot.name for each in live_children(unit=unit) if not _still_fits(each, to)]
    if lost:
        raise RuleViolation(
            "expansion_loses_slots",
            f"{to} has no place for what sits in {', '.join(lost[:6])} of {unit.serial}.",
            rule="everything that shipped in a unit stays in it",
            release="Engineering, by a revision that keeps these slots.",
            next_step="Choose a revision that keeps every filled slot and the part in it.",
            slots=lost,
        )


def _require_new_revision(unit: Unit, to: PartRevision, route: Route) -> None:
    why = ""
    if to.part_id != unit.part_revision.part_id or to.pk == unit.part_revision_id:
        why = f"{to} is no other revision of {unit.part_revision.part.number}"
    elif OperationRun.objects.filter(unit=unit, operation__route=route, superseded_at=None).exists():
        why = f"{unit.serial} went through {route} before"
    if why:
        raise RuleViolation(
            "wrong_expansion",
            f"{why}.",
            rule="an expansion is a new revision of the same part, built by a route of its own",
            next_step="Choose the revision and the route of the expansion.",
        )
    if Unit.objects.filter(part_revision=to, serial__iexact=unit.serial).exists():
        raise RuleViolation(
            "serial_exists",
            f"{to} with serial {unit.serial} exists already.",
            rule="a serial is used once per part revision",
            next_step="Call quality: two units carry one serial.",
        )


def _still_fits(installed: Installation, to: PartRevision) -> bool:
    place, child = place_named(to, installed.slot.name), installed.child.part_revision
    return place is not None and child.part_id in place.part_ids and _takes_revision(place, child)


def _takes_revision(place: Place, child: PartRevision) -> bool:
    revisions = place.revisions[child.part_id]
    return not revisions or child.revision in revisions


@transaction.atomic
def take_back(*, order: WorkOrder, by: Actor) -> Unit:
    """Bring the unit that an order extends back to work, as the new revision; what is in it stays in it.

    Refuses as ``require_expandable``.
    """
    pk = order.extends_id or 0
    unit, to = lock_units(pk)[pk], order.part_revision
    require_expandable(unit=unit, to=to, route=order.route)
    kept = repoint_installations(parents={unit.pk: to}, because=f"expansion {order.number}", by=by)
    payload = {
        "order": order.number,
        "from": unit.part_revision.revision,
        "to": to.revision,
        "kept": len(kept),
        "shipped_at": unit.shipped_at,
        "shipped_to": unit.shipped_to,
    }
    changes = {"state": Unit.State.IN_WORK, "part_revision": to, "shipped_at": None, "shipped_to": ""}
    record(advance(unit, STARTED, by=by, payload=payload, **changes))
    return unit


def what_keeps_here(unit: Unit) -> str:
    """Say why a unit that came back to be extended cannot go back as it came; "" if it can."""
    try:
        for require in REQUIRED:
            require(unit)
    except RuleViolation as violation:
        return violation.detail.rstrip(".")
    before, now = _contents(as_built(unit=unit, at=_shipped_at(unit))), _contents(as_built(unit=unit))
    changed = sorted({path for path, _ in before ^ now})
    return f"{', '.join(changed[:6])} changed since it came back" if changed else ""


REQUIRED = (require_usable, require_out, require_nothing_held_inside, require_no_open_nonconformance)


def _shipped_at(unit: Unit) -> datetime | None:
    rows = OrderUnit.objects.filter(unit=unit, closed_at__isnull=False)
    return rows.order_by("-closed_at").values_list("closed_at", flat=True).first()


def _contents(node: AsBuilt, path: str = "") -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    for child in node.children:
        place = f"{path}/{child.slot}" if path else child.slot
        found |= {(place, child.unit.pk), *_contents(child, place)}
    return found


def give_back(*, order: WorkOrder, unit: Unit, reason: str, by: Actor) -> None:
    """Send a unit back as it shipped: revision, destination and contents. The caller has locked the unit.

    The caller has asked ``what_keeps_here`` in this transaction.
    """
    started = [event for event in events_of(unit) if event.kind == STARTED][-1].payload
    revision = PartRevision.objects.get(part=unit.part_revision.part_id, revision=started["from"])
    repoint_installations(
        parents={unit.pk: revision}, because=f"expansion {order.number} is cancelled", by=by
    )
    payload = {"order": order.number, "reason": reason, "revision": revision.revision}
    changes = {
        "state": Unit.State.SHIPPED,
        "part_revision": revision,
        "shipped_at": _shipped_at(unit),
        "shipped_to": started["shipped_to"],
    }
    record(advance(unit, "unit.expansion_given_up", by=by, payload=payload, **changes))
