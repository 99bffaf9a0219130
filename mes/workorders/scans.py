"""What a scan means at a device, and the act it leads to."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.people.services import Proof, find_by_badge, prove
from mes.products.models import Operation, Part, Slot
from mes.products.services import place_named
from mes.racks.models import Installation
from mes.racks.services import find_slot
from mes.serials.barcodes import Label, MalformedBarcode, Syntax, parse
from mes.serials.models import Lot, Unit
from mes.serials.services import find_units
from mes.stations.models import Device, Station
from mes.stations.services import (
    find_tool,
    move_device,
    require_pin,
    sign_on,
)
from mes.workorders.capture import use_consumable, use_tool
from mes.workorders.commands import run_command
from mes.workorders.deviations import deviation_of
from mes.workorders.models import WorkSession
from mes.workorders.operations import (
    install_child,
    join_operation,
    start_operation,
)
from mes.workorders.overrides import find_roles
from mes.workorders.position import RUNNING, position_of, require_at_hand
from mes.workorders.scanning import (
    ACCEPTED,
    DUPLICATE,
    NEEDS_MORE,
    Scan,
    answered,
    current_unit,
    no_unit,
)

SAME_CODE_COUNTS_ONCE = timedelta(seconds=1.5)
Meaning = Callable[[Scan], dict[str, Any] | None]
ADDED: list[Meaning] = []


def add_meaning(meaning: Meaning) -> None:
    """Let an app above this one say what else a scan may mean; call it once, when the app is ready.

    A meaning answers a scan, or returns None for what it does not know. It is asked after badges and stations
    and before slots and units.
    """
    ADDED.append(meaning)


def _meanings() -> tuple[Meaning, ...]:
    return (run_command, _badge, _station, *ADDED, _slot, _unit, _lot, _tool, _part)


def scan(
    *, device: Device, raw: str, by: Actor, symbology: str | None = None, proof: Proof | None = None
) -> dict[str, Any]:
    """Decide what was scanned, as command, badge, station, slot, unit, lot or part, in this order; then act.

    ``proof`` is that of the badge, if a PIN came with it. Returns the answer of `POST /scans/` as JSON-ready
    data. Refuses with ``malformed_barcode``, ``unknown_code``, ``ambiguous_identifier`` or the codes of the
    act it led to.
    """
    session = _session_of(device)
    now = timezone.now()
    if session.last_raw == raw and session.last_at and now - session.last_at < SAME_CODE_COUNTS_ONCE:
        return answered(DUPLICATE, "Scanned twice", "The same code came twice; it counts once.", session)
    found = Scan(_parse(raw, symbology), device, session, by, proof)
    answer = next((answer for meaning in _meanings() if (answer := meaning(found))), None)
    if answer is None:
        raise _unknown(found.label)
    session.last_raw, session.last_at = raw, now
    session.save()
    return answer


def _session_of(device: Device) -> WorkSession:
    """Return what the device works on, locked: its scans are answered one after the other."""
    sessions = WorkSession.objects.select_for_update(of=("self",)).select_related(
        "unit__part_revision__part", "slot"
    )
    session = sessions.filter(device=device).first() or WorkSession.objects.create(device=device)
    session.device = device
    return session


def _parse(raw: str, symbology: str | None) -> Label:
    try:
        return parse(raw, symbology)
    except MalformedBarcode as error:
        raise _malformed(f"The barcode cannot be read: {error}.") from error


def _malformed(detail: str) -> RuleViolation:
    return RuleViolation(
        "malformed_barcode",
        detail,
        rule="a label follows its standard",
        next_step="Scan it again; if it stays so, type the serial or print a new label.",
    )


def _badge(scan: Scan) -> dict[str, Any] | None:
    person = find_by_badge(scan.label.value)
    if person is None:
        return None
    require_pin(person=person, site=scan.device.station.line.site, proof=scan.proof)
    sign_on(device=scan.device, person=person, by=scan.by)
    scan.device.operator = person
    name = person.get_full_name() or person.username
    return answered(ACCEPTED, "Signed on", f"{name} works here now.", scan.session)


def _station(scan: Scan) -> dict[str, Any] | None:
    station = (
        Station.objects.select_related("line")
        .filter(code__iexact=scan.label.value, line__site_id=scan.device.station.line.site_id)
        .first()
    )
    if station is None:
        return None
    if station != scan.device.station:
        move_device(device=scan.device, station=station, by=scan.by)
        scan.device.station = station
        scan.session.unit = scan.session.slot = None
    return answered(ACCEPTED, "Station", f"This device works at {station.name}.", scan.session)


def _slot(scan: Scan) -> dict[str, Any] | None:
    unit, named = scan.session.unit, scan.label.syntax == Syntax.SLOT
    if unit is None:
        if named:
            raise no_unit()
        return None
    place = place_named(unit.part_revision, scan.label.value)
    if place is None:
        if named:
            find_slot(revision=unit.part_revision, name=scan.label.value)
        return None
    scan.session.slot = place.slot
    return answered(NEEDS_MORE, f"Slot {place.slot.name}", f"It takes {place.wanted}.", scan.session)


def _unit(scan: Scan) -> dict[str, Any] | None:
    found = find_units(
        value=scan.label.code, site=scan.device.station.line.site, part_number=scan.label.part_number
    )
    if not found:
        return None
    unit = _one_of(found, scan.label.code, scan.session.slot)
    if scan.session.slot is not None:
        return _install(scan, current_unit(scan), scan.session.slot, unit)
    return _take_up(scan, unit)


def unit_on_label(device: Device, raw: str) -> Unit:
    """Return the one unit a label names. Refuses as ``scan`` does."""
    label = _parse(raw, None)
    site = device.station.line.site
    found = find_units(value=label.code, site=site, part_number=label.part_number)
    if not found:
        raise _unknown(label)
    return _one_of(found, label.code, None)


def proof_on_label(device: Device, raw: str, pin: str, symbology: str | None = None) -> Proof | None:
    """Return the proof by the badge on a label and a PIN, made before the scan; None without either."""
    with suppress(MalformedBarcode):
        return prove(badge=parse(raw, symbology).value, pin=pin, device=device.name) if pin else None
    return None


def _one_of(found: list[Unit], code: str, slot: Slot | None) -> Unit:
    if len(found) > 1 and slot is not None:
        accepted = set(slot.accepts.values_list("pk", flat=True))
        found = [unit for unit in found if unit.part_revision.part_id in accepted] or found
    if len(found) > 1:
        choices = [f"{unit.part_revision.part.name} {unit.serial}" for unit in found]
        raise RuleViolation(
            "ambiguous_identifier",
            f"{code} names {len(found)} units: {', '.join(choices)}.",
            rule="a scan names one unit",
            next_step="Scan the label that carries the part number too.",
            choices=[
                {"uid": str(unit.uid), "part": unit.part_revision.part.number, "serial": unit.serial}
                for unit in found
            ],
        )
    return found[0]


def _install(scan: Scan, unit: Unit, slot: Slot, child: Unit) -> dict[str, Any]:
    station = scan.device.station
    installed = install_child(unit=unit, slot_name=slot.name, child=child, station=station, by=scan.by)
    deviation = deviation_of(installed)
    under = f" under {deviation.number}" if deviation else ""
    scan.session.slot = None
    return answered(ACCEPTED, "Installed", f"{child.serial} is in {slot.name}{under}.", scan.session)


def _take_up(scan: Scan, unit: Unit) -> dict[str, Any]:
    placed = Installation.objects.live().select_related("slot", "parent").filter(child=unit).first()
    if placed is not None:
        where = f"{unit.serial} is installed in {placed.slot.name} of {placed.parent.serial}."
        return answered(NEEDS_MORE, "Installed", where, scan.session)
    if not unit.order_units.filter(closed_at__isnull=True).exists():
        if scan.session.unit is None:
            raise no_unit()
        return answered(NEEDS_MORE, unit.part_revision.part.name, f"{unit.serial} is free.", scan.session)
    return _work_on(scan, unit)


def _work_on(scan: Scan, unit: Unit) -> dict[str, Any]:
    scan.session.unit, scan.session.slot = unit, None
    position = position_of(unit)
    operation = require_at_hand(position, scan.device.station.work_center)
    if position.state_of(operation) == "waiting":
        return _start_or_ask(scan, unit, operation)
    join_operation(unit=unit, sequence=operation.sequence, station=scan.device.station, by=scan.by)
    return answered(ACCEPTED, "Resumed", f"{operation} of {unit.serial} goes on.", scan.session)


def _start_or_ask(scan: Scan, unit: Unit, operation: Operation) -> dict[str, Any]:
    """Start an operation; where a gate that may be released holds it, take the unit up and say why."""
    try:
        start_operation(unit=unit, sequence=operation.sequence, station=scan.device.station, by=scan.by)
    except RuleViolation as violation:
        if not find_roles(str(violation.facts.get("gate", ""))):
            raise
        answer = answered(NEEDS_MORE, "Not started yet", violation.detail, scan.session)
        return {**answer, "code": violation.code, "next": violation.next_step}
    return answered(ACCEPTED, "Started", f"{operation} of {unit.serial} is running.", scan.session)


def _lot(scan: Scan) -> dict[str, Any] | None:
    label = scan.label
    number = label.lot or label.value
    lots = Lot.objects.select_related("part", "supplier").filter(
        number=number, site_id=scan.device.station.line.site_id
    )
    if label.part_number:
        lots = lots.filter(Q(part__number=label.part_number) | Q(part__maker_number=label.part_number))
    lot = lots.first()
    if lot is None:
        return None
    if sequence := _running_with(scan, lot):
        unit = current_unit(scan)
        use = use_consumable(unit=unit, sequence=sequence, lot=lot, station=scan.device.station, by=scan.by)
        said = f"{use.quantity.normalize():f} {use.unit} of {lot.part.name}, lot {lot.number}, is recorded."
        return answered(ACCEPTED, "Used", said, scan.session)
    return answered(
        NEEDS_MORE, f"Lot {lot.number}", f"{lot.part.name} from {lot.supplier.name}.", scan.session
    )


def _running_with(scan: Scan, lot: Lot) -> int | None:
    """Return the sequence of the operation that runs here and uses up the part of a lot, if any."""
    if scan.session.unit is None:
        return None
    position, work_center = position_of(scan.session.unit), scan.device.station.work_center
    operation = position.at_hand(work_center)
    if operation is None or position.state_of(operation) != RUNNING:
        return None
    parts = {row.part_id for row in operation.consumables.all()}
    return operation.sequence if lot.part_id in parts and operation.work_center == work_center else None


def _tool(scan: Scan) -> dict[str, Any] | None:
    station = scan.device.station
    tool = find_tool(code=scan.label.value, site=station.line.site)
    if tool is None:
        return None
    use_tool(tool=tool, unit=scan.session.unit, station=station, by=scan.by)
    return answered(ACCEPTED, tool.name, f"{tool.code} is used at {station.name} now.", scan.session)


def _part(scan: Scan) -> dict[str, Any] | None:
    number = scan.label.part_number or scan.label.value
    if scan.label.serial or not number:
        return None
    part = Part.objects.filter(Q(number__iexact=number) | Q(maker_number__iexact=number)).first()
    if part is None:
        return None
    return answered(NEEDS_MORE, part.name, f"{part.number} is a part. Scan the serial too.", scan.session)


def _unknown(label: Label) -> RuleViolation:
    code = label.code
    if label.ambiguous_tail:
        return _malformed(f"A separator of the barcode is lost: {code} holds more than the serial.")
    return RuleViolation(
        "unknown_code",
        f"{code} is no badge, station, slot, unit or lot of this site.",
        rule="only known codes are worked with",
        next_step="Scan it again; if it is a new part, receive it first.",
    )
