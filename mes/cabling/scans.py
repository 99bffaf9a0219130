"""Cabling by scanner: both ends and the cable, in any order; then what is checked on it.

A device keeps what it has scanned of a cable until all three are there. ``CABLE:`` labels say both ends;
``CMD:CUT:2180`` is the length in mm of one that is cut from a lot, said once all three are scanned.
``CMD:CHECK:SEAT`` (or ``:FAIL``, or a value) is about the cable connected last, ``CMD:CABLES`` judges all.
"""

import math
from dataclasses import replace
from typing import Any

from mes.cabling.checking import UNITS, Found, record_check
from mes.cabling.connecting import (
    Cable,
    connect_cable,
    find_cable,
    find_end,
    needs_cut_length,
    require_ends_of,
    require_free_port,
)
from mes.cabling.models import CableScan, Check, PlannedCable
from mes.cabling.plans import Plan, end_a, end_b, find_plan, in_words, other_end, plan_of
from mes.cabling.verdict import verify_cabling
from mes.errors import RuleViolation
from mes.serials.barcodes import Label, MalformedBarcode, Syntax, parse
from mes.serials.models import Lot, Unit
from mes.serials.services import find_units
from mes.stations.models import Site
from mes.testing.models import TestRun
from mes.workorders.services import ACCEPTED, NEEDS_MORE, Scan, answered, current_unit

FAULTS_SAID = 3
MOST_MM = 1_000_000


def cable_scanned(scan: Scan) -> dict[str, Any] | None:
    """Answer the scan of a port, of a planned cable's label, or of a cable the unit's plan takes."""
    if scan.label.syntax == Syntax.PORT:
        return _port(scan)
    if scan.label.syntax == Syntax.CABLE:
        return _planned(scan)
    if scan.session.unit is None or scan.session.slot is not None:
        return None
    plan = find_plan(scan.session.unit)
    if plan is None or find_cable_in_hand(scan.label, plan, scan.session.unit.site) is None:
        return None
    state = _state(scan)
    state.cable = scan.label.raw
    return _go_on(scan, state, plan)


def _state(scan: Scan) -> CableScan:
    """Return what the device has scanned of a cable; what was scanned of another unit is forgotten."""
    unit = current_unit(scan)
    state, _ = CableScan.objects.get_or_create(device=scan.device, defaults={"unit": unit})
    if state.unit_id != unit.pk:
        state.unit, state.connected = unit, ""
        _forget(state)
    return state


def _forget(state: CableScan) -> None:
    state.label = state.first = state.second = state.cable = ""


def _port(scan: Scan) -> dict[str, Any]:
    state = _state(scan)
    plan = plan_of(state.unit)
    end, cable = find_end(plan, scan.label.value)
    require_free_port(state.unit, end)
    if state.first.casefold() == end.key:
        _forget(state)
        state.save()
        return answered(NEEDS_MORE, "Started over", f"{end} was scanned again: begin anew.", scan.session)
    state.label = state.label or cable.label
    meant = find_cable(plan, state.label)
    before = {found[0]: found[1]} if (found := plan.end_named(state.first)) else {}
    require_ends_of(meant, {**before, end: cable})
    if state.first:
        state.second = str(end)
    else:
        state.first = str(end)
    return _go_on(scan, state, plan)


def _planned(scan: Scan) -> dict[str, Any]:
    state = _state(scan)
    plan = plan_of(state.unit)
    cable = find_cable(plan, scan.label.value)
    if state.label.casefold() != cable.label.casefold():
        kept = state.cable
        _forget(state)
        state.label, state.cable = cable.label, kept
    state.save()
    said = f"{in_words(cable)}: {cable.part.number}, {cable.length_mm} mm."
    return {**answered(NEEDS_MORE, f"Cable {cable.label}", said, scan.session), "next": _wanted(state, cable)}


def _go_on(scan: Scan, state: CableScan, plan: Plan) -> dict[str, Any]:
    """Connect the cable once both ends and the cable are scanned; until then say what is next."""
    cable = plan.by_label.get(state.label.casefold())
    if state.first and state.second and state.cable:
        return _connect(scan, state, plan)
    state.save()
    title, said = f"Cable {state.label}" if cable else "Cable", "Taken up."
    if cable:
        said = f"{in_words(cable)}: {cable.part.number}, {cable.length_mm} mm."
    return {**answered(NEEDS_MORE, title, said, scan.session), "next": _wanted(state, cable)}


def _wanted(state: CableScan, cable: PlannedCable | None) -> str:
    ends = {end.key: end for end in ((end_a(cable), end_b(cable)) if cable else ())}
    if not state.first:
        either = " or ".join(map(str, ends.values())) if ends else "the port that the cable goes into"
        return f"Scan an end: {either}."
    if not state.second:
        first = ends.get(state.first.casefold())
        return f"Scan the other end: {other_end(cable, first)}." if cable and first else "Scan the other end."
    return "Scan the cable: its serial, or the label of its lot."


def _connect(scan: Scan, state: CableScan, plan: Plan, cut_length_mm: int | None = None) -> dict[str, Any]:
    cable = replace(read_cable(state.cable, plan, scan.device.station.line.site), cut_length_mm=cut_length_mm)
    planned = plan.by_label.get(state.label.casefold())
    if planned and cut_length_mm is None and needs_cut_length(plan, planned, cable):
        state.save()
        said = f"{in_words(planned)}: {cable.code} is cut to {planned.length_mm} mm."
        wanted = f"Say the length as cut, in mm: CMD:CUT:{planned.length_mm}."
        return {**answered(NEEDS_MORE, f"Cable {planned.label}", said, scan.session), "next": wanted}
    label, ends = state.label, (state.first, state.second)
    connection = connect_cable(unit=state.unit, ends=ends, cable=cable, label=label, by=scan.by)
    _forget(state)
    state.connected = connection.planned.label
    state.save()
    checks = ", ".join(connection.planned.checks)
    said = f"{in_words(connection.planned)}, cable {connection.code}."
    answer = answered(ACCEPTED, "Connected", said, scan.session)
    return {**answer, "next": f"Check: {checks}." if checks else "Scan the first end of the next cable."}


