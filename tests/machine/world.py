"""The floor in the database: its definitions, its people and its units, built once for all sequences."""

from dataclasses import dataclass, field
from typing import Any

from mes.ledger.services import Actor
from mes.people.models import Signature, User
from mes.people.services import Proof
from mes.products.models import (
    BomLine,
    Gate,
    Operation,
    Part,
    PartRevision,
    RetestRule,
    ReworkLimit,
    Route,
    Slot,
)
from mes.serials.models import Supplier, Unit
from mes.stations.models import Station
from mes.stations.services import Role, grant_role
from mes.testing.services import Result
from mes.workorders.models import WorkOrder
from tests.builders import TESTER, make_order, make_person, make_site, make_station, make_unit, release
from tests.machine import recipes
from tests.machine.model import Model, Order, Row
from tests.machine.model import Unit as Expected
from tests.machine.recipes import LEVELS, RACKS, RECIPES, REWORK, ROLES, SPARES, TRAYS, Recipe, Step

GENERIC = {"gpu", "nic", "dpu"}


@dataclass
class World:
    """Where everything of the model is in the database."""

    parts: dict[str, Part] = field(default_factory=dict)
    revisions: dict[tuple[str, str], PartRevision] = field(default_factory=dict)
    routes: dict[tuple[str, str], Route] = field(default_factory=dict)
    reworks: dict[str, Route] = field(default_factory=dict)
    units: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    people: dict[str, User] = field(default_factory=dict)
    stations: dict[str, Station] = field(default_factory=dict)

    def unit(self, name: str) -> Unit:
        return Unit.objects.select_related("part_revision__part", "site").get(pk=self.units[name])

    def order(self, number: str) -> WorkOrder:
        rows = WorkOrder.objects.select_related("part_revision__part", "route", "site", "parent")
        return rows.get(pk=self.orders[number])

    def actor(self, who: str, center: str = "") -> Actor:
        return Actor(person=who, station=self.stations[center].code if center else "")

    def proof(self, who: str) -> Proof:
        return Proof(self.people[who], Signature.Method.PIN)


def build_world() -> tuple[World, Model]:
    """Make definitions, people, spares, an order of six trays and one of two racks; and the model of it."""
    world, model = World(), Model()
    site = make_site("MACHINE")
    for center in recipes.CENTERS:
        world.stations[center] = make_station(center, site=site)
    _employ(world)
    for part, level in LEVELS.items():
        world.parts[part] = Part.objects.create(number=f"M-{part}", name=part, kind=part, level=level)
    for part in GENERIC:
        made = PartRevision.objects.create(part=world.parts[part], revision="A")
        release(made)
        world.revisions[part, "A"] = made
    for part, revision in reversed(RECIPES):
        _define(world, RECIPES[part, revision])
    supplier = Supplier.objects.create(code="MAKER", name="Maker")
    for name in SPARES:
        part = name.rstrip("0123456789")
        unit = make_unit(world.revisions[part, "A"], name, site=site, supplier=supplier)
        world.units[name], model.units[name] = unit.pk, Expected(name, part)
    for number, part, names in (("WO-T", "tray", TRAYS), ("WO-R", "rack", RACKS)):
        _order(world, model, number, part, names)
    return world, model


def _employ(world: World) -> None:
    for who, roles in ROLES.items():
        world.people[who] = make_person(who)
        for role in roles:
            grant_role(person=world.people[who], role=Role(role), site=make_site("MACHINE"), by=TESTER)


def _order(world: World, model: Model, number: str, part: str, names: tuple[str, ...]) -> None:
    made = make_order(
        world.revisions[part, "A"], world.routes[part, "A"], len(names), site=make_site("MACHINE")
    )
    world.orders[number] = made.pk
    model.orders[number] = Order(number, part, "A", len(names))
    for name, row in zip(names, made.order_units.order_by("pk"), strict=True):
        world.units[name] = row.unit_id
        model.units[name] = Expected(name, part, state="planned", rows=[Row(number)])


def _define(world: World, recipe: Recipe) -> None:
    revision = PartRevision.objects.create(part=world.parts[recipe.part], revision=recipe.revision)
    for order, (name, place) in enumerate(recipe.places.items()):
        slot = Slot.objects.create(
            revision=revision, name=name, type=place.type, filled_at=place.filled_at, order=order
        )
        slot.accepts.add(world.parts[place.takes])
    for part in {place.takes for place in recipe.places.values()}:
        quantity = sum(place.takes == part for place in recipe.places.values())
        BomLine.objects.create(parent=revision, part=world.parts[part], quantity=quantity)
    release(revision)
    world.revisions[recipe.part, recipe.revision] = revision
    world.routes[recipe.part, recipe.revision] = _route(
        revision.part, recipe.revision, recipe.steps, recipe, Route.Kind.BUILD
    )
    if recipe.part not in world.reworks:
        world.reworks[recipe.part] = _route(revision.part, "R", REWORK, None, Route.Kind.REWORK)


def _route(
    part: Part, version: str, steps: tuple[Step, ...], recipe: Recipe | None, kind: Route.Kind
) -> Route:
    route = Route.objects.create(part=part, version=version, name=f"{part.name} route", kind=kind)
    for step in steps:
        _operation(route, step)
    if recipe is not None:
        for rule in recipe.rules:
            name = f"{rule.trigger} {rule.slot_type}"
            RetestRule.objects.create(
                route=route,
                name=name,
                trigger=rule.trigger,
                slot_type=rule.slot_type,
                repeats=list(rule.repeats),
            )
        ReworkLimit.objects.create(route=route, scope="in_all", maximum=recipe.most_reworks)
    release(route)
    return route


def _operation(route: Route, step: Step) -> None:
    operation = Operation.objects.create(
        route=route,
        sequence=step.sequence,
        code=step.code,
        name=step.code,
        work_center=step.center,
        instruction=step.instruction,
    )
    at_the_end: dict[str, Any] = {"operation": operation, "moment": "complete"}
    if step.fills:
        Gate.objects.create(rule="slots_filled", **at_the_end)
    if step.procedure:
        opens = step.procedure in recipes.OPENS
        Gate.objects.create(
            rule="test_passed", procedure=step.procedure, opens_nonconformance=opens, **at_the_end
        )


def result_of(procedure: str, outcome: str) -> Result:
    return Result(procedure=procedure, outcome=outcome, said=outcome)
