"""The status of a cluster as a page: a list, then its rows as a plan from above."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse

from mes.clusters.services import ClusterStatus, PlaceStanding, status_of
from mes.serials.models import Unit
from mes.terminal.rack.access import unit_page
from mes.terminal.rack.page import unit_response

# Measures are whole units of the SVG view box.
WIDTH, DEPTH, AISLE, TITLE = 96, 64, 44, 40


@dataclass(frozen=True, slots=True)
class Tile:
    """A place in the plan: where it is drawn, and what it says."""

    place: PlaceStanding
    word: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Row:
    """The name of a row of racks, and the line on which it stands."""

    name: str
    y: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows of racks from above."""

    rows: list[Row]
    tiles: list[Tile]
    width: int
    height: int
    tile_width: int = WIDTH
    tile_depth: int = DEPTH


@unit_page
def cluster(request: HttpRequest, unit: Unit) -> HttpResponse:
    """Show how a cluster stands; of another unit only that it is none."""
    status = status_of(unit) if unit.level >= Unit.CLUSTER_LEVEL else None
    plan = plan_of(status) if status else None
    return unit_response(request, unit, "terminal/rack/cluster.html", status=status, plan=plan)


def plan_of(status: ClusterStatus) -> Plan:
    """Lay the places of a cluster out in their order: what stands before the last ``-`` names the row."""
    rows: dict[str, list[PlaceStanding]] = {}
    for place in status.places:
        rows.setdefault(place.name.rpartition("-")[0], []).append(place)
    drawn = [Row(name, index * (DEPTH + AISLE)) for index, name in enumerate(rows)]
    tiles = [
        Tile(place, word_of(place), TITLE + column * WIDTH, row.y)
        for row, places in zip(drawn, rows.values(), strict=True)
        for column, place in enumerate(places)
    ]
    longest = max(map(len, rows.values()), default=0)
    return Plan(drawn, tiles, TITLE + longest * WIDTH, len(rows) * (DEPTH + AISLE) - AISLE)


def word_of(place: PlaceStanding) -> str:
    """Return mark and word of a place."""
    if place.rack is None:
        return "– empty"
    return "✕ stopped" if place.rack.is_stopped else "✓ placed"
