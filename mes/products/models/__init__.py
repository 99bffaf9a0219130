"""Definitions: what is built, from what, in which slots, by which route, to which limits."""

from mes.products.models.budgets import Budget, CompatibilityRule
from mes.products.models.firmware import FirmwareBaseline, FirmwareVersion
from mes.products.models.instructions import Instruction, InstructionReading, InstructionStep
from mes.products.models.parts import BomLine, Part, PartRevision, Released, Slot
from mes.products.models.routes import (
    Consumable,
    DataField,
    Gate,
    Limit,
    Operation,
    RequiredQualification,
    RequiredTool,
    RetestRule,
    ReworkLimit,
    Route,
)

__all__ = [
    "BomLine",
    "Budget",
    "CompatibilityRule",
    "Consumable",
    "DataField",
    "FirmwareBaseline",
    "FirmwareVersion",
    "Gate",
    "Instruction",
    "InstructionReading",
    "InstructionStep",
    "Limit",
    "Operation",
    "Part",
    "PartRevision",
    "Released",
    "RequiredQualification",
    "RequiredTool",
    "RetestRule",
    "ReworkLimit",
    "Route",
    "Slot",
]
