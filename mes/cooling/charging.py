"""Charge a drained loop with nitrogen, and look later whether it still holds."""

from django.db import transaction

from mes.cooling.coolant import add_step, lock_for_step
from mes.cooling.curves import ZERO_CELSIUS_K
from mes.cooling.loop import RULE, Loop, ResultState, require_leak_tested
from mes.cooling.models import ChargeReading, CoolantStep
from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.serials.models import Unit
from mes.testing.models import Measurement, TestRun
from mes.testing.services import Result, measure
from mes.workorders.services import report_test

Kind = CoolantStep.Kind
ATMOSPHERE_BAR = 1.01325  # standard atmosphere, taken where the ambient pressure is not known


@transaction.atomic
def record_nitrogen_charge(
    *, unit: Unit, pressure_bar: float, temperature_cel: float, valve: str, by: Actor, note: str = ""
) -> CoolantStep:
    """Record that a loop was charged with nitrogen: bar (gauge), Cel, serial of the valve or its label.

    A loop that was never filled may be charged as it is. Refuses with ``not_drained``, ``drain_missing``,
    ``leak_test_missing``, ``leak_test_failed``, ``unit_closed``, ``device_not_signed_on``, or as
    ``require_here``.
    """
    unit, loop = lock_for_step(unit, by)
    _require_drained(loop)
    require_leak_tested(loop)
    facts = {"pressure_bar": pressure_bar, "temperature_cel": temperature_cel, "valve": valve}
    measurements = _measurements(pressure_bar, temperature_cel, lost=0.0)
    return add_step(unit, Kind.NITROGEN_CHARGE, measurements, facts, by=by, note=note)


def _require_drained(loop: Loop) -> None:
    if loop.open_fill:
        raise RuleViolation(
            "not_drained",
            f"The loop holds {loop.open_fill.volume_l:g} L of coolant.",
            rule=RULE,
            next_step="Drain it first.",
        )
    if loop.last_fill and not loop.has_passed(Kind.DRAIN):
        raise RuleViolation(
            "drain_missing",
            f"That the loop was drained counts no more: {loop.standings[Kind.DRAIN].why}.",
            rule=RULE,
            next_step="Drain it again, also when nothing comes out.",
        )


@transaction.atomic
def record_charge_reading(
    *, unit: Unit, pressure_bar: float, temperature_cel: float, by: Actor
) -> ChargeReading:
    """Record a later pressure of a nitrogen charge (bar gauge, Cel), judged by the limits of the charge.

    ``charge_pressure`` is what it would be at the temperature of the charge (ideal gas law; a gauge at the
    standard atmosphere), ``pressure_lost`` how much less than what it was charged with. Refuses with
    ``not_charged``, ``unit_closed``, ``device_not_signed_on``, or as ``require_here``.
    """
    unit, loop = lock_for_step(unit, by)
    charge = _live_charge(unit, loop)
    corrected = corrected_bar(pressure_bar, temperature_cel, at_cel=charge.temperature_cel or 0.0)
    lost = (charge.pressure_bar or 0.0) - corrected
    run = report_test(
        unit=unit,
        result=Result(
            procedure=Kind.NITROGEN_CHARGE,
            outcome=TestRun.Outcome.PASS,
            format=TestRun.Format.RECORD,
            names_unjudged=True,
            measurements=_measurements(corrected, temperature_cel, lost=lost),
            details={"charge": str(charge.uid), "pressure_bar": pressure_bar},
        ),
        by=by,
    )
    return ChargeReading.objects.create(
        charge=charge,
        test_run=run,
        pressure_bar=pressure_bar,
        temperature_cel=temperature_cel,
        corrected_bar=corrected,
        read_by=by.person,
    )


def corrected_bar(pressure_bar: float, temperature_cel: float, *, at_cel: float) -> float:
    """Return a gauge pressure, in bar, as the same gas would have at another temperature in Cel."""
    absolute = pressure_bar + ATMOSPHERE_BAR
    kelvin = temperature_cel + ZERO_CELSIUS_K
    return absolute * (at_cel + ZERO_CELSIUS_K) / kelvin - ATMOSPHERE_BAR


def _live_charge(unit: Unit, loop: Loop) -> CoolantStep:
    standing = loop.standings[Kind.NITROGEN_CHARGE]
    if standing.state in {ResultState.MISSING, ResultState.REOPENED}:
        raise RuleViolation(
            "not_charged",
            f"No nitrogen charge counts: {standing.why}.",
            rule="what is read was charged",
            next_step="Charge the loop first.",
        )
    return CoolantStep.objects.filter(unit=unit, kind=Kind.NITROGEN_CHARGE).latest("pk")


def _measurements(pressure_bar: float, temperature_cel: float, *, lost: float) -> list[Measurement]:
    return [
        measure("charge_pressure", pressure_bar, unit="bar"),
        measure("pressure_lost", lost, unit="bar"),
        measure("temperature", temperature_cel, unit="Cel"),
    ]
