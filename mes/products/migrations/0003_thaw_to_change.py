from importlib import import_module

from django.db import migrations

from mes.products.freezing import freeze, thaw

FIRST_TABLES = import_module("mes.products.migrations.0002_freeze_released").TABLES


def lift(apps, schema_editor):
    thaw(schema_editor.connection, FIRST_TABLES)


def install(apps, schema_editor):
    freeze(schema_editor.connection, FIRST_TABLES)


class Migration(migrations.Migration):
    dependencies = [("products", "0002_freeze_released")]
    operations = [migrations.RunPython(lift, install)]
