"""Inventory and firmware of a unit as a page: what differs first, then all of it."""

from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from mes.inventory.models import Collection
from mes.inventory.services import (
    FirmwareState,
    State,
    compare_firmware,
    compare_inventory,
    last_verdicts,
)
from mes.racks.models import InstalledFirmware
from mes.racks.services import units_inside
from mes.serials.models import Unit
from mes.terminal.rack.access import unit_page
from mes.terminal.rack.page import unit_response

SHOWN_CHANGES = 100
GOOD = {State.MATCH, FirmwareState.AT_BASELINE}
SILENT = {State.NOT_TOLD, State.EMPTY, FirmwareState.UNKNOWN}


@unit_page
def firmware(request: HttpRequest, unit: Unit) -> HttpResponse:
    """Show how a unit compares with what was scanned, with its design and with its baseline."""
    inventory, versions = compare_inventory(unit=unit), compare_firmware(unit=unit)
    inside = Q(unit__in=units_inside(unit)) | Q(unit=unit)
    changes = InstalledFirmware.objects.filter(inside, until__isnull=False).select_related("unit")
    return unit_response(
        request,
        unit,
        "terminal/rack/firmware.html",
        inventory=inventory,
        versions=versions,
        rows=[(row, sign_of(row.state), words(row.state)) for row in inventory.rows],
        components=[
            (row, "✕" if row.is_mismatch else sign_of(row.state), words(row.state)) for row in versions.rows
        ],
        changes=changes.order_by("-until", "-pk")[:SHOWN_CHANGES],
        collection=Collection.objects.filter(unit=unit).order_by("-pk").first(),
        verdicts=last_verdicts(unit).values(),
    )


def sign_of(state: str) -> str:
    """Return the sign of a state: good, not told, or to be looked into."""
    return "✓" if state in GOOD else "–" if state in SILENT else "✕"


def words(state: str) -> str:
    """Return a state in words."""
    return str(state).replace("_", " ")
