"""Triggers by which the database itself refuses to change a released definition (PostgreSQL and SQLite)."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True, slots=True)
class FrozenTable:
    """A table of definitions, frozen once ``released_at`` is set on its rows or on what they belong to.

    ``released_at`` is an SQL expression on ``{row}`` (OLD, NEW or an alias); ``{lock}`` in it stands for the
    lock on the parent, so that a child cannot slip in while its parent is being released. ``key`` names the
    columns by which an insert could replace a frozen row.
    """

    name: str
    released_at: str
    key: tuple[str, ...] = ()

    @property
    def is_head(self) -> bool:
        """Return whether the table carries ``released_at`` itself."""
        return self.released_at == "{row}.released_at"


def head(table: str, *key: str) -> FrozenTable:
    """Return the rule for the table that carries ``released_at`` itself, unique by ``key``."""
    return FrozenTable(table, "{row}.released_at", key)


def child_of(table: str, column: str, parent: str) -> FrozenTable:
    """Return the rule for a table whose parent row carries ``released_at``."""
    return FrozenTable(table, f"(SELECT p.released_at FROM {parent} p WHERE p.id = {{row}}.{column}{{lock}})")


def grandchild_of(table: str, column: str, middle: str, middle_column: str, parent: str) -> FrozenTable:
    """Return the rule for a table whose parent's parent carries ``released_at``."""
    return FrozenTable(
        table,
        f"(SELECT p.released_at FROM {parent} p JOIN {middle} m ON m.{middle_column} = p.id"
        f" WHERE m.id = {{row}}.{column}{{lock}})",
    )


def freeze(connection: BaseDatabaseWrapper, tables: Iterable[FrozenTable]) -> None:
    """Install the triggers."""
    make = _postgresql if connection.vendor == "postgresql" else _sqlite
    with connection.cursor() as cursor:
        for table in tables:
            for event in _events(connection):
                cursor.execute(make(table, event))


def thaw(connection: BaseDatabaseWrapper, tables: Iterable[FrozenTable]) -> None:
    """Take the triggers away; for reversing a migration."""
    with connection.cursor() as cursor:
        for table in tables:
            for event in _events(connection):
                name = _name(table, event)
                if connection.vendor == "postgresql":
                    cursor.execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE")
                else:
                    cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def _events(connection: BaseDatabaseWrapper) -> list[str]:
    return ["INSERT", "UPDATE", "DELETE", *(["TRUNCATE"] if connection.vendor == "postgresql" else [])]


def _condition(table: FrozenTable, event: str, lock: str) -> str:
    """Return when an event touches something frozen; no child enters or leaves a released parent."""
    if event == "TRUNCATE":
        return f"EXISTS (SELECT 1 FROM {table.name} t WHERE {_released(table, 't', '')})"
    if event == "INSERT":
        entering = [] if table.is_head else [_released(table, "NEW", lock)]
        return " OR ".join([*entering, _replaces(table)])
    rows = ["OLD"] if event == "DELETE" or table.is_head else ["OLD", "NEW"]
    return " OR ".join(_released(table, row, lock) for row in rows)


def _released(table: FrozenTable, row: str, lock: str) -> str:
    return table.released_at.format(row=row, lock=lock) + " IS NOT NULL"


def _replaces(table: FrozenTable) -> str:
    """Return when an insert meets a frozen row: SQLite's REPLACE INTO would delete it past the triggers."""
    same = ["t.id = NEW.id"]
    if table.key:
        same.append("(" + " AND ".join(f"t.{column} = NEW.{column}" for column in table.key) + ")")
    frozen = _released(table, "t", "")
    return f"EXISTS (SELECT 1 FROM {table.name} t WHERE ({' OR '.join(same)}) AND {frozen})"


def _name(table: FrozenTable, event: str) -> str:
    return f"frozen_{table.name}_{event.lower()}"


def _message(table: FrozenTable) -> str:
    return f"{table.name} is frozen: it is part of a released definition"


def _sqlite(table: FrozenTable, event: str) -> str:
    return (
        f"CREATE TRIGGER {_name(table, event)} BEFORE {event} ON {table.name} "
        f"WHEN {_condition(table, event, '')} "
        f"BEGIN SELECT RAISE(ABORT, '{_message(table)}'); END"
    )


def _postgresql(table: FrozenTable, event: str) -> str:
    name = _name(table, event)
    result = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD", "TRUNCATE": "NULL"}[event]
    each = "STATEMENT" if event == "TRUNCATE" else "ROW"
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {_condition(table, event, ' FOR SHARE OF p')} THEN RAISE EXCEPTION '{_message(table)}' "
        f"USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN {result}; END $$; "
        f"CREATE TRIGGER {name} BEFORE {event} ON {table.name} FOR EACH {each} EXECUTE FUNCTION {name}(); "
        f"ALTER TABLE {table.name} ENABLE ALWAYS TRIGGER {name}"
    )
