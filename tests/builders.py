"""Plain functions that build what a test needs, through the product's own doors, and its named actors."""

from collections.abc import Callable
from itertools import count
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from mes.ledger.services import Actor
from mes.people.models import User
from mes.people.services import set_pin
from mes.products.models import (
    BomLine,
    Gate,
    Limit,
    Operation,
    Part,
    PartRevision,
    RetestRule,
    ReworkLimit,
    Route,
    Slot,
)
from mes.racks.models import Installation
from mes.serials.models import Unit
from mes.serials.services import receive_unit
from mes.stations.models import Device, Line, Site, Station
from mes.stations.services import Role, enroll_device, grant_role, sign_on
from mes.workorders.models import WorkOrder
from mes.workorders.services import create_order, release_order

numbers = count(1)
TESTER = Actor(person="tester")
PIN = "471147"


def make_site(code: str = "S1") -> Site:
    return Site.objects.get_or_create(code=code, defaults={"name": code})[0]


def make_station(work_center: str = "BUILD", code: str = "", site: Site | None = None) -> Station:
    site = site or make_site()
    line = Line.objects.get_or_create(code=f"L-{site.code}", defaults={"site": site, "name": "Line"})[0]
    code = code or f"ST-{work_center}-{site.code}"
    return Station.objects.get_or_create(
        code=code, defaults={"line": line, "name": code, "work_center": work_center}
    )[0]


def make_person(username: str = "", badge: str = "", **more: Any) -> User:
    name = username or f"person{next(numbers)}"
    return User.objects.create_user(name, badge=badge or f"B-{name}".upper(), **more)


def make_signer(*roles: str, site: Site | None = None, **more: Any) -> User:
    """Return a person with a PIN who holds roles at a site."""
    person = make_person(**more)
    set_pin(person=person, pin=PIN, by=TESTER)
    for role in roles:
        grant_role(person=person, role=Role(role), site=site or make_site(), by=TESTER)
    person.refresh_from_db()
    return person


def signed_by(person: User, pin: str = "") -> dict[str, str]:
    """Return a signature as a request carries it."""
    return {"badge": person.badge, "pin": pin or PIN}


def make_part(
    kind: str = "gpu", *, level: int = 2, revision: str = "A", released: bool = True
) -> PartRevision:
    number = f"{kind.upper()}-{next(numbers)}"
    part = Part.objects.create(number=number, name=kind.replace("_", " "), kind=kind, level=level)
    return PartRevision.objects.create(
        part=part, revision=revision, released_at=timezone.now() if released else None
    )


def make_revision(part: Part, revision: str, **more: Any) -> PartRevision:
    return PartRevision.objects.create(part=part, revision=revision, released_at=timezone.now(), **more)


def release(*definitions: Any) -> None:
    for definition in definitions:
        definition.released_at = timezone.now()
        definition.save()


def make_assembly(
    kind: str,
    *,
    level: int,
    takes: dict[str, PartRevision],
    filled_at: int = 10,
    slot_type: str = "place",
    revisions: list[str] | None = None,
    mates: dict[str, list[str]] | None = None,
) -> PartRevision:
    """Make a released assembly with one slot per name in ``takes``; ``mates`` are offered by slot name."""
    revision = make_part(kind, level=level, released=False)
    quantities: dict[int, int] = {}
    for order, (name, child) in enumerate(takes.items()):
        slot = Slot.objects.create(
            revision=revision,
            name=name,
            type=slot_type,
            filled_at=filled_at,
            order=order,
            mates=(mates or {}).get(name, []),
        )
        slot.accepts.add(child.part)
        quantities[child.part_id] = quantities.get(child.part_id, 0) + 1
    for part_id, quantity in quantities.items():
        BomLine.objects.create(parent=revision, part_id=part_id, quantity=quantity, revisions=revisions or [])
    release(revision)
    return revision


