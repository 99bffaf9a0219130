"""Cables put in and taken off: what the plan does not want is refused by name."""

from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from mes.cabling.models import CableConnection, CableEnd, PlannedCable, UnitCabling
from mes.cabling.plans import NEAR_SHOWN, End, Plan, end_a, end_b, in_words, other_end, plan_of
from mes.cabling.verdict import withdraw_pass
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.products.models import Part, RetestRule
from mes.products.services import place_named
from mes.quality.services import lock_lots
from mes.racks.models import Installation
from mes.racks.services import require_out
from mes.serials.models import Lot, Unit
from mes.serials.services import lock_units, require_here, require_lot_usable, require_usable
from mes.stations.services import require_sign_on
from mes.workorders.models import OrderUnit
from mes.workorders.services import Retest, record_break

SWAP = "Put each end into its own port and scan both ends again."


@dataclass(frozen=True, slots=True)
class Cable:
    """A cable in the hand: a unit with a serial, or a length from a lot."""

    unit: Unit | None = None
    lot: Lot | None = None
    cut_length_mm: int | None = None

    @property
    def code(self) -> str:
        """Return what is printed on it."""
        return self.unit.serial if self.unit else self.lot.number if self.lot else ""

    @property
    def part_id(self) -> int:
        """Return the primary key of its part."""
        return self.unit.part_revision.part_id if self.unit else self.lot.part_id if self.lot else 0


@dataclass(frozen=True, slots=True)
class Disconnection:
    """The closed connection, and what must be repeated because a cable was changed."""

    connection: CableConnection
    retest: Retest | None


@transaction.atomic
def connect_cable(
    *, unit: Unit, ends: tuple[str, str], cable: Cable, by: Actor, label: str = ""
) -> CableConnection:
    """Record that a cable goes from a port to another, each as scanned (``U08/NIC1``), in either order.

    ``label`` says which planned cable is meant; without it the ends say so. Refuses with ``no_cable_plan``,
    ``no_such_cable``, ``no_such_port``, ``same_end_twice``, ``port_occupied``, ``wrong_port`` (an end of
    another cable than the one meant), ``cables_swapped`` (ends of two cables), ``device_not_installed``,
    ``wrong_cable``, ``cut_length_required``, ``cable_held``, ``cable_reused``, ``lot_expired``,
    ``wrong_site``, ``unit_held``, ``unit_closed``, ``device_not_signed_on``, or as ``require_here`` does for
    unit and cable.
    """
    require_sign_on(by)
    if cable.lot:  # read anew, and before units: a hold waits for this cable, or this cable sees the hold
        cable = replace(cable, lot=lock_lots(cable.lot.pk)[0])
    units = lock_units(unit.pk, *([cable.unit.pk] if cable.unit else []))
    unit = units[unit.pk]
    require_usable(unit)
    require_out(unit)
    plan = plan_of(unit)
    planned = _planned(unit, plan, ends, label)
    if cable.unit:
        cable = Cable(units[cable.unit.pk])
    _require_devices(unit, planned)
    _require_right_cable(plan, planned, cable)
    _require_free_cable(unit, cable, once=plan.kinds[planned.part_id].single_use)
    return _connect(unit, plan, planned, cable, by)


def _planned(unit: Unit, plan: Plan, ends: tuple[str, str], label: str) -> PlannedCable:
    """Return the planned cable that two scanned ends are of."""
    (one, of_one), (two, of_two) = (find_end(plan, end) for end in ends)
    if one.key == two.key:
        raise RuleViolation(
            "same_end_twice",
            f"Both ends were scanned as {one}.",
            rule="a cable has two ends",
            next_step=f"Scan the other end: {other_end(of_one, one)}.",
        )
    for end in (one, two):
        require_free_port(unit, end)
    if label:
        meant = find_cable(plan, label)
        require_ends_of(meant, {one: of_one, two: of_two})
        return meant
    if of_one.pk != of_two.pk:
        raise RuleViolation(
            "cables_swapped",
            f"{one} belongs to {in_words(of_one)}, {two} to {in_words(of_two)}.",
            rule="both ends of a cable are where the plan has them",
            next_step=f"{one} goes to {other_end(of_one, one)}, {two} to {other_end(of_two, two)}. {SWAP}",
            cables=[of_one.label, of_two.label],
        )
    return of_one


