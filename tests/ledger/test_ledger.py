"""The ledger cannot be changed, and a change made behind its back is found."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from mes.ledger import triggers
from mes.ledger.models import Event
from mes.ledger.services import Actor, StaleRow, advance, record
from mes.ledger.verification import verify_ledger
from mes.serials.models import Unit
from tests.builders import TESTER, make_part, make_unit

pytestmark = pytest.mark.django_db


def unit_with_history(events: int = 4) -> Unit:
    unit = make_unit(make_part())
    for number in range(events - 1):
        record(advance(unit, "unit.noted", by=TESTER, payload={"number": number, "text": "µ — 1.50"}))
    return unit


def run_sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def insert_like(unit: Unit, seq: int, *, verb: str = "INSERT") -> str:
    return (
        f"{verb} INTO ledger_event (stream, seq, kind, actor, station, device, at, payload_text, digest)"
        f" SELECT stream, {seq}, kind, actor, station, device, at, payload_text, digest"
        f" FROM ledger_event WHERE stream = '{unit.stream}' AND seq = 2"
    )


def change_and_save(unit: Unit) -> None:
    event = Event.objects.get(stream=unit.stream, seq=2)
    event.kind = "x"
    event.save()


WAYS_TO_CHANGE: dict[str, Callable[[Unit], Any]] = {
    "save": change_and_save,
    "delete": lambda unit: Event.objects.get(stream=unit.stream, seq=2).delete(),
    "queryset update": lambda unit: Event.objects.filter(stream=unit.stream).update(kind="x"),
    "queryset delete": lambda unit: Event.objects.filter(stream=unit.stream).delete(),
    "bulk update": lambda unit: Event.objects.bulk_update(Event.objects.filter(stream=unit.stream), ["kind"]),
    "upsert": lambda unit: Event.objects.bulk_create(
        [Event(stream=unit.stream, seq=2, kind="x", payload_text="{}", digest="")],
        update_conflicts=True,
        unique_fields=["stream", "seq"],
        update_fields=["kind"],
    ),
    "raw update": lambda unit: run_sql("UPDATE ledger_event SET kind = 'x'"),
    "raw delete": lambda unit: run_sql("DELETE FROM ledger_event"),
    "second event of a seq": lambda unit: run_sql(insert_like(unit, 2)),
}


@pytest.mark.parametrize("way", WAYS_TO_CHANGE)
def test_events_are_append_only(way: str) -> None:
    unit = unit_with_history()
    before = list(Event.objects.order_by("id").values())
    with pytest.raises(DatabaseError), transaction.atomic():
        WAYS_TO_CHANGE[way](unit)
    assert list(Event.objects.order_by("id").values()) == before


@pytest.mark.skipif(connection.vendor != "sqlite", reason="REPLACE INTO is SQLite's")
@pytest.mark.parametrize("recursive_triggers", ["ON", "OFF"])
def test_replace_into_is_refused(recursive_triggers: str) -> None:
    unit = unit_with_history()
    run_sql(f"PRAGMA recursive_triggers={recursive_triggers}")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        run_sql(insert_like(unit, 2, verb="REPLACE"))
    run_sql("PRAGMA recursive_triggers=ON")
    assert verify_ledger().intact


@pytest.mark.skipif(connection.vendor != "postgresql", reason="TRUNCATE is PostgreSQL's")
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_truncate_is_refused_even_to_a_replica(role: str) -> None:
    unit_with_history()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        run_sql(f"SET LOCAL session_replication_role = {role}")
        run_sql("TRUNCATE ledger_event")
    assert Event.objects.exists()


def test_untouched_ledger_is_intact() -> None:
    unit_with_history(4)
    unit_with_history(2)
    result = verify_ledger()
    assert (result.intact, result.streams, result.events) == (True, 2, 6)


TAMPERINGS: dict[str, Callable[[Unit], str]] = {
    "edited payload": lambda u: (
        f"UPDATE ledger_event SET payload_text='{{}}' WHERE stream='{u.stream}' AND seq=2"
    ),
    "edited actor": lambda u: f"UPDATE ledger_event SET actor='eve' WHERE stream='{u.stream}' AND seq=1",
    "edited time": lambda u: (
        f"UPDATE ledger_event SET at='2001-01-01 00:00:00' WHERE stream='{u.stream}' AND seq=3"
    ),
    "deleted": lambda u: f"DELETE FROM ledger_event WHERE stream='{u.stream}' AND seq=2",
    "deleted first": lambda u: f"DELETE FROM ledger_event WHERE stream='{u.stream}' AND seq=1",
    "deleted last": lambda u: f"DELETE FROM ledger_event WHERE stream='{u.stream}' AND seq=4",
    "deleted all": lambda u: f"DELETE FROM ledger_event WHERE stream='{u.stream}'",
    "inserted at the end": lambda u: insert_like(u, 5),
    "inserted with a gap": lambda u: insert_like(u, 9),
    "moved to a stream of no row": lambda u: (
        f"UPDATE ledger_event SET stream='unit:x' WHERE stream='{u.stream}'"
    ),
    "reordered": lambda u: (
        f"UPDATE ledger_event SET seq = 100 - seq WHERE stream='{u.stream}' AND seq IN (2, 3);"
        f"UPDATE ledger_event SET seq = CASE seq WHEN 98 THEN 3 ELSE 2 END"
        f" WHERE stream='{u.stream}' AND seq > 90"
    ),
    "row set back": lambda u: f"UPDATE serials_unit SET version = 3 WHERE serial = '{u.serial}'",
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_found(tampering: str) -> None:
    unit = unit_with_history()
    unit_with_history()
    triggers.remove(connection)
    for statement in TAMPERINGS[tampering](unit).split(";"):
        run_sql(statement)
    triggers.install(connection)
    result = verify_ledger()
    assert not result.intact
    assert {fault.stream for fault in result.faults} <= {unit.stream, "unit:x"}


def test_command_exits_1_and_names_the_fault(capsys: pytest.CaptureFixture[str]) -> None:
    unit = unit_with_history()
    out = StringIO()
    call_command("verify_ledger", stdout=out)
    assert out.getvalue() == "ledger: 1 streams, 4 events, intact\n"
    triggers.remove(connection)
    run_sql(f"UPDATE ledger_event SET actor='eve' WHERE stream='{unit.stream}' AND seq=2")
    triggers.install(connection)
    err = StringIO()
    with pytest.raises(SystemExit) as stop:
        call_command("verify_ledger", stdout=StringIO(), stderr=err)
    assert stop.value.code == 1
    assert f"{unit.stream} #2: digest does not match" in err.getvalue()


def test_a_row_that_moved_on_is_not_written() -> None:
    unit = unit_with_history(1)
    stale = Unit.objects.get(pk=unit.pk)
    record(advance(unit, "unit.noted", by=TESTER))
    with pytest.raises(StaleRow):
        advance(stale, "unit.noted", by=TESTER, state="scrapped")
    unit.refresh_from_db()
    assert (unit.version, unit.state) == (2, "in_stock")


def test_saving_a_row_read_before_does_not_set_its_history_back() -> None:
    unit = unit_with_history(1)
    before = Unit.objects.get(pk=unit.pk)
    record(advance(unit, "unit.noted", by=TESTER))
    before.place_of_assembly = "Demo town"
    before.save()
    assert verify_ledger().intact


def test_digest_binds_fields_by_their_length() -> None:
    first, second = make_unit(make_part()), make_unit(make_part())
    one = advance(first, "ab", by=Actor(person="c"))
    other = advance(second, "a", by=Actor(person="bc"))
    other.stream, other.at = one.stream, one.at
    from mes.ledger.services import event_digest

    assert event_digest(one, "") != event_digest(other, "")
