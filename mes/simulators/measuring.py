"""How the demo measures what gates ask for: leaks with their curves, electrical safety, coolant."""

from typing import Any

from mes.electrical.models import SafetyPlan
from mes.products.models import Operation
from mes.simulators.cast import SAFETY_ANALYZER
from mes.simulators.story import Job, Proof

GOOD_DECAY_MBAR = 0.1
COOLANT, FILLED_L = "CL-1001", 60.0
FLOWS_L_MIN = {"compute_tray": 8.0, "switch_tray": 5.0}


def find_no_leak(job: Job) -> None:
    """Test a tray or a rack for leaks, with none."""
    job.factory.measure_leak(job.unit, job.tester, GOOD_DECAY_MBAR)


def exercise_sensors(job: Job) -> None:
    """Wet every leak sensor that sits in a slot, and see it trip and clear."""
    names = [slot for slot, _, child in job.part.slots if child.kind == "leak_detector"]
    sensors = [{"sensor": name, "stimulus": "wetted", "tripped_s": 2.4, "cleared_s": 21.0} for name in names]
    job.tester.post(f"units/{job.unit['uid']}/leak-sensor-exercises/", {"sensors": sensors})


def measure_insulation(job: Job) -> None:
    """Measure the insulation of the circuits that the safety plan names."""
    points = [{"name": name, "value": 240.0} for name in _plan(job.operation).insulation_circuits]
    body = {"kind": "insulation", "voltage_v": 500, "duration_s": 60, "points": points}
    _safety(job, body)


def bond_ground(job: Job) -> None:
    """Measure the ground bond at the points that the safety plan names."""
    points = [{"name": name, "value": 0.031} for name in _plan(job.operation).bond_points]
    _safety(job, {"kind": "ground_bond", "current_a": 25, "duration_s": 120, "points": points})


def _safety(job: Job, body: dict[str, Any]) -> None:
    job.tester.post(f"units/{job.unit['uid']}/safety-tests/", {"instrument": SAFETY_ANALYZER, **body})


def _plan(operation: Operation) -> SafetyPlan:
    plans = SafetyPlan.objects.filter(part=operation.route.part_id, released_at__isnull=False)
    return plans.latest("released_at")


def apply_high_voltage(job: Job) -> None:
    """Do a live hipot: one person alone is refused; two lock the rack out until it has ended."""
    body = {"instrument": SAFETY_ANALYZER, "reason": f"demo: operation {job.operation.sequence}"}
    path = f"units/{job.unit['uid']}/hipot/"
    alone = {**body, "signatures": job.factory.witnesses[:1]}
    job.tester.post(path, alone, refused="hipot_needs_two_people")
    session = job.tester.post(path, {**body, "signatures": job.factory.witnesses[:2]})
    people = f"{session['first_person']} and {session['second_person']}"
    job.factory.report(f"  hipot of {job.unit['serial']} by {people}: locked out until it has ended")
    job.tester.scan("CMD:DONE", refused="unit_locked_out")
    points = [{"name": name, "value": 0.8} for name in _plan(job.operation).hipot_circuits]
    reading = {"supply": "dc", "voltage_v": 2120, "ramp_s": 5, "duration_s": 60, "arc_detected": False}
    done = {**reading, "points": points, "discharged": True}
    job.tester.post(f"hipot-sessions/{session['uid']}/finish/", done)


def flush(job: Job) -> None:
    """Flush the loop until it is clean."""
    body = {"medium": "DI water", "volume_l": 120, "duration_s": 1800, "filter_um": 25}
    _step(job, "flush", {**body, "particle_class": "17/15/12"})


def fill(job: Job) -> None:
    """Fill the loop with coolant of the lot that was scanned."""
    body = {"lot": job.factory.lots[COOLANT], "volume_l": FILLED_L, "conductivity_us_cm": 2100, "ph": 8.6}
    _step(job, "fill", {**body, "freeze_protection_cel": -9.6})


def measure_flow(job: Job) -> None:
    """Measure flow, pressures and temperatures of each tray's branch."""
    branches = [
        {
            "branch": slot,
            "flow_l_min": FLOWS_L_MIN[child.kind],
            "supply_bar": 2.4,
            "return_bar": 1.2,
            "supply_cel": 25.0,
            "return_cel": 34.5,
        }
        for slot, _, child in job.part.slots
        if child.kind in FLOWS_L_MIN
    ]
    _step(job, "flow", {"branches": branches})


def drain(job: Job) -> None:
    """Drain the loop; a little stays."""
    _step(job, "drain", {"volume_l": FILLED_L - 1.4})


def charge(job: Job) -> None:
    """Charge the drained loop with nitrogen."""
    body = {"pressure_bar": 0.5, "temperature_cel": 21.0, "valve": f"DEMO-VALVE-{job.factory.run}"}
    _step(job, "nitrogen-charge", body)


def _step(job: Job, name: str, body: dict[str, Any]) -> None:
    job.tester.post(f"units/{job.unit['uid']}/coolant/{name}/", body)


PROOFS: dict[str, Proof] = {
    "tray_leak": find_no_leak,
    "rack_leak": find_no_leak,
    "leak_sensors": exercise_sensors,
    "insulation": measure_insulation,
    "hipot": apply_high_voltage,
    "ground_bond": bond_ground,
    "flush": flush,
    "fill": fill,
    "flow": measure_flow,
    "drain": drain,
    "nitrogen_charge": charge,
}
