"""The tables of definition packs: which sections there are, and which columns a row of each has."""

from mes.burnin.meter_models import GridFactor
from mes.burnin.models import BurnInPhase, BurnInProfile, SeriesLimit
from mes.cabling.models import CableKind, CablePlan, PlannedCable, PortName
from mes.cooling.models import Coolant, CoolingPlan, CouplingType
from mes.definitions.schema import Table
from mes.electrical.models import SafetyPlan
from mes.inventory.models import ComponentName, FirmwareName, ReportMap
from mes.people.models import Qualification
from mes.products.models import (
    BomLine,
    Budget,
    CompatibilityRule,
    Consumable,
    DataField,
    FirmwareBaseline,
    FirmwareVersion,
    Gate,
    Instruction,
    InstructionStep,
    Limit,
    Operation,
    Part,
    PartRevision,
    RequiredQualification,
    RequiredTool,
    RetestRule,
    ReworkLimit,
    Route,
    Slot,
)
from mes.serials.models import Supplier
from mes.shipping.models import PackingRule
from mes.stations.models import Line, Site, Station

SITE = Table("site", "sites", Site, ("code",), ("name",))
GRID_FACTOR = Table(
    "grid factor",
    "grid_factors",
    GridFactor,
    ("site", "valid_from"),
    ("grams_per_kwh", "source", "assumption"),
    refers={"site": SITE},
)
LINE = Table("line", "lines", Line, ("code",), ("site", "name"), refers={"site": SITE})
STATION = Table(
    "station", "stations", Station, ("code",), ("line", "name", "work_center"), refers={"line": LINE}
)
QUALIFICATION = Table("qualification", "qualifications", Qualification, ("code",), ("name", "valid_days"))
SUPPLIER = Table("supplier", "suppliers", Supplier, ("code",), ("name", "country", "cage"))
PART = Table(
    "part",
    "parts",
    Part,
    ("number",),
    ("name", "kind", "level", "tracking", "maker", "maker_number", "serial_prefix"),
)
REVISION = Table(
    "revision",
    "revisions",
    PartRevision,
    ("part", "revision"),
    (
        *("description", "weight_kg", "power_w", "power_supplied_w", "heat_liquid_w", "heat_air_w"),
        *("coolant_l_min", "cooling_supplied_w", "coolant_supplied_l_min"),
        *("empty_weight_kg", "empty_centre_mm", "base_mm", "footprint_m2", "mates", "properties"),
        "assumption",
    ),
    refers={"part": PART},
    items={"mates": str},
    pairs=("properties",),
    successor="revision",
)
BOM_LINE = Table(
    "bom line",
    "bom",
    BomLine,
    ("part",),
    ("quantity", "revisions", "assumption"),
    owner=REVISION,
    owner_field="parent",
    refers={"part": PART},
    items={"revisions": str},
)
SLOT = Table(
    "slot",
    "slots",
    Slot,
    ("name",),
    (
        "type",
        "face",
        "position",
        "height",
        "slot_number",
        "tray_index",
        "filled_at",
        "order",
        "accepts",
        "mates",
        "assumption",
    ),
    owner=REVISION,
    owner_field="revision",
    refers={"accepts": PART},
    items={"accepts": str, "mates": str},
)
BUDGET = Table(
    "budget",
    "budgets",
    Budget,
    ("name",),
    ("figure", "limit", "redundancy", "demand_slots", "supply_slots", "assumption"),
    owner=REVISION,
    owner_field="revision",
    items={"demand_slots": str, "supply_slots": str},
)
COMPATIBILITY_RULE = Table(
    "compatibility rule",
    "compatibility_rules",
    CompatibilityRule,
    ("name", "value"),
    ("relation", "kinds", "property", "other_kinds", "other_property", "other_values", "assumption"),
    owner=REVISION,
    owner_field="revision",
    items={"kinds": str, "other_kinds": str, "other_values": str},
)
INSTRUCTION = Table(
    "instruction",
    "instructions",
    Instruction,
    ("code", "version"),
    ("title", "must_be_read", "assumption"),
    successor="version",
)
INSTRUCTION_STEP = Table(
    "instruction step",
    "steps",
    InstructionStep,
    ("name",),
    ("order", "text"),
    owner=INSTRUCTION,
    owner_field="instruction",
)
ROUTE = Table(
    "route",
    "routes",
    Route,
    ("part", "version"),
    ("kind", "name", "assumption"),
    refers={"part": PART},
    successor="version",
)
OPERATION = Table(
    "operation",
    "operations",
    Operation,
    ("code",),
    (
        "sequence",
        "name",
        "work_center",
        "instruction",
        "instruction_code",
        "after",
        "applies_when",
        "optional",
        "people",
        "standard_minutes",
        "assumption",
    ),
    owner=ROUTE,
    owner_field="route",
    items={"after": str},
)
GATE = Table(
    "gate",
    "gates",
    Gate,
    ("rule", "moment", "procedure"),
    ("opens_nonconformance",),
    owner=OPERATION,
    owner_field="operation",
)
REQUIRED_QUALIFICATION = Table(
    "required qualification",
    "qualifications",
    RequiredQualification,
    ("qualification",),
    owner=OPERATION,
    owner_field="operation",
    refers={"qualification": QUALIFICATION},
)
REQUIRED_TOOL = Table(
    "required tool", "tools", RequiredTool, ("type",), owner=OPERATION, owner_field="operation"
)
CONSUMABLE = Table(
    "consumable",
    "consumables",
    Consumable,
    ("part",),
    ("quantity", "unit"),
    owner=OPERATION,
    owner_field="operation",
    refers={"part": PART},
)
DATA_FIELD = Table(
    "data field",
    "data_fields",
    DataField,
    ("name",),
    ("kind", "prompt", "order", "required", "unit", "low", "high", "choices", "assumption"),
    owner=OPERATION,
    owner_field="operation",
    items={"choices": str},
)
REWORK_LIMIT = Table(
    "rework limit", "rework_limits", ReworkLimit, ("scope",), ("maximum",), owner=ROUTE, owner_field="route"
)
LIMIT = Table(
    "limit",
    "limits",
    Limit,
    ("procedure", "measurement"),
    ("unit", "low", "high", "assumption"),
    owner=OPERATION,
    owner_field="operation",
)
RETEST_RULE = Table(
    "retest rule",
    "retest_rules",
    RetestRule,
    ("name", "trigger", "slot_type"),
    ("repeats", "assumption"),
    owner=ROUTE,
    owner_field="route",
    items={"repeats": int},
)
FIRMWARE_BASELINE = Table(
    "firmware baseline",
    "firmware_baselines",
    FirmwareBaseline,
    ("name",),
    ("mixed_vendors", "assumption"),
    successor="baseline",
)
FIRMWARE_VERSION = Table(
    "firmware version",
    "versions",
    FirmwareVersion,
    ("unit_kind", "component", "vendor"),
    ("version",),
    owner=FIRMWARE_BASELINE,
    owner_field="baseline",
)
BURN_IN_PROFILE = Table(
    "burn-in profile",
    "burn_in_profiles",
    BurnInProfile,
    ("name", "version"),
    (
        "part",
        "procedure",
        "stressor",
        "unit_kinds",
        "required_hours",
        "poll_seconds",
        "max_gap_seconds",
        "poll_timeout_seconds",
        "missed_polls",
        "suspect_policy",
        "suspect_seconds",
        "start_seconds",
        "time_scale",
        "power_kw",
        "coolant_lpm",
        "on_failure",
        "soak_clock",
        "swap_min_hours",
        "gap_policy",
        "gap_seconds",
        "required_tools",
        "heat_balance_percent",
        "assumption",
    ),
    refers={"part": PART},
    items={"unit_kinds": str},
    successor="version",
)
BURN_IN_PHASE = Table(
    "burn-in phase",
    "phases",
    BurnInPhase,
    ("name",),
    (
        *("order", "kind", "hours", "load_percent", "to_load_percent", "steps", "stressor", "stressors"),
        "assumption",
    ),
    owner=BURN_IN_PROFILE,
    owner_field="profile",
    pairs=("stressors",),
)
SERIES_LIMIT = Table(
    "series limit",
    "limits",
    SeriesLimit,
    ("group", "unit_kind"),
    (
        *("pattern", "unit", "low", "high", "violations", "window", "action", "phases"),
        *("kind", "basis", "missing", "missing_polls", "sample_seconds", "assumption"),
    ),
    owner=BURN_IN_PROFILE,
    owner_field="profile",
    items={"phases": str},
)
COUPLING_TYPE = Table(
    "coupling type",
    "coupling_types",
    CouplingType,
    ("code", "version"),
    ("name", "maximum_mates", "assumption"),
    successor="version",
)
COOLANT = Table(
    "coolant",
    "coolants",
    Coolant,
    ("part", "version"),
    ("temperatures_cel", "densities_kg_m3", "specific_heats_kj_kg_k", "source", "assumption"),
    refers={"part": PART},
    items={"temperatures_cel": float, "densities_kg_m3": float, "specific_heats_kj_kg_k": float},
    successor="version",
)
COOLING_PLAN = Table(
    "cooling plan",
    "cooling_plans",
    CoolingPlan,
    ("part", "version"),
    ("sensors", "assumption"),
    refers={"part": PART},
    items={"sensors": str},
    successor="version",
)
SAFETY_PLAN = Table(
    "safety plan",
    "safety_plans",
    SafetyPlan,
    ("part", "version"),
    ("may_stay", "bond_points", "hipot_circuits", "insulation_circuits", "assumption"),
    refers={"part": PART},
    items={"may_stay": str, "bond_points": str, "hipot_circuits": str, "insulation_circuits": str},
    successor="version",
)
PACKING_RULE = Table(
    "packing rule",
    "packing_rules",
    PackingRule,
    ("part", "version"),
    (
        "expected_kg",
        "tolerance_percent",
        "most_gross_kg",
        "shock_indicators",
        "tilt_indicators",
        "departure_photos",
        "arrival_photos",
        "assumption",
    ),
    refers={"part": PART},
    successor="version",
)
REPORT_MAP = Table(
    "report map",
    "report_maps",
    ReportMap,
    ("unit_kind", "maker", "version"),
    ("assumption",),
    successor="version",
)
COMPONENT_NAME = Table(
    "component name",
    "components",
    ComponentName,
    ("pattern",),
    ("part_kind", "identity", "interface"),
    owner=REPORT_MAP,
    owner_field="report_map",
)
FIRMWARE_NAME = Table(
    "firmware name",
    "firmware",
    FirmwareName,
    ("pattern",),
    ("component",),
    owner=REPORT_MAP,
    owner_field="report_map",
)
CABLE_PLAN = Table(
    "cable plan",
    "cable_plans",
    CablePlan,
    ("part", "version"),
    ("name", "assumption"),
    refers={"part": PART},
    successor="version",
)
CABLE_KIND = Table(
    "cable kind",
    "kinds",
    CableKind,
    ("part",),
    (
        *("length_mm", "tolerance_mm", "single_use", "torque_low", "torque_high", "bend_radius_low"),
        *("photo_checks", "assumption"),
    ),
    owner=CABLE_PLAN,
    owner_field="plan",
    refers={"part": PART},
    items={"photo_checks": str},
)
PLANNED_CABLE = Table(
    "planned cable",
    "cables",
    PlannedCable,
    ("label",),
    (
        *("order", "part", "length_mm", "a_device", "a_port", "b_device", "b_port"),
        *("checks", "assumption"),
    ),
    owner=CABLE_PLAN,
    owner_field="plan",
    refers={"part": PART},
    items={"checks": str},
)
PORT_NAME = Table(
    "port name",
    "port_names",
    PortName,
    ("unit_kind", "reported"),
    ("port", "assumption"),
    owner=CABLE_PLAN,
    owner_field="plan",
)

