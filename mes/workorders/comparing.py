"""What differs between two routes and two revisions of a part, operation by operation and slot by slot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mes.products.models import Limit, Operation, PartRevision, RetestRule, Route
from mes.products.services import Place, layout_of, operations_of

Bounds = tuple[str, str, str, float | None, float | None]


@dataclass(frozen=True)
class Recipe:
    """A revision of a part with a route: its operations, their limits, its slots and its retest rules."""

    revision: PartRevision
    route: Route
    limits: Mapping[int, list[Bounds]]
    rules: list[RetestRule] = field(default_factory=list)

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Return the operations in their order."""
        return operations_of(self.route)

    @cached_property
    def by_code(self) -> dict[str, Operation]:
        """Return the operations by code, which names the same step on every route of a part."""
        return {operation.code: operation for operation in self.operations}

    @cached_property
    def places(self) -> dict[str, Place]:
        """Return the slots by name."""
        return {place.slot.name: place for place in layout_of(self.revision)}

    def filled_at(self, operation: Operation) -> dict[str, Place]:
        """Return the slots that an operation fills."""
        return {
            name: place for name, place in self.places.items() if place.slot.filled_at == operation.sequence
        }


def limits_of(routes: Iterable[int]) -> dict[int, list[Bounds]]:
    """Return the limits of the operations of routes, by operation. One query."""
    limits: dict[int, list[Bounds]] = {}
    for row in Limit.objects.filter(operation__route__in=set(routes)).order_by("procedure", "measurement"):
        bounds = (row.procedure, row.measurement, row.unit, row.low, row.high)
        limits.setdefault(row.operation_id, []).append(bounds)
    return limits


def differences(old: Operation, new: Operation, before: Recipe, after: Recipe) -> list[str]:
    """Return in words which parts of an operation's definition differ between two routes."""
    if old.pk == new.pk:
        return []
    was, now = _definition(old, before), _definition(new, after)
    return [name for name in was if was[name] != now[name]]


def _definition(operation: Operation, recipe: Recipe) -> dict[str, Any]:
    return {
        "name": operation.name,
        "work center": operation.work_center,
        "instruction": (operation.instruction, operation.instruction_code),
        "people": operation.people,
        "gates": sorted((row.rule, row.moment, row.procedure) for row in operation.gates.all()),
        "limits": recipe.limits.get(operation.pk, []),
        "tools": sorted(row.type for row in operation.tools.all()),
        "qualifications": sorted(row.qualification_id for row in operation.qualifications.all()),
        "consumables": sorted((row.part_id, row.quantity, row.unit) for row in operation.consumables.all()),
        "data fields": [
            (row.name, row.kind, row.prompt, row.required, row.unit, row.low, row.high, row.choices)
            for row in operation.data_fields.all()
        ],
    }


def changed_slots(old: Operation, new: Operation, before: Recipe, after: Recipe) -> set[str]:
    """Return the slots filled at an operation that are new, gone, or lie elsewhere; not what they take."""
    was = {name: _site(place) for name, place in before.filled_at(old).items()}
    now = {name: _site(place) for name, place in after.filled_at(new).items()}
    return {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}


def _site(place: Place) -> tuple[object, ...]:
    slot = place.slot
    return (slot.type, slot.face, slot.position, slot.height, slot.slot_number, slot.tray_index)
