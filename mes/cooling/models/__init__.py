"""The liquid cooling record: definitions, leak tests, couplings, and what was done with the coolant."""

from mes.cooling.models.coolant import BranchFlow, ChargeReading, CoolantStep
from mes.cooling.models.couplings import Coupling, CouplingMate
from mes.cooling.models.definitions import Coolant, CoolingPlan, CouplingType
from mes.cooling.models.leaks import LeakSensorExercise, LeakTest, SensorResult

__all__ = [
    "BranchFlow",
    "ChargeReading",
    "Coolant",
    "CoolantStep",
    "CoolingPlan",
    "Coupling",
    "CouplingMate",
    "CouplingType",
    "LeakSensorExercise",
    "LeakTest",
    "SensorResult",
]
