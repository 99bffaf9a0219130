"""Orders, the operations done on each unit, rework, changes and deviations."""

from mes.workorders.models.changes import (
    CarriedOperation,
    ChangeApproval,
    ChangeMove,
    ChangeTarget,
    Deviation,
    DeviationUse,
    EngineeringChange,
)
from mes.workorders.models.orders import OrderUnit, WorkOrder
from mes.workorders.models.runs import (
    CapturedValue,
    ConsumableUse,
    GateRelease,
    Labor,
    OperationRun,
    Rework,
    ToolUse,
    WorkSession,
)
from mes.workorders.models.ship_holds import ShipHold

__all__ = [
    "CapturedValue",
    "CarriedOperation",
    "ChangeApproval",
    "ChangeMove",
    "ChangeTarget",
    "ConsumableUse",
    "Deviation",
    "DeviationUse",
    "EngineeringChange",
    "GateRelease",
    "Labor",
    "OperationRun",
    "OrderUnit",
    "Rework",
    "ShipHold",
    "ToolUse",
    "WorkOrder",
    "WorkSession",
]
