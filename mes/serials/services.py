"""The door of serials: receive, create, find, lock, lock out, scrap and return units; receive lots."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from rest_framework.generics import get_object_or_404

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.products.models import Part, PartRevision
from mes.serials.models import Identifier, Lot, SerialCounter, Supplier, Unit
from mes.stations.models import Site
from mes.stations.services import site_of

SERIAL_DIGITS = 4


@transaction.atomic
def receive_lot(*, site: Site, part: Part, supplier: Supplier, number: str, by: Actor, **origin: Any) -> Lot:
    """Take a lot in. ``origin`` are further fields of Lot: date_code, expires_at, country_of_origin, ...

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
    default to those of the lot. Refuses with ``part_not_released``, ``wrong_lot``, ``lot_held`` or
    ``serial_exists``.
    """
    _require_released(part_revision)
    if lot is not None and lot.part_id != part_revision.part_id:
        raise RuleViolation(
            "wrong_lot",
            f"Lot {lot.number} holds {lot.part.number}, not {part_revision.part.number}.",
            rule="a unit is of its lot's part",
            next_step="Scan the label of the right lot.",
        )
    if lot is not None:
        _require_not_held(_lock_lot(lot))
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


def count_up(counter: str, *, by: int = 1) -> int:
    """Move a counter on, locked until the transaction ends, and return where it stands; never one twice."""
    SerialCounter.objects.get_or_create(prefix=counter)
    SerialCounter.objects.filter(prefix=counter).update(last=F("last") + by)
    return SerialCounter.objects.get(prefix=counter).last


def next_serials(*, prefix: str, count: int) -> list[str]:
    """Return the next ``count`` serials under a prefix, e.g. RACK0001, that no unit has; never one twice."""
    serials: list[str] = []
    with transaction.atomic():
        while missing := count - len(serials):
            last = count_up(prefix, by=missing)
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
        .select_related("part_revision__part", "lot")
        .filter(pk__in=pks)
        .order_by("level", "pk")
    )
    return {unit.pk: unit for unit in rows}


def visible_units(site: Site | None) -> QuerySet[Unit]:
    """Return the units of one site, or of all for callers who see every site."""
    units = Unit.objects.select_related("part_revision__part")
    return units.filter(site=site) if site else units


def visible_unit(auth: object, uid: Any) -> Unit:
    """Return the unit that a caller asks for; raises Http404 where there is none, or at another site."""
    return get_object_or_404(visible_units(site_of(auth)).select_related("site"), uid=uid)


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
    """Refuse with ``unit_held``, or as ``require_here``, when a unit may not move."""
    require_not_held(unit)
    require_here(unit)


def require_not_held(unit: Unit) -> None:
    """Refuse with ``unit_held``."""
    if unit.held:
        raise RuleViolation(
            "unit_held",
            f"{unit.serial} is on hold.",
            rule="held units do not move",
            release="A supervisor releases the hold with a reason.",
            next_step="Put it on the hold shelf and call a supervisor.",
            unit=str(unit.uid),
        )


def require_lot_usable(lot: Lot) -> None:
    """Refuse with ``lot_held`` or ``lot_expired`` when nothing of a lot may be used."""
    _require_not_held(lot)
    if lot.expires_at is not None and lot.expires_at <= timezone.now():
        raise RuleViolation(
            "lot_expired",
            f"Lot {lot.number} expired on {timezone.localtime(lot.expires_at):%Y-%m-%d}.",
            rule="a lot is used within its shelf life",
            next_step="Take another lot and put this one aside.",
            lot=str(lot.uid),
            expires_at=lot.expires_at,
        )


def _require_not_held(lot: Lot) -> None:
    if lot.held:
        raise RuleViolation(
            "lot_held",
            f"Lot {lot.number} is on hold.",
            rule="nothing of a held lot is received or used",
            release="A supervisor releases the hold with a reason.",
            next_step="Put it on the hold shelf and call a supervisor.",
            lot=str(lot.uid),
        )


def _lock_lot(lot: Lot) -> Lot:
    """Return the lot read anew; no hold is placed on it until the transaction ends, so none misses a unit."""
    return Lot.objects.select_for_update(of=("self",), no_key=True).get(pk=lot.pk)


def require_here(unit: Unit) -> None:
    """Refuse what may not be touched: as ``require_present``, and with ``unit_locked_out``."""
    require_present(unit)
    if unit.locked_out:
        raise RuleViolation(
            "unit_locked_out",
            f"{unit.serial} is locked out: {unit.locked_out}.",
            rule="nobody touches a unit that is locked out",
            next_step="Keep away from it until the lockout has ended.",
            unit=str(unit.uid),
        )


def require_present(unit: Unit) -> None:
    """Refuse with ``unit_`` and its state when a unit is scrapped, cancelled, shipped or returned."""
    if unit.state in Unit.GONE:
        raise RuleViolation(
            f"unit_{unit.state}",
            f"{unit.serial} is {unit.state}.",
            rule=f"{unit.state} units do not move",
            next_step="Take another unit.",
            unit=str(unit.uid),
        )


@transaction.atomic
def lock_out(*, unit: Unit, reason: str, by: Actor) -> Unit:
    """Forbid every act on a unit, from now until ``end_lock_out``. Refuses as ``require_here`` does.

    ``reason`` completes "is locked out:". Acts that change the unit meet it by the version they compare with.
    """
    unit = lock_units(unit.pk)[unit.pk]
    require_here(unit)
    record(advance(unit, "unit.locked_out", by=by, payload={"reason": reason}, locked_out=reason[:200]))
    return unit


@transaction.atomic
def end_lock_out(*, unit: Unit, reason: str, by: Actor) -> Unit:
    """Let a locked out unit be worked on again."""
    unit = lock_units(unit.pk)[unit.pk]
    record(advance(unit, "unit.lockout_ended", by=by, payload={"reason": reason}, locked_out=""))
    return unit


@transaction.atomic
def set_up_at(*, unit: Unit, place: str, by: Actor) -> Unit:
    """Say at which customer's place a cluster is built up; an empty ``place`` means the factory.

    It then takes the racks that were shipped to that place, and no others. Refuses with ``not_a_cluster``,
    ``cluster_not_empty`` and as ``require_here``.
    """
    unit = lock_units(unit.pk)[unit.pk]
    require_here(unit)
    if unit.level < Unit.CLUSTER_LEVEL:
        raise RuleViolation(
            "not_a_cluster",
            f"{unit.serial} is a {unit.part_revision.part.name}, not a cluster.",
            rule="only clusters are built up at a customer's place",
            next_step="Ship it there.",
        )
    if unit.live_children:
        raise RuleViolation(
            "cluster_not_empty",
            f"{unit.live_children} racks stand in {unit.serial} already.",
            rule="the racks of a cluster stand at one place",
            next_step="Take them out first, or leave the cluster where it is.",
        )
    record(advance(unit, "unit.set_up_at", by=by, payload={"place": place}, stands_at=place.strip()))
    return unit


@transaction.atomic
def scrap_unit(*, unit: Unit, reason: str, by: Actor) -> Unit:
    """Take a unit out of use for good. Refuses with ``unit_in_use``, and as ``require_here`` does."""
    unit = _lock_bare(unit, "only bare units are scrapped")
    record(advance(unit, "unit.scrapped", by=by, payload={"reason": reason}, state=Unit.State.SCRAPPED))
    return unit


@transaction.atomic
def return_unit(*, unit: Unit, reason: str, by: Actor) -> Unit:
    """Send a received unit back to its supplier for good.

    Refuses with ``not_from_supplier``, ``unit_in_use``, and as ``require_here`` does.
    """
    unit = _lock_bare(unit, "only bare units are returned")
    if unit.supplier is None:
        raise RuleViolation(
            "not_from_supplier",
            f"{unit.serial} was not received from a supplier on record.",
            rule="only what a supplier delivered is returned to it",
            next_step="Decide on another disposition.",
        )
    payload = {"reason": reason, "supplier": unit.supplier.code}
    record(advance(unit, "unit.returned", by=by, payload=payload, state=Unit.State.RETURNED))
    return unit


def _lock_bare(unit: Unit, rule: str) -> Unit:
    unit = lock_units(unit.pk)[unit.pk]
    require_here(unit)
    if unit.live_children or unit.placements.filter(removed_at__isnull=True).exists():
        raise RuleViolation(
            "unit_in_use",
            f"{unit.serial} is installed or has units installed in it.",
            rule=rule,
            next_step="Remove it, and what is in it, first.",
        )
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
