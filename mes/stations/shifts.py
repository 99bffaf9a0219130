"""Shifts in local time."""

from datetime import datetime

from django.utils import timezone

from mes.stations.models import Shift, Site


def shift_at(site: Site, when: datetime) -> Shift | None:
    """Return the shift of a site at a time, the one that starts first if several overlap."""
    local = timezone.localtime(when, timezone.get_default_timezone()).time()
    return next((shift for shift in site.shifts.order_by("starts", "id") if shift.covers(local)), None)
