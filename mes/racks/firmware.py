"""Which firmware a unit runs, as it was found."""

from django.db import transaction
from django.utils import timezone

from mes.ledger.services import Actor, advance, record
from mes.racks.models import InstalledFirmware
from mes.serials.models import Unit
from mes.serials.services import lock_units


@transaction.atomic
def record_firmware(
    *, unit: Unit, component: str, version: str, by: Actor
) -> tuple[InstalledFirmware, str | None]:
    """Record the version that a component of a unit was found to run; return it and the version before.

    None before: nothing was on record. The same version as before changes nothing and is no event. What is
    found is recorded whatever state the unit is in.
    """
    unit = lock_units(unit.pk)[unit.pk]
    found = InstalledFirmware.objects.filter(unit=unit, component=component, until__isnull=True).first()
    if found is not None and found.version == version:
        return found, version
    now = timezone.now()
    before = found.version if found is not None else None
    if found is not None:
        InstalledFirmware.objects.filter(pk=found.pk).update(until=now)
    row = InstalledFirmware.objects.create(
        unit=unit, component=component, version=version, since=now, recorded_by=by.person or by.device
    )
    payload = {"component": component, "version": version, "before": before}
    record(advance(unit, "unit.firmware_recorded", by=by, payload=payload))
    return row, before
