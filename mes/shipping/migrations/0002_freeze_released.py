from django.db import migrations

from mes.products.freezing import freeze, head, thaw

TABLES = [head("shipping_packingrule", "part_id", "version")]


def install(apps, schema_editor):
    freeze(schema_editor.connection, TABLES)


def remove(apps, schema_editor):
    thaw(schema_editor.connection, TABLES)


class Migration(migrations.Migration):
    dependencies = [("shipping", "0001_first_tables")]
    operations = [migrations.RunPython(install, remove)]
