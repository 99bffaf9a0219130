"""Record a leak test: check the curve, compute what it says, let the route's limits judge it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from mes.cooling import curves
from mes.cooling.curves import Change, Curve, Window
from mes.cooling.loop import leak_procedure_of, read_loop, require_dry
from mes.cooling.models import LeakTest
from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.racks.services import require_out
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_here
from mes.stations.models import Calibration, Tool
from mes.stations.services import require_tool_usable
from mes.testing.models import Measurement, TestRun
from mes.testing.services import Result, measure
from mes.workorders.services import opened_since, report_test

Method, Medium, Reference = LeakTest.Method, LeakTest.Medium, LeakTest.Reference
LEAK_TESTER = "leak_tester"
CLOCKS_DIFFER = timedelta(minutes=1)
PRESSURE_TOLERANCE = 0.05  # of the test pressure
CLAIM_TOLERANCE = 0.1  # of what was computed
LEAST_CLAIM_MBAR = 0.05
RISE_SHARE = 1e-4  # of the test pressure, that gauges and thermometers may pretend
NAMES = {
    Method.PRESSURE_DECAY: "pressure_decay",
    Method.VACUUM_DECAY: "vacuum_decay",
    Method.HELIUM: "helium_leak_rate",
}
CONTRADICTION, TESTER_FAILED = "claim_contradicts_curve", "tester_said_fail"
ROSE, FELL = "pressure_rose", "pressure_fell"  # the wrong way: a fault of the set-up


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What a leak tester reports. Pressures in mbar, times in s, temperatures in Cel, volume in L.

    The curve holds pressures in mbar (``pressure_reference`` says of which kind), for helium leak rates in
    mbar.L/s. ``said`` and ``claimed`` are the tester's own verdict and number.
    """

    method: str
    medium: str
    test_pressure_mbar: float
    stabilise_s: float
    measure_s: float
    curve: Curve
    instrument: Tool
    pressure_reference: str = Reference.ABSOLUTE
    ambient_pressure_mbar: float | None = None
    ambient_start_cel: float | None = None
    ambient_end_cel: float | None = None
    volume_l: float | None = None
    scope: str = ""
    said: str = ""
    claimed: float | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def window(self) -> Window:
        """Return when the curve is measured."""
        return Window(self.stabilise_s, self.measure_s)

    @property
    def unit(self) -> str:
        """Return the unit of what is computed."""
        return "mbar.L/s" if self.method == Method.HELIUM else "mbar"

    @property
    def is_gas(self) -> bool:
        """Return whether the pressure follows the temperature as that of a gas."""
        return self.medium not in LeakTest.LIQUIDS and self.method != Method.HELIUM


@dataclass(frozen=True, slots=True)
class Computed:
    """What the curve says: the decay or leak rate, the same uncompensated, and what noise lets it tell."""

    value: float
    raw: float
    resolution: float = 0.0
    temperature_change: float | None = None


@transaction.atomic
def record_leak_test(*, unit: Unit, report: LeakReport, by: Actor) -> LeakTest:
    """Keep a leak test with its curve, judged by the limits of the route on what the curve says.

    The decay is computed here; a tester whose own number or verdict contradicts its curve does not pass, and
    neither does one that said FAIL. A pressure that rose, or a vacuum that
    became better, is a set-up fault, RETEST. Refuses with
    ``wrong_scope``, ``wrong_medium``, ``wrong_instrument``, ``wrong_site``, ``tool_overdue``,
    ``tool_retired``, ``ambient_pressure_missing``, ``temperature_missing``, ``curve_incomplete``,
    ``pressure_not_reached``, ``loop_filled`` (gas in a filled loop), ``leak_limit_missing``,
    ``curve_noisy``, ``leak_test_time``, ``leak_test_outdated``, ``unit_closed``, or as ``require_here``.
    """
    unit = lock_units(unit.pk)[unit.pk]
    require_here(unit)
    require_out(unit)
    scope = _scope_of(unit, report)
    _require_time(unit, scope, report)
    _require_method(report)
    _require_instrument(unit, report.instrument)
    if report.medium not in LeakTest.LIQUIDS:
        require_dry(read_loop(unit), "a test with gas would say nothing")
    _require_curve(report)
    computed = compute(report)
    run = report_test(unit=unit, result=_result(report, scope, computed), by=by)
    _require_judged(run, report, computed)
    return LeakTest.objects.create(
        unit=unit, test_run=run, scope=scope, recorded_by=by.person or by.device, **_columns(report, computed)
    )


