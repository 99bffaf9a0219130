"""What a traceability report says: everything on record about a rack, as of one moment."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from mes.burnin.models import BurnInRun
from mes.ledger.models import Stream
from mes.ledger.verification import History, check_histories
from mes.products.models import FirmwareVersion, Route, Slot
from mes.quality.models import Nonconformance
from mes.racks.models import Installation
from mes.racks.services import AsBuilt, as_built, configuration_digest
from mes.serials.models import Identifier, Unit
from mes.traceability.changes import as_never_moved, change_rows, deviation_rows
from mes.traceability.evidence import (
    Paths,
    Row,
    burn_in_rows,
    hold_rows,
    join_path,
    replacement_rows,
    test_rows,
)
from mes.traceability.nonconformances import (
    disposition_rows,
    nonconformance_rows,
    nonconformances_of,
    repair_rows,
    rework_rows,
)
from mes.traceability.verdict import judge, summarize
from mes.traceability.work import gate_release_rows, open_operations, operation_rows
from mes.workorders.models import OrderUnit, WorkOrder

FORMAT = "rackmes-traceability-report"
FORMAT_VERSION = 1


def report_content(unit: Unit) -> dict[str, Any]:
    """Return the traceability report of a unit and everything in it, as data for ``canonical_json``.

    The number of queries does not depend on the number of units. Holds no password and no BMC login, and
    nothing a tester sent beside its result (command lines and parameters may hold secrets).
    """
    with _snapshot():
        content = _read(unit)
    content["summary"] = summarize(content)
    content["verdict"] = judge(content)
    return content


@contextmanager
def _snapshot() -> Iterator[None]:
    """Let all queries see one moment, so that work going on meanwhile does not look like a fault."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _read(unit: Unit) -> dict[str, Any]:
    units = Unit.objects.select_related("site", "part_revision__part", "lot", "supplier")
    top = units.get(pk=unit.pk)
    places = list(_walk(as_built(unit=top)))
    paths = {place.unit.pk: place.path for place in places}
    installations = as_never_moved(
        Installation.objects.filter(parent__in=paths)
        .select_related("slot", "operation", "child__part_revision__part")
        .order_by("installed_at", "pk")
    )
    orders = _orders(paths)
    order, order_unit = orders.get(top.pk), _last_order_unit(top)
    tests, found = test_rows(paths), nonconformances_of(paths)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "generated_at": timezone.now(),
        "software": {"name": "RackMES", "version": version("rackmes")},
        "identification": _identification(top, order, order_unit.route if order_unit else None),
        "open_operations": open_operations(order_unit),
        "units": _unit_rows(places, installations, orders),
        "empty_slots": _empty_slots(places),
        "operations": operation_rows(paths),
        "gate_releases": gate_release_rows(paths),
        "tests": tests,
        "burn_in": burn_in_rows(paths, tests),
        "holds": hold_rows(paths),
        "nonconformances": nonconformance_rows(found, paths),
        "dispositions": disposition_rows(paths),
        "reworks": rework_rows(paths),
        "repairs": repair_rows(paths),
        "replacements": replacement_rows(installations, paths),
        "deviations": deviation_rows(paths, orders.values()),
        "changes": change_rows(paths),
        "ledger": _ledger(places, orders.values(), found),
    }


@dataclass(frozen=True, slots=True)
class Place:
    """Where a unit of the report sits: its path of slot names and its depth; "" and 0 for the top one."""

    node: AsBuilt
    path: str
    depth: int

    @property
    def unit(self) -> Unit:
        """Return the unit that sits here."""
        return self.node.unit


def _walk(node: AsBuilt, path: str = "", depth: int = 0) -> Iterator[Place]:
    yield Place(node, path, depth)
    for child in node.children:
        yield from _walk(child, join_path(path, child.slot), depth + 1)


def _orders(paths: Paths) -> dict[int, WorkOrder]:
    rows = (
        OrderUnit.objects.filter(unit__in=paths)
        .order_by("pk")
        .select_related(
            "work_order__route", "work_order__firmware_baseline", "work_order__part_revision__part"
        )
    )
    return {row.unit_id: row.work_order for row in rows}


def _last_order_unit(unit: Unit) -> OrderUnit | None:
    """Return the row of the order that has or had the unit last; its route may not be that of the order."""
    rows = OrderUnit.objects.filter(unit=unit).select_related("route", "work_order", "unit")
    return rows.order_by("-pk").first()


