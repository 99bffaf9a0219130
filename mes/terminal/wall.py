"""The bay wall: every burn-in of a site that goes on, bay by bay, and what waits."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from mes.burnin.services import wall_of
from mes.stations.models import Device
from mes.stations.services import site_of
from mes.terminal.rack.access import floor_page, person_at
from mes.terminal.rack.page import VERSION


@floor_page("burnin.view_burninrun")
def wall(request: HttpRequest, device: Device | None) -> HttpResponse:
    """Show the bays of a terminal's site, or of every site, with their racks; the page renews itself."""
    site = site_of(device)
    facts = {
        "wall": wall_of(site),
        "site": site,
        "person": person_at(request),
        "now": timezone.localtime(),
        "version": VERSION,
    }
    return render(request, "terminal/wall.html", facts)
