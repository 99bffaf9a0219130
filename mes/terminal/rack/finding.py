"""What a code means on the elevation of a unit: a slot of it, or a unit in it or elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass

from mes.racks.services import paths_of, takes
from mes.serials.barcodes import Label, MalformedBarcode, parse
from mes.serials.models import Unit
from mes.serials.services import find_units
from mes.workorders.services import Comparison, SlotRow

NAMED = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """A sentence, and the unit that it is about, if there is one to go to."""

    sentence: str
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a code led to: sentences, and the paths of the slots to highlight."""

    code: str
    answers: tuple[Answer, ...] = ()
    paths: frozenset[str] = frozenset()

    def marks(self, row: SlotRow) -> bool:
        """Return whether a slot is one that was looked for, or has one inside."""
        return any(path == row.path or path.startswith(f"{row.path}/") for path in self.paths)


def find_in(compared: Comparison, code: str) -> Found:
    """Say what belongs in a slot, or where a unit is and where it belongs. At most three queries."""
    label = _label(code)
    value = label.code if label else code
    rows = [row for row in compared.rows if row.path.lower() == value.lower()]
    if rows:
        return Found(code, tuple(Answer(_of_slot(row), row.child) for row in rows), _paths(rows))
    number = label.part_number if label else None
    units = find_units(value=value, site=compared.unit.site, part_number=number)
    if not units:
        sentence = f"{value} is no slot of {compared.unit.serial} and no unit of this site."
        return Found(code, (Answer(sentence),))
    places = _places(units)
    found = [_of_unit(compared, unit, places.get(unit.pk, "")) for unit in units]
    paths = frozenset(path for _, paths in found for path in paths)
    return Found(code, tuple(answer for answer, _ in found), paths)


def _label(code: str) -> Label | None:
    try:
        return parse(code)
    except MalformedBarcode:
        return None


def _paths(rows: Iterable[SlotRow]) -> frozenset[str]:
    return frozenset(row.path for row in rows)


def _of_slot(row: SlotRow) -> str:
    takes_what = f"{row.path} takes {row.wanted}." if row.wanted else f"{row.path} is no slot of the design."
    why = f": {row.why}" if row.why else ""
    if row.child is None:
        return f"{takes_what} Nothing is recorded in it, it is {row.state}{why}."
    return f"{takes_what} {_name(row.child)} is in it, {row.state}{why}."


def _name(unit: Unit) -> str:
    return f"{unit.part_revision.part.name} {unit.serial}"


def _places(units: Iterable[Unit]) -> dict[int, str]:
    """Return in words where units are installed, by primary key; loose ones are left out."""
    paths = paths_of([unit.pk for unit in units])
    roots = Unit.objects.in_bulk({path.root_id for path in paths.values()})
    return {pk: f"{path.slots} of {roots[path.root_id].serial}" for pk, path in paths.items()}


def _of_unit(compared: Comparison, unit: Unit, place: str) -> tuple[Answer, frozenset[str]]:
    top = compared.unit
    if unit.pk == top.pk:
        return Answer(f"{_name(unit)} is the unit that you look at."), frozenset()
    row = next((row for row in compared.rows if row.child and row.child.pk == unit.pk), None)
    if row is not None:
        return Answer(f"{unit.serial} is in {row.path}. {_of_slot(row)}", unit), _paths([row])
    fitting = [row for row in compared.rows if _would_take(row, unit)]
    return Answer(f"{_where(unit, top, place)} {_belongs(fitting, unit, top)}", unit), _paths(fitting)


def _would_take(row: SlotRow, unit: Unit) -> bool:
    return row.child is None and row.place is not None and takes(row.place, unit.part_revision)


def _where(unit: Unit, top: Unit, place: str) -> str:
    where = f"it is in {place}" if place else f"it is in nothing, and {unit.get_state_display().lower()}"
    return f"{_name(unit)} is not in {top.serial}: {where}."


def _belongs(fitting: list[SlotRow], unit: Unit, top: Unit) -> str:
    if not fitting:
        return f"No empty slot of {top.serial} takes {unit.part_revision}."
    more = f" and {len(fitting) - NAMED} more" if len(fitting) > NAMED else ""
    return f"It belongs into {', '.join(row.path for row in fitting[:NAMED])}{more}."
