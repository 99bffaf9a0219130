"""How test runs look over REST."""

from typing import Any

from rest_framework import serializers

from mes.testing.models import Diagnosis, Measurement, TestRun
from mes.testing.services import Result, measure


class MeasurementSerializer(serializers.ModelSerializer[Measurement]):
    """One measured value with the limits it was judged by."""

    class Meta:
        model = Measurement
        exclude = ("id", "run")


class DiagnosisSerializer(serializers.ModelSerializer[Diagnosis]):
    """One conclusion about a component."""

    class Meta:
        model = Diagnosis
        exclude = ("id", "run")


class ProcedureSerializer(serializers.Serializer[Any]):
    """Which test of the route a run is; the run's own name if it is left out."""

    procedure = serializers.CharField(max_length=60, required=False, default=None)


class TestRunSerializer(serializers.ModelSerializer[TestRun]):
    """A test run as reported and as judged."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    operation = serializers.IntegerField(source="operation.sequence", default=None, read_only=True)
    measurements = MeasurementSerializer(many=True, read_only=True)
    diagnoses = DiagnosisSerializer(many=True, read_only=True)

    class Meta:
        model = TestRun
        exclude = ("id",)


class ReportedMeasurementSerializer(serializers.Serializer[Any]):
    """A value as a tester reports it; the tester's own limits are kept where the route sets none."""

    name = serializers.CharField(max_length=120)
    value = serializers.JSONField(allow_null=True)
    unit = serializers.CharField(max_length=30, required=False, allow_blank=True, default="")
    low = serializers.FloatField(required=False, allow_null=True, default=None)
    high = serializers.FloatField(required=False, allow_null=True, default=None)


class ReportTestSerializer(serializers.Serializer[Any]):
    """A test result in the native form."""

    unit = serializers.UUIDField()
    procedure = serializers.CharField(max_length=60)
    procedure_version = serializers.CharField(max_length=30, required=False, default="")
    outcome = serializers.ChoiceField(choices=TestRun.Outcome.choices)
    status = serializers.ChoiceField(choices=TestRun.Status.choices, default=TestRun.Status.COMPLETE)
    started_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    ended_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    measurements = ReportedMeasurementSerializer(many=True, required=False, default=list)
    details = serializers.DictField(required=False, default=dict)
    operator = serializers.CharField(required=False)

    def result(self) -> Result:
        """Return the checked input as a result to record; one that is not complete is never a PASS."""
        data = self.validated_data
        outcome = data["outcome"]
        if outcome == TestRun.Outcome.PASS and data["status"] != TestRun.Status.COMPLETE:
            outcome = TestRun.Outcome.ERROR
        return Result(
            procedure=data["procedure"],
            procedure_version=data["procedure_version"],
            outcome=outcome,
            said=data["outcome"],
            status=data["status"],
            started_at=data["started_at"],
            ended_at=data["ended_at"],
            measurements=[
                measure(row["name"], row["value"], unit=row["unit"], low=row["low"], high=row["high"])
                for row in data["measurements"]
            ],
            details=data["details"],
        )
