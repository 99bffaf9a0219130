"""Where work happens: sites, lines, stations, shifts, and the devices, tools and people that act there."""

import hashlib
import secrets
from datetime import time, timedelta

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


class Shift(models.Model):
    """A shift of a site, in the site's local time; one that ends before it starts runs past midnight."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="shifts")
    name = models.CharField(max_length=40)
    starts = models.TimeField()
    ends = models.TimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "name"], name="shift_once")]

    def __str__(self) -> str:
        return self.name

    def covers(self, local: time) -> bool:
        """Return whether the shift runs at a local time of day; equal ends mean the whole day."""
        if self.starts < self.ends:
            return self.starts <= local < self.ends
        return local >= self.starts or local < self.ends


class RoleQuerySet(models.QuerySet["RoleAssignment"]):
    """Questions about roles."""

    def live(self) -> "RoleQuerySet":
        """Return the roles that active people hold now."""
        return self.filter(ended_at__isnull=True, person__is_active=True)

    def at(self, site: Site, line: Line | None = None) -> "RoleQuerySet":
        """Return the roles that count at a site, or at a line of it: its own and the site's."""
        return self.filter(models.Q(line=None) | models.Q(line=line), site=site)


class RoleAssignment(models.Model):
    """What a person may decide at a site, or at one line of it; ended, never deleted."""

    class Role(models.TextChoices):
        OPERATOR = "operator"
        LINE_LEAD = "line_lead"
        SUPERVISOR = "supervisor"
        QUALITY = "quality"
        REVIEW_BOARD = "review_board"
        ENGINEER = "engineer"
        TEST_ENGINEER = "test_engineer"

    PIN_ROLES = (Role.SUPERVISOR, Role.QUALITY, Role.REVIEW_BOARD)

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="roles")
    role = models.CharField(max_length=16, choices=Role.choices)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="+")
    line = models.ForeignKey(Line, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    granted_at = models.DateTimeField(default=timezone.now)
    granted_by = models.CharField(max_length=150)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)

    objects = RoleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "role", "site", "line"],
                name="live_role_at_line_once",
                condition=models.Q(ended_at__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["person", "role", "site"],
                name="live_role_at_site_once",
                condition=models.Q(ended_at__isnull=True, line__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person} {self.role} at {self.line or self.site}"


def needs_pin(person: User, site: Site) -> bool:
    """Return whether a person's badge alone is too little at a site: by role, once the person has a PIN."""
    roles = RoleAssignment.objects.live().filter(person=person, site=site, role__in=RoleAssignment.PIN_ROLES)
    return bool(person.pin_hash) and roles.exists()


def pin_required(person: User, next_step: str = "Type your PIN.") -> RuleViolation:
    """Return the refusal of a badge that came without its PIN."""
    return RuleViolation(
        "pin_required",
        f"The badge of {person} needs its PIN.",
        rule="who may release and judge signs on by badge and PIN",
        next_step=next_step,
    )


class Tool(Stream):
    """A tool that is scanned before it is used, e.g. a torque driver, with its calibration."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="tools")
    code = models.CharField(max_length=60, unique=True, help_text="The code on its label, as scanned.")
    type = models.CharField(max_length=40, help_text="torque_driver, leak_tester, ...; operations name it.")
    name = models.CharField(max_length=120)
    calibration_due_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it needs none.")
    retired_at = models.DateTimeField(null=True, blank=True)
    station = models.ForeignKey(
        Station,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="tools",
        help_text="Where it was scanned last.",
    )
    here_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["station", "type"], name="tools_at_station")]

    def __str__(self) -> str:
        return self.code


class Calibration(models.Model):
    """One calibration of a tool."""

    tool = models.ForeignKey(Tool, on_delete=models.PROTECT, related_name="calibrations")
    calibrated_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="When the next one is due.")
    certificate = models.CharField(max_length=120)
    found_within_limits = models.BooleanField(help_text="As found, before any adjustment.")
    recorded_by = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(due_at__gt=models.F("calibrated_at")), name="calibration_due_after_it"
            )
        ]

    def __str__(self) -> str:
        return f"{self.tool} {self.certificate}"


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
            if needs_pin(named, self.station.line.site):
                raise pin_required(named, "Sign on at this device by badge and PIN.")
            person = named.username
        return Actor(person=person, station=self.station.code, device=self.name)


def hash_secret(secret: str) -> str:
    """Return the SHA-256 (hex) of a token's secret; secrets are 256 random bits, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()
