"""What is in crates, down to the last serial: the pack list."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.shipping.models import Crate, Indicator, LooseItem, PackedUnit, Shipment
from mes.shipping.packing import facts_of
from mes.shipping.shipments import packed_in

Content = dict[str, str]


def contents_of(units: Collection[int]) -> dict[int, list[Content]]:
    """Return what is inside units now, by primary key: path of slots, part, revision, kind, serial, uid.

    One query for all of them; each must be a topmost unit.
    """
    rows = Installation.objects.live().filter(root__in=units)
    placed = rows.select_related("slot", "child__part_revision__part").order_by(
        "-parent_level", "slot__order"
    )
    paths: dict[int, str] = dict.fromkeys(units, "")
    found: dict[int, list[Content]] = {pk: [] for pk in units}
    for row in placed:
        above = paths[row.parent_id]
        paths[row.child_id] = path = f"{above}/{row.slot.name}" if above else row.slot.name
        found[row.root_id].append(_content(path, row.child))
    return {pk: sorted(lines, key=lambda line: line["path"]) for pk, lines in found.items()}


def _content(path: str, unit: Unit) -> Content:
    revision = unit.part_revision
    return {
        "path": path,
        "part": revision.part.number,
        "revision": revision.revision,
        "kind": revision.part.kind,
        "serial": unit.serial,
        "uid": str(unit.uid),
    }


def pack_list(shipment: Shipment) -> dict[str, Any]:
    """Return what is in a shipment, crate by crate; of one that departed, as it departed.

    Six queries however much it is; a departed one needs five.
    """
    crates = list(shipment.live_crates.select_related("part"))
    rows = list(packed_in(shipment).select_related("unit__part_revision__part"))
    inside = contents_of([row.unit_id for row in rows if row.contents is None])
    items = LooseItem.objects.filter(crate__in=crates, removed_at__isnull=True).select_related("part")
    indicators = Indicator.objects.filter(crate__in=crates, removed_at__isnull=True)
    by_crate = {crate.pk: _crate(crate) for crate in crates}
    for row in rows:
        contents = inside[row.unit_id] if row.contents is None else row.contents
        by_crate[row.crate_id]["units"].append(_packed(row, contents))
    for item in items:
        by_crate[item.crate_id]["items"].append(_item(item))
    for indicator in indicators:
        by_crate[indicator.crate_id]["indicators"].append(_indicator(indicator))
    return {**_head(shipment), "crates": list(by_crate.values())}


def _head(shipment: Shipment) -> dict[str, Any]:
    names = (
        *("number", "state", "customer", "ship_to", "carrier", "mode", "bol_number", "pro_number"),
        *("seal_numbers", "freight_class", "nmfc", "incoterm", "hazards", "hazard_declaration"),
        *("pieces", "gross_kg", "departed_at"),
    )
    return {name: getattr(shipment, name) for name in names}


def _crate(crate: Crate) -> dict[str, Any]:
    lists: dict[str, list[Any]] = {"units": [], "items": [], "indicators": []}
    return {"number": crate.number, "part": str(crate.part or ""), **facts_of(crate), **lists}


def _packed(row: PackedUnit, contents: list[Content]) -> dict[str, Any]:
    return {**_content("", row.unit), "contents": contents}


def _item(item: LooseItem) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "part": item.part.number if item.part else "",
        "description": item.description or (item.part.name if item.part else ""),
        "quantity": item.quantity,
        "weight_kg": item.weight_kg,
    }


def _indicator(indicator: Indicator) -> dict[str, Any]:
    return {
        "kind": indicator.kind,
        "serial": indicator.serial,
        "rating": indicator.rating,
        "unit": indicator.unit_of_rating,
        "departure": indicator.departure,
        "arrival": indicator.arrival,
    }


def lines_of(listed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a pack list line by line, as a table: a line per unit, per unit inside it, and per loose item."""
    for crate in listed["crates"]:
        for unit in crate["units"]:
            yield _line(crate, "unit", unit)
            yield from (_line(crate, "inside", each, top=unit["serial"]) for each in unit["contents"])
        yield from (_line(crate, item["kind"], item) for item in crate["items"])


def _line(crate: dict[str, Any], what: str, row: dict[str, Any], top: str = "") -> dict[str, Any]:
    shown = {name: row.get(name, "") for name in ("path", "part", "revision", "serial", "description")}
    return {
        "crate": crate["number"],
        "what": what,
        "inside": top,
        **shown,
        "quantity": row.get("quantity", 1),
    }


def kept_contents(rows: Iterable[PackedUnit]) -> list[PackedUnit]:
    """Write into rows what is in their units now, to be kept with them; the caller saves them. One query."""
    rows = list(rows)
    inside = contents_of([row.unit_id for row in rows])
    for row in rows:
        row.contents = inside[row.unit_id]
    return rows
