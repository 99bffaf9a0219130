"""Shifts: which one a time falls into, in the site's local time."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mes.stations.models import Shift
from mes.stations.services import shift_at
from tests.builders import Scanner, make_scanner, make_site, make_station

pytestmark = pytest.mark.django_db


def make_shifts(*rows: tuple[str, str, str], site: str = "S1") -> None:
    for name, starts, ends in rows:
        Shift.objects.create(site=make_site(site), name=name, starts=starts, ends=ends)


def name_at(hour: int, minute: int = 0) -> str:
    shift = shift_at(make_site(), datetime(2026, 11, 23, hour, minute, tzinfo=UTC))
    return shift.name if shift else ""


THREE = (("Early", "06:00", "14:00"), ("Late", "14:00", "22:00"), ("Night", "22:00", "06:00"))


def test_a_shift_runs_from_its_start_to_just_before_its_end() -> None:
    make_shifts(*THREE[:2])
    assert [name_at(5, 59), name_at(6), name_at(13, 59), name_at(14), name_at(22)] == [
        "",
        "Early",
        "Early",
        "Late",
        "",
    ]


def test_a_night_shift_runs_past_midnight() -> None:
    make_shifts(*THREE)
    assert [name_at(22), name_at(23, 59), name_at(0), name_at(5, 59), name_at(6)] == [
        "Night",
        "Night",
        "Night",
        "Night",
        "Early",
    ]


def test_times_are_local_also_while_the_clock_is_set_back(settings: Any) -> None:
    settings.TIME_ZONE = "America/Chicago"
    make_shifts(*THREE)
    assert name_at(12) == "Early"
    assert name_at(11, 59) == "Night"
    summer = datetime(2026, 7, 1, 11, 0, tzinfo=UTC)
    assert getattr(shift_at(make_site(), summer), "name", "") == "Early"


def test_equal_ends_are_the_whole_day_and_other_sites_do_not_count() -> None:
    make_shifts(("Day", "08:00", "08:00"), site="S2")
    assert name_at(8) == ""
    make_shifts(("All day", "08:00", "08:00"))
    assert name_at(7) == name_at(8) == "All day"


def test_shifts_over_rest_are_those_of_the_site() -> None:
    make_shifts(*THREE)
    names = {shift["name"] for shift in make_scanner().get("shifts/").json()["results"]}
    assert names == {"Early", "Late", "Night"}
    assert Scanner(make_station(site=make_site("S2"))).get("shifts/").json()["results"] == []
