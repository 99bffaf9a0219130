"""A tray, its next revision and route, and the people who sign."""

from typing import Any

from mes.people.models import User
from mes.people.services import Proof, prove, set_pin
from mes.products.models import BomLine, Gate, Limit, Operation, PartRevision, RetestRule, Route, Slot
from mes.serials.models import Unit
from mes.stations.models import RoleAssignment
from mes.stations.services import grant_role
from mes.workorders.models import EngineeringChange
from mes.workorders.services import approve_change, draft_change
from tests.builders import (
    TESTER,
    Scanner,
    make_part,
    make_person,
    make_scanner,
    make_site,
    make_station,
    make_unit,
    ordered_unit,
    release,
)

Role = RoleAssignment.Role
PIN = "482915"
LIMIT = {"measurement": "power", "unit": "W", "low": 100, "high": 1500}


def make_signer(*roles: RoleAssignment.Role, **more: Any) -> User:
    """Make a person with roles at the site and a PIN."""
    person = make_person(**more)
    for role in roles:
        grant_role(person=person, role=role, site=make_site(), by=TESTER)
    set_pin(person=person, pin=PIN, by=TESTER)
    return person


def proof_by(person: User, pin: str = PIN) -> Proof:
    return prove(badge=person.badge, pin=pin)


def signature_of(person: User, pin: str = PIN) -> dict[str, str]:
    return {"badge": person.badge, "pin": pin}


def next_revision(
    revision: PartRevision, name: str, takes: dict[str, PartRevision], **more: Any
) -> PartRevision:
    """Make a released revision of the same part with one slot per name; GPU slots are of type gpu."""
    made = PartRevision.objects.create(part=revision.part, revision=name)
    quantities: dict[int, int] = {}
    for order, (slot, child) in enumerate(takes.items()):
        row = {"filled_at": 10, "type": slot.rstrip("0123456789").lower(), **more.get(slot, {})}
        Slot.objects.create(revision=made, name=slot, order=order, **row).accepts.add(child.part)
        quantities[child.part_id] = quantities.get(child.part_id, 0) + 1
    for part, quantity in quantities.items():
        revisions = more.get("revisions", {}).get(part, [])
        BomLine.objects.create(parent=made, part_id=part, quantity=quantity, revisions=revisions)
    release(made)
    return made


STEPS: dict[str, tuple[int, str]] = {"build": (10, "BUILD"), "test": (20, "TEST"), "look": (30, "BUILD")}


def next_route(
    revision: PartRevision,
    version: str,
    steps: dict[str, tuple[int, str]] | None = None,
    *,
    limit: dict[str, Any] | None = None,
    repeats: dict[str, list[int]] | None = None,
    released: bool = True,
) -> Route:
    """Make a route of the part: build fills the slots, test asks for func, look just looks."""
    route = Route.objects.create(part=revision.part, version=version, name="tray route")
    for code, (sequence, center) in (steps or STEPS).items():
        operation = Operation.objects.create(
            route=route, sequence=sequence, code=code, name=code, work_center=center
        )
        if code == "build":
            Gate.objects.create(operation=operation, rule="slots_filled", moment="complete")
        if code == "test":
            Gate.objects.create(operation=operation, rule="test_passed", moment="complete", procedure="func")
            Limit.objects.create(operation=operation, procedure="func", **(limit or LIMIT))
    for slot_type, sequences in (repeats or {}).items():
        RetestRule.objects.create(route=route, name="swap", slot_type=slot_type, repeats=sequences)
    if released:
        release(route)
    return route


class Trays:
    """A tray of one GPU and one NIC on its route, the scanners of its stations, those who sign changes."""

    def __init__(self) -> None:
        self.gpu, self.nic = make_part("gpu"), make_part("nic")
        base = make_part("tray", level=10)
        self.a = next_revision(base, "B1", {"GPU0": self.gpu, "NIC0": self.nic})
        self.one = next_route(self.a, "1", repeats={"gpu": [20]})
        self.unit = ordered_unit(self.a, self.one)
        self.order = self.unit.order_units.get().work_order
        self.builder = make_scanner(make_station("BUILD"))
        self.tester = make_scanner(make_station("TEST"))
        self.engineer, self.quality = make_signer(Role.ENGINEER), make_signer(Role.QUALITY)

    def act(self, sequence: int, verb: str, unit: Unit | None = None, scanner: Scanner | None = None) -> Any:
        scanner = scanner or (self.tester if sequence == 20 else self.builder)
        return scanner.post(f"units/{(unit or self.unit).uid}/operations/{sequence}/{verb}/")

    def do(self, *sequences: int, unit: Unit | None = None) -> None:
        for sequence in sequences:
            for verb in ("start", "complete"):
                answer = self.act(sequence, verb, unit)
                assert answer.status_code == 200, answer.json()

    def install(self, slot: str, child: Unit, unit: Unit | None = None) -> Any:
        body = {"slot": slot, "child": {"uid": str(child.uid)}}
        return self.builder.post(f"units/{(unit or self.unit).uid}/install/", body)

    def remove(self, slot: str, unit: Unit | None = None) -> Any:
        body = {"slot": slot, "reason": "changed"}
        return self.builder.post(f"units/{(unit or self.unit).uid}/remove/", body)

    def report(self, power: float = 900, unit: Unit | None = None) -> Any:
        body = {
            "unit": str((unit or self.unit).uid),
            "procedure": "func",
            "outcome": "PASS",
            "measurements": [{"name": "power", "value": power, "unit": "W"}],
        }
        answer = self.tester.post("test-runs/", body)
        assert answer.status_code == 201, answer.json()
        return answer.json()

    def build(self, unit: Unit | None = None) -> None:
        """Fill both slots and complete operation 10."""
        assert self.act(10, "start", unit).status_code == 200
        for slot, part in (("GPU0", self.gpu), ("NIC0", self.nic)):
            assert self.install(slot, make_unit(part), unit).status_code == 201
        assert self.act(10, "complete", unit).status_code == 200

    def build_and_test(self, unit: Unit | None = None) -> None:
        self.build(unit)
        self.report(unit=unit)
        self.do(20, unit=unit)

    def draft(self, revision: PartRevision, route: Route, **targets: Any) -> EngineeringChange:
        return draft_change(
            site=make_site(),
            title="better tray",
            reason="field failures",
            to_revision=revision,
            to_route=route,
            by=TESTER,
            **(targets or {"units": [self.unit]}),
        )

    def sign(self, change: EngineeringChange) -> None:
        for person in (self.engineer, self.quality):
            approve_change(change=change, reason="agreed", proof=proof_by(person), by=person.actor())
