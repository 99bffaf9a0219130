"""Training: recorded, expiring, revoked; and whether it is enough for a piece of work."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.services import Actor, advance, locked, record
from mes.people.models import Qualification, TrainingRecord, User


@transaction.atomic
def record_training(
    *,
    person: User,
    qualification: Qualification,
    trainer: str,
    by: Actor,
    trained_at: datetime | None = None,
    evidence: str = "",
) -> TrainingRecord:
    """Record that a person was trained; it expires as the qualification says.

    Refuses with ``training_in_future`` and ``self_trained``.
    """
    trained_at = trained_at or timezone.now()
    _require_plausible(person, trainer, trained_at)
    valid = qualification.valid_days
    training = TrainingRecord.objects.create(
        person=person,
        qualification=qualification,
        trained_at=trained_at,
        expires_at=trained_at + timedelta(days=valid) if valid is not None else None,
        trainer=trainer,
        evidence=evidence,
    )
    payload = {
        "qualification": qualification.code,
        "trained_at": trained_at,
        "expires_at": training.expires_at,
        "trainer": trainer,
        "evidence": evidence,
    }
    record(advance(locked(person), "training.recorded", by=by, payload=payload))
    return training


def _require_plausible(person: User, trainer: str, trained_at: datetime) -> None:
    if trained_at > timezone.now():
        raise RuleViolation(
            "training_in_future",
            "The training has not happened yet.",
            rule="training is recorded after it happened",
            next_step="Correct the date, or record it after the training.",
        )
    if trainer == person.username:
        raise RuleViolation(
            "self_trained",
            f"{person} cannot be the trainer too.",
            rule="nobody trains themselves",
            next_step="Name who trained and examined.",
        )


@transaction.atomic
def revoke_training(*, training: TrainingRecord, reason: str, by: Actor) -> TrainingRecord:
    """Take a training back, with a reason. Refuses with ``training_revoked``."""
    revoked = {"revoked_at": timezone.now(), "revoked_by": by.person, "revoked_because": reason}
    if not TrainingRecord.objects.filter(pk=training.pk, revoked_at__isnull=True).update(**revoked):
        raise RuleViolation(
            "training_revoked",
            "This training was revoked before.",
            rule="a training is revoked once",
            next_step="Nothing more to do.",
        )
    training.refresh_from_db()
    payload = {"qualification": training.qualification.code, "training": training.pk, "reason": reason}
    record(advance(locked(training.person), "training.revoked", by=by, payload=payload))
    return training


def require_qualified(*, person: str, qualifications: Iterable[Qualification]) -> None:
    """Refuse with ``not_qualified`` unless a person holds all of these, none expired. One query."""
    wanted = {qualification.pk: qualification.code for qualification in qualifications}
    if not wanted:
        return
    records = TrainingRecord.objects.filter(
        person__username=person, qualification__in=wanted, revoked_at__isnull=True
    )
    trained = list(records.values_list("qualification_id", "expires_at"))
    now = timezone.now()
    held = {pk for pk, expires_at in trained if expires_at is None or expires_at > now}
    if held >= set(wanted):
        return
    once = {pk for pk, _ in trained} - held
    missing = sorted(wanted[pk] for pk in wanted.keys() - held - once)
    raise _not_qualified(person, missing, sorted(wanted[pk] for pk in once))


def _not_qualified(person: str, missing: list[str], expired: list[str]) -> RuleViolation:
    faults = [f"{code} is missing" for code in missing] + [f"{code} has expired" for code in expired]
    return RuleViolation(
        "not_qualified",
        f"{person} may not do this: {', '.join(faults)}.",
        rule="work needs its qualifications",
        release="A supervisor records the training once it was done.",
        next_step="Ask somebody who is qualified, or ask for the training.",
        person=person,
        missing=missing,
        expired=expired,
    )
