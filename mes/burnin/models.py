"""Burn-in: profiles, runs, attempts, what was sampled, and how to reach each BMC."""

import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

import mes.burnin.meter_models  # noqa: F401 - more tables of this app
from mes.attachments.models import Attachment
from mes.ledger.models import Stream
from mes.products.models import Part, Released, Slot
from mes.serials.models import Unit
from mes.stations.models import Site
from mes.testing.models import TestRun, Tool


def validate_required_tools(value: Any) -> None:
    """Raise ValidationError unless a value names, by unit kind, tools that are read."""
    if not isinstance(value, dict) or not all(isinstance(tools, list) for tools in value.values()):
        raise ValidationError('It must be lists of tools by unit kind, e.g. {"compute_tray": ["dcgm"]}.')
    named = {str(tool).partition(":")[0] for tools in value.values() for tool in tools}
    if unknown := sorted(named - set(Tool.values)):
        raise ValidationError(f"{', '.join(unknown)} is not read; only {', '.join(Tool.values)} are.")


class BurnInProfile(Released):
    """How a rack is burned in and what it must keep to, in one version."""

    class SuspectPolicy(models.TextChoices):
        HOLD = "hold", "wait for a person"
        FAIL = "fail", "fail after the patience is over"

    class OnFailure(models.TextChoices):
        END = "end", "end the run"
        HOLD = "hold", "stop the tray; the others soak on"

    class SoakClock(models.TextChoices):
        RESTART_TRAY = "restart_tray", "the new tray starts at 0"
        RESTART_RACK = "restart_rack", "every tray starts at 0"
        CONTINUE = "continue", "the new tray soaks what is left"

    class GapPolicy(models.TextChoices):
        NOT_COUNTED = "not_counted", "it earns nothing"
        RESTART_PHASE = "restart_phase", "the tray soaks its phase again"
        RESTART_RUN = "restart_run", "the tray soaks from 0"
        FAIL = "fail", "the tray fails"

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
    # Released profiles are frozen: a column that is added later can have no default, so empty is null.
    on_failure = models.CharField(  # noqa: DJ001
        max_length=4,
        choices=OnFailure.choices,
        null=True,
        blank=True,
        help_text="What a failed tray does to the run; empty: it ends it.",
    )
    soak_clock = models.CharField(  # noqa: DJ001
        max_length=12,
        choices=SoakClock.choices,
        null=True,
        blank=True,
        help_text="What a swap does to the soak time; empty: the new tray starts at 0.",
    )
    swap_min_hours = models.FloatField(
        null=True, blank=True, help_text="With continue: the least that a new tray soaks, in hours."
    )
    gap_policy = models.CharField(  # noqa: DJ001
        max_length=13,
        choices=GapPolicy.choices,
        null=True,
        blank=True,
        help_text="What a gap longer than gap_seconds does to a tray; empty: it earns nothing.",
    )
    gap_seconds = models.FloatField(
        null=True, blank=True, help_text="Longer gaps fall under gap_policy; empty: max_gap_seconds."
    )

    required_tools = models.JSONField(
        null=True,
        blank=True,
        validators=[validate_required_tools],
        help_text=(
            'Tools whose PASS each tray needs, by unit kind, e.g. {"compute_tray": ["dcgm"]};'
            ' "nccl-tests:all_reduce_perf" asks for one test of a tool.'
        ),
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

    @property
    def swap_policy(self) -> str:
        """Return what a swap does to the soak time."""
        return self.soak_clock or self.SoakClock.RESTART_TRAY


class BurnInPhase(models.Model):
    """A part of a soak under one kind of stress; the phases of a profile last as long as it asks for."""

    class Kind(models.TextChoices):
        RAMP = "ramp", "rising load"
        STEADY = "steady", "one load"
        THERMAL_CYCLE = "thermal_cycle", "load and idle by turns"
        POWER_STEP = "power_step", "two loads by turns"

    profile = models.ForeignKey(BurnInProfile, on_delete=models.CASCADE, related_name="phases")
    name = models.CharField(max_length=40)
    order = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=13, choices=Kind.choices)
    hours = models.FloatField(help_text="Of credited soak time.")
    load_percent = models.FloatField(default=100, help_text="0 is idle.")
    to_load_percent = models.FloatField(
        null=True, blank=True, help_text="Last load of a ramp, other load of power steps; of no other kind."
    )
    steps = models.PositiveSmallIntegerField(default=1, help_text="Steps of a ramp, cycles of the others.")
    stressor = models.CharField(max_length=60, blank=True, help_text="Empty: that of the profile.")
    stressors = models.JSONField(
        default=dict, blank=True, help_text="By unit kind, where kinds of tray need different ones."
    )
    assumption = models.TextField(blank=True)

    class Meta:
        ordering = ["order"]
        constraints = [
            models.UniqueConstraint(fields=["profile", "name"], name="burn_in_phase_once"),
            models.UniqueConstraint(fields=["profile", "order"], name="one_burn_in_phase_at_a_time"),
            models.CheckConstraint(
                condition=Q(hours__gt=0, steps__gt=0, load_percent__gte=0, load_percent__lte=100),
                name="burn_in_phase_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SeriesLimit(models.Model):
    """What the series of a group must keep to: fewer than ``violations`` of the last ``window`` outside.

    What is left empty is as it was before there was a choice: a level, judged at each poll, and a missing
    value makes the reading no good one. The table is frozen, so these columns have no default.
    """

    class Action(models.TextChoices):
        FAIL_TRAY = "fail_tray"
        STOP_RACK = "stop_rack"

    class Kind(models.TextChoices):
        LEVEL = "level", "the value"
        RATE = "rate", "its change per minute"
        SPREAD = "spread", "its distance from the median of the trays"

    class Basis(models.TextChoices):
        ZERO = "zero", "from zero"
        DELTA = "delta", "a difference of two readings"
        HEADROOM = "headroom", "what is left before a threshold: low is bad"

    class Missing(models.TextChoices):
        NOT_GOOD = "not_good", "the reading is no good one"
        TOLERATE = "tolerate", "so many polls in a row are forgiven"
        FAIL = "fail", "so many polls in a row fail the tray"

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
    phases = models.JSONField(
        null=True, blank=True, help_text="Names of the phases in which it is watched; empty: in all."
    )
    kind = models.CharField(  # noqa: DJ001 - no default in a frozen table
        max_length=6, choices=Kind.choices, null=True, blank=True, help_text="What is judged; empty: level."
    )
    basis = models.CharField(  # noqa: DJ001 - no default in a frozen table
        max_length=8,
        choices=Basis.choices,
        null=True,
        blank=True,
        help_text="ReadingBasis of the sensor (Redfish); headroom takes only a low bound.",
    )
    missing = models.CharField(  # noqa: DJ001 - no default in a frozen table
        max_length=8,
        choices=Missing.choices,
        null=True,
        blank=True,
        help_text="When a value is missing; empty: not_good.",
    )
    missing_polls = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="In a row, for tolerate and fail."
    )
    sample_seconds = models.FloatField(
        null=True, blank=True, help_text="Judged once in so many seconds; empty: at each poll."
    )
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
    retest_of = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="retests",
        help_text="The failed run whose soak the trays that were good take over.",
    )
    started_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now)
    soak_started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    credited_seconds = models.FloatField(default=0, help_text="Of the tray that has soaked least.")
    phase = models.CharField(max_length=40, blank=True, help_text="That the trays were told last.")
    step = models.PositiveSmallIntegerField(default=1, help_text="Of the phase, from 1.")
    abort_reason = models.CharField(max_length=300, blank=True)
    reasons = models.JSONField(default=list, help_text="What decided the verdict, in sentences.")
    findings = models.JSONField(
        default=list, help_text="The same as facts: rule, tray, series, time, value, limit."
    )
    near_misses = models.JSONField(default=list, help_text="What came close to a limit, the closest first.")
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
                condition=~Q(state__in=["passed", "failed", "aborted"]),
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
    opened_at = models.DateTimeField(default=timezone.now)
    soak_clock = models.CharField(
        max_length=12, blank=True, help_text="The policy by which it follows another; empty: it is the first."
    )
    credited_seconds = models.FloatField(default=0)
    carried_seconds = models.FloatField(
        default=0, help_text="What of its credit another attempt, or an earlier run, had soaked."
    )
    last_good_at = models.DateTimeField(null=True)
    last_poll_at = models.DateTimeField(null=True)
    missed = models.PositiveSmallIntegerField(default=0)
    suspect_since = models.DateTimeField(null=True)
    boot_id = models.CharField(max_length=60, blank=True)
    reasons = models.JSONField(default=list)
    findings = models.JSONField(default=list, help_text="The reasons as facts.")
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


