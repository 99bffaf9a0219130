"""Electronic signatures: made once, never changed."""

import hashlib
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from mes.errors import RuleViolation
from mes.ledger.models import Stream
from mes.ledger.services import Actor, advance, canonical_json, locked, record
from mes.people.models import Signature, SignedWork, User
from mes.people.proofs import Proof


def digest_of(value: Any) -> str:
    """Return the SHA-256 (hex) of what is signed, given as JSON-ready data."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@transaction.atomic
def sign(
    *, proof: Proof, meaning: str, reason: str, subject: Stream, digest: str, performers: Iterable[str] = ()
) -> Signature:
    """Sign a subject: who, meaning what, why, bound to the digest of what was signed.

    ``performers`` are the user names of those whose work is judged. Refuses with ``reason_missing``,
    ``own_work`` when the signer is one of them, and whatever the proof carries.
    """
    signer, performed = proof.require(), sorted({name for name in performers if name})
    _require_reason(reason)
    _require_other(signer, performed)
    signature = Signature.objects.create(
        signer=signer.username,
        meaning=meaning,
        reason=reason,
        subject=subject.stream,
        subject_digest=digest,
        method=proof.method,
        device=proof.device,
    )
    SignedWork.objects.bulk_create(
        SignedWork(signature=signature, signer=signer.username, performer=name) for name in performed
    )
    payload = {
        "signature": str(signature.uid),
        "meaning": meaning,
        "reason": reason,
        "subject": signature.subject,
        "digest": digest,
        "method": signature.method,
        "performers": performed,
    }
    by = Actor(person=signer.username, device=proof.device)
    record(advance(locked(signer), "signature.made", by=by, payload=payload))
    return signature


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise RuleViolation(
            "reason_missing",
            "A signature says why.",
            rule="a signature has a reason",
            next_step="Give the reason.",
        )


def _require_other(signer: User, performed: list[str]) -> None:
    if signer.username in performed:
        raise RuleViolation(
            "own_work",
            f"{signer} did this work, or found it, and cannot judge it.",
            rule="who signs is not who did the work",
            release="Somebody else with the same role signs.",
            next_step="Ask somebody else to sign.",
            performers=performed,
        )
