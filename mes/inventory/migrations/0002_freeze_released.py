from django.db import migrations

from mes.products.freezing import child_of, freeze, head, thaw

TABLES = [
    head("inventory_reportmap", "unit_kind", "maker", "version"),
    child_of("inventory_componentname", "report_map_id", "inventory_reportmap"),
    child_of("inventory_firmwarename", "report_map_id", "inventory_reportmap"),
]


def install(apps, schema_editor):
    freeze(schema_editor.connection, TABLES)


def remove(apps, schema_editor):
    thaw(schema_editor.connection, TABLES)


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_first_tables")]
    operations = [migrations.RunPython(install, remove)]
