"""The verdict on the cabling of a unit: a test run that gates ask for, with what is missing in words."""

from typing import Any

from django.db import transaction

from mes.cabling.listing import CableRow, CableState, cable_list, count_states, fault_in_words
from mes.cabling.models import CablingVerdict
from mes.cabling.plans import Plan, find_plan, plan_of
from mes.ledger.services import Actor
from mes.racks.services import configuration_digest
from mes.serials.models import Unit
from mes.serials.services import lock_units, require_here
from mes.stations.services import require_sign_on
from mes.testing.models import Measurement, TestRun
from mes.testing.services import Result, live_outcomes, measure
from mes.workorders.services import report_test

Outcome = TestRun.Outcome
CABLING = CablingVerdict.Procedure.CABLING


@transaction.atomic
def verify_cabling(*, unit: Unit, by: Actor) -> CablingVerdict:
    """Judge whether every planned cable is connected and its checks passed, and report it as a test run.

    Refuses with ``no_cable_plan``, ``device_not_signed_on``, or as ``require_here`` does.
    """
    require_sign_on(by)
    unit = lock_units(unit.pk)[unit.pk]
    require_here(unit)
    return _judge(unit, plan_of(unit), by)


def withdraw_pass(unit: Unit, by: Actor) -> None:
    """Judge anew when the cabling stands as passed, for it no longer is."""
    plan = find_plan(unit)
    if plan is not None and has_passed(unit, CABLING):
        _judge(lock_units(unit.pk)[unit.pk], plan, by)


def has_passed(unit: Unit, procedure: CablingVerdict.Procedure) -> bool:
    """Return whether the last live verdict on a unit as it is built now is a PASS."""
    live = live_outcomes(unit=unit, procedures=[procedure], configuration=configuration_digest(unit))
    return live.get(procedure) == Outcome.PASS


def _judge(unit: Unit, plan: Plan, by: Actor) -> CablingVerdict:
    rows = cable_list(unit=unit, plan=plan)
    faults = [fault_in_words(row) for row in rows if row.state != CableState.DONE]
    details: dict[str, Any] = {"plan": str(plan.row), "counts": count_states(rows), "faults": faults}
    return report_verdict(
        unit=unit,
        plan=plan,
        procedure=CABLING,
        faults=faults,
        measurements=_measurements(rows),
        details=details,
        by=by,
    )


def _measurements(rows: list[CableRow]) -> list[Measurement]:
    done = sum(row.state == CableState.DONE for row in rows)
    connected = sum(row.connection is not None for row in rows)
    planned = float(len(rows))
    return [
        measure("cables connected", connected, unit="cables", low=planned, high=planned),
        measure("cables checked", done, unit="cables", low=planned, high=planned),
    ]


def report_verdict(
    *,
    unit: Unit,
    plan: Plan,
    procedure: CablingVerdict.Procedure,
    faults: list[str],
    measurements: list[Measurement],
    details: dict[str, Any],
    by: Actor,
) -> CablingVerdict:
    """Keep a verdict and report its test run; any fault makes it a FAIL. Call it in a transaction."""
    result = Result(
        procedure=procedure,
        procedure_version=plan.row.version,
        outcome=Outcome.FAIL if faults else Outcome.PASS,
        format=TestRun.Format.RECORD,
        reasons=list(faults),
        measurements=measurements,
        details=details,
    )
    run = report_test(unit=unit, result=result, by=by)
    return CablingVerdict.objects.create(
        unit=unit,
        plan=plan.row,
        procedure=procedure,
        test_run=run,
        faults=faults,
        judged_by=by.person or by.device,
    )
