"""How orders, work on units, test runs and scans look over REST."""

from typing import Any

from rest_framework import serializers

from mes.products.models import FirmwareBaseline, PartRevision, Route
from mes.racks.models import Installation
from mes.stations.models import Site
from mes.testing.models import Diagnosis, Measurement, TestRun
from mes.testing.services import Result, measure
from mes.workorders.models import OperationRun, WorkOrder


class WorkOrderSerializer(serializers.ModelSerializer[WorkOrder]):
    """An order and the serials it builds."""

    part = serializers.CharField(source="part_revision.part.number", read_only=True)
    revision = serializers.CharField(source="part_revision.revision", read_only=True)
    route = serializers.CharField(source="route.version", read_only=True)
    firmware_baseline = serializers.CharField(source="firmware_baseline.name", default=None, read_only=True)
    units = serializers.SerializerMethodField()

    class Meta:
        model = WorkOrder
        fields = (
            *("number", "state", "part", "revision", "route", "firmware_baseline", "quantity", "finished"),
            *("customer", "created_at", "released_at", "units"),
        )

    def get_units(self, order: WorkOrder) -> list[dict[str, str]]:
        """Return uid and serial of the order's units."""
        return [{"uid": str(row.unit.uid), "serial": row.unit.serial} for row in order.order_units.all()]


class CreateWorkOrderSerializer(serializers.Serializer[Any]):
    """An order to draft; without a route version, the part's latest released one."""

    number = serializers.CharField(max_length=40)
    part = serializers.CharField(max_length=60)
    revision = serializers.CharField(max_length=20)
    route = serializers.CharField(max_length=20, required=False)
    quantity = serializers.IntegerField(min_value=1, max_value=10_000)
    firmware_baseline = serializers.SlugRelatedField(
        slug_field="name", queryset=FirmwareBaseline.objects.all(), required=False
    )
    customer = serializers.CharField(max_length=120, required=False)
    site = serializers.SlugRelatedField(slug_field="code", queryset=Site.objects.all())

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Find the part revision and the route."""
        part, revision, version = attrs.pop("part"), attrs.pop("revision"), attrs.pop("route", None)
        attrs["part_revision"] = (
            PartRevision.objects.select_related("part").filter(part__number=part, revision=revision).first()
        )
        if attrs["part_revision"] is None:
            raise serializers.ValidationError({"part": ["There is no such part revision."]})
        routes = Route.objects.filter(part__number=part)
        routes = routes.filter(version=version) if version else routes.filter(released_at__isnull=False)
        attrs["route"] = routes.order_by("-released_at", "-pk").first()
        if attrs["route"] is None:
            raise serializers.ValidationError({"route": ["There is no such route."]})
        return attrs


class ChildSerializer(serializers.Serializer[Any]):
    """A unit to install: its uid, or its label as scanned."""

    uid = serializers.UUIDField(required=False)
    raw = serializers.CharField(required=False, max_length=4096)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one of the two."""
        if len(attrs) != 1:
            raise serializers.ValidationError("Give either uid or raw.")
        return attrs


class InstallSerializer(serializers.Serializer[Any]):
    """What goes into which slot."""

    slot = serializers.CharField(max_length=40)
    child = ChildSerializer()
    operator = serializers.CharField(required=False)


class RemoveSerializer(serializers.Serializer[Any]):
    """Which slot is emptied, and why."""

    slot = serializers.CharField(max_length=40)
    reason = serializers.CharField(max_length=200)
    operator = serializers.CharField(required=False)


class InstallationSerializer(serializers.ModelSerializer[Installation]):
    """A child in a slot."""

    parent = serializers.UUIDField(source="parent.uid", read_only=True)  # type: ignore[assignment]
    child = serializers.UUIDField(source="child.uid", read_only=True)
    serial = serializers.CharField(source="child.serial", read_only=True)
    slot = serializers.CharField(source="slot.name", read_only=True)

    class Meta:
        model = Installation
        fields = (
            *("parent", "slot", "child", "serial", "installed_at", "installed_by"),
            *("removed_at", "removed_by", "removal_reason"),
        )


class OperationRunSerializer(serializers.ModelSerializer[OperationRun]):
    """One attempt at an operation."""

    sequence = serializers.IntegerField(source="operation.sequence", read_only=True)
    name = serializers.CharField(source="operation.name", read_only=True)
    station = serializers.CharField(source="station.code", default=None, read_only=True)

    class Meta:
        model = OperationRun
        fields = (
            *("sequence", "name", "attempt", "state", "station", "started_at", "started_by"),
            *("completed_at", "completed_by", "superseded_at", "superseded_because"),
        )


class ScanSerializer(serializers.Serializer[Any]):
    """A scan, as the scanner read it."""

    raw = serializers.CharField(max_length=8192, trim_whitespace=False, allow_blank=True)
    symbology = serializers.CharField(required=False, max_length=4, help_text="AIM identifier, e.g. ]d2.")
    at = serializers.DateTimeField(required=False, help_text="The device's clock.")
    seq = serializers.IntegerField(required=False, help_text="The device's counter.")
    operator = serializers.CharField(required=False, help_text="Badge, if nobody is signed on.")


class ScanAnswerSerializer(serializers.Serializer[Any]):
    """What a scan led to."""

    outcome = serializers.ChoiceField(choices=["accepted", "needs_more", "duplicate"])
    title = serializers.CharField()
    detail = serializers.CharField()
    sound = serializers.ChoiceField(choices=["accept", "refuse", "tick"])
    next = serializers.CharField()
    unit = serializers.DictField(allow_null=True)
    operation = serializers.DictField(allow_null=True)


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
