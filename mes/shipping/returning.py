"""Field returns: a shipped unit comes back onto its own history, with the failure the customer told."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.quality.models import Nonconformance
from mes.quality.services import open_nonconformance
from mes.serials.models import Unit
from mes.serials.services import count_up
from mes.shipping.models import FieldReturn, PackedUnit
from mes.shipping.packing import disprove
from mes.stations.services import require_sign_on
from mes.workorders.services import take_back_from_field

COUNTER, PREFIX, DIGITS = "rma:", "RMA-", 6


@transaction.atomic
def return_from_field(
    *,
    unit: Unit,
    symptom: str,
    by: Actor,
    number: str = "",
    customer_words: str = "",
    failed_at: datetime | None = None,
    hours_in_service: Decimal | None = None,
    pictures: Iterable[Attachment] = (),
) -> FieldReturn:
    """Take back a unit that shipped, or that was inside one, and open a nonconformance with its failure.

    It is on hold until the review board has decided, as anything else that is found. ``number`` is the RMA
    number; without one it is the next of ours. Refuses with ``device_not_signed_on``,
    ``return_number_used``, ``failed_in_future``, ``unit_not_shipped``, ``no_symptom`` or ``wrong_site``.
    """
    require_sign_on(by)
    number = number.strip() or f"{PREFIX}{count_up(COUNTER):0{DIGITS}d}"
    _require_new(number)
    _require_past(failed_at)
    before = take_back_from_field(unit=unit, reason=f"{number}: {symptom}"[:200], by=by)
    packed = _last_journey(before.get("taken_from") or unit)
    found = open_nonconformance(
        unit=unit,
        symptom=symptom,
        source=Nonconformance.Source.FIELD,
        description=customer_words,
        pictures=pictures,
        by=by,
    )
    returned = FieldReturn.objects.create(
        site_id=unit.site_id,
        number=number,
        unit=unit,
        nonconformance=found,
        packed=packed,
        symptom=found.symptom,
        customer_words=customer_words,
        failed_at=failed_at,
        hours_in_service=hours_in_service,
        received_by=by.person,
        **before,
    )
    _unpack(unit, number, by)
    _record(returned, by)
    return returned


def _unpack(unit: Unit, number: str, by: Actor) -> None:
    rows = PackedUnit.objects.filter(unit=unit, unpacked_at__isnull=True)
    disprove(list(rows.select_related("unit", "crate")), f"it came back by {number}", by)
    rows.update(unpacked_at=timezone.now(), unpacked_by=by.person, unpacked_because=number)


def _record(returned: FieldReturn, by: Actor) -> None:
    payload = {
        "number": returned.number,
        "nonconformance": returned.nonconformance.number,
        "symptom": returned.symptom,
        "customer_words": returned.customer_words,
        "failed_at": returned.failed_at,
        "hours_in_service": returned.hours_in_service,
        "shipped_at": returned.shipped_at,
        "shipped_to": returned.shipped_to,
        "shipment": returned.packed.crate.shipment.number if returned.packed else "",
        "taken_from": returned.taken_from.serial if returned.taken_from else "",
        "slot": returned.slot,
    }
    record(advance(locked(returned.unit), "unit.field_return", by=by, payload=payload))


def _last_journey(unit: Unit) -> PackedUnit | None:
    rows = PackedUnit.objects.filter(unit=unit, departed_at__isnull=False)
    return rows.select_related("crate__shipment").order_by("-departed_at").first()


def _require_new(number: str) -> None:
    if FieldReturn.objects.filter(number__iexact=number).exists():
        raise RuleViolation(
            "return_number_used",
            f"There is a return {number} already.",
            rule="an RMA number is for one unit",
            next_step="Take another number, or leave it out.",
        )


def _require_past(failed_at: datetime | None) -> None:
    if failed_at is not None and failed_at > timezone.now():
        raise RuleViolation(
            "failed_in_future",
            f"It cannot have failed at {timezone.localtime(failed_at):%Y-%m-%d %H:%M}.",
            rule="what comes back has failed before",
            next_step="Give the time of the failure, or leave it out.",
        )
