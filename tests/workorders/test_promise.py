"""The promise date: standard times, the queue, shifts, children, and what it waits for."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.products.models import Operation, PartRevision, Route
from mes.stations.models import Shift
from mes.workorders.services import hold_order, promise
from mes.workorders.working_time import add_working_minutes
from tests.builders import (
    TESTER,
    make_assembly,
    make_order,
    make_part,
    make_station,
    release,
    supervisor_client,
)
from tests.workorders.orders import do, draft, make_tray, tray_order, units_of

pytestmark = pytest.mark.django_db


def timed_tray(minutes: int = 60) -> tuple[PartRevision, Route]:
    tray = make_assembly("tray", level=10, takes={})
    route = Route.objects.create(part=tray.part, version="1", name="timed")
    for sequence, work_center in ((10, "BUILD"), (20, "TEST")):
        Operation.objects.create(
            route=route,
            sequence=sequence,
            code=f"op{sequence}",
            name=f"Step {sequence}",
            work_center=work_center,
            standard_minutes=minutes,
        )
    release(route)
    make_station("BUILD")
    make_station("TEST")
    return tray, route


def test_the_queue_the_own_work_and_the_stations_make_the_date() -> None:
    tray, route = timed_tray()
    make_order(tray, route, quantity=2, priority=10)
    order = make_order(tray, route, quantity=1)
    now = timezone.now()
    made = promise(order)
    assert made.date and timedelta(minutes=239) < made.date - now < timedelta(minutes=241)
    assert [(line.work_center, int(line.queue_minutes), int(line.own_minutes)) for line in made.lines] == [
        ("BUILD", 120, 60),
        ("TEST", 120, 60),
    ]
    make_station("BUILD", "SECOND-BUILD")
    make_station("TEST", "SECOND-TEST")
    faster = promise(order).date
    assert faster and faster - now < timedelta(minutes=152)
    do(units_of(order)[0], 10)
    order.refresh_from_db()
    assert [line.work_center for line in promise(order).lines] == ["TEST"]


def test_an_unknown_time_is_named_and_no_date_is_given() -> None:
    order = tray_order(1)
    make_station("BUILD")
    answer = supervisor_client().get(f"/api/v1/work-orders/{order.number}/promise/").json()
    assert answer["date"] is None
    assert "a standard time for 10 Step 10 of tray route 1" in answer["waits_for"]
    assert "a station of work center TEST" in answer["waits_for"]


def test_held_orders_missing_parts_and_children_are_waited_for() -> None:
    gpu = make_part("gpu")
    order = make_order(*make_tray({"G0": gpu}))
    draft(*timed_tray(), number="WO-K", parent=order, quantity=1)
    hold_order(order=order, reason="x", by=TESTER)
    order.refresh_from_db()
    waits = promise(order).waits_for
    assert waits[0] == f"order {order.number}, which is held"
    assert f"1 of {gpu.part.number} gpu, not in stock" in waits
    assert any(wait.startswith("child order WO-K (draft), promised ") for wait in waits)


def test_work_happens_in_shifts() -> None:
    shift = Shift(name="day", starts=time(8), ends=time(16))
    night = Shift(name="night", starts=time(22), ends=time(2))
    start = datetime(2027, 1, 4, 15, tzinfo=UTC)
    assert add_working_minutes(start, 90, []) == datetime(2027, 1, 4, 16, 30, tzinfo=UTC)
    assert add_working_minutes(start, 90, [shift]) == datetime(2027, 1, 5, 8, 30, tzinfo=UTC)
    assert add_working_minutes(start, 120, [night, shift]) == datetime(2027, 1, 4, 23, tzinfo=UTC)
    assert add_working_minutes(start, 1e9, [shift]) is None


def test_a_promise_costs_the_same_however_much_there_is_to_build() -> None:
    tray, route = timed_tray()
    found = []
    for quantity in (2, 20):
        order = make_order(tray, route, quantity=quantity)
        with CaptureQueriesContext(connection) as queries:
            promise(order)
        found.append(len(queries))
    assert found[0] == found[1]
