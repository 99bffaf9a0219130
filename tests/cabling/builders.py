"""A rack on order with two trays and a management switch, its cable plan, and cables to connect it with."""

from typing import Any

from mes.cabling.models import CableConnection, CableKind, CablePlan, PlannedCable, PortName
from mes.products.models import Gate, Operation, Part, PartRevision, RetestRule
from mes.racks.models import Installation
from mes.racks.services import install_unit
from mes.serials.models import Lot, Supplier, Unit
from mes.serials.services import receive_lot
from tests.builders import (
    TESTER,
    Scanner,
    make_part,
    make_route,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    numbers,
    ordered_unit,
    release,
)
from tests.builders import make_assembly as make_rack

# label, end A, end B, part, length, checks
CABLES: tuple[tuple[str, str, str, str, int, list[str]], ...] = (
    ("N8", "U08/NIC1", "LEAF-1/1", "DAC", 2000, ["seat"]),
    ("N9", "U09/NIC1", "LEAF-1/2", "DAC", 2000, []),
    ("B8", "U08/BMC", "U41/1", "CAT6", 1500, ["bend"]),
    ("B9", "U09/BMC", "U41/2", "CAT6", 1500, []),
    ("T8", "U08/NIC2", "LEAF-2/Eth1/1", "AOC", 3000, ["torque", "clean_and_inspect"]),
)


def split(end: str | tuple[str, str]) -> tuple[str, str]:
    """Return device and port; a device that is a path comes as a pair."""
    if isinstance(end, tuple):
        return end
    device, _, port = end.partition("/")
    return device, port


def make_plan(
    part: Part, parts: dict[str, PartRevision], cables: Any = CABLES, *, released: bool = True
) -> CablePlan:
    """Make a cable plan; parts by their short names."""
    version = str(CablePlan.objects.filter(part=part).count() + 1)
    plan = CablePlan.objects.create(part=part, version=version, name="Demo cabling")
    of = {name: revision.part for name, revision in parts.items()}
    CableKind.objects.create(plan=plan, part=of["DAC"], length_mm=2000)
    CableKind.objects.create(plan=plan, part=of["CAT6"], tolerance_mm=50, bend_radius_low=25)
    CableKind.objects.create(
        plan=plan,
        part=of["AOC"],
        length_mm=3000,
        single_use=True,
        torque_low=0.5,
        torque_high=0.7,
        photo_checks=["clean_and_inspect"],
    )
    for order, (label, a, b, name, length, checks) in enumerate(cables):
        (a_device, a_port), (b_device, b_port) = split(a), split(b)
        PlannedCable.objects.create(
            plan=plan,
            label=label,
            order=order,
            part=of[name],
            length_mm=length,
            a_device=a_device,
            a_port=a_port,
            b_device=b_device,
            b_port=b_port,
            checks=checks,
        )
    names = {"IO_Board_0_CX8_0/Port_0": "NIC1", "IO_Board_0_CX8_1/Port_0": "NIC2", "BMC_0/eth0": "BMC"}
    for reported, port in names.items():
        PortName.objects.create(plan=plan, unit_kind="compute_tray", reported=reported, port=port)
    if released:
        release(plan)
    return plan


def _ask(made: dict[int, Operation]) -> None:
    Gate.objects.create(operation=made[10], rule="slots_filled", moment="complete")
    for sequence, procedure in ((20, "cabling"), (30, "port_map")):
        Gate.objects.create(
            operation=made[sequence], rule="test_passed", moment="complete", procedure=procedure
        )
    RetestRule.objects.create(
        route=made[10].route, name="cable changed", trigger="cable_change", repeats=[20, 30]
    )


class Hall:
    """A rack being built, everything installed, nothing cabled."""

    def __init__(self, *, cables: Any = CABLES, trays: int = 2) -> None:
        self.tray = make_part("compute_tray", level=10)
        self.oob = make_part("oob_switch", level=10)
        takes = {f"U{number:02}": self.tray for number in range(8, 8 + trays)}
        self.revision = make_rack("rack", level=11, takes={**takes, "U41": self.oob})
        operations = ((10, "BUILD"), (20, "CABLING"), (30, "TEST"))
        self.route = make_route(self.revision, operations=operations, fills=(), ask=_ask)
        self.parts = {name: make_part(f"cable_{name}", level=1) for name in ("DAC", "AOC", "CAT6")}
        Part.objects.filter(pk=self.parts["CAT6"].part_id).update(tracking=Part.Tracking.LOT)
        self.plan = make_plan(self.revision.part, self.parts, cables)
        self.unit = self.rack()
        self.scanner: Scanner = make_scanner(make_station("CABLING"))
        supplier = Supplier.objects.get_or_create(code="CABLES", defaults={"name": "Cables"})[0]
        self.lot: Lot = receive_lot(
            site=make_site(),
            part=self.parts["CAT6"].part,
            supplier=supplier,
            number=f"LOT{next(numbers)}",
            by=TESTER,
        )

    def rack(self) -> Unit:
        """Return one more rack of an order, with everything installed."""
        unit = ordered_unit(self.revision, self.route)
        for slot in self.revision.slots.all():
            child = make_unit(self.oob if slot.name == "U41" else self.tray)
            install_unit(parent=unit, slot=slot, child=child, by=TESTER)
        return unit

    def cable(self, name: str = "DAC") -> Unit:
        """Receive a cable with a serial."""
        return make_unit(self.parts[name], f"{name}{next(numbers):05}")

    def tray_in(self, slot: str) -> Unit:
        """Return the tray in a slot."""
        return Installation.objects.live().get(parent=self.unit, slot__name=slot).child

    def post(self, act: str, **body: Any) -> Any:
        return self.scanner.post(f"units/{self.unit.uid}/{act}/", body)

    def get(self, what: str, **query: Any) -> Any:
        return self.scanner.get(f"units/{self.unit.uid}/{what}/", **query)

    def connect(self, label: str, cable: str = "", **more: Any) -> Any:
        """Connect a planned cable as planned, with a new cable unless one is named."""
        row = PlannedCable.objects.get(plan=self.plan, label=label)
        name = next(name for name, revision in self.parts.items() if revision.part_id == row.part_id)
        code = cable or (self.lot.number if name == "CAT6" else self.cable(name).serial)
        if name == "CAT6":
            more = {"cut_length_mm": row.length_mm, **more}
        ends = {"end_a": f"{row.a_device}/{row.a_port}", "end_b": f"{row.b_device}/{row.b_port}"}
        return self.post("cables/connect", **{**ends, "cable": code, **more})

    def lay_all(self) -> None:
        """Put every DAC of the plan on record as connected and seated, without asking anybody."""
        for row in self.plan.cables.all():
            made = CableConnection.objects.create(
                unit=self.unit, planned=row, cable=self.cable(), connected_by="tester"
            )
            for side, device, port in (("A", row.a_device, row.a_port), ("B", row.b_device, row.b_port)):
                made.ends.create(side=side, unit=self.unit, device=device, port=port)
            made.checks.create(kind="seat", outcome="PASS", checked_by="tester")

    def connect_all(self) -> None:
        """Connect every cable of the plan."""
        for row in self.plan.cables.all():
            assert self.connect(row.label).status_code == 201

    def state(self, label: str) -> str:
        (row,) = self.get("cables", label=label).json()["rows"]
        return str(row["state"])