def compute(report: LeakReport) -> Computed:
    """Return what the curve of a report says.

    Pressure decay: how far the pressure fell over the measure time, vacuum decay: how far it rose, by the
    worse of line and ends (see curves.Change), compensated by the ideal gas law for a gas. Helium: the
    highest leak rate in the measure time.
    """
    if report.method == Method.HELIUM:
        rate = curves.highest_in(report.curve, report.window)
        return Computed(rate, rate)
    raw = curves.change_over(report.curve, report.window)
    temperatures = curves.temperatures_of(report.curve, report.ambient_start_cel, report.ambient_end_cel)
    if not report.is_gas or not temperatures:
        return Computed(_loss(report, raw), _loss(report, raw), raw.error)
    offset = report.ambient_pressure_mbar or 0 if report.pressure_reference == Reference.GAUGE else 0
    curve = curves.compensate(report.curve, temperatures, report.window, offset)
    change = curves.change_over(curve, report.window)
    warmed = curves.change_over(Curve(curve.times, curve.temperatures), report.window).fitted
    return Computed(_loss(report, change), _loss(report, raw), change.error, warmed)


def _loss(report: LeakReport, change: Change) -> float:
    return change.largest_rise if report.method == Method.VACUUM_DECAY else change.largest_fall


def _scope_of(unit: Unit, report: LeakReport) -> str:
    scope = str(leak_procedure_of(unit))
    if report.scope and report.scope != scope:
        raise RuleViolation(
            "wrong_scope",
            f"{unit.serial} is of level L{unit.level}; its leak test is {scope}, not {report.scope}.",
            rule="racks are tested as racks, trays as trays",
            next_step=f"Report it as {scope}, or on the unit that was tested.",
        )
    return scope


def _require_time(unit: Unit, scope: str, report: LeakReport) -> None:
    """Refuse ``leak_test_time``, a test that is to come, and ``leak_test_outdated``.

    Outdated is what was measured before something made a leak test untrue, such as an opened hose.
    """
    ended = report.ended_at
    if ended is None:
        return
    if ended > timezone.now() + CLOCKS_DIFFER or (report.started_at and report.started_at > ended):
        raise RuleViolation(
            "leak_test_time",
            f"The test is said to have ended at {ended:%Y-%m-%d %H:%M:%S} UTC, which cannot be.",
            rule="a test is reported once it has ended",
            next_step="Set the clock of the tester, and test again.",
        )
    began = report.started_at or ended
    if because := opened_since(unit=unit, procedure=scope, since=began):
        raise RuleViolation(
            "leak_test_outdated",
            f"The test began at {began:%Y-%m-%d %H:%M:%S} UTC; since then: {because}.",
            rule="a leak test is of the loop as it is now",
            next_step="Test again.",
        )


def _require_method(report: LeakReport) -> None:
    """Refuse what cannot be measured so: ``wrong_medium`` and ``ambient_pressure_missing``."""
    needed = {Medium.HELIUM, Medium.FORMING_GAS} if report.method == Method.HELIUM else set(Medium)
    if report.method == Method.VACUUM_DECAY:
        needed -= set(LeakTest.LIQUIDS)
    if report.medium not in needed:
        raise RuleViolation(
            "wrong_medium",
            f"A test by {report.method} is not done with {report.medium}.",
            rule="helium is found with a gas that holds some; a vacuum is not filled with liquid",
            next_step=f"Choose one of {', '.join(sorted(needed))}.",
        )
    if report.pressure_reference == Reference.GAUGE and report.ambient_pressure_mbar is None:
        raise RuleViolation(
            "ambient_pressure_missing",
            "Gauge pressures are compared with the ambient pressure; it was not given.",
            rule="only absolute pressures follow the temperature",
            next_step="Give ambient_pressure_mbar, or absolute pressures.",
        )


