"""What was found wrong with the units of a report, what was decided and done. One query a table."""

from mes.people.models import Signature
from mes.quality.models import Disposition, Nonconformance, RepairRecord
from mes.serials.models import Unit
from mes.traceability.evidence import Paths, Row
from mes.workorders.models import Rework


def nonconformances_of(paths: Paths) -> list[Nonconformance]:
    """Return every nonconformance of the units of a report, closed ones included, oldest first."""
    rows = Nonconformance.objects.filter(unit__in=paths)
    return list(
        rows.select_related("unit", "operation", "test_run").prefetch_related("pictures").order_by("pk")
    )


def nonconformance_rows(found: list[Nonconformance], paths: Paths) -> list[Row]:
    """Return what was found wrong."""
    return [
        {
            **_about(each, each.unit, paths),
            "state": each.state,
            "source": each.source,
            "symptom": each.symptom,
            "description": each.description,
            "location": each.location,
            "operation": str(each.operation) if each.operation else "",
            "test_run": each.test_run.uid if each.test_run else None,
            "pictures": [{"name": picture.name, "sha256": picture.sha256} for picture in each.pictures.all()],
            "opened_at": each.opened_at,
            "opened_by": each.opened_by,
            "opened_station": each.opened_station,
            "closed_at": each.closed_at,
            "closed_by": each.closed_by,
        }
        for each in found
    ]


def disposition_rows(paths: Paths) -> list[Row]:
    """Return what the review board decided, signed by whom, meaning what, when."""
    rows = Disposition.objects.filter(nonconformance__unit__in=paths).select_related(
        "nonconformance__unit", "rework_route", "returns_to", "signature", "quality_signature"
    )
    return [
        {
            **_about(row.nonconformance, row.nonconformance.unit, paths),
            "kind": row.kind,
            "reason": row.reason,
            "rework_route": str(row.rework_route) if row.rework_route else "",
            "returns_to": str(row.returns_to) if row.returns_to else "",
            "decided_at": row.decided_at,
            "signatures": [_signature_row(each) for each in (row.signature, row.quality_signature) if each],
        }
        for row in rows.order_by("pk")
    ]


def _signature_row(signature: Signature) -> Row:
    return {
        "uid": signature.uid,
        "signer": signature.signer,
        "meaning": signature.meaning,
        "method": signature.method,
        "signed_at": signature.signed_at,
        "digest": signature.subject_digest,
    }


def rework_rows(paths: Paths) -> list[Row]:
    """Return when the units were on a rework route, and where they returned."""
    rows = Rework.objects.filter(unit__in=paths).select_related(
        "nonconformance", "unit", "route", "returns_to"
    )
    return [
        {
            **_about(row.nonconformance, row.unit, paths),
            "route": str(row.route),
            "returns_to": str(row.returns_to),
            "state": row.state,
            "started_at": row.started_at,
            "ended_at": row.ended_at,
        }
        for row in rows.order_by("pk")
    ]


def repair_rows(paths: Paths) -> list[Row]:
    """Return what was done about nonconformances."""
    rows = RepairRecord.objects.filter(nonconformance__unit__in=paths).select_related(
        "nonconformance__unit", "failed_test", "removed", "fitted"
    )
    return [
        {
            **_about(row.nonconformance, row.nonconformance.unit, paths),
            "failed_test": row.failed_test.uid if row.failed_test else None,
            "symptom": row.symptom,
            "action": row.action,
            "slot": row.slot,
            "removed": row.removed.serial if row.removed else None,
            "fitted": row.fitted.serial if row.fitted else None,
            "minutes": row.minutes,
            "repaired_at": row.repaired_at,
            "repaired_by": row.repaired_by,
        }
        for row in rows.order_by("pk")
    ]


def _about(nonconformance: Nonconformance, unit: Unit, paths: Paths) -> Row:
    return {"number": nonconformance.number, "path": paths[unit.pk], "serial": unit.serial}
