"""The schema of definition packs: which sections there are, and which columns a row of each has.

What a column may hold (type, length, choices, default) is read from the model's field, so it is said once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from django.db.models import Field, ManyToManyField, Model

from mes.burnin.models import BurnInProfile, SeriesLimit
from mes.products.models import (
    BomLine,
    FirmwareBaseline,
    FirmwareVersion,
    Gate,
    Limit,
    Operation,
    Part,
    PartRevision,
    RetestRule,
    Route,
    Slot,
)
from mes.serials.models import Supplier
from mes.stations.models import Line, Site, Station

Key: TypeAlias = tuple[str, ...]
Name: TypeAlias = tuple[str, Key]


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """A kind of row: the section it is written in, what it is known by, and its other columns.

    ``owner`` is the table whose rows it is written inside of, by the model's foreign key ``owner_field``.
    ``refers`` names the table that a column's text is a key of; ``items`` the type of a list column's items.
    ``successor`` is what to make instead of changing a released row; empty where rows are never frozen.
    """

    kind: str
    section: str
    model: type[Model]
    key: Key
    columns: tuple[str, ...] = ()
    owner: "Table | None" = None
    owner_field: str = ""
    refers: Mapping[str, "Table"] = field(default_factory=dict)
    items: Mapping[str, type] = field(default_factory=dict)
    successor: str = ""

    @property
    def head(self) -> "Table":
        """Return the table at the top of the owners: the one whose rows are released as a whole."""
        return self.owner.head if self.owner else self

    @property
    def key_length(self) -> int:
        """Return how many texts a full key has, those of the owner included."""
        return len(self.key) + (self.owner.key_length if self.owner else 0)

    @property
    def children(self) -> Iterator["Table"]:
        """Yield the tables whose rows are written inside a row of this one."""
        return (table for table in TABLES if table.owner is self)

    def field(self, column: str) -> "Field[Any, Any]":
        """Return the model's field of a column."""
        return cast("Field[Any, Any]", self.model._meta.get_field(column))

    def is_many(self, column: str) -> bool:
        """Return whether a column names any number of other rows."""
        return isinstance(self.field(column), ManyToManyField)


SITE = Table("site", "sites", Site, ("code",), ("name",))
LINE = Table("line", "lines", Line, ("code",), ("site", "name"), refers={"site": SITE})
STATION = Table(
    "station", "stations", Station, ("code",), ("line", "name", "work_center"), refers={"line": LINE}
)
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
    ("description", "weight_kg", "power_w", "assumption"),
    refers={"part": PART},
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
        "assumption",
    ),
    owner=REVISION,
    owner_field="revision",
    refers={"accepts": PART},
    items={"accepts": str},
)
ROUTE = Table(
    "route",
    "routes",
    Route,
    ("part", "version"),
    ("name", "assumption"),
    refers={"part": PART},
    successor="version",
)
OPERATION = Table(
    "operation",
    "operations",
    Operation,
    ("code",),
    ("sequence", "name", "work_center", "instruction", "assumption"),
    owner=ROUTE,
    owner_field="route",
)
GATE = Table("gate", "gates", Gate, ("rule", "moment", "procedure"), owner=OPERATION, owner_field="operation")
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
    ("name", "slot_type"),
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
        "assumption",
    ),
    refers={"part": PART},
    items={"unit_kinds": str},
    successor="version",
)
SERIES_LIMIT = Table(
    "series limit",
    "limits",
    SeriesLimit,
    ("group", "unit_kind"),
    ("pattern", "unit", "low", "high", "violations", "window", "action", "assumption"),
    owner=BURN_IN_PROFILE,
    owner_field="profile",
)

# In the order in which they are written: a row comes after everything it names.
TABLES = (
    SITE,
    LINE,
    STATION,
    SUPPLIER,
    PART,
    REVISION,
    BOM_LINE,
    SLOT,
    ROUTE,
    OPERATION,
    GATE,
    LIMIT,
    RETEST_RULE,
    FIRMWARE_BASELINE,
    FIRMWARE_VERSION,
    BURN_IN_PROFILE,
    SERIES_LIMIT,
)
