"""A rack to be tested for electrical safety, its instrument, its two people, and what they measured."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from mes.electrical.models import HipotSession, SafetyPlan, SafetyTest
from mes.electrical.services import Point, Readings, begin_hipot
from mes.ledger.services import Actor
from mes.people.models import User
from mes.people.services import Proof, prove
from mes.products.models import Operation
from mes.racks.services import install_unit
from mes.serials.models import Unit
from mes.stations.models import Tool
from mes.stations.services import calibrate_tool, register_tool
from tests.builders import (
    PIN,
    TESTER,
    make_assembly,
    make_part,
    make_route,
    make_signer,
    make_site,
    numbers,
    ordered_unit,
    release,
)

LIMITS = {
    "ground_bond": (("resistance", "Ohm", None, 0.1), ("test_current", "A", 10, 30)),
    "hipot": (
        ("leakage_current", "mA", None, 5),
        ("voltage_peak", "V", 2100, 2200),
        ("dwell", "s", 60, None),
    ),
    "insulation": (("resistance", "MOhm", 1, None), ("voltage", "V", 500, 500)),
}


def limited(operation: Operation, *procedures: str) -> None:
    """Let an operation ask for safety tests, each with its limits."""
    for procedure in procedures:
        operation.gates.create(rule="test_passed", moment="complete", procedure=procedure)
        for measurement, unit, low, high in LIMITS[procedure]:
            operation.limits.create(
                procedure=procedure, measurement=measurement, unit=unit, low=low, high=high
            )


class Bay:
    """A rack on order with a place each for a busbar, a shelf of a PSU and a tray; a tester; two people."""

    def __init__(self, *, ask: Callable[[Operation], object] | None = None, **plan: Any) -> None:
        self.psu, self.busbar = make_part("psu"), make_part("busbar", level=3)
        self.shelf = make_assembly("power_shelf", level=10, takes={"PSU1": self.psu})
        self.tray = make_part("compute_tray", level=10)
        takes = {"BUSBAR": self.busbar, "U03": self.shelf, "U08": self.tray}
        self.rack = make_assembly("rack", level=11, takes=takes)

        def asks(made: dict[int, Operation]) -> None:
            limited(made[20], "ground_bond", "hipot", "insulation")
            if ask:
                ask(made[20])

        self.route = make_route(self.rack, fills=(), ask=asks)
        defaults = {"version": "1", "may_stay": ["busbar", "power_shelf"]}
        self.plan = SafetyPlan.objects.create(part=self.rack.part, **{**defaults, **plan})
        release(self.plan)
        self.unit = ordered_unit(self.rack, self.route)
        self.tool = make_instrument()
        self.first, self.second = make_signer(), make_signer()
        self.by = Actor(person=self.first.username)

    def begin(self, *people: User, **more: Any) -> HipotSession:
        """Begin a live hipot, signed by both people or by those named."""
        given: dict[str, Any] = {
            "unit": self.unit,
            "instrument": self.tool.code,
            "reason": "op 20",
            "by": self.by,
        }
        proofs = [proof_by(person) for person in people or (self.first, self.second)]
        return begin_hipot(**{**given, "proofs": proofs, **more})

    def put(self, slot: str, child: Unit) -> Unit:
        """Put something into the rack."""
        unit = Unit.objects.get(pk=self.unit.pk)
        install_unit(parent=unit, slot=self.rack.slots.get(name=slot), child=child, by=TESTER)
        return child


def proof_by(person: User) -> Proof:
    return prove(badge=person.badge, pin=PIN)


def make_instrument(kind: str = "safety_analyzer", *, due_in: timedelta | None = timedelta(days=90)) -> Tool:
    """Register an instrument; without ``due_in`` it was never calibrated."""
    code = f"SA-{next(numbers)}"
    tool = register_tool(site=make_site(), code=code, type=kind, name="Safety analyzer", by=TESTER)
    if due_in is not None:
        now = timezone.now()
        calibrate_tool(
            tool=tool,
            calibrated_at=now - timedelta(days=30),
            due_at=now + due_in,
            certificate=f"CERT-{code}",
            found_within_limits=True,
            by=TESTER,
        )
    return Tool.objects.get(pk=tool.pk)


def bond(**points: float) -> Readings:
    """Return a ground bond test at 25 A."""
    rows = [Point(name.replace("_", " "), value) for name, value in (points or {"door": 0.04}).items()]
    return Readings(SafetyTest.Kind.GROUND_BOND, rows, duration_s=120, current_a=25)


def high_voltage(leakage: float = 0.8, *, volts: float = 2120, supply: str = "dc", **more: Any) -> Readings:
    """Return a hipot of one circuit."""
    given = {"duration_s": 60, "ramp_s": 5, "arc_detected": False, **more}
    points = [Point("busbar to frame", leakage)]
    return Readings(SafetyTest.Kind.HIPOT, points, voltage_v=volts, supply=supply, **given)


def insulation(megohm: float = 250) -> Readings:
    """Return an insulation test at 500 V DC."""
    points = [Point("busbar to frame", megohm)]
    return Readings(SafetyTest.Kind.INSULATION, points, duration_s=60, voltage_v=500, supply="dc")
