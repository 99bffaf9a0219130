"""The door of the ledger: append events, answer a repeated write once, verify the chains."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.models import Event, IdempotencyKey, Stream


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts and from where: a person's user name, a station's code, a device's name and its own clock."""

    person: str = ""
    station: str = ""
    device: str = ""
    device_at: datetime | None = None


SYSTEM = Actor(person="system")


class StaleRow(Exception):  # noqa: N818 - names the state of the row
    """The row changed between reading and writing it; the whole act must be decided anew."""


def canonical_json(value: Any) -> str:
    """Return the one text form of a value that is digested: sorted keys, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), cls=DjangoJSONEncoder)


SECRET_FIELDS = frozenset({"pin", "password"})


def without_secrets(value: Any) -> Any:
    """Return JSON-ready data without PINs and passwords, at any depth.

    Neither they nor a digest of them may be kept: of a PIN with four digits, a digest tells all.
    """
    if isinstance(value, Mapping):
        return {
            name: without_secrets(item)
            for name, item in value.items()
            if str(name).casefold() not in SECRET_FIELDS
        }
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    return value


def event_digest(event: Event, previous: str) -> str:
    """Return the SHA-256 (hex) over the length-prefixed fields of an event and the digest before it."""
    fields = (
        previous,
        event.stream,
        str(event.seq),
        event.kind,
        event.actor,
        event.station,
        event.device,
        _time_text(event.at),
        _time_text(event.device_at),
        event.payload_text,
    )
    digest = hashlib.sha256()
    for field in fields:
        data = field.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def advance(
    row: Stream, kind: str, *, by: Actor, payload: dict[str, Any] | None = None, **changes: Any
) -> Event:
    """Change ``row`` if nobody else did since it was read, and return its next event, not yet saved.

    ``changes`` are field values written together with the new version. The caller saves all events of an act
    at once with ``record``. Raises StaleRow when the row's version has moved on.
    """
    event = Event(
        stream=row.stream,
        seq=row.version + 1,
        kind=kind,
        actor=by.person,
        station=by.station,
        device=by.device,
        at=timezone.now(),
        device_at=by.device_at,
        payload_text=canonical_json(payload or {}),
    )
    event.digest = event_digest(event, row.head)
    rows = row.__class__._default_manager.filter(pk=row.pk, version=row.version)
    if not rows.update(version=event.seq, head=event.digest, **changes):
        raise StaleRow(row.stream)
    row.version, row.head = event.seq, event.digest
    for name, value in changes.items():
        setattr(row, name, value)
    return event


RowT = TypeVar("RowT", bound=Stream)


def locked(row: RowT) -> RowT:
    """Return the row read anew and locked until the transaction ends (SQLite locks the whole database)."""
    return row.__class__._default_manager.select_for_update(of=("self",)).get(pk=row.pk)


def record(*events: Event) -> None:
    """Save the events of one act with one statement."""
    Event.objects.bulk_create(events)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a write answered: HTTP status and JSON-ready body; ``replayed`` when it is a stored answer."""

    status: int
    body: Any
    replayed: bool = False


def answer_once(
    *,
    scope: str,
    key: str,
    request: Any,
    act: Callable[[], Answer],
    refuse: Callable[[RuleViolation], Answer],
) -> Answer:
    """Run ``act`` under an idempotency key, so that its effect, its events and its answer commit together.

    A repeated key with the same ``request`` (any JSON value) gets the stored answer; with another request it
    raises RuleViolation ``idempotency_key_reused``; while the first is still running, ``request_in_progress``
    (409). A RuleViolation of ``act`` undoes what it did and is turned into a stored answer by ``refuse``,
    which records the refused attempt. Retries an act whose rows changed meanwhile. PINs and passwords are no
    part of what makes two requests the same.
    """
    fingerprint = hashlib.sha256(canonical_json(without_secrets(request)).encode()).hexdigest()

    def attempt(work: Callable[[], Answer]) -> Answer:
        with transaction.atomic():
            stored = _stored_answer(scope, key, fingerprint)
            if stored:
                return stored
            answer = work()
            IdempotencyKey.objects.create(
                scope=scope,
                key=key,
                fingerprint=fingerprint,
                status=answer.status,
                body=json.dumps(answer.body, cls=DjangoJSONEncoder, allow_nan=False),
            )
            return answer

    def decide() -> Answer:
        try:
            return attempt(act)
        except RuleViolation as violation:
            if violation.code in {"idempotency_key_reused", "request_in_progress"}:
                raise
            refusal = violation
        return attempt(lambda: refuse(refusal))

    return decide_again_when_stale(decide)


ResultT = TypeVar("ResultT")
STALE_TRIES = 5
RIVALRY = {"40001", "40P01"}  # serialization failure, deadlock


def decide_again_when_stale(act: Callable[[], ResultT]) -> ResultT:
    """Run an act, again when a rival changed a row, took a unique value, or locked rows the other way round.

    The next run sees what the rival did and answers or refuses by it. Refuses with ``changed_meanwhile`` when
    rivals do not end; raises IntegrityError when the act breaks a constraint by itself.
    """
    for tries_left in reversed(range(STALE_TRIES)):
        try:
            return act()
        except StaleRow:
            continue
        except IntegrityError:
            if not tries_left:
                raise
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") not in RIVALRY:
                raise
    raise RuleViolation(
        "changed_meanwhile",
        "Somebody else is working on the same unit.",
        rule="one writer per row",
        next_step="Scan again.",
        status=409,
    )


def _stored_answer(scope: str, key: str, fingerprint: str) -> Answer | None:
    if connection.vendor == "postgresql" and not _claim(f"{scope} {key}"):
        raise RuleViolation(
            "request_in_progress",
            "The same request is still being worked on.",
            rule="one answer per idempotency key",
            next_step="Wait a second and send it again.",
            status=409,
        )
    stored = IdempotencyKey.objects.filter(scope=scope, key=key).first()
    if stored is None:
        return None
    if stored.fingerprint != fingerprint:
        raise RuleViolation(
            "idempotency_key_reused",
            "This idempotency key was used before with another request.",
            rule="one answer per idempotency key",
            next_step="Send the request with a new key.",
        )
    return Answer(stored.status, json.loads(stored.body), replayed=True)


def _claim(name: str) -> bool:
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _time_text(value: datetime | None) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds") if value else ""


def events_of(row: Stream) -> QuerySet[Event]:
    """Return the history of one row, oldest first."""
    return Event.objects.filter(stream=row.stream).order_by("seq")
