"""What is recorded while an operation runs: values, consumables by lot, tools."""

import math
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.attachments.models import Attachment
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.people.services import Proof, digest_of, sign
from mes.products.models import Consumable, DataField, Operation
from mes.quality.services import lock_lots
from mes.serials.models import Lot, Unit
from mes.serials.services import lock_units, require_lot_usable, require_usable
from mes.stations.models import Station, Tool
from mes.stations.services import bring_tool, require_sign_on
from mes.workorders.gates import require_running, require_work_center
from mes.workorders.models import CapturedValue, ConsumableUse, OperationRun, ToolUse
from mes.workorders.needs import used_up
from mes.workorders.position import RUNNING, Position, find_operation, position_of

Kind, Verdict = DataField.Kind, CapturedValue.Verdict


@transaction.atomic
def record_value(
    *,
    unit: Unit,
    sequence: int,
    name: str,
    value: Any,
    station: Station,
    by: Actor,
    attachment: Attachment | None = None,
    proof: Proof | None = None,
) -> CapturedValue:
    """Record the value of a data field of a running operation; a later one replaces it, none is lost.

    A number outside its limits is kept as a FAIL and holds completion. A photo is an ``attachment``, a
    signature a ``proof``. Refuses with ``unknown_field``, ``not_a_number``, ``not_a_choice``,
    ``photo_missing``, ``signature_required``, ``value_empty``, and as work at a station does.
    """
    unit, _, run = _running(unit, sequence, station, by)
    field = _find_field(run.operation, name)
    kept = CapturedValue(run=run, field=field, recorded_by=by.person, verdict=Verdict.NONE)
    _fill(kept, value, attachment, proof, unit)
    run.values.filter(field=field, replaced_at__isnull=True).update(replaced_at=timezone.now())
    kept.save()
    payload = {
        "sequence": sequence,
        "field": name,
        "value": kept.text if kept.number is None else kept.number,
        "unit": field.unit,
        "verdict": kept.verdict,
        "attachment": kept.attachment.sha256 if kept.attachment else "",
        "signature": str(kept.signature.uid) if kept.signature else "",
    }
    record(advance(unit, "value.recorded", by=by, payload=payload))
    return kept


def _running(unit: Unit, sequence: int, station: Station, by: Actor) -> tuple[Unit, Position, OperationRun]:
    """Return the unit, locked, its position, and the run of the operation, which must be running here."""
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    require_usable(unit)
    position = position_of(unit)
    operation = find_operation(position, sequence, station.work_center)
    require_work_center(operation, station.work_center)
    require_running(position, operation)
    run = position.runs[operation.pk]
    run.operation = operation
    return unit, position, run


def _find_field(operation: Operation, name: str) -> DataField:
    for field in operation.data_fields.all():
        if field.name == name:
            return field
    names = ", ".join(field.name for field in operation.data_fields.all()) or "nothing"
    raise RuleViolation(
        "unknown_field",
        f"{operation} records no {name}.",
        rule="an operation records the values it names",
        next_step=f"It records {names}.",
    )


def _fill(
    kept: CapturedValue, value: Any, attachment: Attachment | None, proof: Proof | None, unit: Unit
) -> None:
    field = kept.field
    if field.kind == Kind.NUMBER:
        kept.number = _number(field, value)
        kept.verdict = _judge(field, kept.number)
    elif field.kind == Kind.PHOTO:
        kept.attachment = _photo(field, attachment)
        kept.text = kept.attachment.name
    elif field.kind == Kind.SIGNATURE:
        _sign(kept, proof, unit)
    else:
        kept.text = _text(field, value)


def _number(field: DataField, value: Any) -> float:
    try:
        number = float(str(value).replace(",", "."))
    except ValueError:
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise RuleViolation(
            "not_a_number",
            f"{field.prompt} is a number in {field.unit or 'no unit'}, not {str(value)[:40]!r}.",
            rule="values are of their kind",
            next_step="Type the number that the instrument shows.",
            field=field.name,
        )
    return number


def _judge(field: DataField, number: float) -> CapturedValue.Verdict:
    if field.low is None and field.high is None:
        return Verdict.NONE
    too_low = field.low is not None and number < field.low
    too_high = field.high is not None and number > field.high
    return Verdict.FAIL if too_low or too_high else Verdict.PASS


