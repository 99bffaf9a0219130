"""The people of the factory: who they are, what they are trained for, and what they signed."""

import uuid
from typing import ClassVar, Self

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper
from django.utils import timezone

from mes.ledger.models import Stream
from mes.ledger.services import Actor


class User(Stream, AbstractUser):
    """A person: signs on at devices by badge, and in the browser by user name and password."""

    badge = models.CharField(max_length=60, blank=True, help_text="The code on the badge, as scanned.")
    pin_hash = models.CharField(max_length=128, blank=True, editable=False)

    objects: ClassVar[UserManager[Self]] = UserManager()

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Upper("badge"),
                name="badge_once",
                condition=~models.Q(badge=""),
                violation_error_message="In use.",
            )
        ]

    def actor(self, operator: str = "") -> Actor:
        """Return this person acting without a device."""
        return Actor(person=self.username)


class PinGuard(models.Model):
    """Wrong PINs in a row for one badge at one device; it locks that pair only."""

    badge = models.CharField(max_length=60)
    device = models.CharField(max_length=60, blank=True)
    failures = models.PositiveSmallIntegerField(default=0)
    locked_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["badge", "device"], name="pin_guard_once")]

    def __str__(self) -> str:
        return f"{self.badge} at {self.device or 'no device'}"


class Qualification(models.Model):
    """Something a person is trained and examined in, e.g. brazing or liquid cooling."""

    code = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    valid_days = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: it does not expire.")

    def __str__(self) -> str:
        return self.code


class TrainingRecord(models.Model):
    """That a person was trained in a qualification; it expires or is revoked, it is never deleted."""

    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="training")
    qualification = models.ForeignKey(Qualification, on_delete=models.PROTECT, related_name="records")
    trained_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    trainer = models.CharField(max_length=150)
    evidence = models.CharField(max_length=200, blank=True, help_text="Certificate, examination, course.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=150, blank=True)
    revoked_because = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["person", "qualification"], name="live_training", condition=Q(revoked_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"{self.qualification} of {self.person}"


class Signature(models.Model):
    """An electronic signature: who signed what, meaning what, after proving who they are.

    After 21 CFR 11.50 (name, time, meaning) and 11.70 (bound to what is signed, here by its digest).
    """

    class Method(models.TextChoices):
        PIN = "pin", "badge and PIN"
        PASSWORD = "password", "user name and password"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    signer = models.CharField(max_length=150)
    meaning = models.CharField(max_length=60)
    reason = models.CharField(max_length=300)
    subject = models.CharField(max_length=80, help_text="The stream of what is signed, e.g. unit:6f1c...")
    subject_digest = models.CharField(max_length=64, help_text="SHA-256 of what is signed.")
    method = models.CharField(max_length=8, choices=Method.choices)
    device = models.CharField(max_length=60, blank=True)
    signed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["subject"], name="signatures_of_subject")]

    def __str__(self) -> str:
        return f"{self.meaning} by {self.signer}"


class SignedWork(models.Model):
    """Whose work a signature judges; the database refuses that people judge their own."""

    signature = models.ForeignKey(Signature, on_delete=models.PROTECT, related_name="works")
    signer = models.CharField(max_length=150)
    performer = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["signature", "performer"], name="signed_work_once"),
            models.CheckConstraint(condition=~Q(signer=F("performer")), name="signer_is_not_performer"),
        ]

    def __str__(self) -> str:
        return f"{self.signer} for {self.performer}"
