"""How many statements the hot acts take: a constant, whatever the size of the assembly."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.builders import (
    Scanner,
    make_assembly,
    make_part,
    make_route,
    make_scanner,
    make_unit,
    ordered_unit,
)

pytestmark = pytest.mark.django_db

SCAN_THAT_INSTALLS = {"sqlite": 24, "postgresql": 25}
INSTALL = {"sqlite": 18, "postgresql": 19}


def statements(act: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        answer = act()
    assert answer.status_code in {200, 201}, answer.json()
    return [query["sql"] for query in captured.captured_queries]


def rack_of(slots: int) -> tuple[Scanner, Any, Any]:
    tray = make_part("tray", level=10)
    rack = make_assembly("rack", level=11, takes={f"U{number:02}": tray for number in range(slots)})
    unit = ordered_unit(rack, make_route(rack))
    scanner = make_scanner()
    scanner.scan(unit.serial)
    return scanner, unit, tray


@pytest.mark.parametrize("slots", [3, 40])
def test_scan_that_installs(slots: int) -> None:
    scanner, _, tray = rack_of(slots)
    serial = make_unit(tray).serial
    scanner.scan("U01")
    found = statements(lambda: scanner.scan(serial))
    assert len(found) == SCAN_THAT_INSTALLS[connection.vendor], "\n".join(found)


@pytest.mark.parametrize("slots", [3, 40])
def test_install(slots: int) -> None:
    scanner, unit, tray = rack_of(slots)
    body = {"slot": "U01", "child": {"uid": str(make_unit(tray).uid)}}
    found = statements(lambda: scanner.post(f"units/{unit.uid}/install/", body))
    assert len(found) == INSTALL[connection.vendor], "\n".join(found)
