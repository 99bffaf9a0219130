from django.db import migrations

from mes.ledger.triggers import AppendOnly, install, remove

TABLES = [
    AppendOnly("people_signature", "signatures", (("uid",),), "people_signature_refuse_change"),
    AppendOnly(
        "people_signedwork", "signatures", (("signature_id", "performer"),), "people_signedwork_refuse_change"
    ),
]


def install_all(apps, schema_editor):
    for table in TABLES:
        install(schema_editor.connection, table)


def remove_all(apps, schema_editor):
    for table in TABLES:
        remove(schema_editor.connection, table)


class Migration(migrations.Migration):
    dependencies = [
        ("people", "0002_pins_qualifications_and_signatures"),
        ("ledger", "0002_append_only"),
    ]
    operations = [migrations.RunPython(install_all, remove_all)]
