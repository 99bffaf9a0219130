"""Harness shared by all tests."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

FAST_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# What Django makes anew after every flush is kept: it is the same for every test.
KEPT = {"django_content_type", "auth_permission"}


def filled_tables(connection: BaseDatabaseWrapper, statements: list[str]) -> list[str]:
    """Return which of the tables that a flush names hold anything; most hold nothing after a test."""
    named = {name for statement in statements for name in re.findall(r'"(\w+)"', statement)}
    tables = sorted(named - KEPT)
    asked = (f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM \"{name}\")" for name in tables)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(asked))
        return [name for (name,) in cursor.fetchall()]


@contextmanager
def triggers_off(connection: BaseDatabaseWrapper, tables: list[str]) -> Iterator[None]:
    """Let tables be emptied: those that are append-only or frozen refuse it otherwise."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
                " WHERE tgenabled = 'A' AND tgrelid::regclass::text = ANY(%s)",
                [tables],
            )
            triggers = cursor.fetchall()
            for table, name in triggers:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
            yield
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table, name in triggers:
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
        else:
            cursor.execute("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = [(name, sql) for name, table, sql in cursor.fetchall() if table in tables]
            for name, _ in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
            yield
            for _, sql in triggers:
                cursor.execute(sql)


def empty_filled(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    """Empty the tables that hold anything, all or none."""
    with transaction.atomic(connection.alias):
        tables = filled_tables(connection, statements)
        with triggers_off(connection, tables), connection.cursor() as cursor:
            for name in tables:
                cursor.execute(f'DELETE FROM "{name}"')


@pytest.fixture(scope="session", autouse=True)
def emptiable_database(django_db_setup: None) -> Iterator[None]:
    """Empty the database after a transactional test: only the tables that hold rows, past their triggers.

    Patched on the class: threads, and an event loop of a browser test, have connections of their own. A
    TRUNCATE of every table, as Django does, takes seconds on PostgreSQL.
    """
    operations: Any = type(connection.ops)

    def empty(self: Any, statements: list[str]) -> None:
        try:
            empty_filled(self.connection, statements)
        except IntegrityError:  # a request that a browser sent last has written meanwhile
            empty_filled(self.connection, statements)

    patch = pytest.MonkeyPatch()
    patch.setattr(operations, "execute_sql_flush", empty)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def scratch_settings(settings: Any, tmp_path: Path) -> None:
    """Hash passwords fast, for the real hasher is slow on purpose; keep files in a scratch folder."""
    settings.PASSWORD_HASHERS = FAST_HASHERS
    settings.MEDIA_ROOT = tmp_path / "media"
