"""Electrical safety: what a test covers and what may stay in a rack; live hipots; tests and their points."""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from mes.ledger.models import Stream
from mes.people.models import Signature
from mes.products.models import Operation, Part, Released
from mes.serials.models import Unit
from mes.stations.models import Tool
from mes.testing.models import TestRun


class SafetyPlan(Released):
    """How units of a part are tested for electrical safety, in one version; the latest released one counts.

    ``may_stay`` are kinds of parts that a rack may hold while high voltage is on. The other lists name what
    must be measured at least: bond points, insulated circuits, and what a hipot is applied to.
    """

    part = models.ForeignKey(Part, on_delete=models.PROTECT, related_name="safety_plans")
    version = models.CharField(max_length=20)
    may_stay = models.JSONField(default=list, blank=True, help_text="Kinds of parts, e.g. busbar.")
    bond_points = models.JSONField(default=list, blank=True, help_text="Points to measure, e.g. door front.")
    hipot_circuits = models.JSONField(default=list, blank=True, help_text="E.g. busbar to frame.")
    insulation_circuits = models.JSONField(default=list, blank=True, help_text="E.g. busbar to frame.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["part", "version"], name="safety_plan_once")]

    def __str__(self) -> str:
        return f"safety of {self.part} {self.version}"


class HipotSession(Stream):
    """A live high-voltage test of a unit by two people; the unit is locked out from begin to end."""

    class State(models.TextChoices):
        LIVE = "live"
        FINISHED = "finished"
        ABORTED = "aborted"

    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="hipot_sessions")
    operation = models.ForeignKey(Operation, on_delete=models.PROTECT, related_name="+")
    plan = models.ForeignKey(SafetyPlan, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    tool = models.ForeignKey(Tool, on_delete=models.PROTECT, related_name="hipot_sessions")
    state = models.CharField(max_length=8, choices=State.choices, default=State.LIVE)
    reason = models.CharField(max_length=300)
    first_person = models.CharField(max_length=150)
    second_person = models.CharField(max_length=150)
    first_signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="+")
    second_signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="+")
    station = models.CharField(max_length=60, blank=True)
    begun_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(help_text="No result is taken after it; the lockout stays.")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)
    abort_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["unit"], name="one_live_hipot_per_unit", condition=Q(state="live")
            ),
            models.CheckConstraint(
                condition=~Q(first_person=F("second_person")), name="hipot_by_two_different_people"
            ),
            models.CheckConstraint(
                condition=Q(state="live", ended_at__isnull=True)
                | (~Q(state="live") & Q(ended_at__isnull=False)),
                name="hipot_ended_says_when",
            ),
        ]

    def __str__(self) -> str:
        return f"hipot of {self.unit}"

    @property
    def people(self) -> tuple[str, str]:
        """Return the user names of both people."""
        return self.first_person, self.second_person


class SafetyTest(models.Model):
    """One electrical safety test: with which instrument, how applied, and the test run that judged it.

    Which readings it has depends on its kind; what was measured at each point is in ``points``.
    """

    class Kind(models.TextChoices):
        GROUND_BOND = "ground_bond"
        HIPOT = "hipot"
        INSULATION = "insulation"

    class Supply(models.TextChoices):
        AC = "ac", "AC"
        DC = "dc", "DC"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="safety_tests")
    kind = models.CharField(max_length=11, choices=Kind.choices)
    test_run = models.OneToOneField(TestRun, on_delete=models.PROTECT, related_name="safety_test")
    session = models.OneToOneField(
        HipotSession, on_delete=models.PROTECT, null=True, blank=True, related_name="test"
    )
    plan = models.ForeignKey(SafetyPlan, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    tool = models.ForeignKey(Tool, on_delete=models.PROTECT, related_name="safety_tests")
    certificate = models.CharField(max_length=120, help_text="Of the calibration in force.")
    calibration_due_at = models.DateTimeField()
    supply = models.CharField(max_length=2, choices=Supply.choices, blank=True)
    current_a = models.FloatField(null=True, blank=True, help_text="Test current, A.")
    voltage_v = models.FloatField(null=True, blank=True, help_text="Test voltage, V; of AC the rms value.")
    ramp_s = models.FloatField(null=True, blank=True, help_text="Time in which the voltage rose, s.")
    duration_s = models.FloatField(help_text="Time at the full current or voltage, s.")
    arc_detected = models.BooleanField(null=True, blank=True)
    recorded_at = models.DateTimeField(default=timezone.now)
    recorded_by = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind="ground_bond")
                | Q(current_a__isnull=False, current_a__gt=0, voltage_v__isnull=True, supply=""),
                name="ground_bond_has_a_current",
            ),
            models.CheckConstraint(
                condition=~Q(kind="hipot")
                | Q(
                    voltage_v__isnull=False,
                    voltage_v__gt=0,
                    supply__in=["ac", "dc"],
                    ramp_s__isnull=False,
                    ramp_s__gte=0,
                    arc_detected__isnull=False,
                    session__isnull=False,
                ),
                name="hipot_has_two_people_and_a_voltage",
            ),
            models.CheckConstraint(
                condition=~Q(kind="insulation")
                | Q(voltage_v__isnull=False, voltage_v__gt=0, current_a__isnull=True, supply="dc"),
                name="insulation_has_a_dc_voltage",
            ),
            models.CheckConstraint(condition=Q(duration_s__gt=0), name="safety_test_takes_time"),
        ]
        indexes = [models.Index(fields=["unit", "-id"], name="safety_tests_of_unit")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.unit}"


class SafetyPoint(models.Model):
    """What was measured at one point: Ohm at a bond, mA through a circuit under hipot, MOhm of insulation."""

    test = models.ForeignKey(SafetyTest, on_delete=models.PROTECT, related_name="points")
    name = models.CharField(max_length=80)
    value = models.FloatField()
    unit = models.CharField(max_length=8)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["test", "name"], name="safety_point_once"),
            models.CheckConstraint(condition=Q(value__gte=0), name="safety_point_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.value:g} {self.unit}"