def _require_instrument(unit: Unit, tool: Tool) -> None:
    require_tool_usable(tool)
    if tool.type != LEAK_TESTER:
        raise RuleViolation(
            "wrong_instrument",
            f"{tool.code} is a {tool.type.replace('_', ' ')}, no leak tester.",
            rule="leaks are measured with a leak tester",
            next_step="Name the leak tester that was used.",
            tool=tool.code,
        )
    if tool.site_id != unit.site_id:
        raise RuleViolation(
            "wrong_site",
            f"{tool.code} belongs to another site than {unit.serial}.",
            rule="a tool is used at its site",
            next_step="Name the tool of this site that was used.",
        )


def _require_curve(report: LeakReport) -> None:
    """Refuse a curve that does not show the test: incomplete, or without temperature or pressure."""
    if gap := curves.find_gap(report.curve, report.window):
        raise RuleViolation(
            "curve_incomplete",
            f"The curve does not show the test: {gap}",
            rule="a leak test is judged by its whole curve",
            next_step="Send every sample of stabilising and measuring, in s from the start.",
        )
    known = curves.temperatures_of(report.curve, report.ambient_start_cel, report.ambient_end_cel)
    if report.is_gas and not known:
        raise RuleViolation(
            "temperature_missing",
            "The pressure of a gas follows its temperature; none was given.",
            rule="what a gas tells is compensated for temperature",
            next_step="Give ambient_start_cel and ambient_end_cel, or a temperature with every sample.",
        )
    _require_pressure(report)


def _require_pressure(report: LeakReport) -> None:
    """Refuse with ``pressure_not_reached`` a curve that is measured at another pressure than said."""
    if report.method == Method.HELIUM:
        return
    found = curves.change_over(report.curve, report.window).start
    wanted, slack = report.test_pressure_mbar, PRESSURE_TOLERANCE * report.test_pressure_mbar
    too_low = report.method == Method.PRESSURE_DECAY and found < wanted - slack
    if too_low or found > wanted + slack:
        raise RuleViolation(
            "pressure_not_reached",
            f"The test pressure is {wanted:g} mbar; the curve begins to be measured at {found:.4g} mbar.",
            rule=f"a test is done within {PRESSURE_TOLERANCE:.0%} of its test pressure",
            next_step="Set the pressure, let it stabilise, and test again.",
        )


def _result(report: LeakReport, scope: str, computed: Computed) -> Result:
    """Return the result before the limits judge it, with what speaks against it by name."""
    findings = _findings(report, computed)
    outcome = TestRun.Outcome.PASS
    if {ROSE, FELL} & findings.keys():
        outcome = TestRun.Outcome.RETEST
    if {CONTRADICTION, TESTER_FAILED} & findings.keys():
        outcome = TestRun.Outcome.FAIL
    return Result(
        procedure=scope,
        outcome=outcome,
        said=report.said,
        format=TestRun.Format.RECORD,
        reasons=list(findings.values()),
        started_at=report.started_at,
        ended_at=report.ended_at or timezone.now(),
        measurements=_measurements(report, computed),
        details=_details(report, computed),
    )


def _findings(report: LeakReport, computed: Computed) -> dict[str, str]:
    findings = {}
    if report.said == TestRun.Outcome.FAIL:
        findings[TESTER_FAILED] = "The tester itself said FAIL."
    if report.claimed is not None and not _agrees(report.claimed, report, computed):
        findings[CONTRADICTION] = (
            f"The tester claims {report.claimed:g} {report.unit}; its curve says {computed.value:.4g}"
            f" {report.unit} ({computed.raw:.4g} before compensation)."
        )
    pretended = max(computed.resolution, RISE_SHARE * report.test_pressure_mbar)
    if report.method == Method.PRESSURE_DECAY and -computed.value > pretended:
        findings[ROSE] = (
            f"The pressure rose by {-computed.value:.4g} mbar: a valve is open, or the temperature is not"
            " that of the gas."
        )
    if report.method == Method.VACUUM_DECAY and -computed.value > pretended:
        findings[FELL] = (
            f"The pressure fell by {-computed.value:.4g} mbar: the pump is not shut off, or the temperature"
            " is not that of the gas."
        )
    return findings


