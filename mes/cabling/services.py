"""The door of cabling: connect, check and judge cables; compare the machine's own view with the plan."""

from mes.cabling.checking import Found, record_check
from mes.cabling.connecting import Cable, Disconnection, connect_cable, disconnect_cable
from mes.cabling.listing import CableRow, CableState, CutRow, cable_list, count_states, cut_list
from mes.cabling.neighbours import Report, Seen, import_reports
from mes.cabling.plans import (
    Drawn,
    End,
    Fault,
    Made,
    Plan,
    check_plan,
    end_a,
    end_b,
    find_plan,
    plan_faults,
    plan_of,
)
from mes.cabling.polling import ask_poll, read_neighbours
from mes.cabling.port_map import PortMap, PortRow, PortState, port_map, verify_port_map
from mes.cabling.verdict import verify_cabling

__all__ = [
    "Cable",
    "CableRow",
    "CableState",
    "CutRow",
    "Disconnection",
    "Drawn",
    "End",
    "Fault",
    "Found",
    "Made",
    "Plan",
    "PortMap",
    "PortRow",
    "PortState",
    "Report",
    "Seen",
    "ask_poll",
    "cable_list",
    "check_plan",
    "connect_cable",
    "count_states",
    "cut_list",
    "disconnect_cable",
    "end_a",
    "end_b",
    "find_plan",
    "import_reports",
    "plan_faults",
    "plan_of",
    "port_map",
    "read_neighbours",
    "record_check",
    "verify_cabling",
    "verify_port_map",
]
