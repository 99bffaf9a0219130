"""What a scan means at a device, and the act it leads to."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.people.services import find_by_badge
from mes.products.models import Operation, Part, Slot
from mes.products.services import place_named
from mes.racks.models import Installation
from mes.racks.services import empty_places, find_slot
from mes.serials.barcodes import Label, MalformedBarcode, Syntax, parse
from mes.serials.models import Lot, Unit
from mes.serials.services import find_units, require_usable
from mes.stations.models import Device, Station
from mes.stations.services import move_device, require_sign_on, sign_off, sign_on
from mes.workorders.gates import Position, position_of, require_work_center
from mes.workorders.guidance import SIGN_ON, TAKE_UP, next_step
from mes.workorders.models import WorkSession
from mes.workorders.services import complete_operation, install_child, start_operation

SAME_CODE_COUNTS_ONCE = timedelta(seconds=1.5)
ACCEPTED, NEEDS_MORE, DUPLICATE = "accepted", "needs_more", "duplicate"
SOUNDS = {ACCEPTED: "accept", NEEDS_MORE: "accept", DUPLICATE: "tick"}


@dataclass(slots=True)
class Scan:
    """One scan being worked on: what was read, where, by whom, and what the device was doing."""

    label: Label
    device: Device
    session: WorkSession
    by: Actor


def scan(*, device: Device, raw: str, by: Actor, symbology: str | None = None) -> dict[str, Any]:
    """Decide what was scanned, as command, badge, station, slot, unit, lot or part, in this order; then act.

    Returns the answer of `POST /scans/` as JSON-ready data. Refuses with ``malformed_barcode``,
    ``unknown_code``, ``ambiguous_identifier`` or the codes of the act it led to.
    """
    session = _session_of(device)
    now = timezone.now()
    if session.last_raw == raw and session.last_at and now - session.last_at < SAME_CODE_COUNTS_ONCE:
        return _answer(DUPLICATE, "Scanned twice", "The same code came twice; it counts once.", session)
    found = Scan(_parse(raw, symbology), device, session, by)
    meanings = (_command, _badge, _station, _slot, _unit, _lot, _part)
    answer = next((answer for meaning in meanings if (answer := meaning(found))), None)
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


def _command(scan: Scan) -> dict[str, Any] | None:
    if scan.label.syntax != Syntax.COMMAND:
        return None
    commands = {"START": _start, "DONE": _done, "SIGNOFF": _sign_off, "LEAVE": _leave}
    command = commands.get(scan.label.value)
    if command is None:
        raise RuleViolation(
            "unknown_command",
            f"There is no command {scan.label.value}.",
            rule="commands are known words",
            next_step=f"Known commands: {', '.join(commands)}.",
        )
    return command(scan)


def _start(scan: Scan) -> dict[str, Any]:
    unit = _current(scan)
    operation = _turn(position_of(unit), scan.device.station)
    start_operation(unit=unit, sequence=operation.sequence, station=scan.device.station, by=scan.by)
    return _answer(ACCEPTED, "Started", f"{operation} of {unit.serial} is running.", scan.session)


def _done(scan: Scan) -> dict[str, Any]:
    unit, station = _current(scan), scan.device.station
    operation = _turn(position_of(unit), station)
    complete_operation(unit=unit, sequence=operation.sequence, station=station, by=scan.by)
    scan.session.slot = None
    return _answer(ACCEPTED, "Done", f"{operation} of {unit.serial} is complete.", scan.session)


def _sign_off(scan: Scan) -> dict[str, Any]:
    sign_off(device=scan.device, by=scan.by)
    scan.device.operator = None
    scan.session.unit = scan.session.slot = None
    return _answer(ACCEPTED, "Signed off", "Nobody is signed on.", scan.session)


def _leave(scan: Scan) -> dict[str, Any]:
    scan.session.unit = scan.session.slot = None
    return _answer(ACCEPTED, "Left", "No unit is being worked on here.", scan.session)


def _badge(scan: Scan) -> dict[str, Any] | None:
    person = find_by_badge(scan.label.value)
    if person is None:
        return None
    sign_on(device=scan.device, person=person, by=scan.by)
    scan.device.operator = person
    name = person.get_full_name() or person.username
    return _answer(ACCEPTED, "Signed on", f"{name} works here now.", scan.session)


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
    return _answer(ACCEPTED, "Station", f"This device works at {station.name}.", scan.session)


def _slot(scan: Scan) -> dict[str, Any] | None:
    unit, named = scan.session.unit, scan.label.syntax == Syntax.SLOT
    if unit is None:
        if named:
            raise _no_unit()
        return None
    place = place_named(unit.part_revision, scan.label.value)
    if place is None:
        if named:
            find_slot(revision=unit.part_revision, name=scan.label.value)
        return None
    scan.session.slot = place.slot
    return _answer(NEEDS_MORE, f"Slot {place.slot.name}", f"It takes {place.wanted}.", scan.session)


def _unit(scan: Scan) -> dict[str, Any] | None:
    found = find_units(
        value=scan.label.code, site=scan.device.station.line.site, part_number=scan.label.part_number
    )
    if not found:
        return None
    unit = _one_of(found, scan.label.code, scan.session.slot)
    if scan.session.slot is not None:
        return _install(scan, _current(scan), scan.session.slot, unit)
    return _take_up(scan, unit)


def unit_on_label(device: Device, raw: str) -> Unit:
    """Return the one unit a label names. Refuses as ``scan`` does."""
    label = _parse(raw, None)
    site = device.station.line.site
    found = find_units(value=label.code, site=site, part_number=label.part_number)
    if not found:
        raise _unknown(label)
    return _one_of(found, label.code, None)


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
    install_child(unit=unit, slot_name=slot.name, child=child, station=scan.device.station, by=scan.by)
    scan.session.slot = None
    return _answer(ACCEPTED, "Installed", f"{child.serial} is in {slot.name}.", scan.session)


def _take_up(scan: Scan, unit: Unit) -> dict[str, Any]:
    placed = Installation.objects.live().select_related("slot", "parent").filter(child=unit).first()
    if placed is not None:
        where = f"{unit.serial} is installed in {placed.slot.name} of {placed.parent.serial}."
        return _answer(NEEDS_MORE, "Installed", where, scan.session)
    if not hasattr(unit, "order_unit"):
        if scan.session.unit is None:
            raise _no_unit()
        return _answer(NEEDS_MORE, unit.part_revision.part.name, f"{unit.serial} is free.", scan.session)
    return _work_on(scan, unit)


def _work_on(scan: Scan, unit: Unit) -> dict[str, Any]:
    scan.session.unit, scan.session.slot = unit, None
    position = position_of(unit)
    operation = _turn(position, scan.device.station)
    if position.state_of(operation) == "waiting":
        start_operation(unit=unit, sequence=operation.sequence, station=scan.device.station, by=scan.by)
        return _answer(ACCEPTED, "Started", f"{operation} of {unit.serial} is running.", scan.session)
    require_sign_on(scan.by)
    require_usable(unit)
    require_work_center(operation, scan.device.station.work_center)
    return _answer(ACCEPTED, "Resumed", f"{operation} of {unit.serial} goes on.", scan.session)


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
    return _answer(
        NEEDS_MORE, f"Lot {lot.number}", f"{lot.part.name} from {lot.supplier.name}.", scan.session
    )


def _part(scan: Scan) -> dict[str, Any] | None:
    number = scan.label.part_number or scan.label.value
    if scan.label.serial or not number:
        return None
    part = Part.objects.filter(Q(number__iexact=number) | Q(maker_number__iexact=number)).first()
    if part is None:
        return None
    return _answer(NEEDS_MORE, part.name, f"{part.number} is a part. Scan the serial too.", scan.session)


def _turn(position: Position, station: Station) -> Operation:
    """Return the operation at hand, of another station if need be: its gates then say why not here."""
    operation = position.at_hand(station.work_center)
    if operation is None:
        raise RuleViolation(
            "route_complete",
            f"{position.unit.serial} has finished its route.",
            rule="operations follow their sequence",
            next_step="Install it, or take it to stock.",
        )
    return operation


def _current(scan: Scan) -> Unit:
    if scan.session.unit is None:
        raise _no_unit()
    return scan.session.unit


def _no_unit() -> RuleViolation:
    return RuleViolation(
        "no_unit",
        "No unit is being worked on at this device.",
        rule="work is done on a unit",
        next_step="Scan the serial of the unit you build first.",
    )


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


def _answer(outcome: str, title: str, detail: str, session: WorkSession) -> dict[str, Any]:
    answer = {"outcome": outcome, "title": title, "detail": detail, "sound": SOUNDS[outcome]}
    return {**answer, **(_work(session.unit, session) if session.unit else _idle(session))}


def _idle(session: WorkSession) -> dict[str, Any]:
    return {"unit": None, "operation": None, "next": TAKE_UP if session.device.operator_id else SIGN_ON}


def _work(unit: Unit, session: WorkSession) -> dict[str, Any]:
    position, work_center = position_of(unit), session.device.station.work_center
    operation = position.at_hand(work_center)
    empty = empty_places(unit=unit, filled_at=operation.sequence) if operation else []
    done, total = position.steps
    return {
        "unit": {
            "uid": str(unit.uid),
            "serial": unit.serial,
            "part": unit.part_revision.part.name,
            "order": position.order.number,
            "steps_done": done,
            "steps": total,
        },
        "operation": operation and _operation(operation, position),
        "next": next_step(position, operation, empty=empty, chosen=session.slot, work_center=work_center),
    }


def _operation(operation: Operation, position: Position) -> dict[str, Any]:
    return {
        "sequence": operation.sequence,
        "name": operation.name,
        "state": position.state_of(operation),
        "instruction": operation.instruction,
    }