def require_ends_of(meant: PlannedCable, ends: dict[End, PlannedCable]) -> None:
    """Refuse with ``wrong_port`` when an end, each with the cable it is of, is not one of the cable meant."""
    wrong = [(end, cable) for end, cable in ends.items() if cable.pk != meant.pk]
    if not wrong:
        return
    right = [end for end in (end_a(meant), end_b(meant)) if end not in ends]
    goes = " and ".join(map(str, right))
    said = " and ".join(f"{end} belongs to {in_words(cable)}" for end, cable in wrong)
    raise RuleViolation(
        "wrong_port",
        f"{said}; {meant.label} goes to {goes}.",
        rule="each end goes into its own port",
        next_step=f"Put it into {goes} and scan that port.",
        cable=meant.label,
        belongs_to=[cable.label for _, cable in wrong],
        right=[str(end) for end in right],
    )


def find_end(plan: Plan, text: str) -> tuple[End, PlannedCable]:
    """Return an end by ``DEVICE/PORT`` with the cable that goes there. Refuses with ``no_such_port``."""
    found = plan.end_named(text)
    if found is not None:
        return found
    ports = plan.ports_of(text.rpartition("/")[0])
    known = f"Its ports are {', '.join(ports[:NEAR_SHOWN])}." if ports else "No cable goes to that device."
    raise RuleViolation(
        "no_such_port",
        f"No cable of {plan.row} goes to {text.strip()}. {known}",
        rule="cables go where the plan has them",
        next_step="Scan the label at the port again.",
        ports=ports,
    )


def find_cable(plan: Plan, label: str) -> PlannedCable:
    """Return a planned cable by its label. Refuses with ``no_such_cable``."""
    cable = plan.by_label.get(label.strip().casefold())
    if cable is None:
        raise RuleViolation(
            "no_such_cable",
            f"{plan.row} has no cable {label.strip()}.",
            rule="cables go where the plan has them",
            next_step="Scan the label on the cable again.",
        )
    return cable


def require_free_port(unit: Unit, end: End) -> None:
    """Refuse with ``port_occupied`` while a cable is recorded in a port."""
    taken = (
        CableEnd.objects.select_related("connection__planned", "connection__cable", "connection__lot")
        .filter(unit=unit, device=end.device, port=end.port, disconnected_at__isnull=True)
        .first()
    )
    if taken is not None:
        raise RuleViolation(
            "port_occupied",
            f"{end} holds {taken.connection.planned} already, cable {taken.connection.code}.",
            rule="a port takes one cable",
            next_step=f"Disconnect {taken.connection.planned} with a reason first, or scan the right port.",
            cable=taken.connection.planned.label,
        )


def _require_devices(unit: Unit, planned: PlannedCable) -> None:
    """Refuse with ``device_not_installed`` where a slot that an end is in holds nothing yet."""
    for device in (planned.a_device, planned.b_device):
        place = place_named(unit.part_revision, device.partition("/")[0])
        if place and not Installation.objects.live().filter(parent=unit, slot=place.slot).exists():
            raise RuleViolation(
                "device_not_installed",
                f"{place.slot.name} of {unit.serial} is empty: {planned.label} has nothing to go into.",
                rule="a cable goes into what is installed",
                next_step=f"Install what belongs into {place.slot.name} first.",
            )


