"""Setting up what is metered: where meters answer, and which meters a run has."""

from collections.abc import Iterable

from django.db import transaction

from mes.burnin.meter_models import MeterEndpoint, RunMeter
from mes.burnin.models import BurnInBay, BurnInRun
from mes.burnin.secrets import encrypt_password
from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, record
from mes.racks.models import Installation
from mes.racks.services import live_children
from mes.serials.models import Unit
from mes.serials.services import lock_units

POWER_SHELF = "power_shelf"


@transaction.atomic
def set_shelf_meter(*, unit: Unit, url: str, username: str, password: str, by: Actor) -> MeterEndpoint:
    """Set where the meter of a power shelf answers and how to log in; the password is stored encrypted.

    Refuses with ``not_a_power_shelf`` any other unit.
    """
    unit = lock_units(unit.pk)[unit.pk]
    if unit.part_revision.part.kind != POWER_SHELF:
        raise RuleViolation(
            "not_a_power_shelf",
            f"{unit.serial} is a {unit.part_revision.part.kind}, not a power shelf.",
            rule="the power of a rack is metered at its power shelves",
            next_step="Scan the power shelf whose meter this is.",
        )
    login = {"url": url, "username": username, "password_encrypted": encrypt_password(password)}
    endpoint, _ = MeterEndpoint.objects.update_or_create(unit=unit, defaults=login)
    record(advance(unit, "unit.meter_set", by=by, payload={"url": url, "username": username}))
    return endpoint


def set_bay_meter(
    *, bay: BurnInBay, url: str, username: str, password: str, coolant: str, connector: str = ""
) -> MeterEndpoint:
    """Set where the CDU of a bay answers, which of its connectors feeds the rack, and what flows in it.

    Refuses with ``bay_takes_several`` a bay for more than one rack: its loop says nothing of any one of them.
    """
    if bay.positions > 1:
        raise RuleViolation(
            "bay_takes_several",
            f"Bay {bay} takes {bay.positions} racks; its coolant cannot be told apart by rack.",
            rule="a coolant meter measures one rack",
            next_step="Make a bay for each place, each with its own meter.",
        )
    facts = {
        **{"url": url, "username": username, "password_encrypted": encrypt_password(password)},
        **{"coolant": coolant, "connector": connector},
    }
    return MeterEndpoint.objects.update_or_create(bay=bay, defaults=facts)[0]


def open_meters(run: BurnInRun) -> None:
    """Give a new run its meters: one of the trays, and one of each power shelf in the rack. Two queries.

    That of the coolant comes with the bay.
    """
    children = list(live_children(unit=run.unit))
    meters = [RunMeter(run=run, role=RunMeter.Role.TRAYS, name="trays", liquid_share=liquid_share(children))]
    for placed in children:
        if _is_shelf(placed):
            shelf = RunMeter(run=run, role=RunMeter.Role.SHELF, name=placed.slot.name, unit=placed.child)
            meters.append(shelf)
    RunMeter.objects.bulk_create(meters)


def liquid_share(children: Iterable[Installation]) -> float | None:
    """Return which share of a rack's electrical heat goes into the coolant by its design, 0 to 1.

    Power shelves are left out, for their losses come before what they give out. None where nothing is known.
    """
    loads = [each.child.part_revision for each in children if not _is_shelf(each)]
    liquid = sum(float(revision.heat_liquid_w or 0) for revision in loads)
    air = sum(float(revision.heat_air_w or 0) for revision in loads)
    return liquid / (liquid + air) if liquid else None


def _is_shelf(placed: Installation) -> bool:
    return bool(placed.child.part_revision.part.kind == POWER_SHELF)
