"""The floor as the database has it and as the model expects it, in the same form; and its invariants."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from mes.ledger.models import Event, Stream
from mes.ledger.verification import check_histories
from mes.quality.models import Hold, Nonconformance
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.testing.models import TestRun
from mes.workorders.models import GateRelease, OperationRun, OrderUnit, Rework, WorkOrder
from tests.machine.model import Model
from tests.machine.recipes import RECIPES
from tests.machine.world import World

Facts = dict[str, Any]
COUNTS = ("finished", "scrapped", "cancelled")


@dataclass
class Tracked:
    """A row with a history, by what its chain is compared with."""

    pk: int
    stream: str
    version: int
    head: str
    row: dict[str, Any]


@dataclass
class Reading:
    """The rows that the model speaks of, read with one query a table."""

    tables: dict[str, list[dict[str, Any]]]
    names: dict[int, str]
    numbers: dict[int, str]
    units: list[Tracked] = field(default_factory=list)
    orders: list[Tracked] = field(default_factory=list)
    nonconformances: list[Tracked] = field(default_factory=list)

    def __getattr__(self, name: str) -> list[dict[str, Any]]:
        return self.tables[name]


HISTORY = ("pk", "uid", "version", "head")
LIVE: dict[str, Any] = {"superseded_at__isnull": True}
TABLES: dict[str, QuerySet[Any, Any]] = {
    "units": Unit.objects.order_by("pk").values(
        *HISTORY, "part_revision__part__kind", "part_revision__revision", "state", "held", "live_children"
    ),
    "orders": WorkOrder.objects.order_by("pk").values(
        *HISTORY, "part_revision__revision", "state", "quantity", "finished", "scrapped", "cancelled"
    ),
    "nonconformances": Nonconformance.objects.order_by("pk").values(*HISTORY, "unit_id", "symptom", "state"),
    "installations": Installation.objects.live().values(
        "parent_id", "slot_id", "slot__name", "child_id", "root_id", "child__level", "parent__level"
    ),
    "runs": OperationRun.objects.filter(**LIVE).values(
        "pk", "unit_id", "operation_id", "operation__code", "operation__sequence", "state"
    ),
    "tests": TestRun.objects.filter(**LIVE).order_by("pk").values("unit_id", "procedure", "outcome"),
    "holds": Hold.objects.filter(released_at=None).values("unit_id", "nonconformance_id"),
    "reworks": Rework.objects.order_by("pk").values("unit_id", "state", "returns_to__code"),
    "releases": GateRelease.objects.order_by("pk").values(
        "unit_id", "gate", "operation__code", "allowed", "used"
    ),
    "rows": OrderUnit.objects.values("unit_id", "work_order_id", "route__version", "outcome", "closed_at"),
}


@cache
def _compiled(name: str) -> tuple[str, tuple[Any, ...], tuple[str, ...]]:
    """Compile a query once: it is asked thousands of times, and compiling takes longer than asking."""
    query = TABLES[name].query
    sql, params = query.sql_with_params()
    fields = TABLES[name]._fields  # type: ignore[attr-defined]
    return sql, params, fields


def _rows(name: str) -> list[dict[str, Any]]:
    sql, params, fields = _compiled(name)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [dict(zip(fields, row, strict=True)) for row in cursor.fetchall()]


def read(world: World) -> Reading:
    names = {pk: name for name, pk in world.units.items()}
    numbers = {pk: number for number, pk in world.orders.items()}
    reading = Reading({name: _rows(name) for name in TABLES}, names, numbers)
    for model, name in ((Unit, "units"), (WorkOrder, "orders"), (Nonconformance, "nonconformances")):
        kind = model._meta.model_name
        rows = [
            Tracked(row["pk"], f"{kind}:{UUID(str(row['uid']))}", row["version"], row["head"], row)
            for row in reading.tables[name]
        ]
        setattr(reading, name, rows)
    return reading


def found(reading: Reading) -> Facts:
    """Return what the database says."""
    names, numbers = reading.names, reading.numbers
    units = {
        names[unit.pk]: {
            "revision": unit.row["part_revision__revision"],
            "state": unit.row["state"],
            "held": bool(unit.row["held"]),
            "inside": {},
            "runs": {},
            "tests": [],
            "row": None,
            "rework": None,
        }
        for unit in reading.units
    }
    for each in reading.installations:
        units[names[each["parent_id"]]]["inside"][each["slot__name"]] = names[each["child_id"]]
    for each in reading.runs:
        units[names[each["unit_id"]]]["runs"][each["operation__code"]] = each["state"]
    for each in reading.tests:
        units[names[each["unit_id"]]]["tests"].append((each["procedure"], each["outcome"]))
    for each in reading.rows:
        if each["closed_at"] is None:
            units[names[each["unit_id"]]]["row"] = (
                numbers[each["work_order_id"]],
                each["route__version"],
                each["outcome"],
            )
    for each in reading.reworks:
        if each["state"] == "running":
            units[names[each["unit_id"]]]["rework"] = each["returns_to__code"]
    orders = {
        numbers[order.pk]: (
            order.row["part_revision__revision"],
            order.row["state"],
            order.row["quantity"],
            *(order.row[name] for name in COUNTS),
        )
        for order in reading.orders
    }
    return {
        "units": units,
        "orders": orders,
        "nonconformances": [
            (names[each["unit_id"]], each["symptom"], each["state"])
            for each in reading.tables["nonconformances"]
        ],
        "holds": Counter(names[each["unit_id"]] for each in reading.holds),
        "releases": [
            (names[each["unit_id"]], each["gate"], each["operation__code"], each["allowed"], each["used"])
            for each in reading.releases
        ],
    }


def expected(model: Model) -> Facts:
    """Return what the model expects."""
    units = {
        unit.name: {
            "revision": unit.revision,
            "state": unit.state,
            "held": model.is_held(unit.name),
            "inside": unit.inside,
            "runs": {code: run.state for code, run in unit.runs.items()},
            "tests": [(test.procedure, test.outcome) for test in unit.tests],
            "row": (unit.row.order, unit.revision, unit.row.outcome) if unit.row else None,
            "rework": unit.rework.returns_to if unit.rework else None,
        }
        for unit in model.units.values()
    }
    orders = {
        order.number: (order.revision, order.state, order.quantity, *order.counts.values())
        for order in model.orders.values()
    }
    return {
        "units": units,
        "orders": orders,
        "nonconformances": [(each.unit, each.symptom, each.state) for each in model.nonconformances],
        "holds": Counter(hold.unit for hold in model.holds if hold.live),
        "releases": [(each.unit, each.gate, each.code, each.allowed, each.used) for each in model.releases],
    }


def check_structure(reading: Reading) -> None:
    """One place per unit, one unit per slot, lower levels below, true counts and true roots."""
    placed = {row["child_id"]: row for row in reading.installations}
    assert len(placed) == len(reading.installations), "a unit is in two places"
    places = {(row["parent_id"], row["slot_id"]) for row in reading.installations}
    assert len(places) == len(reading.installations), "a slot holds two units"
    children = Counter(row["parent_id"] for row in reading.installations)
    for row in reading.tables["units"]:
        name, counted = reading.names[row["pk"]], row["live_children"]
        assert counted == children[row["pk"]], f"{name} counts {counted} children"
    for row in reading.installations:
        assert row["child__level"] < row["parent__level"], "a child is not below its parent"
        top = row
        while top["parent_id"] in placed:
            top = placed[top["parent_id"]]
        assert row["root_id"] == top["parent_id"], "the root is not the topmost unit"


def check_states(reading: Reading) -> None:
    """What is held, worked on, finished and shipped agrees with what says why."""
    holds = {row["unit_id"] for row in reading.holds}
    found = reading.tables["nonconformances"]
    undecided = {row["pk"] for row in found if row["state"] == "open"}
    waiting = {row["nonconformance_id"] for row in reading.holds}
    assert undecided <= waiting, "an undecided nonconformance holds nothing"
    runs = Counter((row["unit_id"], row["operation_id"]) for row in reading.runs)
    assert all(count == 1 for count in runs.values()), "an operation has two live runs"
    units = {row["pk"]: row for row in reading.tables["units"]}
    for pk, row in units.items():
        assert bool(row["held"]) == (pk in holds), f"{reading.names[pk]}: held is {row['held']}"
    for row in reading.installations:
        child, parent = units[row["child_id"]], units[row["parent_id"]]
        assert child["state"] in {"finished", "in_stock"}, f"{reading.names[child['pk']]}: installed, in work"
        assert parent["state"] not in {"scrapped", "returned"}, "a unit that is gone holds another"
    for row in reading.rows:
        if row["closed_at"] is None and units[row["unit_id"]]["state"] == "finished":
            _check_finished(units[row["unit_id"]], reading)


def check_shipping(reading: Reading, shipped: int) -> None:
    """What ships now is not held, nor is anything inside, and no nonconformance is open on any of it."""
    inside = {row["child_id"] for row in reading.installations if row["root_id"] == shipped} | {shipped}
    assert not {row["unit_id"] for row in reading.holds} & inside, "shipped on hold"
    open_on = {row["unit_id"] for row in reading.tables["nonconformances"] if row["state"] != "closed"}
    assert not open_on & inside, "shipped with a nonconformance open"


def _check_finished(unit: dict[str, Any], reading: Reading) -> None:
    recipe = RECIPES[unit["part_revision__part__kind"], unit["part_revision__revision"]]
    states = {row["operation__code"]: row["state"] for row in reading.runs if row["unit_id"] == unit["pk"]}
    for step in recipe.steps:
        assert states.get(step.code) == "complete", (
            f"{reading.names[unit['pk']]}: finished without {step.code}"
        )


def check_counts(reading: Reading) -> None:
    """An order counts its units by what became of them; the rest is open; releases keep to their limit."""
    outcomes = Counter((row["work_order_id"], row["outcome"]) for row in reading.rows)
    for row in reading.tables["orders"]:
        pk, name = row["pk"], reading.numbers[row["pk"]]
        counted = {"finished": row["finished"], "scrapped": row["scrapped"]}
        assert counted == {each: outcomes[pk, each] for each in counted}, f"{name} counts {counted}"
        left = row["quantity"] - sum(row[each] for each in COUNTS)
        assert left == outcomes[pk, "open"], f"{name} has {outcomes[pk, 'open']} open units, not {left}"
    assert all(row["used"] <= row["allowed"] for row in reading.releases), "a release is overused"
    running = Counter(row["unit_id"] for row in reading.reworks if row["state"] == "running")
    assert all(count == 1 for count in running.values()), "two reworks run on one unit"


def check_chains(touched: list[Tracked]) -> None:
    """The history of each row is whole and tells of all its versions."""
    if touched:
        histories = check_histories(cast(list[Stream], touched))
        faults = [fault for history in histories for fault in history.faults]
        assert not faults, faults


def check_superseded(reading: Reading, touched: list[Tracked]) -> None:
    """Nothing counts as done that was superseded last and not begun anew since."""
    streams = {row.stream: row.pk for row in touched}
    events = list(Event.objects.filter(kind="operations.superseded", stream__in=streams).order_by("seq"))
    last = {
        (streams[event.stream], sequence): event.at
        for event in events
        for sequence in event.payload["sequences"]
    }
    again = [
        row["pk"] for row in reading.runs if last and (row["unit_id"], row["operation__sequence"]) in last
    ]
    for run in OperationRun.objects.filter(pk__in=again).select_related("operation") if again else ():
        assert run.started_at > last[run.unit_id, run.operation.sequence], "superseded work counts as done"
