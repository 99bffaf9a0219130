"""Burn-in: profiles, runs, attempts, what was sampled, and how to reach each BMC."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

import mes.burnin.meter_models  # noqa: F401 - more tables of this app
from mes.ledger.models import Stream
from mes.products.models import Part, Released, Slot
from mes.serials.models import Unit
from mes.stations.models import Site


class BurnInProfile(Released):
    """How a rack is burned in and what it must keep to, in one version."""

    class SuspectPolicy(models.TextChoices):
        HOLD = "hold", "wait for a person"
        FAIL = "fail", "fail after the patience is over"

    name = models.CharField(max_length=60)
    version = models.CharField(max_length=20)
    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="burn_in_profiles")
    procedure = models.CharField(max_length=60, help_text="The test that the route asks for.")
    stressor = models.CharField(max_length=60)
    unit_kinds = models.JSONField(help_text="Kinds of child units that are soaked, e.g. compute_tray.")
    required_hours = models.FloatField()
    poll_seconds = models.FloatField(default=10)
    max_gap_seconds = models.FloatField(default=60, help_text="Good samples further apart earn nothing.")
    poll_timeout_seconds = models.FloatField(default=5)
    missed_polls = models.PositiveSmallIntegerField(
        default=3, help_text="In a row, before a tray is suspect."
    )
    suspect_policy = models.CharField(max_length=4, choices=SuspectPolicy.choices, default=SuspectPolicy.FAIL)
    suspect_seconds = models.FloatField(default=600, help_text="Patience with a suspect tray.")
    start_seconds = models.FloatField(
        default=300, help_text="For every tray to report that stress runs or ended."
    )
    time_scale = models.FloatField(
        default=1, help_text="Seconds credited per second; over 1 only to demonstrate."
    )
    power_kw = models.FloatField(
        null=True,
        blank=True,
        help_text="What a rack draws, reserved in a bay; empty: the run needs no bay.",
    )
    coolant_lpm = models.FloatField(
        null=True, blank=True, help_text="Coolant that a rack takes, in L/min, reserved in its bay."
    )
    heat_balance_percent = models.FloatField(
        null=True,
        blank=True,
        help_text="Heat in the water and electrical power that differ by more are flagged; empty: never.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="burn_in_profile_once"),
            models.CheckConstraint(
                condition=Q(required_hours__gt=0, poll_seconds__gt=0, time_scale__gt=0),
                name="profile_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def required_seconds(self) -> float:
        """Return the soak time that must be credited, in seconds."""
        return self.required_hours * 3600


class SeriesLimit(models.Model):
    """What the series of a group must keep to: fewer than ``violations`` of the last ``window`` outside."""

    class Action(models.TextChoices):
        FAIL_TRAY = "fail_tray"
        STOP_RACK = "stop_rack"

    profile = models.ForeignKey(BurnInProfile, on_delete=models.CASCADE, related_name="limits")
    group = models.CharField(max_length=60)
    unit_kind = models.CharField(max_length=40)
    pattern = models.CharField(max_length=120, help_text="Series names; * and ? as in file names.")
    unit = models.CharField(max_length=20)
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    violations = models.PositiveSmallIntegerField(default=3, help_text="n of m: this many ...")
    window = models.PositiveSmallIntegerField(default=5, help_text="... of the last so many samples.")
    action = models.CharField(max_length=9, choices=Action.choices, default=Action.FAIL_TRAY)
    assumption = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["profile", "group", "unit_kind"], name="series_limit_once"),
            models.CheckConstraint(
                condition=Q(low__isnull=False) | Q(high__isnull=False), name="series_limit_has_a_bound"
            ),
            models.CheckConstraint(
                condition=Q(violations__gt=0, violations__lte=models.F("window"), window__lte=32),
                name="series_limit_n_of_m",
            ),
        ]

    def __str__(self) -> str:
        return self.group


class BurnInBay(models.Model):
    """A place where racks are burned in, with the power and the coolant that it can give them."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="burn_in_bays")
    code = models.CharField(max_length=30, unique=True, help_text="As on its label.")
    positions = models.PositiveSmallIntegerField(default=1, help_text="Racks that stand in it at once.")
    power_kw = models.FloatField(help_text="What its feed can give, in kW.")
    coolant_lpm = models.FloatField(default=0, help_text="What its supply can give, in L/min; 0: no coolant.")
    is_open = models.BooleanField(default=True, help_text="Closed for maintenance, it takes no further rack.")

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(
                condition=Q(power_kw__gt=0, coolant_lpm__gte=0, positions__gt=0), name="bay_gives_something"
            )
        ]

    def __str__(self) -> str:
        return self.code


class BmcEndpoint(models.Model):
    """Where the BMC of a unit answers, and how to log in; the password is kept encrypted."""

    unit = models.OneToOneField(Unit, on_delete=models.CASCADE, related_name="bmc")
    url = models.URLField()
    username = models.CharField(max_length=60, blank=True)
    password_encrypted = models.TextField(blank=True, editable=False)

    def __str__(self) -> str:
        return self.url


