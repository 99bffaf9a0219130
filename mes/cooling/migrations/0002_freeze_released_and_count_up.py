from django.db import migrations

from mes.products.freezing import freeze, head, thaw

TABLES = [
    head("cooling_couplingtype", "code", "version"),
    head("cooling_coolant", "part_id", "version"),
    head("cooling_coolingplan", "part_id", "version"),
]
MESSAGE = "mates of a coupling only count up"
POSTGRESQL = f"""
CREATE FUNCTION coupling_counts_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.mates < OLD.mates THEN
        RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'integrity_constraint_violation';
    END IF; RETURN NEW; END $$;
CREATE TRIGGER coupling_counts_up BEFORE UPDATE ON cooling_coupling
    FOR EACH ROW EXECUTE FUNCTION coupling_counts_up();
ALTER TABLE cooling_coupling ENABLE ALWAYS TRIGGER coupling_counts_up;
"""
SQLITE = f"""
CREATE TRIGGER coupling_counts_up BEFORE UPDATE ON cooling_coupling WHEN NEW.mates < OLD.mates
BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END
"""


def install(apps, schema_editor):
    connection = schema_editor.connection
    freeze(connection, TABLES)
    with connection.cursor() as cursor:
        cursor.execute(POSTGRESQL if connection.vendor == "postgresql" else SQLITE)


def remove(apps, schema_editor):
    connection = schema_editor.connection
    thaw(connection, TABLES)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP FUNCTION IF EXISTS coupling_counts_up() CASCADE")
        else:
            cursor.execute("DROP TRIGGER IF EXISTS coupling_counts_up")


class Migration(migrations.Migration):
    dependencies = [("cooling", "0001_first_tables")]
    operations = [migrations.RunPython(install, remove)]
