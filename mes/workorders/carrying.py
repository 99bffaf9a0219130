"""What an engineering change left as it was: operations that equal one of the new route, and their tests."""

from collections.abc import Iterable

from mes.products.models import Operation
from mes.serials.models import Unit
from mes.workorders.models import CarriedOperation


def equals_of(unit: Unit, operations: Iterable[Operation | int]) -> set[int]:
    """Return the operations of routes a unit left whose tests count for these, by primary key. One query."""
    rows = CarriedOperation.objects.filter(unit=unit, to_operation__in=list(operations))
    return set(rows.values_list("from_operation", flat=True))
