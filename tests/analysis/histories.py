"""Histories of test runs, written straight into the table, and their numbers worked out in plain Python."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mes.products.models import Operation
from mes.serials.models import Unit
from mes.testing.models import TestRun
from tests.builders import make_assembly, make_order, make_part, make_route

START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
CONCLUSIVE = {"PASS", "FAIL"}


@dataclass
class Floor:
    """Units on a route that asks for two tests, at sequences 20 and 30."""

    units: list[Unit]
    operations: list[Operation]


def make_floor(units: int = 3) -> Floor:
    tray = make_assembly("tray", level=10, takes={"G1": make_part("gpu")})
    steps = ((10, "BUILD"), (20, "TEST"), (30, "TEST"))
    route = make_route(tray, operations=steps, tests={20: "leak", 30: "func"})
    order = make_order(tray, route, units)
    built = Unit.objects.filter(order_units__work_order=order).select_related("part_revision__part")
    return Floor(list(built.order_by("pk")), list(route.operations.filter(sequence__gte=20)))


@dataclass
class Said:
    """One run: which unit at which step, what came of it, where and when (hours after START)."""

    unit: int
    step: int
    outcome: str
    station: str = "ST1"
    hour: int = 0
    superseded: bool = False
    asked: bool = field(default=True)


def write(floor: Floor, said: list[Said]) -> list[TestRun]:
    """Write runs in this order."""
    procedures = ("leak", "func")
    return TestRun.objects.bulk_create(
        TestRun(
            unit=floor.units[row.unit],
            operation=floor.operations[row.step] if row.asked else None,
            procedure=procedures[row.step],
            format="native",
            status="COMPLETE",
            outcome=row.outcome,
            station=row.station,
            configuration="c",
            received_at=START + timedelta(hours=row.hour),
            superseded_at=START if row.superseded else None,
        )
        for row in said
    )


def worked_out(said: list[Said], key: Any, within: Any = lambda row: True) -> dict[Any, dict[str, int]]:
    """Count first attempts by hand: walk through the history of each unit at each step."""
    steps: dict[Any, list[Said]] = defaultdict(list)
    for row in said:
        steps[row.unit, row.step, row.asked].append(row)
    counts: dict[Any, Counter[str]] = defaultdict(Counter)
    for rows in steps.values():
        conclusive = [row for row in rows if row.outcome in CONCLUSIVE]
        if not conclusive or not within(conclusive[0]):
            continue
        first = conclusive[0]
        group = counts[key(first)]
        group["inspected"] += 1
        group["first_pass"] += first.outcome == "PASS"
        group["without_retest"] += first.outcome == "PASS" and rows[0] is first
        group["good"] += conclusive[-1].outcome == "PASS"
    for row in said:
        if within(row):
            counts[key(row)]["runs"] += 1
            names = {"FAIL": "failures", "RETEST": "retests", "ERROR": "errors", "SKIP": "skips"}
            if row.outcome in names:
                counts[key(row)][names[row.outcome]] += 1
    return {
        name: {count: number for count, number in group.items() if number} for name, group in counts.items()
    }