class BurnInRun(Stream):
    """One burn-in of one rack, advanced by short ticks under a lease."""

    class State(models.TextChoices):
        QUEUED = "queued"
        PREPARING = "preparing"
        STARTING = "starting"
        SOAKING = "soaking"
        PAUSED = "paused"
        STOPPING = "stopping"
        JUDGING = "judging"
        PASSED = "passed"
        FAILED = "failed"
        ABORTED = "aborted"

    ENDED = (State.PASSED, State.FAILED, State.ABORTED)

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="burn_in_runs")
    profile = models.ForeignKey(BurnInProfile, on_delete=models.PROTECT, related_name="runs")
    state = models.CharField(max_length=9, choices=State.choices, default=State.QUEUED)
    state_since = models.DateTimeField(default=timezone.now)
    waits_for = models.CharField(max_length=200, blank=True)
    bay = models.ForeignKey(
        BurnInBay,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="runs",
        help_text="Where it stands; while queued, the only bay it is to wait for.",
    )
    epoch = models.PositiveIntegerField(default=0, editable=False, help_text="Fences out late ticks.")
    lease_until = models.DateTimeField(null=True, editable=False)
    next_due_at = models.DateTimeField(default=timezone.now)
    started_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now)
    soak_started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    credited_seconds = models.FloatField(default=0, help_text="Of the tray that has soaked least.")
    abort_reason = models.CharField(max_length=300, blank=True)
    reasons = models.JSONField(default=list, help_text="What decided the verdict, in sentences.")
    energy = models.JSONField(default=dict, help_text="What was metered, as it stood at the verdict.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unit"],
                name="one_running_burn_in_per_rack",
                condition=~Q(state__in=["passed", "failed", "aborted"]),
            )
        ]
        indexes = [
            models.Index(
                fields=["next_due_at"],
                name="burn_in_due",
                condition=~Q(state__in=["passed", "failed", "aborted", "paused"]),
            )
        ]

    def __str__(self) -> str:
        return f"burn-in of {self.unit}"

    @property
    def credited_hours(self) -> float:
        """Return what the tray that has soaked least is credited with."""
        return self.credited_seconds / 3600

    @property
    def remaining_hours(self) -> float:
        """Return how long the soak still takes if nothing interrupts it."""
        return max(0.0, self.profile.required_hours - self.credited_hours) / self.profile.time_scale


class BurnInAttempt(models.Model):
    """The soak of one tray in one slot; a swap supersedes it and opens the next number."""

    class State(models.TextChoices):
        PENDING = "pending"
        STARTING = "starting"
        RUNNING = "running"
        SUSPECT = "suspect"
        PASSED = "passed"
        FAILED = "failed"
        ABORTED = "aborted"
        SUPERSEDED = "superseded"

    run = models.ForeignKey(BurnInRun, on_delete=models.PROTECT, related_name="attempts")
    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="+")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="burn_in_attempts")
    number = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    credited_seconds = models.FloatField(default=0)
    last_good_at = models.DateTimeField(null=True)
    last_poll_at = models.DateTimeField(null=True)
    missed = models.PositiveSmallIntegerField(default=0)
    suspect_since = models.DateTimeField(null=True)
    boot_id = models.CharField(max_length=60, blank=True)
    reasons = models.JSONField(default=list)
    statistics = models.JSONField(default=dict, help_text="By series: count, min, max, sum, last, over, ...")

    class Meta:
        ordering = ["slot__order", "number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "slot", "number"], name="burn_in_attempt_once"),
            models.UniqueConstraint(
                fields=["run", "slot"], name="one_live_attempt_per_slot", condition=~Q(state="superseded")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slot} attempt {self.number}"


class SeriesLayout(models.Model):
    """The names of the series in a poll, in the order of its values; shared by all polls alike."""

    digest = models.CharField(max_length=64, unique=True)
    names = models.JSONField()

    def __str__(self) -> str:
        return f"{len(self.names)} series"


class Poll(models.Model):
    """Every value of one tray at one time: zlib-compressed little-endian float32, NaN where missing."""

    attempt = models.ForeignKey(BurnInAttempt, on_delete=models.CASCADE, related_name="polls")
    taken_at = models.DateTimeField()
    layout = models.ForeignKey(SeriesLayout, on_delete=models.PROTECT, related_name="+")
    values = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["attempt", "taken_at"], name="one_poll_per_time")]

    def __str__(self) -> str:
        return f"{self.attempt} {self.taken_at}"


class Gap(models.Model):
    """An interval of a soak without good samples; it earns nothing."""

    attempt = models.ForeignKey(BurnInAttempt, on_delete=models.CASCADE, related_name="gaps")
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    reason = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["attempt", "from_at"], name="gap_once")]

    def __str__(self) -> str:
        return f"{self.from_at} to {self.to_at}: {self.reason}"
