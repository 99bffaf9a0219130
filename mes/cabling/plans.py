"""Reading cable plans: which end belongs to which cable; what keeps a plan from being released."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from mes.cabling.models import CableKind, CablePlan, Check, PlannedCable, PortName, UnitCabling
from mes.errors import RuleViolation
from mes.serials.models import Unit

KEPT = 64
NEAR_SHOWN = 12


@dataclass(frozen=True, slots=True)
class End:
    """A port of a device."""

    device: str
    port: str

    def __str__(self) -> str:
        return f"{self.device}/{self.port}"

    @property
    def key(self) -> str:
        """Return what tells the end from all others: letters in either case are the same."""
        return str(self).casefold()


def end_a(cable: PlannedCable) -> End:
    """Return the A end of a planned cable."""
    return End(cable.a_device, cable.a_port)


def end_b(cable: PlannedCable) -> End:
    """Return the B end of a planned cable."""
    return End(cable.b_device, cable.b_port)


def other_end(cable: PlannedCable, end: End) -> End:
    """Return the end of a planned cable that is not this one."""
    return end_b(cable) if end.key == end_a(cable).key else end_a(cable)


def in_words(cable: PlannedCable) -> str:
    """Return a planned cable in words: its label and both ends."""
    return f"{cable.label} ({end_a(cable)} to {end_b(cable)})"


@dataclass(frozen=True, slots=True)
class Plan:
    """A cable plan as it is read: its cables in order, by label and by end; kinds; names of ports."""

    row: CablePlan
    cables: tuple[PlannedCable, ...]
    by_label: dict[str, PlannedCable]
    by_end: dict[str, PlannedCable]
    kinds: dict[int, CableKind]
    port_names: dict[tuple[str, str], str]

    @property
    def devices(self) -> set[str]:
        """Return the names of all devices that cables go to."""
        return {device for cable in self.cables for device in (cable.a_device, cable.b_device)}

    def end_named(self, text: str) -> tuple[End, PlannedCable] | None:
        """Return the end that is written ``DEVICE/PORT``, with the cable that goes there."""
        cable = self.by_end.get(text.strip().casefold())
        if cable is None:
            return None
        ends = (end_a(cable), end_b(cable))
        return next(end for end in ends if end.key == text.strip().casefold()), cable

    def ports_of(self, device: str) -> list[str]:
        """Return the planned ports of a device, in the order of the plan."""
        ends = (end for cable in self.cables for end in (end_a(cable), end_b(cable)))
        return [end.port for end in ends if end.device.casefold() == device.casefold()]


def plan_of(unit: Unit) -> Plan:
    """Return the plan a unit is cabled by: the one of its first cable, else the newest released one.

    Refuses with ``no_cable_plan``. One query or two; a released plan is read once per process.
    """
    found = find_plan(unit)
    if found is None:
        raise RuleViolation(
            "no_cable_plan",
            f"{unit.part_revision.part.number} has no released cable plan.",
            rule="units are cabled by a released plan",
            release="Engineering releases a cable plan for the part.",
            next_step="Ask engineering for the cable plan.",
        )
    return found


def find_plan(unit: Unit) -> Plan | None:
    """Return the plan a unit is, or would be, cabled by; None where its part has none."""
    chosen = UnitCabling.objects.select_related("plan").filter(unit=unit).first()
    row = chosen.plan if chosen else _newest(unit.part_revision.part_id)
    return read_plan(row) if row else None


def _newest(part_id: int) -> CablePlan | None:
    released = CablePlan.objects.filter(part=part_id, released_at__isnull=False)
    return released.order_by("-released_at", "-pk").first()


def read_plan(row: CablePlan) -> Plan:
    """Return a plan with its rows; a released one is read once per process."""
    return _frozen(row.pk, row.released_at) if row.released_at else _read(row.pk)


# The time of release is part of the key: a primary key alone may come back in a database that was restored.
@lru_cache(maxsize=KEPT)
def _frozen(pk: int, released_at: datetime) -> Plan:
    return _read(pk)


def _read(pk: int) -> Plan:
    row = CablePlan.objects.select_related("part").get(pk=pk)
    cables = tuple(PlannedCable.objects.select_related("part").filter(plan=pk))
    by_end = {end.key: cable for cable in cables for end in (end_a(cable), end_b(cable))}
    kinds = {kind.part_id: kind for kind in CableKind.objects.filter(plan=pk)}
    names = PortName.objects.filter(plan=pk).values_list("unit_kind", "reported", "port")
    return Plan(
        row,
        cables,
        {cable.label.casefold(): cable for cable in cables},
        by_end,
        kinds,
        {(kind, reported.casefold()): port for kind, reported, port in names},
    )


@dataclass(frozen=True, slots=True)
class Drawn:
    """A planned cable as a pack or a draft has it, for the rules of a plan."""

    label: str
    part: str
    length_mm: int
    ends: tuple[End, End]
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """The kind of a cable's part as a pack or a draft has it."""

    part: str
    length_mm: int | None
    photo_checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a plan: at which cable (its label) or kind (its part), and what."""

    name: str
    detail: str


def plan_faults(cables: Iterable[Drawn], kinds: Iterable[Made]) -> Iterator[Fault]:
    """Yield what keeps a plan from being released."""
    cables, lengths = list(cables), {}
    for kind in kinds:
        lengths[kind.part] = kind.length_mm
        yield from _check_words(kind.part, kind.photo_checks)
    times = Counter(end.key for cable in cables for end in cable.ends)
    for cable in cables:
        yield from _cable_faults(cable, lengths)
        for end in cable.ends:
            if times[end.key] > 1:
                yield Fault(cable.label, f"{end} is an end of more than one cable")
    if not cables:
        yield Fault("", "it has no cables")


def _cable_faults(cable: Drawn, lengths: dict[str, int | None]) -> Iterator[Fault]:
    yield from _check_words(cable.label, cable.checks)
    made = lengths.get(cable.part)
    if cable.part not in lengths:
        yield Fault(cable.label, f"{cable.part} is none of the plan's kinds of cable")
    elif made is not None and made != cable.length_mm:
        yield Fault(cable.label, f"{cable.part} is {made} mm long, not {cable.length_mm} mm")


def _check_words(name: str, checks: Iterable[str]) -> Iterator[Fault]:
    for unknown in sorted(set(checks) - set(Check.values)):
        yield Fault(name, f"there is no check '{unknown}'; there are {', '.join(Check.values)}")


def check_plan(row: CablePlan) -> None:
    """Refuse with ``cable_plan_faulty`` a plan that cannot be cabled by."""
    cables = PlannedCable.objects.select_related("part").filter(plan=row)
    drawn = [
        Drawn(each.label, each.part.number, each.length_mm, (end_a(each), end_b(each)), tuple(each.checks))
        for each in cables
    ]
    kinds = CableKind.objects.select_related("part").filter(plan=row)
    made = [Made(each.part.number, each.length_mm, tuple(each.photo_checks)) for each in kinds]
    faults = [f"{fault.name}: {fault.detail}".removeprefix(": ") for fault in plan_faults(drawn, made)]
    if faults:
        raise RuleViolation(
            "cable_plan_faulty",
            f"{row} cannot be released: {'; '.join(faults[:NEAR_SHOWN])}.",
            rule="each port takes one cable, of a kind that the plan knows",
            next_step="Correct the plan.",
            faults=faults,
        )
