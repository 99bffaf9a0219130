from django.db import migrations

from mes.products.freezing import child_of, freeze, head, thaw

TABLES = [
    head("burnin_burninprofile", "name", "version"),
    child_of("burnin_serieslimit", "profile_id", "burnin_burninprofile"),
]


def install(apps, schema_editor):
    freeze(schema_editor.connection, TABLES)


def remove(apps, schema_editor):
    thaw(schema_editor.connection, TABLES)


class Migration(migrations.Migration):
    dependencies = [("burnin", "0001_first_tables")]
    operations = [migrations.RunPython(install, remove)]
