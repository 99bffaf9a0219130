from django.db import migrations
from django.db.models import OuterRef, Subquery


def name_routes(apps, schema_editor):
    """Let each unit follow the route of its order, as it did."""
    orders = apps.get_model("workorders", "WorkOrder")
    routes = orders.objects.filter(pk=OuterRef("work_order")).values("route")[:1]
    apps.get_model("workorders", "OrderUnit").objects.update(route=Subquery(routes))


class Migration(migrations.Migration):
    dependencies = [("workorders", "0002_order_states_and_kinds")]
    operations = [migrations.RunPython(name_routes, migrations.RunPython.noop)]
