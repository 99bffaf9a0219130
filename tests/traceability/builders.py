"""A small rack with trays, boards and GPUs, built through the product's own doors."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from mes.attachments.services import store_attachment
from mes.burnin.findings import Finding, Rule
from mes.burnin.models import BurnInAttempt, BurnInProfile, BurnInRun, Gap, ToolResult
from mes.ledger import triggers
from mes.ledger.models import Event
from mes.ledger.services import Actor
from mes.products.models import Slot
from mes.racks.models import Installation
from mes.racks.services import install_unit, remove_unit
from mes.serials.models import Lot, Supplier, Unit
from mes.serials.services import receive_lot
from mes.stations.models import Station
from mes.testing.models import TestRun
from mes.testing.services import Result, measure, record_test_run
from mes.workorders.services import complete_operation, install_child, report_test, start_operation
from tests.builders import (
    TESTER,
    make_assembly,
    make_part,
    make_route,
    make_site,
    make_station,
    make_unit,
    ordered_unit,
    release,
)

TRAY_TEST, RACK_TEST = "tray_l10", "rack_l11"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOT = Finding(
    rule=Rule.LEVEL,
    text="U08: GPU_0_TEMP was 93.5 Cel; heat must be at most 87 Cel.",
    at=NOON,
    slot="U08",
    group="heat",
    series="GPU_0_TEMP",
    value=93.5,
    unit="Cel",
    high=87,
    outside=3,
    violations=3,
    window=5,
)
LEAK = Finding(
    rule=Rule.LEAK, text="U09 leaks: LeakDetector_1.", at=NOON, slot="U09", series="LeakDetector_1"
)
NEAR = {
    **{**HOT.as_json(), "why": "not_persistent", "series": "GPU_7_TEMP", "value": 87.25, "outside": 1},
    **{"margin": -0.25, "share": -0.003},
}


class Rack:
    """An ordered rack with two trays; in each a board, in each board ``gpus`` GPUs of one lot."""

    def __init__(self, gpus: int = 2) -> None:
        self.gpu = make_part("gpu", level=2)
        self.lot = self._receive_lot()
        names = [f"GPU{number}" for number in range(gpus)]
        board = make_assembly("board", level=4, takes=dict.fromkeys(names, self.gpu))
        self.tray = make_assembly("tray", level=10, takes={"SC0": board})
        rack = make_assembly("rack", level=11, takes={"U08": self.tray, "U09": self.tray})
        limits = ({"measurement": "leak", "unit": "mbar", "high": 0.5},)
        route = make_route(rack, tests={20: RACK_TEST}, limits=limits, repeats={"place": [10, 20]})
        self.unit = ordered_unit(rack, route)
        self.board, self.gpus = board, [self.make_gpu() for _ in range(2 * gpus)]
        self.trays = [self.make_tray(self.gpus[:gpus]), self.make_tray(self.gpus[gpus:])]

    def _receive_lot(self) -> Lot:
        supplier = Supplier.objects.get_or_create(code="DEMO-A", defaults={"name": "Demo supplier A"})[0]
        facts = {"date_code": "2642", "country_of_origin": "TW", "place_of_assembly": "Demo City"}
        number = f"LOT-{Lot.objects.count()}"
        return receive_lot(
            site=make_site(), part=self.gpu.part, supplier=supplier, number=number, by=TESTER, **facts
        )

    def make_gpu(self) -> Unit:
        mac = f"02:00:00:00:00:{Unit.objects.count():02X}"
        return make_unit(self.gpu, lot=self.lot, identifiers={"mac": mac})

    def make_tray(self, gpus: list[Unit]) -> Unit:
        tray, board = make_unit(self.tray), make_unit(self.board)
        for number, gpu in enumerate(gpus):
            put(board, f"GPU{number}", gpu)
        put(tray, "SC0", board)
        return tray

    def build(self) -> Unit:
        """Put the trays in and complete the route, its test passed."""
        self.work(10, trays=self.trays)
        self.work(20, test=True)
        self.unit.refresh_from_db()
        return self.unit

    def work(self, sequence: int, *, trays: list[Unit] | None = None, test: bool = False) -> None:
        """Do an operation: start it, install trays, test, complete it."""
        station = make_station("BUILD" if sequence == 10 else "TEST")
        start_operation(unit=self.unit, sequence=sequence, station=station, by=at_station(station))
        for slot, tray in zip(("U08", "U09"), trays or [], strict=False):
            install_child(unit=self.unit, slot_name=slot, child=tray, station=station, by=at_station(station))
        if test:
            self.test(0.1)
        complete_operation(unit=self.unit, sequence=sequence, station=station, by=at_station(station))

    def test(self, leak: float, **details: Any) -> TestRun:
        """Report the rack's test with a leak in mbar; over 0.5 it fails."""
        measurements = [measure("leak", leak, unit="mbar")]
        result = Result(
            procedure=RACK_TEST, outcome="PASS", said="PASS", measurements=measurements, details=details
        )
        return report_test(unit=self.unit, result=result, by=at_station(make_station("TEST")))


