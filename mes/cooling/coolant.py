"""Flush, fill, measure the flow of, and drain a loop; each step is judged by the route and gates the next."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from mes.cooling.heat import find_coolant, heat_kw
from mes.cooling.loop import (
    RULE,
    Loop,
    read_loop,
    require_filled,
    require_flushed,
    require_leak_tested,
    require_not_filled,
    require_sensors_exercised,
)
from mes.cooling.models import BranchFlow, Coolant, CoolantStep, Coupling
from mes.cooling.slots import WET_MATES
from mes.errors import RuleViolation
from mes.ledger.services import Actor, locked
from mes.racks.models import Installation
from mes.racks.services import budgets_of, require_out
from mes.serials.models import Lot, Unit
from mes.serials.services import lock_units, require_here, require_lot_usable, require_usable
from mes.stations.services import require_sign_on
from mes.testing.models import Measurement, TestRun
from mes.testing.services import Result, measure, supersede_procedures
from mes.workorders.services import report_test

Kind = CoolantStep.Kind
COOLANT = "coolant"
MEASURING_ERROR = 0.05  # of the filled volume, by which more may come out than went in
ISO_4406 = ("particles_4um", "particles_6um", "particles_14um")


@dataclass(frozen=True, slots=True)
class Branch:
    """What was measured on a branch: L/min, bar (gauge), Cel."""

    branch: str
    flow_l_min: float
    supply_bar: float
    return_bar: float
    supply_cel: float
    return_cel: float


def lock_for_step(unit: Unit, by: Actor) -> tuple[Unit, Loop]:
    """Return a unit that a person works on here, locked so that no other step comes between, and its loop."""
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    require_here(unit)
    require_out(unit)
    return unit, read_loop(unit)


@transaction.atomic
def record_flush(
    *,
    unit: Unit,
    medium: str,
    volume_l: float,
    duration_s: float,
    filter_um: float,
    particle_class: str,
    by: Actor,
    note: str = "",
) -> CoolantStep:
    """Record that a loop was flushed: L, s, filter in um, and how clean it came out by ISO 4406.

    Refuses with ``particle_class_invalid``, ``already_filled``, ``leak_test_missing``, ``leak_test_failed``,
    ``unit_closed``, ``device_not_signed_on``, or as ``require_here``.
    """
    unit, loop = lock_for_step(unit, by)
    numbers = read_particle_class(particle_class)
    require_not_filled(loop)
    require_leak_tested(loop)
    measurements = [
        measure("volume", volume_l, unit="L"),
        measure("duration", duration_s, unit="s"),
        measure("filter", filter_um, unit="um"),
        *(measure(name, number, unit="class") for name, number in zip(ISO_4406, numbers, strict=True)),
    ]
    facts = {
        "medium": medium,
        "volume_l": volume_l,
        "duration_s": duration_s,
        "filter_um": filter_um,
        "particle_class": particle_class,
    }
    return add_step(unit, Kind.FLUSH, measurements, facts, by=by, note=note)


def read_particle_class(text: str) -> tuple[int, ...]:
    """Return the three scale numbers of an ISO 4406 code, for particles from 4, 6 and 14 um(c) per mL on.

    Refuses with ``particle_class_invalid`` what is no such code: each number counts fewer, larger particles.
    """
    parts = text.split("/")
    numbers = tuple(int(part) for part in parts if part.isdecimal() and len(part) <= 2)
    if (
        len(parts) != 3
        or len(numbers) != 3
        or sorted(numbers, reverse=True) != list(numbers)
        or numbers[0] > 28
    ):
        raise RuleViolation(
            "particle_class_invalid",
            f"{text} is no cleanliness code.",
            rule="cleanliness is coded as in ISO 4406",
            next_step="Give three numbers that do not rise, e.g. 18/16/13.",
        )
    return numbers


@transaction.atomic
def record_fill(
    *,
    unit: Unit,
    lot: Lot,
    volume_l: float,
    conductivity_us_cm: float,
    ph: float,
    freeze_protection_cel: float,
    by: Actor,
    note: str = "",
) -> CoolantStep:
    """Record that coolant of a lot was filled into a loop: L, uS/cm, pH, Cel.

    What was said of the loop when it was last drained or charged counts no more. Refuses with
    ``not_coolant``, ``wrong_site``, ``lot_held``, ``lot_expired``, ``already_filled``, ``leak_test_missing``,
    ``leak_test_failed``, ``leak_sensors_missing``, ``leak_sensors_failed``, ``not_flushed``,
    ``flush_failed``, ``unit_held``, ``unit_closed``, ``device_not_signed_on``, or as ``require_here``.
    """
    unit, loop = lock_for_step(unit, by)
    require_usable(unit)
    lot = locked(lot)
    _require_coolant(unit, lot)
    require_not_filled(loop)
    require_leak_tested(loop)
    require_sensors_exercised(loop)
    require_flushed(loop)
    supersede_procedures(unit=unit, procedures=[Kind.DRAIN, Kind.NITROGEN_CHARGE], because="filled again")
    measurements = [
        measure("volume", volume_l, unit="L"),
        measure("conductivity", conductivity_us_cm, unit="uS/cm"),
        measure("ph", ph, unit="pH"),
        measure("freeze_protection", freeze_protection_cel, unit="Cel"),
    ]
    facts = {
        "lot": lot,
        "volume_l": volume_l,
        "conductivity_us_cm": conductivity_us_cm,
        "ph": ph,
        "freeze_protection_cel": freeze_protection_cel,
    }
    return add_step(unit, Kind.FILL, measurements, facts, by=by, note=note, told={"lot": lot.number})


def _require_coolant(unit: Unit, lot: Lot) -> None:
    if lot.part.kind != COOLANT:
        raise RuleViolation(
            "not_coolant",
            f"Lot {lot.number} is {lot.part.name}, no coolant.",
            rule="a loop is filled with coolant",
            next_step="Scan the lot label of the coolant.",
            lot=str(lot.uid),
        )
    if lot.site_id != unit.site_id:
        raise RuleViolation(
            "wrong_site",
            f"Lot {lot.number} was received at another site than {unit.serial} is at.",
            rule="a lot is used where it was received",
            next_step="Take a lot of this site.",
            lot=str(lot.uid),
        )
    require_lot_usable(lot)


@transaction.atomic
def record_flow(*, unit: Unit, branches: Sequence[Branch], by: Actor, note: str = "") -> CoolantStep:
    """Record flow, pressure and temperature per branch of a filled loop; the heat is computed from them.

    A branch that nothing flows through, or not from supply to return, fails it. Give every branch once, for
    the total is their sum: what is in a slot with supply, return or a coupling; a loop without branches as
    a whole. Refuses with ``not_filled``, ``fill_failed``, ``branch_unknown``, ``branch_twice``,
    ``branches_not_measured`` (which names them), ``unit_closed``, ``device_not_signed_on``, or as
    ``require_here``.
    """
    unit, loop = lock_for_step(unit, by)
    fill = require_filled(loop)
    _require_branches(unit, branches)
    coolant = find_coolant(fill.lot.part) if fill.lot else None
    rows = [_branch_flow(branch, coolant) for branch in branches]
    told = {"coolant": str(coolant) if coolant else None}
    faults = [f"{row.branch}: {fault}." for row in rows if (fault := _fault(row))]
    measurements = _measure_flow(unit, rows)
    step = add_step(unit, Kind.FLOW, measurements, {"fill": fill}, by=by, note=note, told=told, faults=faults)
    for row in rows:
        row.step = step
    BranchFlow.objects.bulk_create(rows)
    return step


def _fault(row: BranchFlow) -> str:
    if row.flow_l_min <= 0:
        return "nothing flows"
    return "" if row.pressure_difference_bar > 0 else "the supply pressure is not above that of the return"


def _branch_flow(branch: Branch, coolant: Coolant | None) -> BranchFlow:
    heat = None
    if coolant is not None:
        heat = heat_kw(
            coolant,
            flow_l_min=branch.flow_l_min,
            supply_cel=branch.supply_cel,
            return_cel=branch.return_cel,
        )
    return BranchFlow(
        branch=branch.branch,
        flow_l_min=branch.flow_l_min,
        supply_bar=branch.supply_bar,
        return_bar=branch.return_bar,
        supply_cel=branch.supply_cel,
        return_cel=branch.return_cel,
        heat_kw=heat,
    )


def _require_branches(unit: Unit, branches: Sequence[Branch]) -> None:
    """Refuse what is no slot or coupling, counts twice, or leaves a branch out."""
    inside = Installation.objects.live().filter(root=unit).values("child")
    couplings = Coupling.objects.filter(manifold__in=inside, removed_at__isnull=True)
    places = [coupling.place for coupling in couplings]
    slots = unit.part_revision.slots.values_list("name", flat=True)
    known = {name.casefold() for name in [*slots, *places, unit.serial]}
    names = [branch.branch.casefold() for branch in branches]
    if unknown := sorted({branch.branch for branch in branches if branch.branch.casefold() not in known}):
        raise RuleViolation(
            "branch_unknown",
            f"{unit.serial} has no slot and no coupling {', '.join(unknown)}.",
            rule="a branch is named by its slot or its coupling's place",
            next_step=f"Name the slot, or {unit.serial} for a loop without branches.",
            branches=unknown,
        )
    if len(set(names)) < len(names) or _has_whole_and_part(names, unit.serial.casefold()):
        raise RuleViolation(
            "branch_twice",
            "A branch is named twice, or as a whole and in parts.",
            rule="each branch is measured once, for the total is their sum",
            next_step="Give each branch once: the parts, or the whole.",
        )
    if missing := [slot for slot in _branches_of(unit, couplings) if not _is_of_slot(slot, names)]:
        raise RuleViolation(
            "branches_not_measured",
            f"Not measured: {', '.join(missing)}.",
            rule="the flow of every branch is measured",
            next_step=f"Measure {missing[0]} too, and report all branches together.",
            missing=missing,
        )


def _branches_of(unit: Unit, couplings: Iterable[Coupling]) -> list[str]:
    """Return the filled slots that branches lead to: those with wet mates, or a coupling on a manifold."""
    places = [coupling.place for coupling in couplings]
    manifolds = {coupling.manifold_id for coupling in couplings}
    filled = Installation.objects.live().filter(parent=unit).exclude(child__in=manifolds)
    rows = filled.order_by("slot__order").values_list("slot__name", "slot__mates")
    return [slot for slot, mates in rows if WET_MATES & set(mates) or _is_of_slot(slot, places)]


def _is_of_slot(slot: str, places: Sequence[str]) -> bool:
    """Return whether a slot, or a coupling of it, is among places: U08, or U08 supply."""
    name = slot.casefold()
    return any(place.casefold() == name or place.casefold().startswith(f"{name} ") for place in places)


def _has_whole_and_part(names: Sequence[str], loop: str) -> bool:
    """Return whether the loop is named beside a branch, or a slot beside its coupling: U08, U08 supply."""
    beside_loop = loop in names and len(names) > 1
    return beside_loop or any(other.startswith(f"{name} ") for name in names for other in names)


def _measure_flow(unit: Unit, rows: Sequence[BranchFlow]) -> list[Measurement]:
    measurements = [each for row in rows for each in _measure_branch(row)]
    total = sum(row.flow_l_min for row in rows)
    measurements.append(measure("total_flow", total, unit="L/min"))
    heats = [row.heat_kw for row in rows if row.heat_kw is not None]
    if heats:
        measurements.append(measure("total_heat", sum(heats), unit="kW"))
    if rated := _rated_kw(unit):
        measurements.append(measure("flow_per_kw", total / rated, unit="L/min/kW"))
    return measurements


def _rated_kw(unit: Unit) -> float:
    """Return what a unit is rated for, kW: what its revision states, else all that belongs into it."""
    stated = unit.part_revision.power_w
    if stated is None:
        totals = {total.figure: total.expected for total in budgets_of(unit=unit).totals}
        stated = totals.get("power_w")
    return float(stated or 0) / 1000


def _measure_branch(row: BranchFlow) -> list[Measurement]:
    measurements = [
        measure("flow", row.flow_l_min, unit="L/min"),
        measure("pressure_difference", row.pressure_difference_bar, unit="bar"),
        measure("supply_temperature", row.supply_cel, unit="Cel"),
        measure("temperature_difference", row.return_cel - row.supply_cel, unit="K"),
    ]
    if row.heat_kw is not None:
        measurements.append(measure("heat", row.heat_kw, unit="kW"))
    for each in measurements:
        each.component = row.branch
    return measurements


@transaction.atomic
def record_drain(*, unit: Unit, volume_l: float, by: Actor, note: str = "") -> CoolantStep:
    """Record how much came out of a loop, in L, and so how much stays; a passed drain leaves it drained.

    One that did not pass leaves the loop filled: drain on; the volumes add up. A held unit may be drained.
    Nothing may come out only of a loop that was drained before. Refuses with ``not_filled``,
    ``already_drained``, ``nothing_drained``, ``drained_more_than_filled``, ``unit_closed``,
    ``device_not_signed_on``, or as ``require_here``.
    """
    unit, loop = lock_for_step(unit, by)
    fill = _require_drainable(loop)
    _require_something(loop, volume_l)
    before = fill.later.filter(kind=Kind.DRAIN).aggregate(total=Sum("volume_l"))["total"] or 0.0
    filled = fill.volume_l or 0.0
    stays = filled - before - volume_l
    if stays < -MEASURING_ERROR * filled:
        raise RuleViolation(
            "drained_more_than_filled",
            f"{before + volume_l:g} L cannot come out of a loop that was filled with {filled:g} L.",
            rule="no more comes out than went in",
            next_step="Measure the volume again.",
            filled_l=filled,
            drained_l=before,
        )
    measurements = [measure("volume", volume_l, unit="L"), measure("stays", stays, unit="L")]
    facts = {"fill": fill, "volume_l": volume_l, "stays_l": stays}
    step = add_step(unit, Kind.DRAIN, measurements, facts, by=by, note=note)
    if step.test_run.outcome == TestRun.Outcome.PASS:
        CoolantStep.objects.filter(pk=fill.pk, drained_at__isnull=True).update(drained_at=step.done_at)
    return step


def _require_drainable(loop: Loop) -> CoolantStep:
    if loop.last_fill is None:
        raise RuleViolation(
            "not_filled",
            "The loop was never filled.",
            rule=RULE,
            next_step="There is nothing to drain; go on with the next step.",
        )
    if loop.open_fill is None and loop.has_passed(Kind.DRAIN):
        raise RuleViolation(
            "already_drained",
            "The loop was drained, and that counts.",
            rule="a loop is drained once until it is filled",
            next_step="Go on with the next step.",
        )
    return loop.last_fill


def _require_something(loop: Loop, volume_l: float) -> None:
    if loop.open_fill and volume_l <= 0:
        raise RuleViolation(
            "nothing_drained",
            f"The loop was filled with {loop.open_fill.volume_l:g} L; it cannot be drained by 0 L.",
            rule="a loop is drained when coolant has come out",
            next_step="Open the drain, and measure what comes out.",
        )


def add_step(
    unit: Unit,
    kind: CoolantStep.Kind,
    measurements: list[Measurement],
    facts: dict[str, Any],
    *,
    by: Actor,
    note: str = "",
    told: dict[str, Any] | None = None,
    faults: Sequence[str] = (),
) -> CoolantStep:
    """Report a step as a test of its kind, judged by the limits of the route, and keep it with its facts.

    ``faults`` fail it. What no limit judges is named in the reasons.
    """
    now = timezone.now()
    result = Result(
        procedure=str(kind),
        outcome=TestRun.Outcome.FAIL if faults else TestRun.Outcome.PASS,
        format=TestRun.Format.RECORD,
        reasons=list(faults),
        names_unjudged=True,
        ended_at=now,
        measurements=measurements,
        details={
            **{name: value for name, value in facts.items() if isinstance(value, str | int | float)},
            **(told or {}),
        },
    )
    run = report_test(unit=unit, result=result, by=by)
    return CoolantStep.objects.create(
        unit=unit, kind=kind, test_run=run, done_at=now, done_by=by.person, note=note, **facts
    )
