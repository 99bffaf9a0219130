"""A rack with a loop on a route that asks for every step, and what is reported about it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from mes.cooling.models import Coolant, CoolantStep, CouplingType, LeakSensorExercise, LeakTest
from mes.cooling.services import (
    Branch,
    LeakReport,
    Trip,
    make_curve,
    record_drain,
    record_fill,
    record_flow,
    record_flush,
    record_leak_test,
    record_nitrogen_charge,
    record_sensor_exercise,
)
from mes.products.models import Gate, Limit, Operation, PartRevision
from mes.racks.models import Installation
from mes.racks.services import install_unit
from mes.serials.models import Lot, Supplier, Unit
from mes.serials.services import receive_lot
from mes.stations.models import Site, Tool
from mes.stations.services import calibrate_tool, register_tool
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_route,
    make_site,
    make_unit,
    numbers,
    ordered_unit,
    release,
)

STEPS = ((70, "COOLING"), (80, "LEAK"), (90, "INSTALL"), (110, "FILL"), (170, "FINAL"))
ASKED = {
    80: ("rack_leak", "leak_sensors"),
    110: ("flush", "fill", "flow"),
    170: ("drain", "nitrogen_charge"),
}
LIMITS = (
    (80, "rack_leak", "pressure_decay", "mbar", None, 0.5),
    (80, "leak_sensors", "trip_time", "s", None, 10),
    (80, "leak_sensors", "clear_time", "s", None, 60),
    (110, "flush", "particles_4um", "class", None, 18),
    (110, "fill", "conductivity", "uS/cm", None, 3000),
    (110, "flow", "pressure_difference", "bar", 0.5, 3.0),
    (170, "drain", "stays", "L", None, 3),
    (170, "nitrogen_charge", "pressure_lost", "bar", None, 0.1),
)
PG25 = {
    "temperatures_cel": [20, 30, 40],
    "densities_kg_m3": [1023.7, 1019.2, 1014.3],
    "specific_heats_kj_kg_k": [3.91, 3.94, 3.96],
}
WET = {"U08": ["supply", "return"]}
WINDOW: dict[str, Any] = {"stabilise_s": 60, "measure_s": 300}


def make_leak_tester(site: Site | None = None, *, type: str = "leak_tester", due_in_days: int = 30) -> Tool:
    """Register a leak tester with a certificate; with days below 0 its calibration is overdue."""
    tool = register_tool(
        site=site or make_site(), code=f"LT{next(numbers)}", type=type, name="Leak tester", by=TESTER
    )
    due = timezone.now() + timedelta(days=due_in_days)
    calibrate_tool(
        tool=tool,
        calibrated_at=due - timedelta(days=365),
        due_at=due,
        certificate=f"CERT-{tool.code}",
        found_within_limits=True,
        by=TESTER,
    )
    tool.refresh_from_db()
    return tool


def make_coolant_lot(**more: Any) -> Lot:
    """Receive a lot of coolant whose properties are defined."""
    part = make_part("coolant", level=1).part
    release(Coolant.objects.create(part=part, version="1", source="test", **PG25))
    supplier = Supplier.objects.get_or_create(code="COOL", defaults={"name": "Coolant maker"})[0]
    number = f"PG{next(numbers)}"
    return receive_lot(site=make_site(), part=part, supplier=supplier, number=number, by=TESTER, **more)


def line(decay: float, *, start: float = 3000.0, seconds: int = 370, drift_k: float = 0.0) -> Any:
    """Return a curve, a sample each 5 s, that falls by ``decay`` mbar over 300 s and warms by K in all."""
    times = list(range(0, seconds, 5))
    values = [start - decay * (time - 60) / 300 for time in times]
    cel = [20 + drift_k * time / times[-1] for time in times] if drift_k else []
    return make_curve(times, values, cel)


class Rack:
    """A rack with its manifolds, a leak detector and a compute slot; its order is released."""

    def __init__(
        self,
        *,
        limits: Any = LIMITS,
        repeats: tuple[int, ...] = (80, 110),
        tray: PartRevision | None = None,
        slots: Mapping[str, list[str]] = WET,
    ) -> None:
        self.manifold, detector = make_part("supply_manifold", level=2), make_part("leak_detector", level=2)
        self.tray = tray or make_part("compute_tray", level=10)
        self.limits, self.repeats = limits, list(repeats)
        takes = {"SUPPLY": self.manifold, "LEAK": detector, **dict.fromkeys(slots, self.tray)}
        revision = make_assembly(
            "rack",
            level=11,
            takes=takes,
            slot_type="manifold",
            filled_at=70,
            mates=dict(slots),
        )
        self.route = make_route(revision, operations=STEPS, fills=(70,), ask=self.ask)
        self.unit: Unit = ordered_unit(revision, self.route)
        for name, part in (("SUPPLY", self.manifold), ("LEAK", detector)):
            self.install(name, make_unit(part))
        self.tester, self.lot = make_leak_tester(), make_coolant_lot()

    def ask(self, made: dict[int, Operation]) -> None:
        """Let operations ask for their tests, with limits, and a wet break repeat what it repeats."""
        for sequence, procedures in ASKED.items():
            for procedure in procedures:
                Gate.objects.create(
                    operation=made[sequence], rule="test_passed", moment="complete", procedure=procedure
                )
        for sequence, procedure, measurement, unit, low, high in self.limits:
            Limit.objects.create(
                operation=made[sequence],
                procedure=procedure,
                measurement=measurement,
                unit=unit,
                low=low,
                high=high,
            )
        rules = made[70].route.retest_rules
        rules.create(name="wet break", trigger="wet_break", repeats=self.repeats)
        rules.create(name="manifold changed", slot_type="manifold", repeats=[70, 80])

    def install(self, slot: str, child: Unit) -> Installation:
        """Put a unit into a slot."""
        slot_row = self.unit.part_revision.slots.get(name=slot)
        return install_unit(parent=self.unit, slot=slot_row, child=child, by=TESTER)

    def child(self, slot: str) -> Unit:
        """Return what is in a slot."""
        return Installation.objects.live().get(parent=self.unit, slot__name=slot).child

    def report(self, decay: float = 0.1, **more: Any) -> LeakReport:
        """Return a report of a test at 3000 mbar absolute with nitrogen at 20 Cel."""
        given: dict[str, Any] = {
            "method": "pressure_decay",
            "medium": "nitrogen",
            "test_pressure_mbar": 3000,
            "curve": line(decay),
            "instrument": self.tester,
            "ambient_start_cel": 20.0,
            "ambient_end_cel": 20.0,
            **WINDOW,
        }
        return LeakReport(**{**given, **more})

    def leak_test(self, decay: float = 0.1, **more: Any) -> LeakTest:
        """Test for leaks."""
        return record_leak_test(unit=self.unit, report=self.report(decay, **more), by=TESTER)

    def exercise(self, **more: Any) -> LeakSensorExercise:
        """Wet the leak detector."""
        trip = {"sensor": "LEAK", "stimulus": "wetted", "tripped_s": 2.0, "cleared_s": 20.0, **more}
        return record_sensor_exercise(unit=self.unit, trips=[Trip(**trip)], by=TESTER)

    def flush(self, **more: Any) -> CoolantStep:
        """Flush the loop."""
        given: dict[str, Any] = {"medium": "DI water", "volume_l": 120, "duration_s": 1800, "filter_um": 25}
        given |= {"particle_class": "18/16/13", **more}
        return record_flush(unit=self.unit, by=TESTER, **given)

    def fill(self, **more: Any) -> CoolantStep:
        """Fill the loop with 60 L."""
        given = {"lot": self.lot, "volume_l": 60, "conductivity_us_cm": 2100, "ph": 8.6}
        return record_fill(unit=self.unit, by=TESTER, **{**given, "freeze_protection_cel": -9.6, **more})

    def flow(self, **more: Any) -> CoolantStep:
        """Measure the flow of one branch."""
        given = {"branch": "U08", "flow_l_min": 6.0, "supply_bar": 2.4, "return_bar": 1.2}
        branch = Branch(**{**given, "supply_cel": 30.0, "return_cel": 40.0, **more})
        return record_flow(unit=self.unit, branches=[branch], by=TESTER)

    def drain(self, volume_l: float = 58) -> CoolantStep:
        """Drain the loop."""
        return record_drain(unit=self.unit, volume_l=volume_l, by=TESTER)

    def charge(self, **more: Any) -> CoolantStep:
        """Charge the loop with nitrogen."""
        given = {"pressure_bar": 0.5, "temperature_cel": 20.0, "valve": "V-1", **more}
        return record_nitrogen_charge(unit=self.unit, by=TESTER, **given)

    def ready(self) -> "Rack":
        """Do everything that comes before filling."""
        self.leak_test()
        self.exercise()
        self.flush()
        return self

    def filled(self) -> "Rack":
        """Fill it, and measure the flow."""
        self.ready().fill()
        self.flow()
        return self


def make_type(maximum: int = 5) -> CouplingType:
    """Make a released coupling type."""
    kind = CouplingType.objects.create(
        code=f"QD{next(numbers)}", version="1", name="Blind mate", maximum_mates=maximum
    )
    release(kind)
    return kind