def cut_command(scan: Scan, rest: str) -> dict[str, Any]:
    """Answer ``CMD:CUT:MM``: connect the cable that was scanned, cut from its lot to that length.

    Refuses with ``no_such_length``, ``nothing_to_cut`` and as ``connect_cable`` does.
    """
    state = _state(scan)
    if not rest.strip().isdecimal() or not 0 < int(rest) <= MOST_MM:
        raise RuleViolation(
            "no_such_length",
            f"CMD:CUT:{rest} says no length.",
            rule="a length is said in whole mm",
            next_step="Say it in mm, e.g. CMD:CUT:2180.",
        )
    if not (state.first and state.second and state.cable):
        raise RuleViolation(
            "nothing_to_cut",
            "Both ends and the lot of the cable were not scanned yet.",
            rule="a length is said of the cable at hand",
            next_step="Scan both ends and the label of the lot first.",
        )
    return _connect(scan, state, plan_of(state.unit), int(rest))


def find_cable_in_hand(label: Label, plan: Plan, site: Site) -> Cable | None:
    """Return the cable that a label is on, if it is of a part that the plan takes."""
    units = find_units(value=label.code, site=site, part_number=label.part_number)
    known = [unit for unit in units if unit.part_revision.part_id in plan.kinds]
    if known:
        return Cable(unit=_one_of(known, label.code))
    lots = Lot.objects.select_related("part").filter(number=label.lot or label.value, site=site)
    lot = lots.filter(part__in=plan.kinds).first()
    return Cable(lot=lot) if lot else None


def _one_of(units: list[Unit], code: str) -> Unit:
    if len(units) > 1:
        choices = ", ".join(f"{unit.part_revision.part.name} {unit.serial}" for unit in units)
        raise RuleViolation(
            "ambiguous_identifier",
            f"{code} names {len(units)} units: {choices}.",
            rule="a scan names one unit",
            next_step="Scan the label that carries the part number too.",
        )
    return units[0]


def read_cable(raw: str, plan: Plan, site: Site) -> Cable:
    """Return the cable that a scanned label is on. Refuses with ``unknown_cable`` or ``wrong_cable``."""
    try:
        label = parse(raw)
    except MalformedBarcode as error:
        raise _unknown(raw) from error
    found = find_cable_in_hand(label, plan, site)
    if found is not None:
        return found
    others = find_units(value=label.code, site=site, part_number=label.part_number)
    if others:
        return Cable(unit=_one_of(others, label.code))
    lot = Lot.objects.select_related("part").filter(number=label.lot or label.value, site=site).first()
    if lot is None:
        raise _unknown(label.code or raw)
    return Cable(lot=lot)


def _unknown(code: str) -> RuleViolation:
    return RuleViolation(
        "unknown_cable",
        f"{code} is no serial and no lot of this site.",
        rule="only received cables are connected",
        next_step="Scan it again; if it is new, receive it first.",
    )


def verify_command(scan: Scan, _rest: str) -> dict[str, Any]:
    """Answer ``CMD:CABLES``: judge the cabling of the unit at hand."""
    verdict = verify_cabling(unit=current_unit(scan), by=scan.by)
    passed = verdict.test_run.outcome == TestRun.Outcome.PASS
    rest = len(verdict.faults) - FAULTS_SAID
    said = " ".join([*verdict.faults[:FAULTS_SAID], *([f"And {rest} more."] if rest > 0 else [])])
    outcome = ACCEPTED if passed else NEEDS_MORE
    title = "Cabling passed" if passed else "Cabling failed"
    return answered(outcome, title, said or "Every planned cable is connected and checked.", scan.session)


def check_command(scan: Scan, rest: str) -> dict[str, Any]:
    """Answer ``CMD:CHECK:KIND``, ``CMD:CHECK:KIND:FAIL`` or, of what is measured, ``CMD:CHECK:KIND:VALUE``.

    Refuses with ``no_such_check``, ``nothing_connected`` and as ``record_check`` does.
    """
    state = _state(scan)
    kind, _, said = rest.partition(":")
    found = _found(kind.strip().lower(), said.strip().upper())
    if not state.connected:
        raise RuleViolation(
            "nothing_connected",
            "No cable was connected at this device.",
            rule="a check is about the cable connected last here",
            next_step="Scan both ends and the cable first.",
        )
    check = record_check(unit=state.unit, label=state.connected, found=found, by=scan.by)
    value = f" {check.value:g} {check.unit}" if check.value is not None else ""
    said = f"{state.connected}: {check.kind}{value} is a {check.outcome}."
    return answered(ACCEPTED if check.outcome == "PASS" else NEEDS_MORE, "Checked", said, scan.session)


def _found(kind: str, said: str) -> Found:
    value = _number(said)
    known = kind in Check.values and (said in {"", "PASS", "FAIL"} or (kind in UNITS and value is not None))
    if not known:
        raise RuleViolation(
            "no_such_check",
            f"CMD:CHECK:{kind.upper()}{':' if said else ''}{said} is no check.",
            rule="checks are of a known kind",
            next_step=f"Say {', '.join(Check.values)}; FAIL where it is bad, a value where it is measured.",
        )
    return Found(kind, passed=said != "FAIL", value=value)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
