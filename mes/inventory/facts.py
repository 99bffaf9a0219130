"""Keeping what a unit said of itself, and its firmware where it changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from mes.burnin.services import Inventory, told, told_identity
from mes.inventory.maps import Maps, Reading
from mes.inventory.models import Collection, FoundComponent, FoundFirmware, FoundInventory
from mes.ledger.services import Actor, advance, record
from mes.racks.models import InstalledFirmware
from mes.serials.models import Unit
from mes.serials.services import lock_units
from mes.workorders.services import change_firmware

Source = FoundInventory.Source
MOST_COMPONENTS = 2000
MOST_FIRMWARE = 500
MOST_MACS = 500
LARGEST_POSITION = 32767
COMPONENT, VERSION = 40, 60  # characters that an installed firmware keeps


@dataclass(frozen=True, slots=True)
class Firmware:
    """A firmware version under a name, of a vendor where it is told."""

    name: str
    version: str
    vendor: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a unit said at one time, cleaned of what only looks like an answer ("N/A", a bare template)."""

    source: Source
    taken_at: datetime
    names: Mapping[str, str] = field(default_factory=dict)
    slot_number: int | None = None
    tray_index: int | None = None
    components: tuple[FoundComponent, ...] = ()
    firmware: tuple[Firmware, ...] = ()
    macs: Mapping[str, str] = field(default_factory=dict)


def facts_of(found: Inventory) -> Facts:
    """Return the facts of what a BMC was read to say; of endless lists the first entries count."""
    components = tuple(
        FoundComponent(
            kind=each.kind[:40],
            name=each.name[:120],
            path=each.path[:300],
            location=(each.location or "")[:200],
            serial=(each.serial or "")[:120],
            part_number=(each.part_number or "")[:120],
            uuid=(each.uuid or "")[:60],
            model=(each.model or "")[:120],
            present=each.present,
        )
        for each in found.components[:MOST_COMPONENTS]
    )
    firmware = [Firmware(name[:80], version[:120]) for name, version in found.firmware.items()]
    return Facts(
        source=Source.REDFISH,
        taken_at=found.taken_at,
        names={
            "serial": found.serial[:120],
            "part_number": (found.part_number or "")[:120],
            "uuid": (found.uuid or "")[:60],
            "asset_tag": (found.asset_tag or "")[:120],
        },
        slot_number=_position(found.slot_number),
        tray_index=_position(found.tray_index),
        components=components,
        firmware=tuple(_once(firmware[:MOST_FIRMWARE])),
        macs=dict(list(found.macs.items())[:MOST_MACS]),
    )


def cleaned(component: FoundComponent) -> FoundComponent:
    """Return a component with what is no answer taken out of its names."""
    for name in ("serial", "part_number", "uuid", "mac"):
        setattr(component, name, told_identity(getattr(component, name)) or "")
    for name in ("model", "location"):
        setattr(component, name, told(getattr(component, name)) or "")
    return component


@transaction.atomic
def keep_inventory(
    *, unit: Unit, facts: Facts, by: Actor, maps: Maps, collection: Collection | None = None
) -> FoundInventory:
    """Keep what a unit said, and record each firmware version that is not the one on record.

    A firmware change repeats what the retest rules of the topmost unit name.
    """
    unit = lock_units(unit.pk)[unit.pk]
    found = FoundInventory.objects.create(
        unit=unit,
        source=facts.source,
        collection=collection,
        taken_at=facts.taken_at,
        recorded_by=by.person or by.device or "system",
        slot_number=facts.slot_number,
        tray_index=facts.tray_index,
        macs=dict(facts.macs),
        **facts.names,
    )
    for position, component in enumerate(facts.components):
        component.inventory, component.position = found, position
    FoundComponent.objects.bulk_create(facts.components)
    FoundFirmware.objects.bulk_create(
        FoundFirmware(inventory=found, name=row.name, version=row.version, vendor=row.vendor)
        for row in facts.firmware
    )
    payload = {
        "inventory": str(found.uid),
        "source": found.source,
        "serial": found.serial,
        "components": len(facts.components),
        "firmware": len(facts.firmware),
    }
    record(advance(unit, "unit.inventory_found", by=by, payload=payload))
    _record_firmware(unit, found, facts, by, maps.of(unit))
    return found


def _record_firmware(
    unit: Unit, found: FoundInventory, facts: Facts, by: Actor, reading: Reading | None
) -> None:
    """Record what runs now, unless a later inventory has said so already."""
    if FoundInventory.objects.filter(unit=unit, taken_at__gt=found.taken_at).exists():
        return
    live = InstalledFirmware.objects.filter(unit=unit, until__isnull=True)
    known = dict(live.values_list("component", "version"))
    for row in facts.firmware:
        is_own_word = facts.source == Source.TESTER
        component = row.name if is_own_word else reading.firmware_component(row.name) if reading else ""
        component, version = component[:COMPONENT], row.version[:VERSION]
        if component and known.get(component) != version:
            change_firmware(unit=unit, component=component, version=version, by=by)


def _once(rows: Iterable[Firmware]) -> Iterable[Firmware]:
    """Return one row a name: names may have become equal by being cut."""
    return {row.name: row for row in rows}.values()


def _position(number: int | None) -> int | None:
    return number if number is not None and abs(number) <= LARGEST_POSITION else None
