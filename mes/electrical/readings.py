"""What a safety test measured, and how it is handed to the limits of the route.

Procedures and measurements: ``ground_bond`` has resistance (Ohm) per point, test_current (A), duration (s);
``hipot`` has leakage_current (mA) per circuit, voltage_peak (V), ramp (s), dwell (s) and arcs; ``insulation``
has resistance (MOhm) per circuit, voltage (V), duration (s).

Test voltages are compared by their peak: the electric strength tables of IEC 62368-1 / UL 62368-1 (clause
5.4.9, cited from memory) give one value in "V peak or DC", so that 1,500 V AC (2,121 V peak) and 2,100 V DC
meet one limit.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mes.electrical.models import SafetyPlan, SafetyTest
from mes.errors import RuleViolation
from mes.products.models import Limit, Operation
from mes.testing.models import Measurement
from mes.testing.services import measure

Kind, Supply = SafetyTest.Kind, SafetyTest.Supply
UNITS = {Kind.GROUND_BOND: "Ohm", Kind.HIPOT: "mA", Kind.INSULATION: "MOhm"}
POINT_MEASUREMENT = {
    Kind.GROUND_BOND: "resistance",
    Kind.HIPOT: "leakage_current",
    Kind.INSULATION: "resistance",
}
# Without a limit on these a test would pass whatever it measures.
NEEDED_LIMITS = {
    Kind.GROUND_BOND: {"resistance", "test_current"},
    Kind.HIPOT: {"leakage_current", "voltage_peak"},
    Kind.INSULATION: {"resistance", "voltage"},
}


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at a point or of a circuit, in the unit of the test's kind (see ``UNITS``)."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Readings:
    """How a test was applied, and what it measured; A, V (of AC the rms value) and s."""

    kind: SafetyTest.Kind
    points: Sequence[Point]
    duration_s: float
    current_a: float | None = None
    voltage_v: float | None = None
    supply: str = ""
    ramp_s: float | None = None
    arc_detected: bool | None = None

    @property
    def peak_v(self) -> float:
        """Return the peak of the test voltage, V: of a sine wave the rms value times the root of two."""
        voltage = self.voltage_v or 0.0
        return voltage * math.sqrt(2) if self.supply == Supply.AC else voltage


def measurements_of(readings: Readings) -> list[Measurement]:
    """Return what the limits judge: a row per point, then how the test was applied."""
    name, unit = POINT_MEASUREMENT[readings.kind], UNITS[readings.kind]
    rows = []
    for point in readings.points:
        row = measure(name, point.value, unit=unit)
        row.component = point.name
        rows.append(row)
    return [*rows, *_applied(readings)]


def _applied(readings: Readings) -> Iterator[Measurement]:
    if readings.kind == Kind.HIPOT:
        yield measure("voltage_peak", readings.peak_v, unit="V")
        yield measure("ramp", readings.ramp_s, unit="s")
        yield measure("dwell", readings.duration_s, unit="s")
        yield measure("arcs", int(bool(readings.arc_detected)), high=0)
        return
    if readings.kind == Kind.GROUND_BOND:
        yield measure("test_current", readings.current_a, unit="A")
    else:
        yield measure("voltage", readings.voltage_v, unit="V")
    yield measure("duration", readings.duration_s, unit="s")


def require_measured(readings: Readings, plan: SafetyPlan | None) -> None:
    """Refuse with ``reading_impossible``, ``point_twice`` or ``point_missing``."""
    _require_possible(readings)
    names = [point.name.strip().casefold() for point in readings.points]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RuleViolation(
            "point_twice",
            f"{twice[0]} was measured twice.",
            rule="a point is measured once in a test",
            next_step="Say which value counts, or record another test.",
        )
    planned = planned_points(readings.kind, plan)
    missing = [name for name in planned if name.casefold() not in names] or ([] if names else ["any point"])
    if missing:
        raise RuleViolation(
            "point_missing",
            f"Not measured: {', '.join(missing)}.",
            rule="every point of the safety plan is measured",
            next_step=f"Measure {missing[0]} and record the test again.",
            points=missing,
        )


def planned_points(kind: str, plan: SafetyPlan | None) -> list[str]:
    """Return what a plan says must be measured in a test of a kind."""
    if plan is None:
        return []
    lists = {
        Kind.GROUND_BOND: plan.bond_points,
        Kind.HIPOT: plan.hipot_circuits,
        Kind.INSULATION: plan.insulation_circuits,
    }
    return list(lists[SafetyTest.Kind(kind)])


def _require_possible(readings: Readings) -> None:
    applied = {
        "duration_s": readings.duration_s,
        **({"current_a": readings.current_a} if readings.kind == Kind.GROUND_BOND else {}),
        **({"voltage_v": readings.voltage_v} if readings.kind != Kind.GROUND_BOND else {}),
    }
    wrong = [name for name, value in applied.items() if not _is_number(value) or not value]
    measured = {point.name: point.value for point in readings.points}
    if readings.kind == Kind.HIPOT:
        measured["ramp_s"] = readings.ramp_s if readings.ramp_s is not None else math.nan
    wrong += [name for name, value in measured.items() if not _is_number(value)]
    if wrong:
        raise RuleViolation(
            "reading_impossible",
            f"{wrong[0]} is no value that an instrument can show.",
            rule="readings are finite and not negative; a current, a voltage and a time are greater than 0",
            next_step="Read the instrument again; zero its leads if it shows less than nothing.",
            readings=wrong,
        )


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value >= 0


def require_limits(kind: SafetyTest.Kind, operation: Operation) -> None:
    """Refuse with ``safety_limit_missing`` when an operation sets no limit on what matters in a test."""
    limits = Limit.objects.filter(operation=operation, procedure=kind)
    missing = sorted(NEEDED_LIMITS[kind] - set(limits.values_list("measurement", flat=True)))
    if missing:
        raise RuleViolation(
            "safety_limit_missing",
            f"{operation} of {operation.route} sets no limit on {' and '.join(missing)} of {kind}.",
            rule="a safety test is judged by the limits of the route",
            release="Engineering, by a new version of the route.",
            next_step="Ask engineering for a route with these limits.",
            measurements=missing,
        )


def reasons_of(readings: Readings) -> Iterable[str]:
    """Yield in words what no limit says: that an arc was seen."""
    if readings.arc_detected:
        yield "The instrument detected an arc."
