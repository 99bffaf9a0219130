"""The way from a unit of an order to the unit against its design."""

from django.urls import reverse
from django.utils.html import format_html

from mes.workorders.models import OrderUnit


def design_link(row: OrderUnit) -> str:
    """Return a link to the elevation, which begins with what is not as designed."""
    address = reverse("unit-elevation", args=[row.unit.uid])
    return format_html('<a class="text-link" href="{}">against its design</a>', address)
