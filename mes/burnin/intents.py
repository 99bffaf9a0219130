"""Start and stop of stress as outbox rows: written with the state, delivered at least once under one key."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from mes.burnin.bmc import find_address, remembered
from mes.burnin.bmc_loop import ask
from mes.burnin.models import BmcEndpoint, BurnInAttempt, BurnInRun
from mes.burnin.phases import Step
from mes.burnin.redfish import BmcAddress, RedfishClient, RedfishError, Timeouts
from mes.ledger.models import OutboxMessage

TOPIC = "burnin.intent"
SEND_SECONDS = 8.0
CLAIM_SECONDS = 12
BATCH = 200
MOST_AT_ONCE = 50
LONGEST_WAIT_SECONDS = 60
GIVE_UP_AFTER = timedelta(hours=24)

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """What a tray is told."""

    START = "start"
    STOP = "stop"


def enqueue(
    *,
    run: BurnInRun,
    attempts: Iterable[BurnInAttempt],
    kind: Kind,
    occasion: str = "",
    step: Step | None = None,
) -> None:
    """Write one intent per attempt into the outbox; call it in the transaction of the state it belongs to.

    ``occasion`` tells intents of the same kind apart that an attempt rightly gets more than once. Whatever
    was not yet delivered to the same units is abandoned: an old start must not arrive after a stop. A start
    needs the ``step`` that it begins.
    """
    told = list(attempts)
    units = [attempt.unit_id for attempt in told]
    waiting().filter(payload__unit__in=units).update(
        abandoned_at=Now(), last_error="overtaken by a later intent"
    )
    suffix = f":{occasion}" if occasion else ""
    messages = [
        OutboxMessage(
            key=f"{run.uid}:{attempt.slot.name}:{attempt.number}:{kind}{suffix}",
            topic=TOPIC,
            payload={"kind": kind, "unit": attempt.unit_id, **(_stress(attempt, step) if step else {})},
        )
        for attempt in told
    ]
    OutboxMessage.objects.bulk_create(messages, ignore_conflicts=True)


def _stress(attempt: BurnInAttempt, step: Step) -> dict[str, Any]:
    kind = attempt.unit.part_revision.part.kind
    return {"stressor": step.stressor_of(kind), "load_percent": step.load_percent}


def waiting() -> QuerySet[OutboxMessage]:
    """Return the intents that are still to be delivered, due or not."""
    return OutboxMessage.objects.filter(topic=TOPIC, delivered_at__isnull=True, abandoned_at__isnull=True)


def are_due() -> bool:
    """Return whether anything can be delivered now."""
    return waiting().filter(due_at__lte=Now()).exists()


def stops_of(run: BurnInRun) -> dict[int, bool]:
    """Return for each unit that this run told to stop whether its last stop was delivered."""
    messages = OutboxMessage.objects.filter(
        topic=TOPIC, key__startswith=f"{run.uid}:", payload__kind=Kind.STOP
    )
    rows = messages.order_by("id").values_list("payload__unit", "delivered_at")
    return {unit: delivered_at is not None for unit, delivered_at in rows}


def deliver_due() -> int:
    """Send what is due, side by side and outside any transaction; return how many arrived.

    What fails is due again after 1, 2, 4, ... 60 seconds, and abandoned after a day.
    """
    claimed = _claim() if are_due() else []
    if not claimed:
        return 0
    errors = ask(_send_all(claimed, _addresses(claimed)))
    _note(claimed, errors)
    return sum(1 for error in errors.values() if not error)


@transaction.atomic
def _claim() -> list[OutboxMessage]:
    due = waiting().filter(due_at__lte=Now()).order_by("id")
    messages = list(due.select_for_update(skip_locked=True)[:BATCH])
    due_again = Now() + timedelta(seconds=CLAIM_SECONDS)
    waiting().filter(pk__in=[message.pk for message in messages]).update(
        due_at=due_again, tries=F("tries") + 1
    )
    return messages


def _addresses(messages: list[OutboxMessage]) -> dict[int, BmcAddress | str]:
    units = {message.payload["unit"] for message in messages}
    return {
        endpoint.unit_id: find_address(endpoint) for endpoint in BmcEndpoint.objects.filter(unit__in=units)
    }


async def _send_all(messages: list[OutboxMessage], addresses: dict[int, BmcAddress | str]) -> dict[int, str]:
    """Return by message what went wrong, "" where it was delivered."""
    gate = asyncio.Semaphore(MOST_AT_ONCE)

    async def send(message: OutboxMessage) -> str:
        address = addresses.get(message.payload["unit"]) or find_address(None)
        if isinstance(address, str):
            return address
        async with gate:
            return await _send(message, address)

    results = await asyncio.gather(*(send(message) for message in messages))
    return {message.pk: result for message, result in zip(messages, results, strict=True)}


async def _send(message: OutboxMessage, address: BmcAddress) -> str:
    client = RedfishClient(
        address, memory=remembered(address), timeouts=Timeouts(read=SEND_SECONDS, slow=SEND_SECONDS)
    )
    try:
        async with asyncio.timeout(SEND_SECONDS), client:
            if message.payload["kind"] == Kind.START:
                payload = message.payload
                await client.start_stress(payload["stressor"], message.key, payload.get("load_percent"))
            else:
                await client.stop_stress(message.key)
    except RedfishError as error:
        return str(error)
    except TimeoutError:
        return f"timeout: no answer within {SEND_SECONDS:g} s"
    return ""


def _note(messages: list[OutboxMessage], errors: dict[int, str]) -> None:
    now = timezone.now()
    failed = [message for message in messages if errors[message.pk]]
    for message in failed:
        message.last_error = errors[message.pk][:300]
        message.due_at = now + timedelta(seconds=min(2**message.tries, LONGEST_WAIT_SECONDS))
        message.abandoned_at = _given_up_at(message, now)
        logger.warning("%s was not delivered: %s", message.key, message.last_error)
    arrived = [message.pk for message in messages if not errors[message.pk]]
    with transaction.atomic():
        waiting().filter(pk__in=arrived).update(delivered_at=now)
        for message in failed:
            waiting().filter(pk=message.pk).update(
                last_error=message.last_error, due_at=message.due_at, abandoned_at=message.abandoned_at
            )


def _given_up_at(message: OutboxMessage, now: datetime) -> datetime | None:
    return now if now - message.created_at > GIVE_UP_AFTER else None