class ToolResult(models.Model):
    """What a stress tool found on one tray in a burn-in, with the output it printed."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    attempt = models.ForeignKey(BurnInAttempt, on_delete=models.PROTECT, related_name="results")
    tool = models.CharField(max_length=20, choices=Tool.choices)
    name = models.CharField(
        max_length=60, blank=True, help_text="Which test of the tool, where it has names."
    )
    test_run = models.OneToOneField(TestRun, on_delete=models.PROTECT, related_name="+")
    output = models.ForeignKey(
        Attachment, on_delete=models.PROTECT, related_name="+", help_text="What it printed, without secrets."
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.tool} {self.name}".strip()


class SeriesLayout(models.Model):
    """The names of the series in a poll, in the order of its values; shared by all polls alike."""

    digest = models.CharField(max_length=64, unique=True)
    names = models.JSONField()

    def __str__(self) -> str:
        return f"{len(self.names)} series"


class Poll(models.Model):
    """Every value of one tray at one time: zlib-compressed little-endian float32, NaN where missing.

    Polls are kept until they are compacted into a window.
    """

    attempt = models.ForeignKey(BurnInAttempt, on_delete=models.CASCADE, related_name="polls", db_index=False)
    taken_at = models.DateTimeField()
    layout = models.ForeignKey(SeriesLayout, on_delete=models.PROTECT, related_name="+", db_index=False)
    values = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["attempt", "taken_at"], name="one_poll_per_time")]
        # Answers what is old enough to be compacted.
        indexes = [models.Index(fields=["taken_at"], name="poll_by_time")]

    def __str__(self) -> str:
        return f"{self.attempt} {self.taken_at}"


class PollWindow(models.Model):
    """The compacted polls of one tray in ten minutes, as far as they have one layout."""

    attempt = models.ForeignKey(
        BurnInAttempt, on_delete=models.CASCADE, related_name="windows", db_index=False
    )
    starts_at = models.DateTimeField(help_text="A multiple of ten minutes.")
    layout = models.ForeignKey(SeriesLayout, on_delete=models.PROTECT, related_name="+", db_index=False)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    times = models.BinaryField(help_text="When each poll was taken: blocks.pack_times.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["attempt", "starts_at", "layout"], name="one_window_per_layout")
        ]

    def __str__(self) -> str:
        return f"{self.attempt} {self.starts_at}"


class SeriesBlock(models.Model):
    """The values of up to 50 neighbouring series of a window, and their statistics."""

    window = models.ForeignKey(PollWindow, on_delete=models.CASCADE, related_name="blocks", db_index=False)
    number = models.PositiveSmallIntegerField(help_text="0: the first 50 series of the layout, 1: the next.")
    statistics = models.BinaryField(help_text="Count, min, max, sum by series: blocks.pack_statistics.")
    values = models.BinaryField(help_text="Every value, bit by bit: blocks.pack_block.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["window", "number"], name="series_block_once")]

    def __str__(self) -> str:
        return f"{self.window} block {self.number}"


class TelemetryArchive(models.Model):
    """The Parquet file that holds the samples of an ended run in place of its windows."""

    run = models.OneToOneField(BurnInRun, on_delete=models.PROTECT, related_name="telemetry_archive")
    file = models.CharField(max_length=120, help_text="Its name below the telemetry directory.")
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64)
    rows = models.PositiveBigIntegerField(help_text="Samples, those without a value included.")
    archived_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.file


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


class Violation(models.Model):
    """One excursion of a series outside a limit: from its first to its last sample outside.

    It is no verdict: ``most`` of the limit's last samples were outside at once, and the limit says how many
    are too many.
    """

    attempt = models.ForeignKey(BurnInAttempt, on_delete=models.CASCADE, related_name="violations")
    limit = models.ForeignKey(SeriesLimit, on_delete=models.PROTECT, related_name="+")
    series = models.TextField()
    from_at = models.DateTimeField()
    to_at = models.DateTimeField(help_text="Of the last sample outside.")
    samples = models.PositiveIntegerField(help_text="Judged outside.")
    worst = models.FloatField(help_text="Furthest outside, in the unit of the limit.")
    worst_at = models.DateTimeField()
    most = models.PositiveSmallIntegerField(help_text="Of the limit's last samples were outside at once.")
    is_open = models.BooleanField(help_text="No sample inside was judged since.")

    class Meta:
        ordering = ["from_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["attempt", "limit", "series", "from_at"], name="violation_once")
        ]

    def __str__(self) -> str:
        return f"{self.series} outside {self.limit} from {self.from_at}"