def needs_cut_length(plan: Plan, planned: PlannedCable, cable: Cable) -> bool:
    """Return whether a cable is cut from a lot: the plan's kind of it is not made in a length."""
    right_lot = cable.lot is not None and cable.part_id == planned.part_id
    return right_lot and plan.kinds[planned.part_id].length_mm is None


def _require_right_cable(plan: Plan, planned: PlannedCable, cable: Cable) -> None:
    tolerance = plan.kinds[planned.part_id].tolerance_mm
    cut = planned.length_mm if cable.cut_length_mm is None else cable.cut_length_mm
    if cable.part_id == planned.part_id and abs(cut - planned.length_mm) <= tolerance:
        _require_cut_length(plan, planned, cable)
        return
    what = str(Part.objects.get(pk=cable.part_id))
    length = "" if cable.cut_length_mm is None else f", {cut} mm"
    raise RuleViolation(
        "wrong_cable",
        f"{planned.label} takes {planned.part.number} ({planned.part.name}), {planned.length_mm} mm;"
        f" {cable.code} is {what}{length}.",
        rule="a cable is of the planned part and length",
        next_step=f"Take {planned.part.number} of {planned.length_mm} mm.",
        wanted=planned.part.number,
        scanned=what,
        length_mm=planned.length_mm,
    )


def _require_cut_length(plan: Plan, planned: PlannedCable, cable: Cable) -> None:
    if cable.cut_length_mm is None and needs_cut_length(plan, planned, cable):
        raise RuleViolation(
            "cut_length_required",
            f"{planned.part.number} of lot {cable.code} is cut to length; how long it was cut is not said.",
            rule="what is cut from a lot is measured",
            next_step=f"Give the length as cut, in mm; {planned.label} takes {planned.length_mm} mm.",
            length_mm=planned.length_mm,
        )


def _require_free_cable(unit: Unit, cable: Cable, *, once: bool) -> None:
    _require_usable_cable(unit, cable)
    if cable.unit is None:
        return
    before = CableConnection.objects.select_related("unit", "planned").filter(cable=cable.unit)
    used = before.filter(disconnected_at__isnull=True).first() or (once and before.order_by("-pk").first())
    placed = Installation.objects.live().select_related("parent").filter(child=cable.unit).first()
    if used:
        where, is_live = f"as {used.planned} of {used.unit.serial}", used.disconnected_at is None
    elif placed:
        where, is_live = f"in {placed.parent.serial}", True
    else:
        return
    raise RuleViolation(
        "cable_reused",
        f"{cable.code} is connected {where}." if is_live else f"{cable.code} was used before, {where}.",
        rule="a cable is in one place" if is_live else "a cable of this kind is used once",
        next_step="Disconnect it there first if it really is here." if is_live else "Take a new cable.",
    )


def _require_usable_cable(unit: Unit, cable: Cable) -> None:
    lot = cable.lot or (cable.unit.lot if cable.unit else None)
    if (cable.unit and cable.unit.held) or (lot and lot.held):
        raise RuleViolation(
            "cable_held",
            f"{cable.code} is on hold.",
            rule="held cables are not connected",
            release="A supervisor releases the hold with a reason.",
            next_step="Put it on the hold shelf and take another cable.",
        )
    if cable.unit:
        require_here(cable.unit)
    if lot:
        require_lot_usable(lot)
    site_id = cable.unit.site_id if cable.unit else lot.site_id if lot else unit.site_id
    if site_id != unit.site_id:
        raise RuleViolation(
            "wrong_site",
            f"{cable.code} is at another site than {unit.serial}.",
            rule="a cable is where its rack is",
            next_step="Take a cable of this site.",
        )


