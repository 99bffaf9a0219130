from django.db import migrations

from mes.products.freezing import child_of, freeze, grandchild_of, head, thaw

REVISION, ROUTE, BASELINE = "products_partrevision", "products_route", "products_firmwarebaseline"
TABLES = [
    head(REVISION, "part_id", "revision"),
    head(ROUTE, "part_id", "version"),
    head(BASELINE, "name"),
    child_of("products_bomline", "parent_id", REVISION),
    child_of("products_slot", "revision_id", REVISION),
    grandchild_of("products_slot_accepts", "slot_id", "products_slot", "revision_id", REVISION),
    child_of("products_operation", "route_id", ROUTE),
    grandchild_of("products_gate", "operation_id", "products_operation", "route_id", ROUTE),
    grandchild_of("products_limit", "operation_id", "products_operation", "route_id", ROUTE),
    child_of("products_retestrule", "route_id", ROUTE),
    child_of("products_firmwareversion", "baseline_id", BASELINE),
]


def install(apps, schema_editor):
    freeze(schema_editor.connection, TABLES)


def remove(apps, schema_editor):
    thaw(schema_editor.connection, TABLES)


class Migration(migrations.Migration):
    dependencies = [("products", "0001_first_tables")]
    operations = [migrations.RunPython(install, remove)]
