"""Work on the units of a report: who did it, with what, what was recorded, and which gates were let pass.

One query a table.
"""

from django.db.models import Prefetch

from mes.products.services import operations_of
from mes.traceability.evidence import Paths, Row, placed
from mes.workorders.models import (
    CapturedValue,
    ConsumableUse,
    GateRelease,
    Labor,
    OperationRun,
    OrderUnit,
    ToolUse,
)
from mes.workorders.services import applying

DONE = (OperationRun.State.COMPLETE, OperationRun.State.SKIPPED)


def operation_rows(paths: Paths) -> list[Row]:
    """Return every attempt at an operation, superseded and skipped ones included, in order of their start."""
    runs = (
        OperationRun.objects.filter(unit__in=paths)
        .select_related("unit", "operation", "station", "rework__nonconformance")
        .prefetch_related(
            Prefetch("labor", Labor.objects.select_related("station").order_by("pk")),
            Prefetch("tool_uses", ToolUse.objects.select_related("tool").order_by("pk")),
            Prefetch("consumable_uses", ConsumableUse.objects.select_related("lot__part").order_by("pk")),
            Prefetch("values", CapturedValue.objects.select_related("field", "attachment", "signature")),
        )
    )
    return [_operation_row(run, paths) for run in runs.order_by("started_at", "pk")]


def _operation_row(run: OperationRun, paths: Paths) -> Row:
    return {
        **placed(run.unit, paths),
        "sequence": run.operation.sequence,
        "name": run.operation.name,
        "attempt": run.attempt,
        "rework": run.rework.nonconformance.number if run.rework else "",
        "state": run.state,
        "station": run.station.code if run.station else "",
        "started_at": run.started_at,
        "started_by": run.started_by,
        "completed_at": run.completed_at,
        "completed_by": run.completed_by,
        "skipped_because": run.skipped_because,
        "superseded_at": run.superseded_at,
        "superseded_because": run.superseded_because,
        "people": [_labor_row(labor) for labor in run.labor.all()],
        "tools": [_tool_row(use) for use in run.tool_uses.all()],
        "consumables": [_consumable_row(use) for use in run.consumable_uses.all()],
        "values": [_value_row(value) for value in run.values.all()],
    }


def _labor_row(labor: Labor) -> Row:
    return {
        "person": labor.person,
        "station": labor.station.code if labor.station else "",
        "started_at": labor.started_at,
        "ended_at": labor.ended_at,
    }


def _tool_row(use: ToolUse) -> Row:
    return {
        "code": use.tool.code,
        "type": use.tool.type,
        "calibration_due_at": use.calibration_due_at,
        "used_at": use.used_at,
        "used_by": use.used_by,
    }


def _consumable_row(use: ConsumableUse) -> Row:
    return {
        "part": use.lot.part.number,
        "lot": use.lot.number,
        "quantity": use.quantity,
        "unit": use.unit,
        "used_at": use.used_at,
        "used_by": use.used_by,
    }


def _value_row(kept: CapturedValue) -> Row:
    field, photo = kept.field, kept.attachment
    return {
        "name": field.name,
        "prompt": field.prompt,
        "value": kept.number,
        "text": kept.text,
        "unit": field.unit,
        "low": field.low,
        "high": field.high,
        "verdict": kept.verdict,
        "photo_sha256": photo.sha256 if photo else "",
        "signature": kept.signature.uid if kept.signature else None,
        "recorded_at": kept.recorded_at,
        "recorded_by": kept.recorded_by,
        "replaced_at": kept.replaced_at,
    }


def open_operations(order_unit: OrderUnit | None) -> list[str]:
    """Return the operations of a unit's route that apply to it and are not done, e.g. ``90 Tray install``."""
    if order_unit is None:
        return []
    unit = order_unit.unit
    runs = OperationRun.objects.filter(unit=unit, state__in=DONE, superseded_at__isnull=True)
    done = set(runs.values_list("operation", flat=True))
    asked = applying(operations_of(order_unit.route), order_unit.work_order, unit)
    return [str(operation) for operation in asked if operation.pk not in done]


def gate_release_rows(paths: Paths) -> list[Row]:
    """Return every release of a gate, used or not, oldest first: by whom, as what, why, how often."""
    rows = GateRelease.objects.filter(unit__in=paths).select_related("unit", "operation", "signature")
    return [
        {
            **placed(row.unit, paths),
            "gate": row.gate,
            "operation": str(row.operation) if row.operation else "",
            "reason": row.reason,
            "role": row.role,
            "released_at": row.released_at,
            "released_by": row.released_by,
            "signature": row.signature.uid,
            "signed_at": row.signature.signed_at,
            "digest": row.signature.subject_digest,
            "allowed": row.allowed,
            "used": row.used,
            "expires_at": row.expires_at,
        }
        for row in rows.order_by("pk")
    ]
