"""One row of everything that inventory lists."""

from django.utils import timezone

from mes.inventory.models import Collection, FoundComponent, FoundInventory, Verdict
from mes.inventory.services import Facts, Firmware, Maps, keep_inventory
from mes.serials.models import Unit
from mes.testing.services import Result
from mes.workorders.services import report_test
from tests.builders import TESTER
from tests.inventory.builders import make_map


def add_rows(unit: Unit) -> None:
    """Make a map, a collection, an inventory and a verdict of a unit."""
    make_map()
    Collection.objects.create(unit=unit, asked_by="tester", lease_until=timezone.now())
    facts = Facts(
        source=FoundInventory.Source.TESTER,
        taken_at=timezone.now(),
        names={"serial": unit.serial},
        components=(FoundComponent(kind="gpu", name="GPU 0", serial="S1"),),
        firmware=(Firmware("BMC", "1.2"),),
    )
    keep_inventory(unit=unit, facts=facts, by=TESTER, maps=Maps())
    run = report_test(unit=unit, result=Result("inventory", "PASS"), by=TESTER)
    Verdict.objects.create(unit=unit, test_run=run, procedure="inventory")
