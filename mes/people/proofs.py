"""Proof of who somebody is: by badge and PIN at a device, or by password in their own browser session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.hashers import check_password
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.request import Request

from mes.errors import RuleViolation
from mes.ledger.models import Stream
from mes.people.models import Signature, User
from mes.people.persons import find_by_badge
from mes.people.pins import forget_tries, guarded, note_lock, take_try

METHOD = Signature.Method
RULE = "a signature is proved by badge and PIN, or by password"


@dataclass(frozen=True, slots=True)
class Proof:
    """Who proved to be present, how and where; or why that failed."""

    person: User | None
    method: Signature.Method
    device: str = ""
    refusal: RuleViolation | None = None

    def require(self) -> User:
        """Return the person. Raises the refusal, so that the act it was for is refused and recorded."""
        if self.refusal is not None:
            raise self.refusal
        return cast(User, self.person)


def prove(*, badge: str, pin: str, device: str = "") -> Proof:
    """Prove a person by badge and PIN.

    Runs before the act, in transactions of its own, so that a wrong PIN counts although the act is undone.
    The proof may carry ``unknown_badge``, ``pin_not_set``, ``pin_locked`` or ``pin_wrong``.
    """
    person = find_by_badge(badge)
    if person is None:
        return Proof(None, METHOD.PIN, device, _unknown_badge(badge))
    if not person.pin_hash:
        return Proof(person, METHOD.PIN, device, _pin_not_set(person))
    return Proof(person, METHOD.PIN, device, _compare(person, METHOD.PIN, pin, device))


def prove_password(*, user: User, password: str) -> Proof:
    """Prove a person in their own browser session by their password, before the act as ``prove`` does.

    The proof may carry ``password_wrong`` or ``password_locked``.
    """
    return Proof(user, METHOD.PASSWORD, refusal=_compare(user, METHOD.PASSWORD, password))


def proof_of(request: Request, given: Mapping[str, Any]) -> Proof:
    """Return the proof that the ``signature`` of a REST request gives, as SignatureSerializer read it.

    Badge and PIN are somebody's anywhere; a password is that of the person whose browser session it is. The
    proof may also carry ``signature_missing``.
    """
    is_device = isinstance(request.auth, Stream)
    if given.get("badge") and given.get("pin"):
        device = str(request.auth) if is_device else ""
        return prove(badge=given["badge"], pin=given["pin"], device=device)
    if given.get("password") and not is_device:
        return prove_password(user=cast(User, request.user), password=given["password"])
    return Proof(None, METHOD.PIN, refusal=_signature_missing(is_device))


def proof_on_page(request: HttpRequest) -> Proof:
    """Return the proof that a page's SignatureForm gives: the password of who uses the page."""
    return prove_password(user=cast(User, request.user), password=request.POST.get("password", ""))


def _compare(person: User, method: Signature.Method, secret: str, device: str = "") -> RuleViolation | None:
    is_pin = method == METHOD.PIN
    name, kept = (guarded(person), person.pin_hash) if is_pin else (person.stream, person.password)
    granted = take_try(name, device)
    if granted.locked_until is not None:
        return _locked(person, method, granted.locked_until)
    if check_password(secret, kept):
        forget_tries(name, device)
        return None
    if granted.is_last:
        note_lock(person, device)
    return _wrong(person, method)


def _locked(person: User, method: Signature.Method, until: Any) -> RuleViolation:
    at = timezone.localtime(until).strftime("%H:%M")
    return RuleViolation(
        f"{method}_locked",
        f"Too many wrong tries for {person}: locked here until {at}.",
        rule="five wrong tries in a row lock for 15 minutes",
        release="A supervisor sets a new PIN." if method == METHOD.PIN else "Nobody; it ends by itself.",
        next_step=f"Wait until {at}, or ask a supervisor.",
        locked_until=until,
    )


def _wrong(person: User, method: Signature.Method) -> RuleViolation:
    word = "PIN" if method == METHOD.PIN else "password"
    return RuleViolation(
        f"{method}_wrong",
        f"That is not the {word} of {person}.",
        rule=RULE,
        next_step=f"Type your {word} again. Five wrong ones in a row lock for 15 minutes.",
    )


def _unknown_badge(badge: str) -> RuleViolation:
    return RuleViolation(
        "unknown_badge",
        f"No person wears the badge {badge}.",
        rule=RULE,
        release="A supervisor registers badges.",
        next_step="Scan your own badge, or ask a supervisor to register it.",
    )


def _pin_not_set(person: User) -> RuleViolation:
    return RuleViolation(
        "pin_not_set",
        f"{person} has no PIN yet.",
        rule=RULE,
        release="A supervisor sets a PIN in the admin.",
        next_step="Ask a supervisor for a PIN.",
    )


def _signature_missing(is_device: bool) -> RuleViolation:
    asked = "Scan your badge and type your PIN." if is_device else "Type your password."
    return RuleViolation("signature_missing", "This must be signed.", rule=RULE, next_step=asked)
