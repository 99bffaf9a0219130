"""The door of inventory: collect and keep what units say of themselves, compare it, judge it."""

from mes.inventory.collecting import ask_collection, collect, collect_due
from mes.inventory.comparing import Row, State
from mes.inventory.facts import Facts, Firmware, cleaned, keep_inventory
from mes.inventory.firmware import FirmwareComparison, compare_firmware, firmware_violation
from mes.inventory.firmware import Row as FirmwareRow
from mes.inventory.firmware import State as FirmwareState
from mes.inventory.maps import Maps
from mes.inventory.standing import Comparison, compare_inventory
from mes.inventory.verdicts import INVENTORY_PROCEDURES, last_verdicts, verify_firmware, verify_inventory

__all__ = [
    "INVENTORY_PROCEDURES",
    "Comparison",
    "Facts",
    "Firmware",
    "FirmwareComparison",
    "FirmwareRow",
    "FirmwareState",
    "Maps",
    "Row",
    "State",
    "ask_collection",
    "cleaned",
    "collect",
    "collect_due",
    "compare_firmware",
    "compare_inventory",
    "firmware_violation",
    "keep_inventory",
    "last_verdicts",
    "verify_firmware",
    "verify_inventory",
]
