"""A full rack of the NVL72 pack, all 543 units of it, written at once: how it is built is not the point."""

from collections.abc import Iterator
from io import StringIO
from itertools import count
from pathlib import Path

from django.core.management import call_command
from django.utils import timezone

from mes.ledger.services import Actor
from mes.products.models import PartRevision, Route
from mes.products.services import layout_of
from mes.racks.models import Installation
from mes.serials.models import Identifier, Unit
from mes.stations.models import Site
from mes.workorders.models import OperationRun, WorkOrder
from mes.workorders.services import create_order, release_order

PACK = Path(__file__).resolve().parents[2] / "fixtures" / "nvl72"
BY = Actor(person="tester")


class FullRacks:
    """Racks of an order, filled to the last GPU, with everything done up to an operation."""

    def __init__(self, quantity: int = 1, *, done_up_to: int = 180) -> None:
        call_command("load_definitions", PACK, stdout=StringIO())
        self.site = Site.objects.get(code="DEMO")
        parts = PartRevision.objects.select_related("part").order_by("pk")
        self.latest = {revision.part_id: revision for revision in parts}
        self.revision = next(each for each in parts if each.part.number == "RK-1001")
        self.order = self._order(quantity)
        self.units = [row.unit for row in self.order.order_units.select_related("unit").order_by("pk")]
        self._serials = count(1)
        for unit in self.units:
            self._fill(unit)
            self._do(unit, done_up_to)

    @property
    def unit(self) -> Unit:
        """Return the first rack, read anew."""
        return Unit.objects.select_related("part_revision__part").get(pk=self.units[0].pk)

    def _order(self, quantity: int) -> WorkOrder:
        route = Route.objects.filter(part=self.revision.part, kind=Route.Kind.BUILD).latest("pk")
        order = create_order(
            site=self.site,
            number=f"WO-FULL-{WorkOrder.objects.count()}",
            part_revision=self.revision,
            route=route,
            quantity=quantity,
            by=BY,
        )
        release_order(order=order, by=BY)
        return order

    def _fill(self, rack: Unit) -> None:
        level = [rack]
        while level:
            placements = [row for parent in level for row in self._contents(parent, rack)]
            children = Unit.objects.bulk_create(row.child for row in placements)
            serial = Identifier.Kind.SERIAL
            Identifier.objects.bulk_create(
                Identifier(unit=child, kind=serial, value=child.serial) for child in children
            )
            Installation.objects.bulk_create(placements)
            level = children

    def _contents(self, parent: Unit, rack: Unit) -> Iterator[Installation]:
        for place in layout_of(parent.part_revision):
            revision = self.latest[next(iter(place.part_ids))]
            part = revision.part
            child = Unit(
                site=self.site,
                part_revision=revision,
                serial=f"{part.kind.upper()}-{next(self._serials):05}",
                level=part.level,
                state=Unit.State.FINISHED if layout_of(revision) else Unit.State.IN_STOCK,
            )
            yield Installation(
                parent=parent,
                slot=place.slot,
                child=child,
                root=rack,
                parent_level=parent.level,
                child_level=part.level,
                installed_by="tester",
            )

    def _do(self, rack: Unit, up_to: int) -> None:
        operations = self.order.route.operations.filter(sequence__lte=up_to)
        OperationRun.objects.bulk_create(
            OperationRun(unit=rack, operation=each, state="complete", started_by="tester")
            for each in operations
        )
        is_all = not self.order.route.operations.filter(sequence__gt=up_to).exists()
        state = Unit.State.FINISHED if is_all else Unit.State.IN_WORK
        Unit.objects.filter(pk=rack.pk).update(state=state)

    def placed(self, path: str, rack: Unit | None = None) -> Installation:
        """Return what is installed at a path of slots of a rack, the first one by default."""
        parent = rack or self.unit
        for name in path.split("/"):
            row = Installation.objects.live().select_related("child").get(parent=parent, slot__name=name)
            parent = row.child
        return row

    def spoil(self) -> None:
        """Let the first rack differ: a tray to come, a GPU lost, a wrong part, a drive in no slot."""
        tray, gpu, drive = self.placed("U09"), self.placed("U08/SC0/GPU1"), self.placed("U10/E1S3")
        Installation.objects.filter(pk__in=[tray.pk, gpu.pk]).update(removed_at=timezone.now())
        Installation.objects.filter(pk=drive.pk).update(slot=tray.slot)
        wrong = self.placed("U08/BMC").child
        Unit.objects.filter(pk=wrong.pk).update(part_revision=drive.child.part_revision)
