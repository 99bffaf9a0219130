"""Asking the BMCs of a unit for their ports: when, whom, and what is kept of it.

A poll is a row with a time when it is due. A short task claims it by moving that time on, reads outside any
transaction, and keeps what it read; a task that dies leaves a row that comes due again.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mes.burnin.models import BmcEndpoint
from mes.burnin.services import PortSeen, read_ports
from mes.cabling.models import CablingVerdict, NeighbourReport, PortPoll
from mes.cabling.neighbours import Report, Seen, import_reports
from mes.errors import RuleViolation
from mes.ledger.services import SYSTEM, Actor
from mes.racks.services import paths_of, units_inside
from mes.serials.models import Unit
from mes.serials.services import require_here
from mes.workorders.models import OperationRun

LEASE = timedelta(minutes=5)
MOST_CHARACTERS = 200  # of a port or a device as it is told
NVLINK = "NVLink"
Source = NeighbourReport.Source


def interval() -> timedelta:
    """Return how long after a poll the next one is due, while the unit is in test."""
    return timedelta(seconds=settings.CABLING_POLL_SECONDS)


def ask_poll(*, unit: Unit, by: Actor) -> PortPoll:
    """Have the BMCs of a unit asked for their ports as soon as a worker is free.

    Refuses with ``no_bmc`` where nothing in the unit has one, or as ``require_here`` does.
    """
    require_here(unit)
    if not _endpoints(unit):
        raise RuleViolation(
            "no_bmc",
            f"No BMC address of anything in {unit.serial} is known.",
            rule="what cannot be read is not asked",
            next_step="Set the BMC addresses of the trays, or report the neighbours from a tester.",
        )
    defaults = {"next_due_at": timezone.now(), "asked_by": by.person or by.device}
    return PortPoll.objects.update_or_create(unit=unit, defaults=defaults)[0]


def plan_polls() -> None:
    """Let units be polled from now on that run an operation whose gate asks for their port map."""
    testing = OperationRun.objects.filter(
        state=OperationRun.State.RUNNING,
        superseded_at__isnull=True,
        operation__gates__procedure=CablingVerdict.Procedure.PORT_MAP,
        unit__port_poll__next_due_at__isnull=True,
    ).exclude(unit__state__in=Unit.GONE)
    for unit_id in testing.values_list("unit", flat=True).distinct():
        PortPoll.objects.get_or_create(unit_id=unit_id)
        idle = PortPoll.objects.filter(unit=unit_id, next_due_at__isnull=True)
        idle.update(next_due_at=timezone.now(), asked_by=SYSTEM.person)


def due_polls() -> list[int]:
    """Return the primary keys of the polls that are due, longest due first."""
    due = PortPoll.objects.filter(next_due_at__lte=timezone.now()).order_by("next_due_at")
    return list(due.values_list("pk", flat=True))


def poll_ports(poll_id: int) -> bool:
    """Ask the BMCs of one unit if that is due, and keep what they say; return whether this call did."""
    now = timezone.now()
    claimed, lease = PortPoll.objects.filter(pk=poll_id, next_due_at__lte=now), now + LEASE
    if not claimed.update(next_due_at=lease):
        return False
    poll = PortPoll.objects.select_related("unit__part_revision__part").get(pk=poll_id)
    try:
        errors = read_neighbours(unit=poll.unit)
    except RuleViolation as gone:
        errors = {"": gone.detail}
    PortPoll.objects.filter(pk=poll_id).update(polled_at=timezone.now(), errors=errors)
    next_due_at = timezone.now() + interval() if _is_in_test(poll.unit) else None
    # Whoever asked for a poll meanwhile has moved the time, and is heard again.
    PortPoll.objects.filter(pk=poll_id, next_due_at=lease).update(next_due_at=next_due_at)
    return True


def _is_in_test(unit: Unit) -> bool:
    running = OperationRun.objects.filter(
        unit=unit, state=OperationRun.State.RUNNING, superseded_at__isnull=True
    )
    return running.filter(operation__gates__procedure=CablingVerdict.Procedure.PORT_MAP).exists()


def read_neighbours(*, unit: Unit) -> dict[str, str]:
    """Ask every BMC in a unit for its ports and keep what they say; return by device what failed.

    Call it outside any transaction: BMCs take their time. Refuses as ``require_here`` does.
    """
    endpoints = _endpoints(unit)
    taken_at, said = timezone.now(), read_ports(endpoints=endpoints.values())
    devices = {endpoint.unit_id: device for device, endpoint in endpoints.items()}
    reports, errors = [], {}
    for unit_id, ports in said.items():
        if isinstance(ports, str):
            errors[devices[unit_id]] = ports
        else:
            reports += _reports(devices[unit_id], ports, taken_at)
    with transaction.atomic():
        import_reports(unit=unit, reports=reports, by=SYSTEM)
    return errors


def _reports(device: str, ports: tuple[PortSeen, ...], taken_at: datetime) -> list[Report]:
    by_source: dict[str, list[Seen]] = {Source.REDFISH: []}
    for port in ports:
        source = Source.NVLINK if port.protocol == NVLINK else Source.REDFISH
        name, *remote = map(_kept, (port.port, port.remote_device, port.remote_port))
        seen = Seen(device, name, port.link, port.speed_gbps, *remote)
        by_source.setdefault(source, []).append(seen)
    return [Report(source, taken_at, seen, device) for source, seen in by_source.items()]


def _kept(name: str) -> str:
    """Return a name as every database keeps it: LLDP allows 255 characters, a BMC whatever it likes."""
    return name.replace("\0", "")[:MOST_CHARACTERS]


def _endpoints(unit: Unit) -> dict[str, BmcEndpoint]:
    """Return the BMCs in a unit by where they sit, e.g. ``U08``. Two queries."""
    rows = list(BmcEndpoint.objects.filter(unit__in=units_inside(unit)))
    paths = paths_of({row.unit_id for row in rows} | {unit.pk}) if rows else {}
    own = f"{paths[unit.pk].slots}/" if unit.pk in paths else ""
    return {paths[row.unit_id].slots.removeprefix(own): row for row in rows if row.unit_id in paths}
