"""The door of serials: receive, create, find, lock and scrap units; receive lots."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.products.models import Part, PartRevision
from mes.serials.models import Identifier, Lot, SerialCounter, Supplier, Unit
from mes.stations.models import Site

SERIAL_DIGITS = 4


@transaction.atomic
def receive_lot(*, site: Site, part: Part, supplier: Supplier, number: str, by: Actor, **origin: Any) -> Lot:
    """Take a lot in. ``origin`` are further fields of Lot: date_code, country_of_origin, die_maker, ...

    Refuses with ``lot_exists`` when the supplier's lot of this part is already known.
    """
    lot, created = Lot.objects.get_or_create(
        site=site, part=part, supplier=supplier, number=number, defaults=origin
    )
    if not created:
        raise RuleViolation(
            "lot_exists",
            f"Lot {number} of {part.number} from {supplier.code} was received before.",
            rule="a lot is received once",
            next_step="Check the label; further units may be received into the known lot.",
            lot=str(lot.uid),
        )
    payload = {"part": part.number, "supplier": supplier.code, "number": number}
    record(advance(lot, "lot.received", by=by, payload=payload))
    return lot


@transaction.atomic
def receive_unit(
    *,
    site: Site,
    part_revision: PartRevision,
    serial: str,
    by: Actor,
    lot: Lot | None = None,
    supplier: Supplier | None = None,
    identifiers: Mapping[str, str] | None = None,
    **origin: Any,
) -> Unit:
    """Take a unit with its maker's serial into stock.

    ``identifiers`` are further names by kind, e.g. ``{"mac": "..."}``; ``origin`` are fields of Origin and
    default to those of the lot. Refuses with ``part_not_released``, ``wrong_lot`` or ``serial_exists``.
    """
    _require_released(part_revision)
    if lot is not None and lot.part_id != part_revision.part_id:
        raise RuleViolation(
            "wrong_lot",
            f"Lot {lot.number} holds {lot.part.number}, not {part_revision.part.number}.",
            rule="a unit is of its lot's part",
            next_step="Scan the label of the right lot.",
        )
    unit = _new_unit(site=site, part_revision=part_revision, serial=serial, state=Unit.State.IN_STOCK)
    unit.lot, unit.supplier = lot, supplier or (lot.supplier if lot else None)
    for name in ("country_of_origin", "place_of_assembly", "die_maker", "source_tier"):
        setattr(unit, name, origin.get(name) or (getattr(lot, name) if lot else ""))
    unit.save()
    Identifier.objects.bulk_create(_identifiers(unit, identifiers or {}))
    payload = {
        "part": part_revision.part.number,
        "revision": part_revision.revision,
        "serial": serial,
        "lot": lot.number if lot else "",
        "supplier": unit.supplier.code if unit.supplier else "",
        "country_of_origin": unit.country_of_origin,
        "identifiers": dict(identifiers or {}),
    }
    record(advance(unit, "unit.received", by=by, payload=payload))
    return unit


@transaction.atomic
def create_units(
    *, site: Site, part_revision: PartRevision, serials: Iterable[str], by: Actor, order: str
) -> list[Unit]:
    """Create the units an order will build, planned and empty. Refuses with ``serial_exists``."""
    _require_released(part_revision)
    units = []
    for serial in serials:
        unit = _new_unit(site=site, part_revision=part_revision, serial=serial, state=Unit.State.PLANNED)
        unit.save()
        units.append(unit)
    Identifier.objects.bulk_create([row for unit in units for row in _identifiers(unit, {})])
    payload = {"part": part_revision.part.number, "revision": part_revision.revision, "order": order}
    record(
        *(advance(unit, "unit.created", by=by, payload={**payload, "serial": unit.serial}) for unit in units)
    )
    return units


def next_serials(*, prefix: str, count: int) -> list[str]:
    """Return the next ``count`` serials under a prefix, e.g. RACK0001, that no unit has; never one twice."""
    serials: list[str] = []
    with transaction.atomic():
        SerialCounter.objects.get_or_create(prefix=prefix)
        while missing := count - len(serials):
            SerialCounter.objects.filter(prefix=prefix).update(last=F("last") + missing)
            last = SerialCounter.objects.get(prefix=prefix).last
            numbers = range(last - missing + 1, last + 1)
            serials += _free_serials([f"{prefix}{number:0{SERIAL_DIGITS}d}" for number in numbers])
    return serials


def _free_serials(serials: list[str]) -> list[str]:
    taken = set(Unit.objects.filter(serial__in=serials).values_list("serial", flat=True))
    return [serial for serial in serials if serial not in taken]


def lock_units(*pks: int) -> dict[int, Unit]:
    """Return units by primary key, read anew and locked in the house's order (level, id)."""
    rows = (
        Unit.objects.select_for_update(of=("self",))
        .select_related("part_revision__part")
        .filter(pk__in=pks)
        .order_by("level", "pk")
    )
    return {unit.pk: unit for unit in rows}


