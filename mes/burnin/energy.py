"""What a run cost in energy: kWh, efficiency of the power shelves, heat balance of the water, and CO2e.

Everything is as metered, in seconds of the clock: accelerated soak time is never multiplied in.
"""

from datetime import UTC, date
from typing import Any

from mes.burnin.coolants import TABLES
from mes.burnin.meter_models import GridFactor, RunMeter
from mes.burnin.meters import NO_ADDRESS, SHELVES, TRAYS
from mes.burnin.models import BurnInRun
from mes.testing.models import Measurement

Role = RunMeter.Role

JOULES_PER_KWH = 3_600_000
# The shelves speak for the rack when each of them was metered for this share of the time the rack was.
MOST = 0.95

Energy = dict[str, Any]


def find_factor(run: BurnInRun) -> GridFactor | None:
    """Return the grid factor of the rack's site that was valid on the day the run began, in UTC."""
    factors = GridFactor.objects.filter(site=run.unit.site_id, valid_from__lte=_day_of(run))
    return factors.order_by("-valid_from").first()


def energy_of(run: BurnInRun, *, meters: list[RunMeter] | None = None) -> Energy:
    """Return what was metered in a run so far; kept with the run once it has ended. At most three queries.

    ``kwh`` is the rack's energy from its ``source``: what the power shelves took from the mains, or, where
    they do not tell, what the trays say they drew. ``rack_kwh`` adds the rack's earlier runs. All power is in
    W, energy in kWh, efficiency and difference in %, time in s of the clock.
    """
    if run.energy:
        return dict(run.energy)
    rows = list(run.meters.order_by("pk")) if meters is None else meters
    shelves = [row for row in rows if row.role == Role.SHELF]
    trays = next((row for row in rows if row.role == Role.TRAYS), None)
    coolant = next((row for row in rows if row.role == Role.COOLANT), None)
    asked = max((_asked_seconds(row) for row in rows), default=0.0)
    source = _source(shelves, trays)
    kwh = _kwh(shelves, trays, source)
    energy: Energy = {
        "source": source,
        "kwh": kwh,
        "rack_kwh": _earlier_kwh(run) + (kwh or 0.0),
        "asked_seconds": asked,
        "metered_seconds": _metered_seconds(shelves, trays, source),
        "psu_efficiency_percent": _rack_efficiency(shelves, source),
        "shelves": [_shelf(row) for row in shelves],
        "trays": _trays(trays),
        "heat": _heat(run, coolant, trays),
        "co2": _co2(find_factor(run), kwh),
    }
    energy["unmetered_seconds"] = max(0.0, asked - energy["metered_seconds"])
    energy["remarks"] = [*_power_remarks(run, shelves, energy), *_heat_remarks(energy["heat"], coolant)]
    return energy


def flags_of(energy: Energy) -> list[str]:
    """Return in sentences what of the energy a person must look at; it fails nothing."""
    heat = energy["heat"]
    if not (heat and heat["flagged"]):
        return []
    return [
        f"Flagged: the coolant carried {heat['steady_kwh']:.3g} kWh where {heat['expected_kwh']:.3g} kWh were"
        f" expected of the electrical energy, {heat['difference_percent']:+.1f} %;"
        f" {heat['limit_percent']:g} % are allowed."
    ]


def measure_energy(energy: Energy) -> list[Measurement]:
    """Return the energy of a run as measurements; no limit of the burn-in judges them."""
    heat = energy["heat"] or {}
    figures = [
        ("energy", energy["kwh"], "kWh", energy["source"]),
        ("PSU efficiency under load", energy["psu_efficiency_percent"], "%", SHELVES),
        ("heat balance", heat.get("difference_percent"), "%", heat.get("electric_source", "")),
        ("CO2e", energy["co2"]["kg"] if energy["co2"] else None, "kg", "grid factor"),
    ]
    return [
        Measurement(name=name, value=value, unit=unit, step=step, verdict=Measurement.Verdict.NONE)
        for name, value, unit, step in figures
        if value is not None
    ]


def _day_of(run: BurnInRun) -> date:
    return (run.soak_started_at or run.created_at).astimezone(UTC).date()


def _asked_seconds(row: RunMeter) -> float:
    if row.asked_since is None or row.asked_until is None:
        return 0.0
    return (row.asked_until - row.asked_since).total_seconds()


def _source(shelves: list[RunMeter], trays: RunMeter | None) -> str:
    """Return whose figures count for the rack: a shelf short would make the rack look frugal."""
    least = min((row.seconds for row in shelves), default=0.0)
    drawn = trays.seconds if trays else 0.0
    if least > 0 and least >= MOST * max(drawn, *(row.seconds for row in shelves)):
        return SHELVES
    return TRAYS if drawn > 0 else ""


def _kwh(shelves: list[RunMeter], trays: RunMeter | None, source: str) -> float | None:
    if source == SHELVES:
        return sum(row.joules_in for row in shelves) / JOULES_PER_KWH
    return trays.joules_out / JOULES_PER_KWH if trays and source == TRAYS else None


