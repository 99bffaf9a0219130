"""A line that builds what a pack defines, as its definitions say and through the services alone."""

from collections import defaultdict
from datetime import timedelta

from django.utils import timezone

from mes.ledger.services import Actor
from mes.people.models import Qualification
from mes.people.services import prove, record_training
from mes.products.models import (
    Consumable,
    DataField,
    Instruction,
    Operation,
    Part,
    PartRevision,
    RequiredTool,
    Route,
)
from mes.products.services import confirm_reading
from mes.racks.services import declare_contents
from mes.serials.models import Lot, Supplier, Unit
from mes.serials.services import receive_lot
from mes.simulators.plan import Assembly, asked_fields, good_values, plan, required_tests
from mes.stations.models import Site, Station
from mes.stations.services import bring_tool, register_tool
from mes.testing.models import TestRun
from mes.testing.services import Result, measure
from mes.workorders.models import WorkOrder
from mes.workorders.services import (
    complete_operation,
    create_order,
    install_child,
    join_operation,
    places_to_fill,
    position_of,
    record_value,
    release_order,
    report_test,
    start_operation,
    use_consumable,
)
from tests.builders import PIN, TESTER, make_signer, make_unit


class PackLine:
    """Two people, trained in everything, with tools at every station of the site; all parts are in stock."""

    def __init__(self, site: str = "DEMO") -> None:
        self.site = Site.objects.get(code=site)
        self.stations = {station.work_center: station for station in Station.objects.order_by("-pk")}
        people = [make_signer("quality", site=self.site) for _ in range(2)]
        self.built: dict[str, list[Unit]] = defaultdict(list)
        self.signer = people[0]
        self.workers = [Actor(person=person.username) for person in people]
        for person in people:
            for qualification in Qualification.objects.all():
                record_training(person=person, qualification=qualification, trainer="trainer", by=TESTER)
            for instruction in Instruction.objects.all():
                confirm_reading(instruction=instruction, person=person.username, by=TESTER)
        for number, row in enumerate(RequiredTool.objects.select_related("operation")):
            self._tool(f"TOOL-{number}", row.type, self.stations[row.operation.work_center])

    def _tool(self, code: str, kind: str, station: Station) -> None:
        due = timezone.now() + timedelta(days=1)
        tool = register_tool(
            site=self.site, code=code, type=kind, name=kind, by=TESTER, calibration_due_at=due
        )
        bring_tool(tool=tool, station=station, by=TESTER)

    def drafted(
        self, revision: PartRevision, route: Route, number: str, extends: Unit | None = None
    ) -> WorkOrder:
        """Draft an order for one unit."""
        return create_order(
            site=self.site,
            number=number,
            part_revision=revision,
            route=route,
            quantity=1,
            by=TESTER,
            extends=extends,
        )

    def ordered(self, revision: PartRevision, route: Route, number: str) -> Unit:
        """Release an order for one unit and return the unit."""
        return release_order(order=self.drafted(revision, route, number), by=TESTER)[0]

    def build(self, part: str, number: str, *, revision: str = "", route: str = "") -> Unit:
        """Build one unit of a part along its route; what goes into it comes from stock."""
        assembly = plan(part, revision=revision, route=route)
        unit = self.ordered(assembly.revision, assembly.operations[0].route, number)
        for operation in assembly.operations:
            self.do(unit, operation, assembly)
        unit.refresh_from_db()
        self.built[part].append(unit)
        return unit

    def do(self, unit: Unit, operation: Operation, assembly: Assembly) -> None:
        """Do one operation on a unit: fill what it fills, record what it asks for, test, complete."""
        station, by = self.stations[operation.work_center], self.workers[0]
        start_operation(unit=unit, sequence=operation.sequence, station=station, by=by)
        if operation.people > 1:
            join_operation(unit=unit, sequence=operation.sequence, station=station, by=self.workers[1])
        parts = {slot: child for slot, _, child in assembly.slots}
        for place in places_to_fill(position_of(unit), operation):
            child = self.stock(parts[place.slot.name])
            install_child(unit=unit, slot_name=place.slot.name, child=child, station=station, by=by)
        for field in asked_fields(operation):
            self._record(unit, field, station)
        for row in Consumable.objects.filter(operation=operation):
            use_consumable(
                unit=unit, sequence=operation.sequence, lot=self._lot(row.part), station=station, by=by
            )
        for procedure in required_tests(operation):
            self.test(unit, operation, procedure)
        complete_operation(unit=unit, sequence=operation.sequence, station=station, by=by)

    def _record(self, unit: Unit, field: DataField, station: Station) -> None:
        low = field.low or 0
        given = {"choice": (field.choices or [""])[0], "text": "as seen", "serial": f"SN-{field.name}"}
        proof = prove(badge=self.signer.badge, pin=PIN) if field.kind == DataField.Kind.SIGNATURE else None
        record_value(
            unit=unit,
            sequence=field.operation.sequence,
            name=field.name,
            value=given.get(field.kind, (low + (field.high or low * 1.1)) / 2),
            station=station,
            by=self.workers[0],
            proof=proof,
        )

    def test(self, unit: Unit, operation: Operation, procedure: str, **other: float) -> TestRun:
        """Report a test as passed, with ``other`` values or those in the middle of the limits."""
        values = [
            measure(str(row["name"]), other.get(str(row["name"]), row["value"]), unit=str(row["unit"]))
            for row in good_values(operation, procedure)
        ]
        result = Result(procedure=procedure, outcome="PASS", measurements=values)
        return report_test(unit=unit, result=result, by=self.workers[0])

    def stock(self, assembly: Assembly) -> Unit:
        """Take a unit that was built, or receive one; what we build ourselves comes bare, to be quick."""
        if self.built[assembly.number]:
            return self.built[assembly.number].pop()
        unit = make_unit(assembly.revision, site=self.site)
        filled = () if assembly.is_built else assembly.slots
        contents = [(slot, self.stock(child)) for slot, _, child in filled]
        if contents:
            declare_contents(unit=unit, contents=contents, by=self.workers[0])
        return unit

    def _lot(self, part: Part) -> Lot:
        supplier = Supplier.objects.get_or_create(code="SUP-1", defaults={"name": "Supplier"})[0]
        known = Lot.objects.filter(part=part).first()
        return known or receive_lot(site=self.site, part=part, supplier=supplier, number="LOT-1", by=TESTER)