def at_station(station: Station) -> Actor:
    return Actor(person="tester", station=station.code)


def put(parent: Unit, slot: str, child: Unit) -> Installation:
    place = Slot.objects.get(revision=parent.part_revision, name=slot)
    return install_unit(parent=parent, slot=place, child=child, by=TESTER)


def take(parent: Unit, slot: str, reason: str = "broken pin") -> Installation:
    place = Slot.objects.get(revision=parent.part_revision, name=slot)
    return remove_unit(parent=parent, slot=place, reason=reason, by=TESTER)


@contextmanager
def taken_out(unit: Unit) -> Iterator[None]:
    """Take a unit out of everything it is in, as has to be done to open it, and put it back afterwards."""
    placed = unit.placements.filter(removed_at__isnull=True).first()
    if placed is None:
        yield
        return
    with taken_out(placed.parent):
        take(placed.parent, placed.slot.name, "to be opened")
        yield
        put(placed.parent, placed.slot.name, unit)


ENERGY: dict[str, Any] = {
    **{"source": "power shelves", "kwh": 12.5, "rack_kwh": 20.25, "psu_efficiency_percent": 97.25},
    "shelves": [{"slot": "U03", "kwh_in": 12.5, "kwh_out": 12.15, "efficiency_percent": 97.25}],
    "heat": {"coolant": "PG25", "kwh": 10.5, "difference_percent": -14.5, "flagged": True},
    "co2": {"kg": 4.5, "grams_per_kwh": 366.2, "valid_from": "2023-01-01", "source": "a registry"},
    "remarks": ["Not metered, and in no figure: 7 s."],
}


def burn_in(rack: Rack, *, time_scale: float = 1, state: str = "passed") -> BurnInRun:
    """Put a burn-in on record: 24 h asked for and credited, one tray with a gap."""
    profile = BurnInProfile.objects.create(
        name="soak",
        version=str(BurnInProfile.objects.count()),
        part=rack.unit.part_revision.part,
        procedure="rack_burn_in",
        stressor="gpu-stress",
        unit_kinds=["tray"],
        required_hours=24,
        time_scale=time_scale,
    )
    release(profile)
    run = BurnInRun.objects.create(
        unit=rack.unit,
        profile=profile,
        state=state,
        started_by="tester",
        credited_seconds=86_400,
        reasons=["Both trays soaked for 24 h."],
        findings=[finding.as_json() for finding in (HOT, LEAK)] if state == "failed" else [],
        near_misses=[NEAR],
        energy=ENERGY,
    )
    for placed in Installation.objects.live().filter(parent=rack.unit).select_related("slot"):
        attempt = BurnInAttempt.objects.create(
            run=run, slot=placed.slot, unit_id=placed.child_id, state=state, credited_seconds=86_399.9
        )
    now = timezone.now()
    Gap.objects.create(attempt=attempt, from_at=now, to_at=now, reason="BMC restarted")
    return run


def tool_result(run: BurnInRun, outcome: str = "PASS") -> ToolResult:
    """Put a result of a stress tool on record for the first tray of a run."""
    attempt = run.attempts.select_related("unit", "slot").earliest("slot__order")
    result = Result("burn_in_dcgm", outcome, format="tool", reasons=["PCIe is Warn: slow."])
    test = record_test_run(unit=attempt.unit, result=result, configuration="", by=TESTER)
    output = store_attachment(
        site=run.unit.site, name="dcgm-U08-1.json", content_type="text/plain", content=b"{}", by=TESTER
    )
    return ToolResult.objects.create(attempt=attempt, tool="dcgm", test_run=test, output=output)


def alter_event(unit: Unit, seq: int = 1) -> None:
    """Change an event behind the ledger's back."""
    triggers.remove(connection)
    Event.objects.filter(stream=unit.stream, seq=seq).update(actor="eve")
    triggers.install(connection)
