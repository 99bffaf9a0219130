"""What every page of a unit shows around its own content: the unit, where it stands, and the other pages."""

from importlib.metadata import version
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.terminal.rack.access import person_at

VERSION = version("rackmes")
# The pages of a unit, in the order of their tabs: name of the address, and the word on the tab.
TABS = (
    ("unit-elevation", "Elevation"),
    ("unit-cables", "Cables"),
    ("unit-coolant", "Coolant"),
    ("unit-firmware", "Inventory and firmware"),
    ("unit-safety", "Safety"),
    ("unit-burn-in", "Burn-in"),
    ("unit-shipping", "Shipping"),
    ("unit-cluster", "Cluster"),
)


def bounds(low: float | None, high: float | None) -> str:
    """Return a good range in signs, "" where it has no bound."""
    parts = [f"≥ {low:g}" if low is not None else "", f"≤ {high:g}" if high is not None else ""]
    return " and ".join(filter(None, parts))


def unit_response(request: HttpRequest, unit: Unit, template: str, **facts: Any) -> HttpResponse:
    """Render a page of a unit inside the frame of all of them. One query for where the unit sits."""
    placed = Installation.objects.live().select_related("slot", "parent").filter(child=unit).first()
    frame = {
        "unit": unit,
        "placed": placed,
        "tabs": TABS,
        "here": f"unit-{template.rpartition('/')[2].removesuffix('.html')}",
        "person": person_at(request),
        "now": timezone.localtime(),
        "version": VERSION,
    }
    return render(request, template, {**frame, **facts})
