"""Collecting inventories from BMCs: asked for, read outside any transaction, kept unit by unit."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from math import ceil

from django.db import IntegrityError, transaction
from django.utils import timezone

from mes.burnin.models import BmcEndpoint
from mes.burnin.services import BmcAddress, Inventory, RedfishError, find_address, read_inventories
from mes.errors import RuleViolation
from mes.inventory.facts import facts_of, keep_inventory
from mes.inventory.maps import Maps
from mes.inventory.models import Collection
from mes.inventory.standing import reporting_units
from mes.ledger.services import Actor, advance, decide_again_when_stale, locked, record
from mes.serials.models import Unit
from mes.serials.services import lock_units

logger = logging.getLogger(__name__)

State = Collection.State
BATCH = 5
READ_SECONDS = 120.0  # a compute tray is about 150 requests, of which a BMC answers some tens a second
AT_ONCE = 16
SPARE = timedelta(minutes=2)
QUEUED = timedelta(minutes=5)


@transaction.atomic
def ask_collection(*, unit: Unit, by: Actor) -> Collection:
    """Ask for the inventory of a unit and of everything in it that can describe itself.

    A worker reads it within seconds, once ``tasks.collect`` is sent after commit. Refuses with
    ``nothing_to_collect`` or ``collection_running``. One whose worker died is ended here as failed.
    """
    unit = lock_units(unit.pk)[unit.pk]
    asked = len(reporting_units(unit))
    if not asked:
        raise RuleViolation(
            "nothing_to_collect",
            f"Nothing in {unit.serial} is known to have a BMC.",
            rule="an inventory is read from a BMC",
            next_step="Set the BMC address of each tray, or upload the inventory from a tester.",
        )
    _end_abandoned(unit, by)
    collection = _create(unit, by, asked)
    record(advance(collection, "collection.asked", by=by, payload={"unit": str(unit.uid)}))
    return collection


def collect(collection_id: int) -> bool:
    """Read every BMC of a collection and keep what they said; return whether this call did it.

    Safe to run twice and at once: one caller claims it. Must not run inside a transaction. A BMC that cannot
    be read leaves an error on the collection, which then is failed; the others are kept all the same.
    """
    collection = _claim(collection_id)
    if collection is None:
        return False
    by = Actor(person=collection.asked_by)
    units = [node.unit for node in reporting_units(collection.unit)]
    endpoints = BmcEndpoint.objects.in_bulk([unit.pk for unit in units], field_name="unit_id")
    addresses = {unit.pk: find_address(endpoints.get(unit.pk)) for unit in units}
    found = _read({pk: each for pk, each in addresses.items() if isinstance(each, BmcAddress)})
    maps, errors = Maps(), dict[str, str]()
    for unit in units:
        answer = found.get(unit.pk, addresses[unit.pk])
        if isinstance(answer, Inventory):
            reason = _keep(unit, answer, collection, maps, by)
        else:
            reason = str(answer)[:300]
        errors.update({unit.serial: reason} if reason else {})
    return _finish(collection, read=len(units) - len(errors), errors=errors, by=by)


def collect_due() -> int:
    """Do what was asked for and lost its message, oldest first; return how many."""
    due = Collection.objects.filter(state=State.QUEUED, lease_until__gt=timezone.now()).order_by("pk")
    return sum(collect(pk) for pk in due.values_list("pk", flat=True)[:BATCH])


def _keep(unit: Unit, answer: Inventory, collection: Collection, maps: Maps, by: Actor) -> str:
    """Keep what a unit said; return why that failed, "" when it did not."""
    try:
        decide_again_when_stale(
            lambda: keep_inventory(unit=unit, facts=facts_of(answer), by=by, maps=maps, collection=collection)
        )
    except Exception as error:
        logger.exception("What %s said could not be kept.", unit.serial)
        return f"could not be kept: {type(error).__name__}"
    return ""


def _read(addresses: Mapping[int, BmcAddress]) -> Mapping[int, Inventory | RedfishError]:
    return asyncio.run(read_inventories(addresses, timeout=READ_SECONDS, at_once=AT_ONCE))


def _create(unit: Unit, by: Actor, asked: int) -> Collection:
    try:
        with transaction.atomic():
            return Collection.objects.create(
                unit=unit,
                asked_by=by.person or by.device,
                units_asked=asked,
                lease_until=timezone.now() + QUEUED,
            )
    except IntegrityError:
        raise RuleViolation(
            "collection_running",
            f"The inventory of {unit.serial} is being collected already.",
            rule="one collection per unit at a time",
            next_step="Wait for its end.",
        ) from None


def _end_abandoned(unit: Unit, by: Actor) -> None:
    """End what no worker took up, or what the worker that took it up did not end in its time."""
    late = Collection.objects.filter(unit=unit, state__in=Collection.OPEN, lease_until__lt=timezone.now())
    for collection in late:
        errors = {unit.serial: "No worker ended this collection in its time."}
        changes = {"state": State.FAILED, "ended_at": timezone.now(), "errors": errors}
        record(advance(locked(collection), "collection.abandoned", by=by, payload=errors, **changes))


def _claim(collection_id: int) -> Collection | None:
    """Take up a collection that nobody has taken up."""
    now, queued = timezone.now(), Collection.objects.filter(pk=collection_id, state=State.QUEUED)
    collection = queued.select_related("unit__part_revision__part").first()
    if collection is None:
        return None
    rounds = ceil(max(collection.units_asked, 1) / AT_ONCE)
    lease = now + timedelta(seconds=READ_SECONDS) * rounds + SPARE
    if not queued.update(state=State.RUNNING, started_at=now, lease_until=lease):
        return None
    collection.state = State.RUNNING
    return collection


@transaction.atomic
def _finish(collection: Collection, *, read: int, errors: dict[str, str], by: Actor) -> bool:
    """End the collection, unless it was given up meanwhile."""
    row = locked(collection)
    if row.state != State.RUNNING:
        return False
    state = State.FAILED if errors else State.COMPLETE
    payload = {"unit": str(collection.unit.uid), "read": read, "errors": errors}
    changes = {"state": state, "ended_at": timezone.now(), "units_read": read, "errors": errors}
    record(advance(row, f"collection.{state}", by=by, payload=payload, **changes))
    return True
