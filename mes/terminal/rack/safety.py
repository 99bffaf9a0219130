"""The electrical safety of a unit as a page."""

from django.http import HttpRequest, HttpResponse

from mes.electrical.services import overview_of
from mes.serials.models import Unit
from mes.terminal.rack.access import unit_page
from mes.terminal.rack.page import unit_response


@unit_page
def safety(request: HttpRequest, unit: Unit) -> HttpResponse:
    """Show whether a hipot is live, how each test stands, what was measured, and what is in the way."""
    return unit_response(request, unit, "terminal/rack/safety.html", safety=overview_of(unit))