def _metered_seconds(shelves: list[RunMeter], trays: RunMeter | None, source: str) -> float:
    if source == SHELVES:
        return min(row.seconds for row in shelves)
    return trays.seconds if trays and source == TRAYS else 0.0


def _earlier_kwh(run: BurnInRun) -> float:
    earlier = BurnInRun.objects.filter(unit=run.unit_id, pk__lt=run.pk).values_list("energy", flat=True)
    return sum(energy.get("kwh") or 0.0 for energy in earlier)


def _percent(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole > 0 else None


def _rack_efficiency(shelves: list[RunMeter], source: str) -> float | None:
    if source != SHELVES:
        return None
    return _percent(sum(row.load_joules_out for row in shelves), sum(row.load_joules_in for row in shelves))


def _shelf(row: RunMeter) -> Energy:
    counted = None
    if row.counter_first_kwh is not None and row.counter_last_kwh is not None:
        counted = row.counter_last_kwh - row.counter_first_kwh
    return {
        "slot": row.name,
        "kwh_in": row.joules_in / JOULES_PER_KWH,
        "kwh_out": row.joules_out / JOULES_PER_KWH,
        "counter_kwh": counted if counted is not None and counted >= 0 else None,
        "efficiency_percent": _percent(row.load_joules_out, row.load_joules_in),
        "load_seconds": row.load_seconds,
        "metered_seconds": row.seconds,
        "unmetered_seconds": max(0.0, _asked_seconds(row) - row.seconds),
        "said": row.said,
    }


def _trays(row: RunMeter | None) -> Energy:
    seconds = row.seconds if row else 0.0
    return {
        "kwh": row.joules_out / JOULES_PER_KWH if row else 0.0,
        "metered_seconds": seconds,
        "unmetered_seconds": max(0.0, _asked_seconds(row) - seconds) if row else 0.0,
    }


def _heat(run: BurnInRun, row: RunMeter | None, trays: RunMeter | None) -> Energy | None:
    """Return the heat balance: what the water took up against the share of the power that belongs there."""
    if row is None:
        return None
    share = trays.liquid_share if trays and trays.liquid_share is not None else 1.0
    expected = share * row.steady_joules_electric
    difference = None
    if expected > 0:
        difference = 100 * (row.steady_joules_heat - expected) / expected
    limit = run.profile.heat_balance_percent
    table = TABLES[row.coolant]
    return {
        "meter": row.name,
        "coolant": table.name,
        "coolant_source": table.source,
        "kwh": row.joules_heat / JOULES_PER_KWH,
        "metered_seconds": row.seconds,
        "unmetered_seconds": max(0.0, _asked_seconds(row) - row.seconds),
        "steady_seconds": row.steady_seconds,
        "steady_kwh": row.steady_joules_heat / JOULES_PER_KWH,
        "electric_kwh": row.steady_joules_electric / JOULES_PER_KWH,
        "electric_source": row.steady_source,
        "liquid_share": share,
        "expected_kwh": expected / JOULES_PER_KWH,
        "difference_percent": difference,
        "limit_percent": limit,
        "flagged": difference is not None and limit is not None and abs(difference) > limit,
        "said": row.said,
    }


def _co2(factor: GridFactor | None, kwh: float | None) -> Energy | None:
    if factor is None or kwh is None:
        return None
    return {
        "kg": kwh * factor.grams_per_kwh / 1000,
        "grams_per_kwh": factor.grams_per_kwh,
        "valid_from": factor.valid_from.isoformat(),
        "source": factor.source,
    }


def _power_remarks(run: BurnInRun, shelves: list[RunMeter], energy: Energy) -> list[str]:
    remarks = []
    if energy["kwh"] is None:
        remarks.append("No energy was metered: neither power shelves nor every tray told.")
    elif energy["source"] == TRAYS:
        remarks.append("The energy is what the trays drew; losses of the power shelves are not in it.")
    silent = [row for row in shelves if not row.seconds]
    if silent and all(row.said == NO_ADDRESS for row in silent):
        names = ", ".join(row.name for row in silent)
        remarks.append(f"Power shelves without a meter address: {names}.")
    else:
        remarks += [f"The power shelf in {row.name} told nothing: {row.said}." for row in silent]
    if energy["unmetered_seconds"] >= 1:
        remarks.append(f"Not metered, and in no figure: {energy['unmetered_seconds']:.0f} s.")
    if run.profile.time_scale != 1:
        remarks.append("The energy is that of the seconds of the clock, not of the hours credited.")
    if energy["kwh"] is not None and energy["co2"] is None:
        remarks.append(f"No CO2: {run.unit.site.code} has no grid factor for {_day_of(run)}.")
    return remarks


def _heat_remarks(heat: Energy | None, row: RunMeter | None) -> list[str]:
    if heat is None or row is None:
        return ["The coolant was not metered."]
    if not row.seconds:
        return [f"The coolant meter of {row.name} told nothing: {row.said}."]
    if heat["difference_percent"] is None:
        return ["No heat balance: heat and power were never both told in steady soak."]
    return []
