"""Ground bond and insulation tests, and the record every safety test leaves."""

from django.db import transaction

from mes.electrical.instruments import require_instrument
from mes.electrical.models import HipotSession, SafetyPlan, SafetyPoint, SafetyTest
from mes.electrical.readings import (
    UNITS,
    Readings,
    measurements_of,
    reasons_of,
    require_limits,
    require_measured,
)
from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.products.models import Operation
from mes.racks.services import require_out
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_usable
from mes.stations.models import Calibration, Station, Tool
from mes.stations.services import require_sign_on
from mes.testing.models import TestRun
from mes.testing.services import Result
from mes.workorders.services import find_asking, report_test, use_tool

Kind = SafetyTest.Kind


@transaction.atomic
def record_safety_test(*, unit: Unit, instrument: str, readings: Readings, by: Actor) -> SafetyTest:
    """Record a ground bond or insulation test; the limits of the route judge it.

    ``instrument`` is the code on its label. Refuses with ``hipot_needs_a_session``, ``device_not_signed_on``,
    ``unit_held``, ``unit_locked_out``, ``unit_closed`` and the unit's state; with
    ``safety_test_not_planned``, ``safety_limit_missing``; as ``require_instrument`` and
    ``require_measured`` do.
    """
    if readings.kind == Kind.HIPOT:
        raise RuleViolation(
            "hipot_needs_a_session",
            "A hipot is begun by two people and finished with its result.",
            rule="a live hipot takes two people and an empty rack",
            next_step="Begin the hipot.",
        )
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    require_usable(unit)
    require_out(unit)
    require_planned(readings.kind, unit)
    tool, calibration = require_instrument(code=instrument, unit=unit, kind=readings.kind)
    plan = plan_of(unit)
    require_measured(readings, plan)
    note_instrument(tool, unit, by)
    return keep_test(unit=unit, readings=readings, tool=tool, calibration=calibration, plan=plan, by=by)


def require_planned(kind: SafetyTest.Kind, unit: Unit) -> Operation:
    """Return the operation whose limits judge a test. Refuses as ``record_safety_test`` does."""
    operation = find_asking(unit=unit, procedure=kind)
    if operation is None:
        raise RuleViolation(
            "safety_test_not_planned",
            f"No operation of {unit.serial} asks for {kind}.",
            rule="a safety test is judged by the limits of the route",
            release="Engineering, by a new version of the route.",
            next_step="Check the serial; ask engineering which route tests it.",
        )
    require_limits(kind, operation)
    return operation


def plan_of(unit: Unit) -> SafetyPlan | None:
    """Return the latest released safety plan of a unit's part, if there is one."""
    plans = SafetyPlan.objects.filter(part=unit.part_revision.part_id, released_at__isnull=False)
    return plans.order_by("-released_at", "-pk").first()


def note_instrument(tool: Tool, unit: Unit, by: Actor) -> None:
    """Bring the instrument to the station of who acts, where the operation at work notes it as used."""
    station = Station.objects.select_related("line").filter(code=by.station).first() if by.station else None
    if station is not None:
        use_tool(tool=tool, unit=unit, station=station, by=by)


def keep_test(
    *,
    unit: Unit,
    readings: Readings,
    tool: Tool,
    calibration: Calibration,
    plan: SafetyPlan | None,
    by: Actor,
    session: HipotSession | None = None,
) -> SafetyTest:
    """Report the test run, and keep the record and its points with it; in the caller's transaction."""
    run = report_test(unit=unit, result=_result(readings, tool, calibration, session), by=by)
    test = SafetyTest.objects.create(
        unit=unit,
        kind=readings.kind,
        test_run=run,
        session=session,
        plan=plan,
        tool=tool,
        certificate=calibration.certificate,
        calibration_due_at=calibration.due_at,
        supply=readings.supply,
        current_a=readings.current_a,
        voltage_v=readings.voltage_v,
        ramp_s=readings.ramp_s,
        duration_s=readings.duration_s,
        arc_detected=readings.arc_detected,
        recorded_by=by.person,
    )
    unit_name = UNITS[readings.kind]
    SafetyPoint.objects.bulk_create(
        SafetyPoint(test=test, name=point.name.strip(), value=point.value, unit=unit_name)
        for point in readings.points
    )
    return test


def _result(readings: Readings, tool: Tool, calibration: Calibration, session: HipotSession | None) -> Result:
    reasons = list(reasons_of(readings))
    return Result(
        procedure=readings.kind,
        outcome=TestRun.Outcome.FAIL if reasons else TestRun.Outcome.PASS,
        format=TestRun.Format.RECORD,
        reasons=reasons,
        started_at=session.begun_at if session else None,
        measurements=measurements_of(readings),
        details={
            "instrument": tool.code,
            "certificate": calibration.certificate,
            "calibration_due_at": calibration.due_at.isoformat(),
            "supply": readings.supply,
            "voltage_v": readings.voltage_v,
            **({"people": list(session.people), "session": str(session.uid)} if session else {}),
        },
    )