def make_route(
    revision: PartRevision,
    *,
    operations: tuple[tuple[int, str], ...] = ((10, "BUILD"), (20, "TEST")),
    tests: dict[int, str] | None = None,
    fills: tuple[int, ...] = (10,),
    limits: tuple[dict[str, Any], ...] = (),
    repeats: dict[str, list[int]] | None = None,
    ask: Callable[[dict[int, Operation]], object] | None = None,
    rework_limits: dict[str, int] | None = None,
    opens_nonconformance: bool = False,
) -> Route:
    """Make a released route; ``tests`` names the procedure an operation needs, ``fills`` those with slots.

    ``ask`` may add to the operations, by their sequence, before they are frozen.
    """
    made: dict[int, Operation] = {}
    route = Route.objects.create(part=revision.part, version="1", name=f"{revision.part.kind} route")
    for sequence, work_center in operations:
        operation = Operation.objects.create(
            route=route,
            sequence=sequence,
            code=f"op{sequence}",
            name=f"Step {sequence}",
            work_center=work_center,
        )
        made[sequence] = operation
        if sequence in fills:
            Gate.objects.create(operation=operation, rule="slots_filled", moment="complete")
        if procedure := (tests or {}).get(sequence):
            Gate.objects.create(
                operation=operation,
                rule="test_passed",
                moment="complete",
                procedure=procedure,
                opens_nonconformance=opens_nonconformance,
            )
            for limit in limits:
                Limit.objects.create(operation=operation, procedure=procedure, **limit)
    for slot_type, sequences in (repeats or {}).items():
        RetestRule.objects.create(
            route=route, name=f"{slot_type} swap", slot_type=slot_type, repeats=sequences
        )
    if ask:
        ask(made)
    for scope, maximum in (rework_limits or {}).items():
        ReworkLimit.objects.create(route=route, scope=scope, maximum=maximum)
    release(route)
    return route


def make_unit(revision: PartRevision, serial: str = "", *, site: Site | None = None, **more: Any) -> Unit:
    """Receive a unit into stock."""
    return receive_unit(
        site=site or make_site(),
        part_revision=revision,
        serial=serial or f"SN{next(numbers):05}",
        by=TESTER,
        **more,
    )


def make_order(revision: PartRevision, route: Route, quantity: int = 1, **more: Any) -> WorkOrder:
    order = create_order(
        site=more.pop("site", None) or make_site(),
        number=f"WO-{next(numbers)}",
        part_revision=revision,
        route=route,
        quantity=quantity,
        by=TESTER,
        **more,
    )
    release_order(order=order, by=TESTER)
    order.refresh_from_db()
    return order


def ordered_unit(revision: PartRevision, route: Route) -> Unit:
    """Release an order for one unit and return it."""
    return make_order(revision, route).order_units.get().unit


class Scanner:
    """A hand scanner on the floor: a device with a token that calls the API as any scanner would."""

    def __init__(self, station: Station, kind: Device.Kind = Device.Kind.SCANNER) -> None:
        self.device, self.token = enroll_device(
            name=f"{kind}-{next(numbers)}", kind=kind, station=station, by=TESTER
        )
        self.client = APIClient()
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {self.token}")

    def post(self, path: str, body: Any = None, *, key: str = "") -> Any:
        headers = {"Idempotency-Key": key or f"key-{next(numbers)}"}
        return self.client.post(f"/api/v1/{path}", body or {}, format="json", headers=headers)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query)

    def scan(self, raw: str, *, key: str = "") -> Any:
        return self.post("scans/", {"raw": raw}, key=key)


def make_scanner(
    station: Station | None = None, *, person: User | None = None, signed_on: bool = True
) -> Scanner:
    """Enrol a scanner; by default an operator is signed on at it."""
    scanner = Scanner(station or make_station())
    if signed_on:
        sign_on(device=scanner.device, person=person or make_person(), by=TESTER)
    return scanner


def supervisor_client() -> APIClient:
    """Return a browser session of a supervisor."""
    client = APIClient()
    client.force_login(make_person(is_staff=True, is_superuser=True))
    return client


def placed(parent: Unit, slot: str) -> Installation:
    return Installation.objects.live().get(parent=parent, slot__name=slot)