def _identification(unit: Unit, order: WorkOrder | None, route: Route | None) -> Row:
    revision = unit.part_revision
    return {
        "uid": unit.uid,
        "serial": unit.serial,
        "part": revision.part.number,
        "name": revision.part.name,
        "kind": revision.part.kind,
        "revision": revision.revision,
        "description": revision.description,
        "state": unit.state,
        "held": unit.held,
        "site": unit.site.code,
        "created_at": unit.created_at,
        "configuration": configuration_digest(unit),
        "order": order.number if order else None,
        "customer": order.customer if order else "",
        "order_released_at": order.released_at if order else None,
        "route": {"name": route.name, "version": route.version} if route else None,
        "firmware_baseline": _firmware_baseline(order),
    }


def _firmware_baseline(order: WorkOrder | None) -> Row | None:
    if order is None or order.firmware_baseline is None:
        return None
    versions = FirmwareVersion.objects.filter(baseline=order.firmware_baseline)
    columns = ("unit_kind", "component", "vendor", "version")
    return {
        "name": order.firmware_baseline.name,
        "versions": list(versions.order_by(*columns).values(*columns)),
    }


def _unit_rows(
    places: list[Place], installations: list[Installation], orders: Mapping[int, WorkOrder]
) -> list[Row]:
    placed = {row.child_id: row for row in installations if row.removed_at is None}
    names: dict[int, list[Row]] = {}
    units = [place.unit.pk for place in places]
    for name in Identifier.objects.filter(unit__in=units).order_by("kind", "value"):
        names.setdefault(name.unit_id, []).append({"kind": name.kind, "value": name.value})
    return [
        {
            "path": place.path,
            "slot": place.node.slot,
            "depth": place.depth,
            **_unit_row(place.unit),
            "identifiers": names.get(place.unit.pk, []),
            **_origin_row(place.unit),
            "order": orders[place.unit.pk].number if place.unit.pk in orders else None,
            **_placement_row(placed.get(place.unit.pk)),
        }
        for place in places
    ]


def _unit_row(unit: Unit) -> Row:
    part = unit.part_revision.part
    return {
        "uid": unit.uid,
        "serial": unit.serial,
        "part": part.number,
        "name": part.name,
        "kind": part.kind,
        "level": unit.level,
        "revision": unit.part_revision.revision,
        "maker": part.maker,
        "maker_number": part.maker_number,
        "state": unit.state,
        "held": unit.held,
    }


def _origin_row(unit: Unit) -> Row:
    supplier = unit.supplier
    return {
        "supplier": supplier.code if supplier else "",
        "supplier_name": supplier.name if supplier else "",
        "lot": unit.lot.number if unit.lot else "",
        "date_code": unit.lot.date_code if unit.lot else "",
        "country_of_origin": unit.country_of_origin,
        "place_of_assembly": unit.place_of_assembly,
        "die_maker": unit.die_maker,
        "source_tier": unit.source_tier,
    }


def _placement_row(placed: Installation | None) -> Row:
    return {
        "installed_at": placed.installed_at if placed else None,
        "installed_by": placed.installed_by if placed else "",
        "installed_at_operation": str(placed.operation) if placed and placed.operation else "",
    }


def _empty_slots(places: list[Place]) -> list[str]:
    names: dict[int, list[str]] = {}
    revisions = {place.unit.part_revision_id for place in places}
    for slot in Slot.objects.filter(revision__in=revisions):
        names.setdefault(slot.revision_id, []).append(slot.name)
    empty = []
    for place in places:
        taken = {child.slot for child in place.node.children}
        slots = names.get(place.unit.part_revision_id, [])
        empty += [join_path(place.path, name) for name in slots if name not in taken]
    return empty


def _ledger(places: list[Place], orders: Iterable[WorkOrder], found: Iterable[Nonconformance]) -> Row:
    """Check the histories of the units, their lots, orders, burn-in runs and nonconformances."""
    lots = {place.unit.lot.pk: place.unit.lot for place in places if place.unit.lot}
    runs = BurnInRun.objects.filter(unit__in=[place.unit.pk for place in places]).order_by("pk")
    rows: dict[str, tuple[Stream, str]] = {place.unit.stream: (place.unit, place.path) for place in places}
    rows |= {lot.stream: (lot, f"lot {lot.number}") for lot in lots.values()}
    rows |= {order.stream: (order, f"order {order.number}") for order in orders}
    rows |= {run.stream: (run, "burn-in") for run in runs}
    rows |= {each.stream: (each, each.number) for each in found}
    histories = check_histories(row for row, _ in rows.values())
    return {
        "intact": not any(history.faults for history in histories),
        "events": sum(history.events for history in histories),
        "histories": [_history_row(history, *rows[history.stream]) for history in histories],
    }


def _history_row(history: History, row: Stream, of: str) -> Row:
    return {
        "stream": history.stream,
        "of": of,
        "serial": row.serial if isinstance(row, Unit) else "",
        "events": history.events,
        "head": history.head,
        "faults": [f"event {fault.seq}: {fault.problem}" for fault in history.faults],
    }
