"""How the words of a BMC are read: its resources as parts, its firmware names as baseline components."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from mes.inventory.models import ComponentName, FoundComponent, ReportMap
from mes.serials.models import Unit

ROOT = "/redfish/v1/"


@dataclass(frozen=True, slots=True)
class Reading:
    """The released map for a kind of unit of a maker."""

    components: tuple[ComponentName, ...]
    firmware: tuple[tuple[str, str], ...]

    @property
    def kinds(self) -> set[str]:
        """Return the kinds of part that such a unit can tell."""
        return {row.part_kind for row in self.components}

    def name_of(self, component: FoundComponent) -> ComponentName | None:
        """Return what a found resource is, None for one that no row names."""
        path = component.path.removeprefix(ROOT)
        return next((row for row in self.components if fits(row.pattern, path) is not None), None)

    def firmware_component(self, name: str) -> str:
        """Return the component that a firmware name stands for ("GPU 0"), "" when no row names it."""
        for pattern, component in self.firmware:
            numbers = fits(pattern, name)
            if numbers is not None:
                return " ".join([component, *numbers])
        return ""


class Maps:
    """The newest released map of every kind and maker. Three queries."""

    def __init__(self) -> None:
        maps = ReportMap.objects.filter(released_at__isnull=False).order_by("released_at", "pk")
        rows = maps.prefetch_related("components", "firmware")
        self._by_kind = {
            (row.unit_kind, row.maker.casefold()): Reading(
                tuple(row.components.all()),
                tuple((each.pattern, each.component) for each in row.firmware.all()),
            )
            for row in rows
        }

    def of(self, unit: Unit) -> Reading | None:
        """Return the map for a unit: that of its maker, else the one for any; None without one."""
        part = unit.part_revision.part
        own = self._by_kind.get((part.kind, part.maker.casefold()))
        return own or self._by_kind.get((part.kind, ""))

    def read(self, units: Iterable[Unit]) -> list[Unit]:
        """Return those of the units that a map can read."""
        return [unit for unit in units if self.of(unit) is not None]


def fits(pattern: str, text: str) -> tuple[str, ...] | None:
    """Return what the wildcards of a pattern stand for in a text, None where it does not fit.

    ``*`` is any number of characters and ``?`` one, neither of them a slash.
    """
    found = _compiled(pattern).fullmatch(text)
    return found.groups() if found else None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    wild = {"*": "([^/]*)", "?": "([^/])"}
    return re.compile("".join(wild.get(letter, re.escape(letter)) for letter in pattern))
