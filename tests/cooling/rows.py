"""Rows of cooling for tests that look at every list: made directly, for they are made very often."""

from itertools import count

from django.utils import timezone

from mes.cooling.curves import pack_curve
from mes.cooling.models import (
    BranchFlow,
    ChargeReading,
    Coolant,
    CoolantStep,
    CoolingPlan,
    Coupling,
    CouplingMate,
    CouplingType,
    LeakSensorExercise,
    LeakTest,
    SensorResult,
)
from mes.serials.models import Lot, Unit
from mes.stations.models import Calibration
from mes.testing.models import TestRun
from tests.cooling.builders import PG25, WINDOW, line

serials = count(1)


def add_rows() -> None:
    """Make a row of everything that the admin lists of cooling, about the first unit, lot and calibration."""
    unit, lot = Unit.objects.earliest("pk"), Lot.objects.earliest("pk")
    calibration = Calibration.objects.earliest("pk")
    Coolant.objects.create(part=lot.part, version="1", source="test", **PG25)
    CoolingPlan.objects.create(part=lot.part, version="1", sensors=["Chassis_0_LeakDetector_0_ColdPlate"])
    kind = CouplingType.objects.create(code="QD", version="1", name="Blind mate", maximum_mates=5)
    coupling = Coupling.objects.create(
        type=kind, serial=f"QD-{next(serials)}", manifold=unit, place="U08 supply", maximum_mates=5
    )
    CouplingMate.objects.create(coupling=coupling, number=1, manifold=unit, place="U08 supply")
    add_leaks(unit, calibration)
    facts = {"volume_l": 60, "conductivity_us_cm": 2100, "ph": 8.6, "freeze_protection_cel": -9.6}
    fill = CoolantStep.objects.create(unit=unit, kind="fill", test_run=run(unit, "fill"), lot=lot, **facts)
    flow = CoolantStep.objects.create(unit=unit, kind="flow", test_run=run(unit, "flow"), fill=fill)
    measured = {"flow_l_min": 6, "supply_bar": 2.4, "return_bar": 1.2, "supply_cel": 30, "return_cel": 40}
    BranchFlow.objects.create(step=flow, branch="U08", **measured)
    held = {"pressure_bar": 0.5, "temperature_cel": 20}
    charge = CoolantStep.objects.create(
        unit=unit, kind="nitrogen_charge", test_run=run(unit, "nitrogen_charge"), valve="V-1", **held
    )
    again = run(unit, "nitrogen_charge")
    ChargeReading.objects.create(charge=charge, test_run=again, corrected_bar=0.5, **held)


def add_leaks(unit: Unit, calibration: Calibration) -> None:
    """Make a leak test and an exercise of a sensor."""
    curve = line(0.1)
    LeakTest.objects.create(
        unit=unit,
        test_run=run(unit, "tray_leak"),
        scope="tray_leak",
        method="pressure_decay",
        medium="nitrogen",
        pressure_reference="absolute",
        test_pressure_mbar=3000,
        instrument=calibration.tool,
        calibration=calibration,
        samples=len(curve.times),
        curve=pack_curve(curve),
        computed=0.1,
        uncompensated=0.1,
        resolution=0.0,
        ended_at=timezone.now(),
        **WINDOW,
    )
    exercise = LeakSensorExercise.objects.create(
        unit=unit, test_run=run(unit, "leak_sensors"), done_at=timezone.now(), done_by="tester"
    )
    SensorResult.objects.create(exercise=exercise, sensor="LEAK", stimulus="wetted", tripped_s=2, cleared_s=9)


def run(unit: Unit, procedure: str) -> TestRun:
    """Make a passed result of our own record."""
    return TestRun.objects.create(
        unit=unit,
        procedure=procedure,
        format="record",
        status="COMPLETE",
        outcome="PASS",
        configuration="0" * 64,
    )