def visible_units(site: Site | None) -> QuerySet[Unit]:
    """Return the units of one site, or of all for callers who see every site."""
    units = Unit.objects.select_related("part_revision__part")
    return units.filter(site=site) if site else units


def find_units(*, value: str, site: Site, part_number: str | None = None, limit: int = 20) -> list[Unit]:
    """Return the units at a site that go by a scanned value; more than one when it is ambiguous.

    ``part_number`` (ours or the maker's, as labels carry either) narrows the search.
    """
    rows = Identifier.objects.filter(
        value=value.upper(), kind__in=Identifier.SCANNED, unit__site=site
    ).select_related("unit__part_revision__part")[:limit]
    units = {row.unit_id: row.unit for row in rows}
    if part_number:
        return [unit for unit in units.values() if _is_part(unit, part_number)]
    return list(units.values())


def require_usable(unit: Unit) -> None:
    """Refuse with ``unit_held``, ``unit_scrapped`` or ``unit_shipped`` when a unit may not move."""
    if unit.held:
        raise RuleViolation(
            "unit_held",
            f"{unit.serial} is on hold.",
            rule="held units do not move",
            release="A supervisor releases the hold with a reason.",
            next_step="Put it on the hold shelf and call a supervisor.",
            unit=str(unit.uid),
        )
    _require_here(unit)


def _require_here(unit: Unit) -> None:
    if unit.state in {Unit.State.SCRAPPED, Unit.State.SHIPPED}:
        raise RuleViolation(
            f"unit_{unit.state}",
            f"{unit.serial} is {unit.state}.",
            rule=f"{unit.state} units do not move",
            next_step="Take another unit.",
            unit=str(unit.uid),
        )


@transaction.atomic
def scrap_unit(*, unit: Unit, reason: str, by: Actor) -> Unit:
    """Take a unit out of use for good. Refuses with ``unit_in_use``, ``unit_scrapped``, ``unit_shipped``."""
    unit = lock_units(unit.pk)[unit.pk]
    _require_here(unit)
    if unit.live_children or unit.placements.filter(removed_at__isnull=True).exists():
        raise RuleViolation(
            "unit_in_use",
            f"{unit.serial} is installed or has units installed in it.",
            rule="only bare units are scrapped",
            next_step="Remove it, and what is in it, first.",
        )
    record(advance(unit, "unit.scrapped", by=by, payload={"reason": reason}, state=Unit.State.SCRAPPED))
    return unit


def _require_released(part_revision: PartRevision) -> None:
    if not part_revision.is_released:
        raise RuleViolation(
            "part_not_released",
            f"{part_revision} is a draft.",
            rule="only released revisions are received and built",
            release="Engineering releases the revision.",
            next_step="Ask engineering to release it.",
        )


def _new_unit(*, site: Site, part_revision: PartRevision, serial: str, state: Unit.State) -> Unit:
    if Unit.objects.filter(part_revision=part_revision, serial__iexact=serial).exists():
        raise RuleViolation(
            "serial_exists",
            f"{part_revision} with serial {serial} exists already.",
            rule="a serial is used once per part revision",
            next_step="Scan the serial label again; if it is right, put the unit on hold and call quality.",
        )
    return Unit(
        site=site, part_revision=part_revision, serial=serial, level=part_revision.part.level, state=state
    )


def _identifiers(unit: Unit, more: Mapping[str, str]) -> list[Identifier]:
    names = {(Identifier.Kind.SERIAL.value, unit.serial.upper())}
    names |= {(kind, value.upper()) for kind, value in more.items()}
    return [Identifier(unit=unit, kind=kind, value=value) for kind, value in sorted(names)]


def _is_part(unit: Unit, part_number: str) -> bool:
    part = unit.part_revision.part
    return part_number.upper() in {part.number.upper(), part.maker_number.upper()}
