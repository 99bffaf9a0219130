"""Harness shared by all tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection


@contextmanager
def triggers_off() -> Iterator[None]:
    """Let the test database be emptied: its append-only and frozen tables refuse it otherwise."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgenabled = 'A'")
            triggers = cursor.fetchall()
            for table, name in triggers:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
            yield
            for table, name in triggers:
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
            for name, _ in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
            yield
            for _, sql in triggers:
                cursor.execute(sql)


@pytest.fixture(scope="session", autouse=True)
def emptiable_database(django_db_setup: None) -> Iterator[None]:
    """Switch the refusing triggers off while a transactional test's data is flushed.

    Patched on the class: threads, and an event loop of a browser test, have connections of their own.
    """
    operations: Any = type(connection.ops)
    flush = operations.execute_sql_flush

    def flush_without_triggers(self: Any, statements: list[str]) -> Any:
        with triggers_off():
            return flush(self, statements)

    patch = pytest.MonkeyPatch()
    patch.setattr(operations, "execute_sql_flush", flush_without_triggers)
    yield
    patch.undo()
