"""What the machine's floor builds: a rack and a tray in two revisions each, and how they are reworked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """An operation: what it fills or tests is asked for when it is completed."""

    sequence: int
    center: str
    procedure: str = ""
    fills: bool = False
    instruction: str = ""
    prefix: str = "op"

    @property
    def code(self) -> str:
        return f"{self.prefix}{self.sequence}"


@dataclass(frozen=True)
class Rule:
    """A retest rule: without a slot type it is about every slot."""

    trigger: str
    slot_type: str
    repeats: tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """A slot: its type, the operation that fills it, the part it takes."""

    type: str
    filled_at: int
    takes: str


@dataclass(frozen=True)
class Recipe:
    """A revision of a part with its route."""

    part: str
    revision: str
    places: dict[str, Place]
    steps: tuple[Step, ...]
    rules: tuple[Rule, ...]
    most_reworks: int


RACK_PLACES = {f"T{number}": Place("tray", 10, "tray") for number in range(3)}
RACK_STEPS = (Step(10, "BUILD", fills=True), Step(20, "TEST", "leak"), Step(30, "TEST", "power"))
RACK_RULES = (
    Rule("removed", "tray", (20, 30)),
    Rule("wet_break", "", (20,)),
    Rule("power_break", "tray", (30,)),
)
TRAY_STEPS = (Step(10, "BUILD", fills=True), Step(20, "TEST", "func"))
TRAY_RULES = (Rule("removed", "gpu", (20,)), Rule("wet_break", "", (20,)))

RECIPES = {
    ("rack", "A"): Recipe("rack", "A", RACK_PLACES, RACK_STEPS, RACK_RULES, 2),
    ("rack", "B"): Recipe(
        "rack",
        "B",
        RACK_PLACES,
        (*RACK_STEPS[:2], Step(30, "TEST", "power", instruction="twice as long"), Step(40, "BUILD")),
        RACK_RULES,
        2,
    ),
    ("tray", "A"): Recipe(
        "tray",
        "A",
        {"G0": Place("gpu", 10, "gpu"), "N0": Place("nic", 10, "nic")},
        TRAY_STEPS,
        TRAY_RULES,
        1,
    ),
    ("tray", "B"): Recipe(
        "tray",
        "B",
        {"G0": Place("gpu", 10, "gpu"), "N0": Place("nic", 10, "dpu")},
        TRAY_STEPS,
        TRAY_RULES,
        1,
    ),
}
REWORK = (Step(5, "REPAIR", prefix="rw"),)
LEVELS = {"rack": 11, "tray": 10, "gpu": 2, "nic": 2, "dpu": 2}
OPENS = {"leak", "func"}

RACKS = ("R1", "R2")
TRAYS = ("T1", "T2", "T3", "T4", "T5", "T6")
SPARES = (
    "gpu1",
    "gpu2",
    "gpu3",
    "gpu4",
    "gpu5",
    "gpu6",
    "nic1",
    "nic2",
    "nic3",
    "nic4",
    "nic5",
    "nic6",
    "dpu1",
    "dpu2",
)
BUILT = (*RACKS, *TRAYS)
UNITS = (*BUILT, *SPARES)
SLOTS = ("T0", "T1", "T2", "G0", "N0")
CENTERS = ("BUILD", "TEST", "REPAIR")
ROLES = {"builder": (), "quality": ("quality",), "board": ("review_board",), "engineer": ("engineer",)}
