"""A small cluster hall: racks of one tray, a cluster of some places, and a scanner at each work center."""

from typing import Any

from mes.serials.models import Unit
from mes.workorders.models import WorkOrder
from mes.workorders.services import create_child_orders, release_order, ship_unit
from tests.builders import (
    TESTER,
    Scanner,
    make_assembly,
    make_order,
    make_part,
    make_route,
    make_scanner,
    make_station,
    make_unit,
)

TESTS = {20: "cabling", 30: "l12_fabric", 40: "l12_acceptance"}
CENTERS = ((10, "PLACE"), (20, "CABLE"), (30, "FABRIC"), (40, "ACCEPT"))


class Hall:
    """An order for a cluster of ``places`` racks with its child order, both released."""

    def __init__(self, *, places: int = 2) -> None:
        self.tray = make_part("tray", level=10)
        self.rack = make_assembly("rack", level=11, takes={"U08": self.tray})
        make_route(self.rack, operations=((10, "BUILD"),))
        names = [f"R{1 + index // 2}-{1 + index % 2:02}" for index in range(places)]
        self.cluster = make_assembly(
            "cluster", level=12, takes=dict.fromkeys(names, self.rack), slot_type="rack_place"
        )
        self.route = make_route(
            self.cluster, operations=CENTERS, tests=TESTS, repeats={"rack_place": [10, 20, 30, 40]}
        )
        self.names = names
        self.order: WorkOrder = make_order(self.cluster, self.route)
        (self.child_order,) = create_child_orders(order=self.order, by=TESTER)
        release_order(order=self.child_order, by=TESTER)
        self.unit: Unit = self.order.order_units.get().unit
        self.racks = [row.unit for row in self.child_order.order_units.select_related("unit").order_by("pk")]
        self.scanners = {
            center: make_scanner(make_station(center)) for center in ("BUILD", *dict(CENTERS).values())
        }

    def do(self, unit: Unit, sequence: int, center: str, *acts: str) -> None:
        """Start, complete or both."""
        for act in acts or ("start", "complete"):
            path = f"units/{unit.uid}/operations/{sequence}/{act}/"
            answer = self.scanners[center].post(path)
            assert answer.status_code in {200, 201}, answer.json()

    def put(self, parent: Unit, slot: str, child: Unit, center: str) -> Any:
        body = {"slot": slot, "child": {"uid": str(child.uid)}}
        return self.scanners[center].post(f"units/{parent.uid}/install/", body)

    def build(self, rack: Unit) -> None:
        """Build a rack to its end."""
        self.do(rack, 10, "BUILD", "start")
        assert self.put(rack, "U08", make_unit(self.tray), "BUILD").status_code == 201
        self.do(rack, 10, "BUILD", "complete")

    def ship(self, rack: Unit, to: str) -> None:
        """Build a rack and ship it."""
        self.build(rack)
        ship_unit(unit=Unit.objects.get(pk=rack.pk), to=to, by=TESTER)

    def report(self, procedure: str, outcome: str = "PASS") -> None:
        """Report a test of the cluster."""
        body = {"unit": str(self.unit.uid), "procedure": procedure, "outcome": outcome}
        answer = self.scanner.post("test-runs/", body)
        assert answer.status_code == 201, answer.json()

    @property
    def scanner(self) -> Scanner:
        """Return the scanner at the place where racks are placed."""
        return self.scanners["PLACE"]

    def status(self) -> Any:
        """Return how the cluster stands, as REST says it."""
        answer = self.scanner.get(f"units/{self.unit.uid}/cluster/")
        assert answer.status_code == 200, answer.json()
        return answer.json()
