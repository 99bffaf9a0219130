"""How safety tests and live hipots look over REST."""

from typing import Any

from rest_framework import serializers

from mes.electrical.models import HipotSession, SafetyPoint, SafetyTest
from mes.electrical.services import Point, Readings
from mes.rest import NumberField, SignatureSerializer

POINT_HELP = "Ohm of a bond, mA through a circuit under hipot, MOhm of insulation."


class SafetyPointSerializer(serializers.ModelSerializer[SafetyPoint]):
    """What was measured at one point."""

    class Meta:
        model = SafetyPoint
        fields = ("name", "value", "unit")
        read_only_fields = ("unit",)
        extra_kwargs = {"value": {"help_text": POINT_HELP}}


class SafetyTestSerializer(serializers.ModelSerializer[SafetyTest]):
    """A safety test: how it was applied, what it measured, and how it was judged."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    instrument = serializers.CharField(source="tool.code", read_only=True)
    plan = serializers.CharField(source="plan.version", default=None, read_only=True)
    session = serializers.UUIDField(source="session.uid", default=None, read_only=True)
    test_run = serializers.UUIDField(source="test_run.uid", read_only=True)
    outcome = serializers.CharField(source="test_run.outcome", read_only=True)
    reasons = serializers.JSONField(source="test_run.reasons", read_only=True)
    superseded_at = serializers.DateTimeField(source="test_run.superseded_at", read_only=True)
    points = SafetyPointSerializer(many=True, read_only=True)

    class Meta:
        model = SafetyTest
        fields = (
            *("uid", "unit", "serial", "kind", "outcome", "reasons", "superseded_at", "test_run", "session"),
            *("plan", "instrument", "certificate", "calibration_due_at", "supply", "current_a", "voltage_v"),
            *("ramp_s", "duration_s", "arc_detected", "recorded_at", "recorded_by", "points"),
        )


class HipotSessionSerializer(serializers.ModelSerializer[HipotSession]):
    """A live hipot, or how it ended."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    operation = serializers.CharField(source="operation.code", read_only=True)
    plan = serializers.CharField(source="plan.version", default=None, read_only=True)
    instrument = serializers.CharField(source="tool.code", read_only=True)
    test = serializers.UUIDField(source="test.uid", default=None, read_only=True)

    class Meta:
        model = HipotSession
        fields = (
            *("uid", "unit", "serial", "operation", "plan", "instrument", "state", "reason"),
            *("first_person", "second_person", "station", "begun_at", "expires_at"),
            *("ended_at", "ended_by", "abort_reason", "test"),
        )


class MeasuredPointSerializer(serializers.Serializer[Any]):
    """A point and what was measured at it."""

    name = serializers.CharField(max_length=80)
    value = NumberField(help_text=POINT_HELP)


class RecordSafetySerializer(serializers.Serializer[Any]):
    """A ground bond test (with current_a) or an insulation test (with voltage_v, DC) to record."""

    kind = serializers.ChoiceField(choices=SafetyTest.Kind.choices)
    instrument = serializers.CharField(max_length=60, help_text="The code on its label, as scanned.")
    current_a = NumberField(required=False, help_text="Test current of a ground bond, A.")
    voltage_v = NumberField(required=False, help_text="Test voltage of insulation, V DC.")
    duration_s = NumberField(help_text="At full current or voltage, s.")
    points = MeasuredPointSerializer(many=True)
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")

    def readings(self) -> Readings:
        """Return what was measured, once the input is valid."""
        data = self.validated_data
        kind = SafetyTest.Kind(data["kind"])
        bond = kind == SafetyTest.Kind.GROUND_BOND
        return Readings(
            kind=kind,
            points=[Point(**point) for point in data["points"]],
            duration_s=data["duration_s"],
            current_a=data.get("current_a") if bond else None,
            voltage_v=None if bond else data.get("voltage_v"),
            supply="" if bond else SafetyTest.Supply.DC.value,
        )


class BeginHipotSerializer(serializers.Serializer[Any]):
    """Who begins a live hipot, with which instrument, why and for how long; signed by two people."""

    instrument = serializers.CharField(max_length=60, help_text="The code on its label, as scanned.")
    reason = serializers.CharField(max_length=300)
    minutes = NumberField(default=30, min_value=0, max_value=1440)
    signatures = SignatureSerializer(many=True, help_text="Of two different people.")
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")


class FinishHipotSerializer(serializers.Serializer[Any]):
    """The result of a live hipot, and that the unit is discharged."""

    supply = serializers.ChoiceField(choices=SafetyTest.Supply.choices)
    voltage_v = NumberField(help_text="V; of AC the rms value.")
    ramp_s = NumberField(help_text="Time in which the voltage rose, s.")
    duration_s = NumberField(help_text="Dwell at the full voltage, s.")
    arc_detected = serializers.BooleanField()
    points = MeasuredPointSerializer(many=True)
    discharged = serializers.BooleanField(help_text="That the voltage is off and the unit discharged.")
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")

    def readings(self) -> Readings:
        """Return what was measured, once the input is valid."""
        data = self.validated_data
        return Readings(
            kind=SafetyTest.Kind.HIPOT,
            points=[Point(**point) for point in data["points"]],
            duration_s=data["duration_s"],
            voltage_v=data["voltage_v"],
            supply=data["supply"],
            ramp_s=data["ramp_s"],
            arc_detected=data["arc_detected"],
        )


class AbortHipotSerializer(serializers.Serializer[Any]):
    """Why a live hipot is stopped, and that the unit is discharged."""

    reason = serializers.CharField(max_length=300)
    discharged = serializers.BooleanField(help_text="That the voltage is off and the unit discharged.")
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")
