"""The shipping of a unit as a page: its crate and pack list, its journeys, what holds it, what came back."""

from typing import Any

from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse

from mes.serials.models import Unit
from mes.shipping.models import CratePhoto, FieldReturn, Indicator, LooseItem, PackedUnit, Receipt
from mes.shipping.services import contents_of
from mes.terminal.rack.access import unit_page
from mes.terminal.rack.page import unit_response
from mes.workorders.models import ShipHold
from mes.workorders.services import holding

SHOWN_DIFFERENCES = 50


@unit_page
def shipping(request: HttpRequest, unit: Unit) -> HttpResponse:
    """Show how a unit shipped, ships or is kept from it; the newest journey first."""
    journeys = _journeys(unit)
    returns = FieldReturn.objects.filter(Q(unit=unit) | Q(taken_from=unit))
    facts: dict[str, Any] = {
        "holds": ShipHold.objects.filter(holding(unit)).select_related("unit", "work_order").order_by("-pk"),
        "journeys": journeys,
        "pack_list": _pack_list(journeys),
        "returns": returns.select_related("nonconformance", "taken_from", "unit").order_by("-pk"),
    }
    return unit_response(request, unit, "terminal/rack/shipping.html", **facts)


def _journeys(unit: Unit) -> list[PackedUnit]:
    rows = PackedUnit.objects.filter(unit=unit).select_related("crate__shipment", "test_run")
    indicators = Indicator.objects.filter(removed_at__isnull=True)
    receipts = Receipt.objects.defer("found").order_by("-pk")
    related = (
        Prefetch("crate__indicators", indicators),
        Prefetch("crate__items", LooseItem.objects.filter(removed_at=None).select_related("part")),
        Prefetch("crate__photos", CratePhoto.objects.select_related("attachment")),
        Prefetch("crate__shipment__receipts", receipts),
    )
    journeys = list(rows.prefetch_related(*related).order_by("-pk"))
    for journey in journeys:
        last = next(iter(journey.crate.shipment.receipts.all()), None)
        journey.differences = _differences(unit, last)  # type: ignore[attr-defined]
    return journeys


def _differences(unit: Unit, receipt: Receipt | None) -> list[dict[str, Any]]:
    lines = receipt.lines if receipt else []
    return [line for line in lines if line["verdict"] != "matched" and line["unit"] == unit.serial][
        :SHOWN_DIFFERENCES
    ]


def _pack_list(journeys: list[PackedUnit]) -> list[dict[str, str]]:
    """Return what is in the unit: as it departed last or, packed now, as it is."""
    live = next((each for each in journeys if each.departed_at or not each.unpacked_at), None)
    if live is None:
        return []
    return contents_of([live.unit_id])[live.unit_id] if live.contents is None else live.contents