def _agrees(claimed: float, report: LeakReport, computed: Computed) -> bool:
    """Return whether a claim is what the curve says, with or without the temperature taken out."""
    least = 0.0 if report.method == Method.HELIUM else LEAST_CLAIM_MBAR
    return any(
        abs(claimed - value) <= max(CLAIM_TOLERANCE * abs(value), computed.resolution, least)
        for value in (computed.value, computed.raw)
    )


def _measurements(report: LeakReport, computed: Computed) -> list[Measurement]:
    rows = [
        measure(NAMES[Method(report.method)], computed.value, unit=report.unit),
        measure("test_pressure", report.test_pressure_mbar, unit="mbar"),
        measure("stabilise_time", report.stabilise_s, unit="s"),
        measure("measure_time", report.measure_s, unit="s"),
    ]
    if computed.temperature_change is not None:
        rows.append(measure("temperature_change", computed.temperature_change, unit="K"))
    if report.volume_l is not None and report.method != Method.HELIUM:
        rate = computed.value * report.volume_l / report.measure_s
        rows.append(measure("leak_rate", rate, unit="mbar.L/s"))
    return rows


def _details(report: LeakReport, computed: Computed) -> dict[str, object]:
    return {
        "method": report.method,
        "medium": report.medium,
        "pressure_reference": report.pressure_reference,
        "instrument": report.instrument.code,
        "computed": computed.value,
        "uncompensated": computed.raw,
        "resolution": computed.resolution,
        "claimed": report.claimed,
        "samples": len(report.curve.times),
    }


def _require_judged(run: TestRun, report: LeakReport, computed: Computed) -> None:
    """Refuse a PASS without a limit, ``leak_limit_missing``, and one of mere noise, ``curve_noisy``."""
    name = NAMES[Method(report.method)]
    judged = [row for row in run.measurements.all() if row.name == name and row.verdict != "NONE"]
    if run.outcome == TestRun.Outcome.PASS and not judged:
        raise RuleViolation(
            "leak_limit_missing",
            f"No operation of the route of {run.unit.serial} sets a limit for {name} of {run.procedure}.",
            rule="a leak test is judged by a limit of the route",
            next_step=f"Let engineering set a limit for {name}, or test by the method of the route.",
        )
    lowest = min((row.high for row in judged if row.high is not None), default=None)
    if run.outcome == TestRun.Outcome.PASS and lowest is not None and computed.resolution > lowest:
        raise RuleViolation(
            "curve_noisy",
            f"The curve is so noisy that it tells no less than {computed.resolution:.4g} {report.unit}; the"
            f" limit is {lowest:g} {report.unit}.",
            rule="a leak test can tell what its limit asks for",
            next_step="Let the pressure settle or measure for longer, and test again.",
            resolution=computed.resolution,
        )


def _columns(report: LeakReport, computed: Computed) -> dict[str, object]:
    ended_at = report.ended_at or timezone.now()
    return {
        "method": report.method,
        "medium": report.medium,
        "pressure_reference": report.pressure_reference,
        "test_pressure_mbar": report.test_pressure_mbar,
        "ambient_pressure_mbar": report.ambient_pressure_mbar,
        "stabilise_s": report.stabilise_s,
        "measure_s": report.measure_s,
        "ambient_start_cel": report.ambient_start_cel,
        "ambient_end_cel": report.ambient_end_cel,
        "volume_l": report.volume_l,
        "instrument": report.instrument,
        "calibration": _in_force(report.instrument, ended_at),
        "samples": len(report.curve.times),
        "curve": curves.pack_curve(report.curve),
        "computed": computed.value,
        "uncompensated": computed.raw,
        "resolution": computed.resolution,
        "said": report.said,
        "claimed": report.claimed,
        "findings": list(_findings(report, computed)),
        "started_at": report.started_at,
        "ended_at": ended_at,
    }


def _in_force(tool: Tool, at: datetime) -> Calibration | None:
    return tool.calibrations.filter(calibrated_at__lte=at).order_by("-calibrated_at", "-pk").first()
