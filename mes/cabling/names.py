"""What machines call devices and ports, and which device and port of the plan that is."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from mes.cabling.plans import End, Plan
from mes.racks.services import AsBuilt, as_built, paths_of, units_inside
from mes.serials.models import Identifier, Unit


@dataclass(slots=True)
class Names:
    """How a unit's devices are named: by the plan, by slot, and by the serials and MACs of what is installed.

    ``kinds`` and ``since`` tell by device, in lower case, what kind of unit is there and since when.
    """

    plan: Plan
    devices: dict[str, str]
    slots: set[str]
    kinds: dict[str, str] = field(default_factory=dict)
    since: dict[str, datetime] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def device(self, text: str) -> str:
        """Return the plan's name of a device; a domain name behind it is left away; else the text itself."""
        for name in (text.strip(), text.strip().partition(".")[0]):
            found = self.devices.get(name.casefold()) or self.aliases.get(name.upper())
            if found:
                return found
        return text.strip()

    def end(self, device: str, port: str) -> End:
        """Return a reported port as the plan names it."""
        known = self.device(device)
        kind = self.kinds.get(known.casefold(), "")
        return End(known, self.plan.port_names.get((kind, port.strip().casefold()), port.strip()))

    def is_inside(self, device: str) -> bool:
        """Return whether a device sits in a slot of the unit."""
        return device.partition("/")[0].casefold() in self.slots


def read_names(unit: Unit, plan: Plan, told: Collection[str]) -> Names:
    """Return the names of a unit's devices; ``told`` are those reports use. Three queries at most."""
    spelled = plan.devices
    depth = max((name.count("/") + 1 for name in spelled), default=1)
    names = Names(plan, {name.casefold(): name for name in spelled}, set())
    for path, node in _walk(as_built(unit=unit, depth=depth)):
        names.slots.add(path.partition("/")[0].casefold())
        names.devices.setdefault(path.casefold(), path)
        names.kinds[path.casefold()] = node.unit.part_revision.part.kind
        if node.installed_at:
            above = names.since.get(path.rpartition("/")[0].casefold())
            names.since[path.casefold()] = max(node.installed_at, above or node.installed_at)
    _add_aliases(names, unit, told)
    return names


def _walk(node: AsBuilt, path: str = "") -> Iterator[tuple[str, AsBuilt]]:
    for child in node.children:
        here = f"{path}/{child.slot}".removeprefix("/")
        yield here, child
        yield from _walk(child, here)


def _add_aliases(names: Names, unit: Unit, told: Collection[str]) -> None:
    """Let units inside be known by what they are scanned by; only names nobody knows yet are looked up."""
    unknown = {name.strip().upper() for name in told if names.device(name) == name.strip()}
    unknown |= {name.partition(".")[0] for name in unknown}
    unknown -= {name.upper() for name in names.devices} | {""}
    if not unknown:
        return
    rows = Identifier.objects.filter(
        value__in=unknown, kind__in=Identifier.SCANNED, unit__in=units_inside(unit)
    ).values_list("value", "unit")
    found = list(rows)
    paths = paths_of({pk for _, pk in found} | {unit.pk})
    own = f"{paths[unit.pk].slots}/" if unit.pk in paths else ""
    for value, pk in found:
        if pk in paths:
            names.aliases[value] = _device_of(names, paths[pk].slots.removeprefix(own))


def _device_of(names: Names, path: str) -> str:
    """Return the device of the plan that a place is in: the longest part of the way there that is one."""
    planned = {end.casefold() for end in names.plan.devices}
    steps = path.split("/")
    ways = ("/".join(steps[:count]) for count in range(len(steps), 0, -1))
    return next((names.devices[way.casefold()] for way in ways if way.casefold() in planned), path)
