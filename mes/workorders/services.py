"""The door of work orders: the only place that moves a unit along its route."""

from mes.workorders.cancelling import cancel_order, choices_of
from mes.workorders.capture import record_value, use_consumable, use_tool
from mes.workorders.change_plans import Plan, plan_change
from mes.workorders.changes import apply_change, approve_change, cancel_change, draft_change, signed_by
from mes.workorders.child_orders import create_child_orders
from mes.workorders.commands import add_command
from mes.workorders.design import (
    Comparison,
    SlotRow,
    SlotState,
    Tested,
    Verdict,
    compare_units,
    compare_with_design,
)
from mes.workorders.deviations import (
    LimitException,
    PartException,
    deviation_in_words,
    deviation_of,
    find_limit,
    open_deviation,
    record_judged_test,
    revoke_deviation,
)
from mes.workorders.dispositions import dispose
from mes.workorders.gates import GateState
from mes.workorders.guidance import SIGN_ON, TAKE_UP, next_step
from mes.workorders.needs import limits_in_words, tools_at
from mes.workorders.operations import (
    Removal,
    complete_operation,
    find_asking,
    install_child,
    join_operation,
    remove_child,
    replace_child,
    report_test,
    skip_operation,
    start_operation,
)
from mes.workorders.orders import (
    change_order,
    close_order,
    create_order,
    hold_order,
    release_order,
    resume_order,
)
from mes.workorders.overrides import Gates, gates_of, release_gate
from mes.workorders.position import Position, applying, position_of, positions_of
from mes.workorders.problems import report_problem
from mes.workorders.promise import Promise, promise
from mes.workorders.repairs import record_repair
from mes.workorders.retests import Retest, change_firmware, opened_since, record_break
from mes.workorders.returning import take_back_from_field
from mes.workorders.rework import places_to_fill
from mes.workorders.scanning import ACCEPTED, NEEDS_MORE, Scan, answered, current_unit
from mes.workorders.scans import add_meaning
from mes.workorders.ship_holds import holding, place_ship_hold, release_ship_hold, require_no_ship_hold
from mes.workorders.shipping import add_ship_check, scrap_ordered_unit, ship_unit
from mes.workorders.slot_acts import add_install_act, add_removal_check
from mes.workorders.splitting import split_order
from mes.workorders.standing import Standing, standing_of

__all__ = [
    "ACCEPTED",
    "NEEDS_MORE",
    "SIGN_ON",
    "TAKE_UP",
    "Comparison",
    "GateState",
    "Gates",
    "LimitException",
    "PartException",
    "Plan",
    "Position",
    "Promise",
    "Removal",
    "Retest",
    "Scan",
    "SlotRow",
    "SlotState",
    "Standing",
    "Tested",
    "Verdict",
    "add_command",
    "add_install_act",
    "add_meaning",
    "add_removal_check",
    "add_ship_check",
    "answered",
    "apply_change",
    "applying",
    "approve_change",
    "cancel_change",
    "cancel_order",
    "change_firmware",
    "change_order",
    "choices_of",
    "close_order",
    "compare_units",
    "compare_with_design",
    "complete_operation",
    "create_child_orders",
    "create_order",
    "current_unit",
    "deviation_in_words",
    "deviation_of",
    "dispose",
    "draft_change",
    "find_asking",
    "find_limit",
    "gates_of",
    "hold_order",
    "holding",
    "install_child",
    "join_operation",
    "limits_in_words",
    "next_step",
    "open_deviation",
    "opened_since",
    "place_ship_hold",
    "places_to_fill",
    "plan_change",
    "position_of",
    "positions_of",
    "promise",
    "record_break",
    "record_judged_test",
    "record_repair",
    "record_value",
    "release_gate",
    "release_order",
    "release_ship_hold",
    "remove_child",
    "replace_child",
    "report_problem",
    "report_test",
    "require_no_ship_hold",
    "resume_order",
    "revoke_deviation",
    "scrap_ordered_unit",
    "ship_unit",
    "signed_by",
    "skip_operation",
    "split_order",
    "standing_of",
    "start_operation",
    "take_back_from_field",
    "tools_at",
    "use_consumable",
    "use_tool",
]
