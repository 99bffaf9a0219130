from importlib import import_module

from django.db import migrations

from mes.products.freezing import child_of, freeze, thaw

REVISION = "products_partrevision"
TABLES = [
    *import_module("mes.products.migrations.0005_freeze_again").TABLES,
    child_of("products_budget", "revision_id", REVISION),
    child_of("products_compatibilityrule", "revision_id", REVISION),
]


def install(apps, schema_editor):
    freeze(schema_editor.connection, TABLES)


def remove(apps, schema_editor):
    thaw(schema_editor.connection, TABLES)


class Migration(migrations.Migration):
    dependencies = [("products", "0008_budgets_and_compatibility")]
    operations = [migrations.RunPython(install, remove)]
