"""What was permitted and changed for the units of a report: deviations, their uses, engineering changes."""

from collections.abc import Iterable

from django.db.models import Prefetch, Q

from mes.racks.models import Installation
from mes.traceability.evidence import Paths, Row, join_path
from mes.workorders.models import ChangeMove, Deviation, DeviationUse, WorkOrder
from mes.workorders.services import deviation_in_words


def deviation_rows(paths: Paths, orders: Iterable[WorkOrder]) -> list[Row]:
    """Return every deviation for these units or their orders, oldest first, with its uses on these units."""
    uses = DeviationUse.objects.filter(unit__in=paths).select_related(
        "unit", "installation__slot", "installation__child", "test_run"
    )
    rows = (
        Deviation.objects.filter(Q(unit__in=paths) | Q(order__in=list(orders)))
        .select_related("order", "unit", "part", "instead__part", "limit", "signature")
        .prefetch_related(Prefetch("uses", uses.order_by("pk")))
    )
    return [_deviation_row(deviation, paths) for deviation in rows.order_by("pk")]


def _deviation_row(deviation: Deviation, paths: Paths) -> Row:
    return {
        "number": deviation.number,
        "kind": deviation.kind,
        "for": deviation.unit.serial if deviation.unit else str(deviation.order),
        "permits": deviation_in_words(deviation),
        "reason": deviation.reason,
        "quantity": deviation.quantity,
        "used": deviation.used,
        "signed_by": deviation.signature.signer,
        "signed_at": deviation.signature.signed_at,
        "expires_at": deviation.expires_at,
        "revoked_at": deviation.revoked_at,
        "uses": [_use_row(use, paths) for use in deviation.uses.all()],
    }


def _use_row(use: DeviationUse, paths: Paths) -> Row:
    path, placed, test = paths[use.unit_id], use.installation, use.test_run
    return {
        "path": join_path(path, placed.slot.name) if placed else path,
        "serial": placed.child.serial if placed else use.unit.serial,
        "test": test.procedure if test else "",
        "used_at": use.used_at,
    }


def change_rows(paths: Paths) -> list[Row]:
    """Return every engineering change that moved one of these units, oldest first."""
    moves = (
        ChangeMove.objects.filter(order_unit__unit__in=paths)
        .select_related("change__to_revision", "change__to_route", "order_unit__unit")
        .select_related("from_revision", "from_route")
    )
    return [
        {
            "path": paths[move.order_unit.unit_id],
            "serial": move.order_unit.unit.serial,
            "number": move.change.number,
            "title": move.change.title,
            "from_revision": move.from_revision.revision,
            "from_route": move.from_route.version,
            "to_revision": move.change.to_revision.revision,
            "to_route": move.change.to_route.version,
            "remove": move.remove,
            "repeat": move.repeat,
            "moved_at": move.moved_at,
        }
        for move in moves.order_by("pk")
    ]


def as_never_moved(installations: Iterable[Installation]) -> list[Installation]:
    """Return installations in the order they were made, without the rows that only renamed their slot.

    An engineering change closes a row and opens it anew in the slot of the same name; nothing was taken out.
    The row that is left has the beginning of the first and the end of the last.
    """
    kept: list[Installation] = []
    last: dict[tuple[int, str], Installation] = {}
    for row in installations:
        place = (row.child_id, row.slot.name)
        before = last.get(place)
        if before is not None and before.removed_at == row.installed_at:
            before.slot, before.removed_at = row.slot, row.removed_at
            before.removed_by, before.removal_reason = row.removed_by, row.removal_reason
        else:
            kept.append(row)
            last[place] = row
    return kept
