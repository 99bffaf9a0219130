from importlib import import_module

from django.db import migrations

from mes.products.freezing import freeze, thaw

TABLES = import_module("mes.products.migrations.0005_freeze_again").TABLES


def lift(apps, schema_editor):
    thaw(schema_editor.connection, TABLES)


def install(apps, schema_editor):
    freeze(schema_editor.connection, TABLES)


class Migration(migrations.Migration):
    dependencies = [("products", "0006_cable_changes")]
    operations = [migrations.RunPython(lift, install)]
