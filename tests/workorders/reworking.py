"""A tray that fails, and the people who decide about it."""

from typing import Any

from mes.ledger.services import Actor
from mes.people.models import User
from mes.people.services import prove, set_pin
from mes.products.models import Gate, Operation, Route
from mes.quality.models import Disposition, Nonconformance
from mes.quality.services import open_nonconformance
from mes.serials.models import Unit
from mes.stations.models import RoleAssignment
from mes.stations.services import grant_role
from mes.workorders.services import complete_operation, dispose, start_operation
from tests.builders import TESTER, make_person, make_site, make_station, release
from tests.workorders.test_operations import Line

PIN = "24680"
Kind, Source, Role = Disposition.Kind, Nonconformance.Source, RoleAssignment.Role
FINDER, REPAIRER = Actor(person="finder"), Actor(person="repairer")


def signer(role: RoleAssignment.Role = Role.REVIEW_BOARD, **more: Any) -> User:
    """Return a person with a role and a PIN."""
    person = make_person(**more)
    set_pin(person=person, pin=PIN, by=TESTER)
    grant_role(person=person, role=role, site=make_site(), by=TESTER)
    return person


def signed(person: User) -> dict[str, str]:
    """Return the signature of a request."""
    return {"badge": person.badge, "pin": PIN}


def make_rework_route(
    build: Route,
    operations: tuple[tuple[int, str], ...] = ((10, "REPAIR"), (20, "REPAIR")),
    version: str = "R1",
    tests: dict[int, str] | None = None,
) -> Route:
    route = Route.objects.create(part=build.part, version=version, name="rework", kind=Route.Kind.REWORK)
    for sequence, work_center in operations:
        operation = Operation.objects.create(
            route=route,
            sequence=sequence,
            code=f"rw{sequence}",
            name=f"Rework {sequence}",
            work_center=work_center,
        )
        if procedure := (tests or {}).get(sequence):
            Gate.objects.create(
                operation=operation, rule="test_passed", moment="complete", procedure=procedure
            )
    release(route)
    return route


class Review(Line):
    """The line of the operations' tests, with a rework route and a review board."""

    def __init__(self, **route: Any) -> None:
        super().__init__(**route)
        self.rework_route = make_rework_route(self.route)
        self.board = signer()

    def operation(self, sequence: int) -> Operation:
        return self.route.operations.get(sequence=sequence)

    def open(self, symptom: str = "leak", unit: Unit | None = None, **more: Any) -> Nonconformance:
        return open_nonconformance(
            unit=unit or self.unit, symptom=symptom, source=Source.HAND, by=FINDER, **more
        )

    def dispose(self, found: Nonconformance, kind: str = Kind.REWORK, **more: Any) -> Disposition:
        """Decide, by default on rework that returns to operation 20, signed by the board."""
        if kind in {Kind.REWORK, Kind.REPAIR}:
            more = {"rework_route": self.rework_route, "returns_to": self.operation(20), **more}
        more.setdefault("proof", prove(badge=self.board.badge, pin=PIN))
        return dispose(nonconformance=found, kind=kind, reason="as agreed", by=Actor(), **more)

    def work(self, sequence: int, work_center: str, *, unit: Unit | None = None) -> None:
        station = make_station(work_center)
        start_operation(unit=unit or self.unit, sequence=sequence, station=station, by=REPAIRER)
        complete_operation(unit=unit or self.unit, sequence=sequence, station=station, by=REPAIRER)

    def rework(self, symptom: str = "leak", **more: Any) -> Nonconformance:
        """Open, decide on rework, and do it."""
        found = self.open(symptom)
        self.dispose(found, **more)
        for operation in self.rework_route.operations.all():
            self.work(operation.sequence, operation.work_center)
        return found

    def fresh(self) -> Unit:
        self.unit.refresh_from_db()
        return self.unit
