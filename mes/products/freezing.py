"""Triggers by which the database itself refuses to change a released definition (PostgreSQL and SQLite)."""

from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True, slots=True)
class FrozenTable:
    """A table whose rows are frozen while ``released`` holds; ``{row}`` stands for OLD or NEW.

    A child may neither leave nor enter a released parent, so its update asks about both rows.
    """

    name: str
    released: str


def child_of(table: str, column: str, parent: str) -> FrozenTable:
    """Return the rule for a table whose parent row carries ``released_at``."""
    return FrozenTable(table, f"(SELECT released_at FROM {parent} WHERE id = {{row}}.{column}) IS NOT NULL")


def grandchild_of(table: str, column: str, middle: str, middle_column: str, parent: str) -> FrozenTable:
    """Return the rule for a table whose parent's parent carries ``released_at``."""
    return FrozenTable(
        table,
        f"(SELECT p.released_at FROM {parent} p JOIN {middle} m ON m.{middle_column} = p.id"
        f" WHERE m.id = {{row}}.{column}) IS NOT NULL",
    )


def head(table: str) -> FrozenTable:
    """Return the rule for the table that carries ``released_at`` itself."""
    return FrozenTable(table, "{row}.released_at IS NOT NULL")


def freeze(connection: BaseDatabaseWrapper, tables: list[FrozenTable]) -> None:
    """Install the triggers."""
    make = _postgresql if connection.vendor == "postgresql" else _sqlite
    with connection.cursor() as cursor:
        for table in tables:
            for event in _events(table):
                cursor.execute(make(table, event))


def thaw(connection: BaseDatabaseWrapper, tables: list[FrozenTable]) -> None:
    """Take the triggers away; for reversing a migration."""
    with connection.cursor() as cursor:
        for table in tables:
            for event in _events(table):
                name = _name(table, event)
                if connection.vendor == "postgresql":
                    cursor.execute(f"DROP FUNCTION IF EXISTS {name}() CASCADE")
                else:
                    cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def _is_head(table: FrozenTable) -> bool:
    return table == head(table.name)


def _events(table: FrozenTable) -> list[str]:
    return ["UPDATE", "DELETE"] if _is_head(table) else ["INSERT", "UPDATE", "DELETE"]


def _condition(table: FrozenTable, event: str) -> str:
    rows = {"INSERT": ["NEW"], "DELETE": ["OLD"], "UPDATE": ["OLD"] if _is_head(table) else ["OLD", "NEW"]}
    return " OR ".join(table.released.format(row=row) for row in rows[event])


def _name(table: FrozenTable, event: str) -> str:
    return f"frozen_{table.name}_{event.lower()}"


def _message(table: FrozenTable) -> str:
    return f"{table.name} is frozen: it is part of a released definition"


def _sqlite(table: FrozenTable, event: str) -> str:
    return (
        f"CREATE TRIGGER {_name(table, event)} BEFORE {event} ON {table.name} "
        f"WHEN {_condition(table, event)} "
        f"BEGIN SELECT RAISE(ABORT, '{_message(table)}'); END"
    )


def _postgresql(table: FrozenTable, event: str) -> str:
    name = _name(table, event)
    result = "OLD" if event == "DELETE" else "NEW"
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {_condition(table, event)} THEN RAISE EXCEPTION '{_message(table)}' "
        f"USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN {result}; END $$; "
        f"CREATE TRIGGER {name} BEFORE {event} ON {table.name} FOR EACH ROW EXECUTE FUNCTION {name}()"
    )
