"""Cabling: plans, what is connected and checked, and what the machine itself sees."""

from mes.cabling.models.connections import (
    CableCheck,
    CableConnection,
    CableEnd,
    CableScan,
    CablingVerdict,
    UnitCabling,
)
from mes.cabling.models.neighbours import Neighbour, NeighbourReport, PortPoll
from mes.cabling.models.plans import CableKind, CablePlan, Check, PlannedCable, PortName

__all__ = [
    "CableCheck",
    "CableConnection",
    "CableEnd",
    "CableKind",
    "CablePlan",
    "CableScan",
    "CablingVerdict",
    "Check",
    "Neighbour",
    "NeighbourReport",
    "PlannedCable",
    "PortName",
    "PortPoll",
    "UnitCabling",
]
