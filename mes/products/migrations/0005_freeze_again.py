from importlib import import_module

from django.db import migrations

from mes.products.freezing import child_of, freeze, grandchild_of, head, thaw

OPERATION, ROUTE = "products_operation", "products_route"
TABLES = [
    *import_module("mes.products.migrations.0002_freeze_released").TABLES,
    *(
        grandchild_of(f"products_{table}", "operation_id", OPERATION, "route_id", ROUTE)
        for table in ("requiredqualification", "requiredtool", "consumable", "datafield")
    ),
    child_of("products_reworklimit", "route_id", ROUTE),
    head("products_instruction", "code", "version"),
    child_of("products_instructionstep", "instruction_id", "products_instruction"),
]


def install(apps, schema_editor):
    freeze(schema_editor.connection, TABLES)


def remove(apps, schema_editor):
    thaw(schema_editor.connection, TABLES)


class Migration(migrations.Migration):
    dependencies = [("products", "0004_richer_routes")]
    operations = [migrations.RunPython(install, remove)]
