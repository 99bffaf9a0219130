from django.db import migrations

from mes.products.freezing import child_of, freeze, head, thaw

PLAN = "cabling_cableplan"
TABLES = [
    head(PLAN, "part_id", "version"),
    child_of("cabling_cablekind", "plan_id", PLAN),
    child_of("cabling_plannedcable", "plan_id", PLAN),
    child_of("cabling_portname", "plan_id", PLAN),
]


def install(apps, schema_editor):
    freeze(schema_editor.connection, TABLES)


def remove(apps, schema_editor):
    thaw(schema_editor.connection, TABLES)


class Migration(migrations.Migration):
    dependencies = [("cabling", "0001_first_tables")]
    operations = [migrations.RunPython(install, remove)]
