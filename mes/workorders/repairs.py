"""What was done about a nonconformance while its unit is in rework."""

from decimal import Decimal

from django.db import transaction

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.quality.models import Nonconformance, RepairRecord
from mes.quality.services import SlotPlace, find_place, require_failed
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.stations.services import require_sign_on
from mes.testing.models import TestRun
from mes.workorders.models import Rework


@transaction.atomic
def record_repair(
    *,
    nonconformance: Nonconformance,
    action: str,
    by: Actor,
    symptom: str = "",
    failed_test: TestRun | None = None,
    slot: str = "",
    minutes: Decimal | None = None,
) -> RepairRecord:
    """Write down what was done; symptom and failed test default to those of the nonconformance.

    ``slot`` is a path of slots below the unit; what was taken out there since the rework began, and what was
    put in, is read from the installations. Refuses with ``device_not_signed_on``, ``not_in_rework``,
    ``slot_not_in_assembly`` or ``test_not_failed``.
    """
    require_sign_on(by)
    nonconformance = locked(nonconformance)
    rework = _require_in_rework(nonconformance)
    if failed_test is not None:
        require_failed(nonconformance.unit, failed_test)
    place = find_place(nonconformance.unit, slot) if slot else None
    removed, fitted = _swapped(place, rework)
    repair = RepairRecord.objects.create(
        nonconformance=nonconformance,
        failed_test=failed_test or nonconformance.test_run,
        symptom=symptom or nonconformance.symptom,
        action=action,
        slot=place.path if place else "",
        removed=removed,
        fitted=fitted,
        minutes=minutes,
        repaired_by=by.person,
    )
    payload = {
        "action": action,
        "symptom": repair.symptom,
        "slot": repair.slot,
        "removed": removed.serial if removed else "",
        "fitted": fitted.serial if fitted else "",
    }
    record(advance(nonconformance, "nonconformance.repaired", by=by, payload=payload))
    return repair


def _require_in_rework(nonconformance: Nonconformance) -> Rework:
    rework = nonconformance.reworks.first()
    if nonconformance.state != Nonconformance.State.REWORK or rework is None:
        raise RuleViolation(
            "not_in_rework",
            f"{nonconformance.number} is {nonconformance.get_state_display()}.",
            rule="repairs follow a disposition and belong to its rework",
            release="The review board decides on rework or repair.",
            next_step="Ask the review board to decide first.",
        )
    return rework


def _swapped(place: SlotPlace | None, rework: Rework) -> tuple[Unit | None, Unit | None]:
    if place is None:
        return None, None
    rows = Installation.objects.filter(parent=place.parent, slot=place.slot).select_related("child")
    removed = rows.filter(removed_at__gte=rework.started_at).order_by("removed_at", "pk").first()
    fitted = rows.live().filter(installed_at__gte=rework.started_at).first()
    return removed.child if removed else None, fitted.child if fitted else None