def _connect(unit: Unit, plan: Plan, planned: PlannedCable, cable: Cable, by: Actor) -> CableConnection:
    UnitCabling.objects.get_or_create(unit=unit, defaults={"plan": plan.row, "chosen_by": by.person})
    connection = CableConnection.objects.create(
        unit=unit,
        planned=planned,
        cable=cable.unit,
        lot=cable.lot,
        cut_length_mm=cable.cut_length_mm,
        connected_by=by.person,
        station=by.station,
    )
    sides = ((CableEnd.Side.A, end_a(planned)), (CableEnd.Side.B, end_b(planned)))
    CableEnd.objects.bulk_create(
        CableEnd(connection=connection, side=side, unit=unit, device=end.device, port=end.port)
        for side, end in sides
    )
    facts = {**_facts(unit, connection), "plan": str(plan.row)}
    events = [advance(unit, "unit.cable_connected", by=by, payload=facts)]
    if cable.unit:
        events.append(advance(cable.unit, "unit.connected", by=by, payload=facts))
    record(*events)
    return connection


def _facts(unit: Unit, connection: CableConnection) -> dict[str, Any]:
    planned = connection.planned
    return {
        "unit": str(unit.uid),
        "label": planned.label,
        "cable": connection.code,
        "ends": [str(end_a(planned)), str(end_b(planned))],
    }


@transaction.atomic
def disconnect_cable(*, unit: Unit, label: str, reason: str, by: Actor) -> Disconnection:
    """Record that a cable came off. What the route's rules for ``cable_change`` name must be repeated.

    Refuses with ``reason_required``, ``no_such_cable``, ``not_connected``, ``unit_held``, ``unit_closed``,
    ``device_not_signed_on``, or as ``require_here`` does.
    """
    require_sign_on(by)
    if not reason.strip():
        raise RuleViolation(
            "reason_required",
            "A cable comes off for a reason.",
            rule="whoever takes a cable off says why",
            next_step="Give a reason.",
        )
    found = live_connection(unit, label)
    units = lock_units(unit.pk, *([found.cable_id] if found.cable_id else []))
    unit = units[unit.pk]
    require_usable(unit)
    require_out(unit)
    closed = {"disconnected_at": timezone.now()}
    rows = CableConnection.objects.filter(pk=found.pk, disconnected_at__isnull=True)
    if not rows.update(**closed, disconnected_by=by.person, disconnect_reason=reason.strip()[:200]):
        raise _not_connected(found.planned.label)
    CableEnd.objects.filter(connection=found).update(**closed)
    facts = {**_facts(unit, found), "reason": reason}
    events = [advance(unit, "unit.cable_disconnected", by=by, payload=facts)]
    if found.cable_id:
        events.append(advance(units[found.cable_id], "unit.disconnected", by=by, payload=facts))
    record(*events)
    retest = _repeat(unit, f"{found.planned.label}: {reason}"[:200], by)
    withdraw_pass(unit, by)
    found.refresh_from_db()
    return Disconnection(found, retest)


def _repeat(unit: Unit, reason: str, by: Actor) -> Retest | None:
    """Let the route's rules say what must be repeated; a unit without an open order has nothing to repeat."""
    if not OrderUnit.objects.filter(unit=unit, closed_at__isnull=True).exists():
        return None
    return record_break(unit=unit, kind=RetestRule.Trigger.CABLE_CHANGE, reason=reason, by=by)


def live_connection(unit: Unit, label: str) -> CableConnection:
    """Return the connection of a planned cable, or of a cable by its serial.

    Refuses with ``not_connected``, and with ``no_such_cable`` where neither is known.
    """
    rows = CableConnection.objects.select_related("planned__part", "planned__plan", "cable", "lot")
    live = rows.filter(unit=unit, disconnected_at__isnull=True)
    named = Q(planned__label__iexact=label.strip()) | Q(cable__serial__iexact=label.strip())
    found = live.filter(named).first()
    if found is None:
        raise _not_connected(find_cable(plan_of(unit), label).label)
    return found


def _not_connected(label: str) -> RuleViolation:
    return RuleViolation(
        "not_connected",
        f"{label} is not connected.",
        rule="only a connected cable is checked or taken off",
        next_step="Connect it first.",
    )