# In the order in which they are written: a row comes after everything it names.
TABLES = (
    SITE,
    GRID_FACTOR,
    LINE,
    STATION,
    QUALIFICATION,
    SUPPLIER,
    PART,
    REVISION,
    BOM_LINE,
    SLOT,
    BUDGET,
    COMPATIBILITY_RULE,
    INSTRUCTION,
    INSTRUCTION_STEP,
    ROUTE,
    OPERATION,
    GATE,
    LIMIT,
    REQUIRED_QUALIFICATION,
    REQUIRED_TOOL,
    CONSUMABLE,
    DATA_FIELD,
    RETEST_RULE,
    REWORK_LIMIT,
    FIRMWARE_BASELINE,
    FIRMWARE_VERSION,
    BURN_IN_PROFILE,
    BURN_IN_PHASE,
    SERIES_LIMIT,
    COUPLING_TYPE,
    COOLANT,
    COOLING_PLAN,
    SAFETY_PLAN,
    PACKING_RULE,
    REPORT_MAP,
    COMPONENT_NAME,
    FIRMWARE_NAME,
    CABLE_PLAN,
    CABLE_KIND,
    PLANNED_CABLE,
    PORT_NAME,
)


def children_of(table: Table) -> list[Table]:
    """Return the tables whose rows are written inside a row of a table."""
    return [each for each in TABLES if each.owner is table]
