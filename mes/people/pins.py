"""PINs: set, and guessed at most a few times in a row per badge and device."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Case, F, Value, When
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.people.models import PinGuard, User

PIN_FORMAT = re.compile(r"[0-9]{4,12}")
TRIES_IN_A_ROW = 5
LOCKED_FOR = timedelta(minutes=15)


@transaction.atomic
def set_pin(*, person: User, pin: str, by: Actor) -> User:
    """Give a person a new PIN and unlock their badge everywhere. Refuses with ``pin_format``.

    The history says who set it and when; of the PIN only a salted hash is kept.
    """
    if not PIN_FORMAT.fullmatch(pin):
        raise RuleViolation(
            "pin_format",
            "A PIN is 4 to 12 digits.",
            rule="a PIN is 4 to 12 digits",
            next_step="Choose a PIN of 4 to 12 digits.",
        )
    pin_hash = make_password(pin)
    person = locked(person)
    record(advance(person, "person.pin_set", by=by, pin_hash=pin_hash))
    PinGuard.objects.filter(badge=guarded(person)).delete()
    return person


def guarded(person: User) -> str:
    """Return the name under which wrong PINs for a badge are counted, however it was typed."""
    return person.badge.upper()


@dataclass(frozen=True, slots=True)
class Try:
    """One guess, counted; or not granted, for the pair is locked until a time."""

    locked_until: datetime | None = None
    is_last: bool = False


@transaction.atomic(durable=True)
def take_try(name: str, device: str) -> Try:
    """Count one more guess before it is compared.

    The count is a conditional UPDATE that commits at once, so that guesses sent at the same moment share the
    same few tries. The last one locks the pair; a right PIN unlocks it.
    """
    now = timezone.now()
    PinGuard.objects.get_or_create(badge=name, device=device)
    guard = PinGuard.objects.filter(badge=name, device=device)
    guard.filter(locked_until__lte=now).update(failures=0, locked_until=None)
    last = When(failures__gte=TRIES_IN_A_ROW - 1, then=Value(now + LOCKED_FOR))
    is_counted = guard.filter(locked_until__isnull=True).update(
        failures=F("failures") + 1, locked_until=Case(last, default=None)
    )
    until = guard.values_list("locked_until", flat=True).first()
    return Try(is_last=until is not None) if is_counted else Try(locked_until=until or now)


def forget_tries(name: str, device: str) -> None:
    """Start counting anew, after a right PIN."""
    PinGuard.objects.filter(badge=name, device=device).update(failures=0, locked_until=None)


@transaction.atomic
def note_lock(person: User, device: str) -> None:
    """Record in a person's history that too many wrong guesses locked their badge at a device."""
    payload = {"device": device, "tries": TRIES_IN_A_ROW}
    record(advance(locked(person), "person.locked", by=Actor(device=device), payload=payload))
