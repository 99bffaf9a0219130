"""A rack on order, and a terminal at its station, for tests of the operator's page."""

from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from django.core.management import call_command
from django.test import Client

from mes.people.models import User
from mes.products.models import BomLine, Operation, PartRevision, Route, Slot
from mes.racks.services import install_unit
from mes.serials.models import Unit
from mes.stations.models import Device, Site, Station
from mes.stations.services import enroll_device
from mes.workorders.models import OperationRun
from tests.builders import (
    TESTER,
    make_order,
    make_part,
    make_person,
    make_route,
    make_station,
    make_unit,
    numbers,
    ordered_unit,
    release,
)

PACK = Path(__file__).resolve().parents[2] / "fixtures" / "nvl72"


@dataclass(frozen=True)
class Standing:
    """A slot of a rack: what it takes, and where it stands, in half units."""

    name: str
    takes: PartRevision
    position: int | None
    height: int | None = 2
    face: str = Slot.Face.FRONT


def make_rack(slots: list[Standing], *, kind: str = "rack") -> PartRevision:
    """Make a released assembly whose slots have places."""
    revision = make_part(kind, level=11, released=False)
    for order, place in enumerate(slots):
        slot = Slot.objects.create(
            revision=revision,
            name=place.name,
            type="place",
            face=place.face,
            position=place.position,
            height=place.height,
            filled_at=10,
            order=order,
        )
        slot.accepts.add(place.takes.part)
    for part in {place.takes.part for place in slots}:
        quantity = sum(place.takes.part == part for place in slots)
        BomLine.objects.create(parent=revision, part=part, quantity=quantity)
    release(revision)
    return revision


def stack(count: int, takes: PartRevision) -> list[Standing]:
    """Return a slot per rack unit, from U08 up."""
    return [Standing(f"U{number:02}", takes, 2 * number) for number in range(8, 8 + count)]


class Floor:
    """An ordered rack of some trays with a rear of long parts, a terminal, and an operator with a badge."""

    def __init__(self, *, trays: int = 3) -> None:
        self.tray, self.busbar = make_part("compute_tray", level=10), make_part("busbar", level=3)
        rear = [Standing("BUSBAR", self.busbar, 6, 40, Slot.Face.REAR)]
        self.rack = make_rack([*stack(trays, self.tray), *rear])
        self.route: Route = make_route(self.rack)
        self.unit: Unit = ordered_unit(self.rack, self.route)
        self.station: Station = make_station("BUILD", code=f"ST-{next(numbers)}")
        self.badge = f"BADGE-{next(numbers)}"
        self.person: User = make_person(badge=self.badge, first_name="Demo", last_name="Operator")
        self.device, self.token = enroll_device(
            name=f"terminal-{next(numbers)}", kind=Device.Kind.TERMINAL, station=self.station, by=TESTER
        )

    def trays(self, count: int) -> list[Unit]:
        """Receive trays."""
        return [make_unit(self.tray, f"TRAY{next(numbers):05}") for _ in range(count)]


class DemoFloor(Floor):
    """A rack of the NVL72 pack at tray install, filled up to its first trays, and a terminal there."""

    def __init__(self, *, filled: int) -> None:
        call_command("load_definitions", PACK, stdout=StringIO())
        revision = PartRevision.objects.get(part__number="RK-1001")
        site = Site.objects.get(code="DEMO")
        order = make_order(revision, Route.objects.get(part=revision.part), site=site)
        self.unit = order.order_units.get().unit
        self.station = Station.objects.get(code="ST-RACK-05")
        self.badge = f"BADGE-{next(numbers)}"
        self.person = make_person(badge=self.badge, first_name="Demo", last_name="Operator")
        self.device, self.token = enroll_device(
            name="terminal-demo", kind=Device.Kind.TERMINAL, station=self.station, by=TESTER
        )
        for operation in Operation.objects.filter(route=order.route, sequence__lt=90):
            OperationRun.objects.create(unit=self.unit, operation=operation, state="complete")
        for slot in Slot.objects.filter(revision=revision)[:filled]:
            self._fill(slot, site)

    def _fill(self, slot: Slot, site: Site) -> None:
        revision = PartRevision.objects.get(part__fits=slot)
        serial = f"{revision.part.kind.upper().replace('_', '')}{next(numbers):05}"
        child = make_unit(revision, serial, site=site)
        install_unit(parent=Unit.objects.get(pk=self.unit.pk), slot=slot, child=child, by=TESTER)


def scan(client: Client, *codes: str) -> int:
    """Scan codes at a paired terminal, as its page does; return the status of the last answer."""
    for code in codes:
        key = {"Idempotency-Key": f"key-{next(numbers)}"}
        answer = client.post("/api/v1/scans/", {"raw": code}, "application/json", headers=key)
    return answer.status_code
