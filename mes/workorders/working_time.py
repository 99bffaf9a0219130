"""Working time: around the clock, or inside the shifts of a site."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

from django.utils import timezone

from mes.stations.models import Shift

DAY = timedelta(days=1)
MAX_MINUTES = 10 * 365 * 24 * 60


def add_working_minutes(start: datetime, minutes: float, shifts: Iterable[Shift]) -> datetime | None:
    """Return when so many minutes of work are over; None when that is more than ten years of work."""
    if minutes > MAX_MINUTES:
        return None
    shifts = list(shifts)
    if not shifts:
        return start + timedelta(minutes=minutes)
    left, now = timedelta(minutes=minutes), start
    for opens, closes in _working(timezone.localtime(start).date(), shifts):
        now = max(now, opens)
        if closes - now >= left:
            return now + left
        left, now = left - max(closes - now, timedelta(0)), max(now, closes)
    return None


def _working(first: date, shifts: list[Shift]) -> Iterator[tuple[datetime, datetime]]:
    """Yield the stretches of working time from a day on, in order; they may overlap or touch."""
    for number in range(-1, 10 * 365):
        day = first + number * DAY
        for shift in sorted(shifts, key=lambda each: each.starts):
            ends = day + DAY if shift.ends <= shift.starts else day
            yield _local(day, shift.starts), _local(ends, shift.ends)


def _local(day: date, time: object) -> datetime:
    return timezone.make_aware(datetime.combine(day, time))  # type: ignore[arg-type]
