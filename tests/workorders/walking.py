"""A small rack, its trays, the people who decide, and hands to build it through the API alone."""

from typing import Any

from mes.products.models import Gate, Operation, Part, PartRevision, Route
from mes.serials.models import Unit
from tests.builders import (
    PIN,
    Scanner,
    make_part,
    make_scanner,
    make_signer,
    make_station,
    make_unit,
    release,
    supervisor_client,
)
from tests.workorders.recipes import next_revision

STATIONS = ("BUILD", "TEST", "LEAK", "POWER", "REPAIR")
RACK_STEPS = ((10, "BUILD", ""), (20, "LEAK", "leak"), (30, "POWER", "power"), (40, "BUILD", ""))
TRAY_STEPS = ((10, "BUILD", ""), (20, "TEST", "func"))
RACK_RULES = (
    ("coolant opened", "wet_break", "", [20]),
    ("manifold swapped", "removed", "m", [20]),
    ("tray swapped", "removed", "u", [20, 30]),
)
TRAY_RULES = (("gpu swapped", "removed", "g", [20]),)


def make_steps(part: Part, version: str, steps: Any, rules: Any = (), kind: str = "build") -> Route:
    """Make a route whose first operation fills the slots, and whose failed tests open nonconformances."""
    route = Route.objects.create(part=part, version=version, name=f"{part.name} {kind}", kind=kind)
    for sequence, work_center, procedure in steps:
        operation = Operation.objects.create(
            route=route,
            sequence=sequence,
            code=f"{kind}{sequence}",
            name=f"Step {sequence}",
            work_center=work_center,
        )
        if procedure:
            Gate.objects.create(
                operation=operation,
                rule="test_passed",
                moment="complete",
                procedure=procedure,
                opens_nonconformance=True,
            )
        elif sequence == 10 and kind == "build":
            Gate.objects.create(operation=operation, rule="slots_filled", moment="complete")
    for name, trigger, slot_type, repeats in rules:
        route.retest_rules.create(name=name, trigger=trigger, slot_type=slot_type, repeats=repeats)
    release(route)
    return route


class Factory:
    """Definitions of the rack in two revisions, its floor, and everybody who works or signs."""

    def __init__(self) -> None:
        self.gpu, self.busbar = make_part("gpu"), make_part("busbar")
        self.manifold, self.better_manifold = make_part("manifold"), make_part("better_manifold")
        self.tray = next_revision(make_part("tray", level=10, revision="0"), "A", {"G0": self.gpu})
        self.tray_route = make_steps(self.tray.part, "1", TRAY_STEPS, TRAY_RULES)
        self.tray_rework = make_steps(self.tray.part, "R1", ((10, "REPAIR", ""),), kind="rework")
        takes = {"U1": self.tray, "U2": self.tray, "U3": self.tray, "B1": self.busbar}
        base = make_part("rack", level=11, revision="0")
        self.rack = next_revision(base, "A", {**takes, "M1": self.manifold})
        self.better_rack = next_revision(base, "B", {**takes, "M1": self.better_manifold})
        for version in ("1", "2"):
            make_steps(base.part, version, RACK_STEPS, RACK_RULES)
        self.scanners = {center: make_scanner(make_station(center)) for center in STATIONS}
        self.supervisor = supervisor_client()
        self.board = make_signer("review_board")
        self.engineer, self.quality = make_signer("engineer"), make_signer("quality")

    def office(self, path: str, body: Any = None, expected: int = 200) -> Any:
        """Do something at a desk: a supervisor's browser session."""
        answer = self.supervisor.post(f"/api/v1/{path}", body or {}, format="json")
        assert answer.status_code == expected, answer.json()
        return answer.json()

    def read(self, path: str, **query: Any) -> Any:
        answer = self.supervisor.get(f"/api/v1/{path}", query)
        assert answer.status_code == 200, answer.json()
        return answer.json()

    def read_all(self, path: str, **query: Any) -> list[Any]:
        """Read a list page by page."""
        page = self.read(path, **query)
        rows = list(page["results"])
        while page["next"]:
            page = self.supervisor.get(page["next"]).json()
            rows += page["results"]
        return rows

    def at(self, center: str, path: str, body: Any = None, expected: int = 200) -> Any:
        """Do something on the floor with the scanner of a station."""
        answer = self.scanners[center].post(path, body)
        assert answer.status_code == expected, answer.json()
        return answer.json()

    def order(self, number: str, revision: PartRevision, quantity: int) -> list[Unit]:
        body = {
            "site": "S1",
            "number": number,
            "part": revision.part.number,
            "revision": revision.revision,
            "route": "1",
            "quantity": quantity,
            "customer": "Demo customer",
        }
        self.office("work-orders/", body, 201)
        self.office(f"work-orders/{number}/release/")
        return list(Unit.objects.filter(order_units__work_order__number=number).order_by("pk"))

    def start(self, unit: Unit, sequence: int, center: str) -> None:
        self.at(center, f"units/{unit.uid}/operations/{sequence}/start/")

    def complete(self, unit: Unit, sequence: int, center: str, expected: int = 200) -> Any:
        return self.at(center, f"units/{unit.uid}/operations/{sequence}/complete/", expected=expected)

    def fit(self, unit: Unit, slot: str, child: Unit, center: str = "BUILD") -> None:
        self.at(center, f"units/{unit.uid}/install/", {"slot": slot, "child": {"uid": str(child.uid)}}, 201)

    def take_out(self, unit: Unit, slot: str, reason: str, center: str = "BUILD") -> Any:
        return self.at(center, f"units/{unit.uid}/remove/", {"slot": slot, "reason": reason})

    def test(self, unit: Unit, procedure: str, outcome: str, center: str) -> None:
        body = {"unit": str(unit.uid), "procedure": procedure, "outcome": outcome}
        self.at(center, "test-runs/", body, 201)

    def test_step(self, unit: Unit, sequence: int, procedure: str, center: str) -> None:
        """Start an operation that asks for a test, pass the test, complete it."""
        self.start(unit, sequence, center)
        self.test(unit, procedure, "PASS", center)
        self.complete(unit, sequence, center)

    def stock(self, revision: PartRevision) -> Unit:
        return make_unit(revision)


def signature_of(person: Any) -> dict[str, str]:
    return {"badge": person.badge, "pin": PIN}


__all__ = ["Factory", "Scanner", "signature_of"]
