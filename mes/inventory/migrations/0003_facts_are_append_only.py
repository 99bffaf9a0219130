from django.db import migrations

from mes.ledger.triggers import AppendOnly, install, remove

TABLES = [
    AppendOnly(f"inventory_{table}", what, keys, f"inventory_{table}_refuse_change")
    for table, what, keys in (
        ("foundinventory", "found inventories", (("uid",),)),
        ("foundcomponent", "found inventories", (("inventory_id", "position"),)),
        ("foundfirmware", "found inventories", (("inventory_id", "name"),)),
        ("verdict", "verdicts", (("test_run_id",),)),
    )
]


def install_all(apps, schema_editor):
    for table in TABLES:
        install(schema_editor.connection, table)


def remove_all(apps, schema_editor):
    for table in TABLES:
        remove(schema_editor.connection, table)


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0002_freeze_released"),
        ("ledger", "0002_append_only"),
    ]
    operations = [migrations.RunPython(install_all, remove_all)]
