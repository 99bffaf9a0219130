"""Reports of what the machine itself sees at its ports; the latest of each device is current."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from mes.cabling.models import Neighbour, NeighbourReport
from mes.cabling.port_map import withdraw_port_map
from mes.ledger.services import Actor, advance, record
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_here


@dataclass(frozen=True, slots=True)
class Seen:
    """One port as it was reported, in the words of the report."""

    device: str
    port: str
    link: str = "unknown"
    speed_gbps: float | None = None
    remote_device: str = ""
    remote_port: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What was read of one device, or (without ``device``) of the whole unit, at one time."""

    source: str
    taken_at: datetime
    ports: Sequence[Seen]
    device: str = ""


@transaction.atomic
def import_reports(*, unit: Unit, reports: Sequence[Report], by: Actor) -> list[NeighbourReport]:
    """Keep reports of the ports of a unit. What was read before and is the same is confirmed, not kept twice.

    A report older than the current one of its source and device is kept, but is not current; a time in the
    future counts as now. A PASS of the port map that they differ from is taken back. Refuses as
    ``require_here`` does.
    """
    unit = lock_units(unit.pk)[unit.pk]
    require_here(unit)
    current = {
        (row.source, row.device): row
        for row in NeighbourReport.objects.filter(unit=unit, is_current=True).prefetch_related("neighbours")
    }
    now, kept, new = timezone.now(), [], []
    for told in reports:
        report = replace(told, taken_at=min(told.taken_at, now))
        known = current.get((report.source, report.device))
        if known and known.confirmed_at <= report.taken_at and _same(known, report):
            known.confirmed_at = report.taken_at
            known.save(update_fields=["confirmed_at"])
            kept.append(known)
        else:
            new.append(_keep(unit, report, known, by))
            current[report.source, report.device] = new[-1] if new[-1].is_current else known or new[-1]
    if new:
        payload = {"reports": [{"source": row.source, "device": row.device} for row in new]}
        record(advance(unit, "unit.neighbours_reported", by=by, payload=payload))
    withdraw_port_map(unit, by)
    return kept + new


def _same(known: NeighbourReport, report: Report) -> bool:
    before = {
        Seen(row.device, row.port, row.link, row.speed_gbps, row.remote_device, row.remote_port)
        for row in known.neighbours.all()
    }
    return before == set(report.ports)


def _keep(unit: Unit, report: Report, known: NeighbourReport | None, by: Actor) -> NeighbourReport:
    is_current = known is None or known.confirmed_at <= report.taken_at
    if known and is_current:
        NeighbourReport.objects.filter(pk=known.pk).update(is_current=False)
    row = NeighbourReport.objects.create(
        unit=unit,
        source=report.source,
        device=report.device,
        taken_at=report.taken_at,
        confirmed_at=report.taken_at,
        reported_by=by.device or by.person,
        is_current=is_current,
    )
    once = {(port.device.casefold(), port.port.casefold()): port for port in report.ports}
    Neighbour.objects.bulk_create(
        Neighbour(
            report=row,
            device=port.device,
            port=port.port,
            link=port.link,
            speed_gbps=port.speed_gbps,
            remote_device=port.remote_device,
            remote_port=port.remote_port,
        )
        for port in once.values()
    )
    return row