def _photo(field: DataField, attachment: Attachment | None) -> Attachment:
    if attachment is None or not attachment.content_type.startswith("image/"):
        raise RuleViolation(
            "photo_missing",
            f"{field.prompt} is a photo.",
            rule="values are of their kind",
            next_step="Take the photo and send it.",
            field=field.name,
        )
    return attachment


def _sign(kept: CapturedValue, proof: Proof | None, unit: Unit) -> None:
    field = kept.field
    if proof is None:
        raise RuleViolation(
            "signature_required",
            f"{field.prompt} is a signature.",
            rule="a signature proves who signs",
            next_step="Scan your badge and type your PIN.",
            field=field.name,
        )
    signed = {"unit": str(unit.uid), "operation": field.operation.code, "field": field.name}
    kept.signature = sign(
        proof=proof,
        meaning=field.prompt,
        reason=str(field.operation),
        subject=unit,
        digest=digest_of(signed),
    )
    kept.text = kept.signature.signer


def _text(field: DataField, value: Any) -> str:
    text = str(value or "").strip()[:300]
    if not text:
        raise RuleViolation(
            "value_empty",
            f"{field.prompt} is empty.",
            rule="values are of their kind",
            next_step=f"Scan or type {field.prompt}.",
            field=field.name,
        )
    if field.kind == Kind.CHOICE and text not in field.choices:
        raise RuleViolation(
            "not_a_choice",
            f"{field.prompt} is one of {', '.join(field.choices)}.",
            rule="values are of their kind",
            next_step="Choose one of them.",
            field=field.name,
            choices=field.choices,
        )
    return text


@transaction.atomic
def use_consumable(
    *, unit: Unit, sequence: int, lot: Lot, station: Station, by: Actor, quantity: Decimal | None = None
) -> ConsumableUse:
    """Record how much of a lot a running operation uses; without ``quantity``, what is left to record.

    Refuses with ``not_a_consumable``, ``lot_held``, ``lot_expired`` and as work at a station does.
    """
    (lot,) = lock_lots(lot.pk)  # read anew: a hold waits for this use, or this use sees the hold
    unit, _, run = _running(unit, sequence, station, by)
    needed = _find_consumable(run.operation, lot)
    require_lot_usable(lot)
    left = max(needed.quantity - used_up(run).get(lot.part_id, Decimal(0)), Decimal(0))
    use = ConsumableUse.objects.create(
        run=run, lot=lot, quantity=quantity or left or needed.quantity, unit=needed.unit, used_by=by.person
    )
    payload = {
        "sequence": sequence,
        "part": needed.part.number,
        "lot": lot.number,
        "lot_uid": str(lot.uid),
        "quantity": use.quantity,
        "unit": use.unit,
    }
    record(advance(unit, "consumable.used", by=by, payload=payload))
    return use


def _find_consumable(operation: Operation, lot: Lot) -> Consumable:
    for row in operation.consumables.all():
        if row.part_id == lot.part_id:
            return row
    names = " or ".join(row.part.name for row in operation.consumables.all()) or "nothing"
    raise RuleViolation(
        "not_a_consumable",
        f"{operation} uses up {names}, not {lot.part.name}.",
        rule="an operation uses up what it names",
        next_step="Put it back and scan the right lot.",
        part=lot.part.number,
    )


@transaction.atomic
def use_tool(*, tool: Tool, unit: Unit | None, station: Station, by: Actor) -> Tool:
    """Bring a tool to a station; a running operation there that takes its type notes it as used.

    Refuses with ``tool_overdue``, ``tool_retired`` or ``wrong_site``.
    """
    require_sign_on(by)
    locked_unit = lock_units(unit.pk)[unit.pk] if unit else None
    tool = bring_tool(tool=tool, station=station, by=by)
    if locked_unit is not None:
        _note_use(tool, position_of(locked_unit), station, by)
    return tool


def _note_use(tool: Tool, position: Position, station: Station, by: Actor) -> None:
    operation = position.at_hand(station.work_center)
    if operation is None or position.state_of(operation) != RUNNING:
        return
    if operation.work_center != station.work_center:
        return
    if tool.type not in {row.type for row in operation.tools.all()}:
        return
    run = position.runs[operation.pk]
    _, is_new = ToolUse.objects.get_or_create(
        run=run,
        tool=tool,
        defaults={"calibration_due_at": tool.calibration_due_at, "used_by": by.person},
    )
    if is_new:
        payload = {"sequence": operation.sequence, "tool": tool.code, "due": tool.calibration_due_at}
        record(advance(position.unit, "tool.used", by=by, payload=payload))
