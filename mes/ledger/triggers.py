"""The database's own refusal to change or delete an event, for PostgreSQL and SQLite."""

from django.db.backends.base.base import BaseDatabaseWrapper

POSTGRESQL_INSTALL = """
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    RAISE EXCEPTION 'ledger events are append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER ledger_event_no_change BEFORE UPDATE OR DELETE ON ledger_event
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_event_no_truncate BEFORE TRUNCATE ON ledger_event
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_event ENABLE ALWAYS TRIGGER ledger_event_no_change;
ALTER TABLE ledger_event ENABLE ALWAYS TRIGGER ledger_event_no_truncate;
"""
POSTGRESQL_REMOVE = "DROP FUNCTION IF EXISTS ledger_refuse_change() CASCADE;"

# REPLACE INTO deletes the old row without firing its triggers unless recursive_triggers is on, so an insert
# that would replace one is refused as well.
SQLITE_INSTALL = """
CREATE TRIGGER ledger_event_no_update BEFORE UPDATE ON ledger_event
BEGIN SELECT RAISE(ABORT, 'ledger events are append-only'); END;
CREATE TRIGGER ledger_event_no_delete BEFORE DELETE ON ledger_event
BEGIN SELECT RAISE(ABORT, 'ledger events are append-only'); END;
CREATE TRIGGER ledger_event_no_replace BEFORE INSERT ON ledger_event
WHEN EXISTS (SELECT 1 FROM ledger_event WHERE id = NEW.id OR (stream = NEW.stream AND seq = NEW.seq))
BEGIN SELECT RAISE(ABORT, 'ledger events are append-only'); END;
"""
SQLITE_REMOVE = """
DROP TRIGGER IF EXISTS ledger_event_no_update;
DROP TRIGGER IF EXISTS ledger_event_no_delete;
DROP TRIGGER IF EXISTS ledger_event_no_replace;
"""


def install(connection: BaseDatabaseWrapper) -> None:
    """Make the event table append-only."""
    _run(connection, POSTGRESQL_INSTALL, SQLITE_INSTALL)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Take the refusal away; for reversing the migration and for emptying a test database."""
    _run(connection, POSTGRESQL_REMOVE, SQLITE_REMOVE)


def _run(connection: BaseDatabaseWrapper, postgresql: str, sqlite: str) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(postgresql)
        else:
            for statement in sqlite.split("END;\n" if "END;" in sqlite else ";\n"):
                if statement.strip():
                    cursor.execute(statement + (" END;" if "END;" in sqlite else ";"))
