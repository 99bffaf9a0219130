"""The door of products: slot layouts and routes, kept in the process once frozen; work instructions."""

from datetime import datetime
from functools import lru_cache

from django.db import transaction

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.people.models import User
from mes.products.designs import Design, Stamp, check_design, design_of, newest_release
from mes.products.figures import (
    SUPPLIED,
    Centre,
    Figures,
    Item,
    Reckoning,
    centre_of_gravity,
    figures_of,
    reckon,
    totals_of,
    unit_of,
    unstated,
)
from mes.products.layouts import KEPT, Asks, Layout, Loose, Place, asks_of, layout_of, layouts_of, place_named
from mes.products.models import (
    DataField,
    Instruction,
    InstructionReading,
    Operation,
    Route,
)
from mes.products.routes import Step, route_faults

__all__ = [
    "SUPPLIED",
    "Asks",
    "Centre",
    "Design",
    "Figures",
    "Item",
    "Layout",
    "Loose",
    "Place",
    "Reckoning",
    "Stamp",
    "Step",
    "asks_of",
    "centre_of_gravity",
    "check_design",
    "check_route",
    "confirm_reading",
    "design_of",
    "figures_of",
    "find_instruction",
    "has_read",
    "layout_of",
    "layouts_of",
    "newest_release",
    "operations_of",
    "place_named",
    "reckon",
    "route_faults",
    "totals_of",
    "unit_of",
    "unstated",
]


def operations_of(route: Route) -> tuple[Operation, ...]:
    """Return the operations of a route with their gates; of a released one, read once per process."""
    if route.released_at is None:
        return _read_operations(route.pk)
    return _frozen_operations(route.pk, route.released_at)


# The time of release is part of the key: a primary key alone may come back in a database that was restored.
@lru_cache(maxsize=KEPT)
def _frozen_operations(pk: int, released_at: datetime) -> tuple[Operation, ...]:
    return _read_operations(pk)


def _read_operations(pk: int) -> tuple[Operation, ...]:
    return tuple(
        Operation.objects.filter(route=pk).prefetch_related(
            "gates", "tools", "data_fields", "qualifications__qualification", "consumables__part"
        )
    )


def check_route(route: Route) -> None:
    """Refuse a route that cannot be walked: ``route_gap``, ``route_cycle`` or ``choice_without_choices``."""
    operations = list(Operation.objects.filter(route=route))
    steps = (Step(each.code, each.sequence, tuple(each.after)) for each in operations)
    fault = next(route_faults(steps), None)
    if fault is not None:
        raise RuleViolation(
            fault.code,
            f"{route} cannot be released: {fault.detail}.",
            rule="a route leads from its start to its end",
            next_step="Correct what the operations follow.",
        )
    choices = DataField.objects.filter(operation__in=operations, kind=DataField.Kind.CHOICE)
    for data_field in choices.filter(choices=[]):
        raise RuleViolation(
            "choice_without_choices",
            f"{route} cannot be released: {data_field} offers nothing to choose from.",
            rule="a choice offers choices",
            next_step="Name the choices.",
        )


def find_instruction(code: str) -> Instruction | None:
    """Return the latest released version of a work instruction. One query."""
    released = Instruction.objects.filter(code=code, released_at__isnull=False)
    return released.order_by("-released_at", "-pk").first()


def has_read(*, person: str, instruction: Instruction) -> bool:
    """Return whether a person, by user name, confirmed this version of an instruction."""
    return InstructionReading.objects.filter(person__username=person, instruction=instruction).exists()


@transaction.atomic
def confirm_reading(*, instruction: Instruction, person: str, by: Actor) -> InstructionReading:
    """Keep that a person, by user name, has read and understood a version; a second time changes nothing."""
    reader = locked(User.objects.get(username=person))
    reading, is_new = InstructionReading.objects.get_or_create(
        instruction=instruction, person=reader, defaults={"station": by.station}
    )
    if is_new:
        payload = {"instruction": instruction.code, "version": instruction.version}
        record(advance(reader, "instruction.read", by=by, payload=payload))
    return reading
