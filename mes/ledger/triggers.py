"""The database's own refusal to change or delete rows of a table, for PostgreSQL and SQLite."""

from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True, slots=True)
class AppendOnly:
    """A table whose rows are only ever added: what they are, its unique keys, its trigger function's name."""

    table: str
    what: str
    keys: tuple[tuple[str, ...], ...]
    function: str


EVENTS = AppendOnly("ledger_event", "ledger events", (("stream", "seq"),), "ledger_refuse_change")

POSTGRESQL_INSTALL = """
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    RAISE EXCEPTION '{what} are append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {function}();
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {function}();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_change;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate;
"""
POSTGRESQL_REMOVE = "DROP FUNCTION IF EXISTS {function}() CASCADE;"

# REPLACE INTO deletes the old row without firing its triggers unless recursive_triggers is on, so an insert
# that would replace one is refused as well.
SQLITE_INSTALL = """
CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, '{what} are append-only'); END;
CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, '{what} are append-only'); END;
CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
BEGIN SELECT RAISE(ABORT, '{what} are append-only'); END;
"""
SQLITE_REMOVE = """
DROP TRIGGER IF EXISTS {table}_no_update;
DROP TRIGGER IF EXISTS {table}_no_delete;
DROP TRIGGER IF EXISTS {table}_no_replace;
"""


def install(connection: BaseDatabaseWrapper, rule: AppendOnly = EVENTS) -> None:
    """Make a table append-only."""
    _run(connection, POSTGRESQL_INSTALL, SQLITE_INSTALL, rule)


def remove(connection: BaseDatabaseWrapper, rule: AppendOnly = EVENTS) -> None:
    """Take the refusal away; for reversing the migration and for emptying a test database."""
    _run(connection, POSTGRESQL_REMOVE, SQLITE_REMOVE, rule)


def _run(connection: BaseDatabaseWrapper, postgresql: str, sqlite: str, rule: AppendOnly) -> None:
    same = " OR ".join(
        "(" + " AND ".join(f"{column} = NEW.{column}" for column in key) + ")"
        for key in (("id",), *rule.keys)
    )
    names = {"table": rule.table, "what": rule.what, "function": rule.function, "same": same}
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(postgresql.format(**names))
        else:
            for statement in sqlite.format(**names).split("END;\n" if "END;" in sqlite else ";\n"):
                if statement.strip():
                    cursor.execute(statement + (" END;" if "END;" in sqlite else ";"))
