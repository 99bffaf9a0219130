"""What the demo builds, read from the released definitions: parts to buy, orders, slots in filling order."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mes.products.models import Consumable, DataField, Gate, Limit, Operation, PartRevision, Route


@dataclass(slots=True)
class Assembly:
    """A revision, its slots with what goes into each, and its route's operations if we build it."""

    revision: PartRevision
    slots: list[tuple[str, int, "Assembly"]] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    @property
    def number(self) -> str:
        """Return the part number."""
        return self.revision.part.number

    @property
    def kind(self) -> str:
        """Return the kind of part."""
        return self.revision.part.kind

    @property
    def is_built(self) -> bool:
        """Return whether an order of ours builds it."""
        return bool(self.operations)

    def slots_of(self, operation: Operation) -> list[tuple[str, "Assembly"]]:
        """Return the slots that an operation fills, in order."""
        return [(name, child) for name, at, child in self.slots if at == operation.sequence]

    def filled_by(self, slot: str) -> Operation:
        """Return the operation that fills a slot."""
        at = next(at for name, at, _ in self.slots if name == slot)
        return next(operation for operation in self.operations if operation.sequence == at)

    def walk(self) -> Iterator["Assembly"]:
        """Yield this assembly and everything in it, each as often as it is built in."""
        yield self
        for _, _, child in self.slots:
            yield from child.walk()


def plan(part_number: str, *, revision: str = "", route: str = "") -> Assembly:
    """Return what a part consists of, by the latest released revisions and build routes.

    ``revision`` and ``route`` name others of the part itself.
    """
    revisions = PartRevision.objects.select_related("part").filter(part__number=part_number)
    if revision:
        revisions = revisions.filter(revision=revision)
    assembly = Assembly(revisions.filter(released_at__isnull=False).latest("released_at"))
    children: dict[str, Assembly] = {}
    for slot in assembly.revision.slots.prefetch_related("accepts"):
        number = slot.accepts.all()[0].number
        children[number] = children.get(number) or plan(number)
        assembly.slots.append((slot.name, slot.filled_at, children[number]))
    assembly.operations = _operations(assembly, route)
    return assembly


def _operations(assembly: Assembly, version: str) -> list[Operation]:
    routes = Route.objects.filter(part=assembly.revision.part, released_at__isnull=False)
    routes = routes.filter(version=version) if version else routes.filter(kind=Route.Kind.BUILD)
    route = routes.order_by("released_at", "pk").last()
    return list(Operation.objects.filter(route=route)) if route else []


def quantities(assembly: Assembly) -> Counter[str]:
    """Return how many of each part a complete assembly takes, itself included."""
    return Counter(part.number for part in assembly.walk())


def required_tests(operation: Operation) -> list[str]:
    """Return the procedures that an operation asks for."""
    gates = Gate.objects.filter(operation=operation, rule=Gate.Rule.TEST_PASSED).order_by("pk")
    return list(gates.values_list("procedure", flat=True))


def asked_fields(operation: Operation) -> list[DataField]:
    """Return the values that are recorded during an operation."""
    return list(DataField.objects.filter(operation=operation, required=True))


def used_parts(operation: Operation) -> list[str]:
    """Return the numbers of the parts that an operation uses up by lot."""
    return list(Consumable.objects.filter(operation=operation).values_list("part__number", flat=True))


def good_values(operation: Operation, procedure: str) -> list[dict[str, object]]:
    """Return a measurement in the middle of each limit of a procedure."""
    values: list[dict[str, object]] = []
    for limit in Limit.objects.filter(operation=operation, procedure=procedure):
        low = limit.low if limit.low is not None else (limit.high or 0) * 0.4
        high = limit.high if limit.high is not None else low * 1.02
        values.append({"name": limit.measurement, "value": round((low + high) / 2, 4), "unit": limit.unit})
    return values
