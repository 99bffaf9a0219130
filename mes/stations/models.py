"""Where work happens: sites, lines, stations, and the devices that act there."""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from mes.errors import RuleViolation
from mes.ledger.models import Stream
from mes.ledger.services import Actor
from mes.people.models import User
from mes.people.services import find_by_badge


class Site(models.Model):
    """A factory; a token sees only its own site."""

    code = models.CharField(max_length=30, unique=True)
    name = models.CharField(max_length=120)

    def __str__(self) -> str:
        return self.code


class Line(models.Model):
    """A line of one site."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="lines")
    code = models.CharField(max_length=30, unique=True)
    name = models.CharField(max_length=120)

    def __str__(self) -> str:
        return self.code


class Station(models.Model):
    """A place where operations of one or more work centers are done."""

    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="stations")
    code = models.CharField(max_length=30, unique=True, help_text="Scanned from the station's label.")
    name = models.CharField(max_length=120)
    work_center = models.CharField(max_length=30, help_text="Routes name work centers, not single stations.")

    def __str__(self) -> str:
        return self.code


class Device(Stream):
    """A scanner, terminal or tester with a token, bound to one station."""

    class Kind(models.TextChoices):
        SCANNER = "scanner"
        TERMINAL = "terminal"
        TESTER = "tester"

    name = models.CharField(max_length=60, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    station = models.ForeignKey(Station, on_delete=models.PROTECT, related_name="devices")
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    signed_on_at = models.DateTimeField(null=True, blank=True, editable=False)

    SEEN_EVERY = timedelta(seconds=10)

    def __str__(self) -> str:
        return self.name

    @property
    def is_authenticated(self) -> bool:
        """Return True: a device with a valid token may call the API, whoever is signed on."""
        return True

    @property
    def is_usable(self) -> bool:
        """Return whether the token is neither revoked nor expired."""
        now = timezone.now()
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    @property
    def caller(self) -> "User | Device":
        """Return who calls: the person signed on, while that person is active, else the device itself."""
        return self.operator if self.operator and self.operator.is_active else self

    def new_token(self) -> str:
        """Give the unsaved or saved device a new token and return it; only its hash is kept."""
        self.prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        self.secret_hash = hash_secret(secret)
        return f"{self.prefix}.{secret}"

    def actor(self, operator: str = "") -> Actor:
        """Return this device acting for the badge named, else for the person signed on."""
        person = self.operator.username if self.operator and self.operator.is_active else ""
        if operator:
            named = find_by_badge(operator)
            if named is None:
                raise RuleViolation(
                    "unknown_badge",
                    f"No person wears the badge {operator}.",
                    rule="every act has a person",
                    release="A supervisor registers badges.",
                    next_step="Scan your own badge, or ask a supervisor to register it.",
                )
            person = named.username
        return Actor(person=person, station=self.station.code, device=self.name)


def hash_secret(secret: str) -> str:
    """Return the SHA-256 (hex) of a token's secret; secrets are 256 random bits, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()
