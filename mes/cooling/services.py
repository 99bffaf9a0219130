"""The door of cooling: leak tests, leak sensors, couplings, and what is done with the coolant of a loop."""

from mes.cooling.charging import record_charge_reading, record_nitrogen_charge
from mes.cooling.coolant import Branch, record_drain, record_fill, record_flow, record_flush
from mes.cooling.couplings import fit_coupling, record_mate, record_slot_mates, remove_coupling
from mes.cooling.curves import BadCurve, Curve, make_curve, read_csv, unpack_curve
from mes.cooling.drawing import CurveDrawing, draw_curve
from mes.cooling.leak_tests import LeakReport, record_leak_test
from mes.cooling.loop import Loop, LoopState, ResultState, Standing, read_loop, require_dry
from mes.cooling.sensors import Trip, expected_sensors, record_sensor_exercise

__all__ = [
    "BadCurve",
    "Branch",
    "Curve",
    "CurveDrawing",
    "LeakReport",
    "Loop",
    "LoopState",
    "ResultState",
    "Standing",
    "Trip",
    "draw_curve",
    "expected_sensors",
    "fit_coupling",
    "make_curve",
    "read_csv",
    "read_loop",
    "record_charge_reading",
    "record_drain",
    "record_fill",
    "record_flow",
    "record_flush",
    "record_leak_test",
    "record_mate",
    "record_nitrogen_charge",
    "record_sensor_exercise",
    "record_slot_mates",
    "remove_coupling",
    "require_dry",
    "unpack_curve",
]
