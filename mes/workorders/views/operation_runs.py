"""What was done on units, over REST, to read."""

import django_filters
from django.db.models import Prefetch, QuerySet
from django_filters.rest_framework import FilterSet
from rest_framework import mixins, serializers, viewsets

from mes.stations.services import of_site
from mes.workorders.models import CapturedValue, ConsumableUse, Labor, OperationRun, ToolUse
from mes.workorders.serializers.capture import CapturedValueSerializer, ConsumableUseSerializer


class LaborSerializer(serializers.ModelSerializer[Labor]):
    """A person's part in a run."""

    station = serializers.CharField(source="station.code", default=None, read_only=True)

    class Meta:
        model = Labor
        fields = ("person", "station", "started_at", "ended_at")


class ToolUseSerializer(serializers.ModelSerializer[ToolUse]):
    """A tool used in a run, with the calibration that held then."""

    tool = serializers.CharField(source="tool.code", read_only=True)
    type = serializers.CharField(source="tool.type", read_only=True)

    class Meta:
        model = ToolUse
        fields = ("tool", "type", "calibration_due_at", "used_at", "used_by")


class OperationRunRecordSerializer(serializers.ModelSerializer[OperationRun]):
    """One attempt at an operation on a unit, with who and what was in it and what was recorded."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    sequence = serializers.IntegerField(source="operation.sequence", read_only=True)
    operation = serializers.CharField(source="operation.code", read_only=True)
    station = serializers.CharField(source="station.code", default=None, read_only=True)
    rework = serializers.CharField(source="rework.nonconformance.number", default=None, read_only=True)
    people = LaborSerializer(source="labor", many=True, read_only=True)
    tools = ToolUseSerializer(source="tool_uses", many=True, read_only=True)
    consumables = ConsumableUseSerializer(source="consumable_uses", many=True, read_only=True)
    values = CapturedValueSerializer(many=True, read_only=True)

    class Meta:
        model = OperationRun
        fields = (
            *("unit", "serial", "sequence", "operation", "attempt", "state", "station"),
            *("started_at", "started_by", "completed_at", "completed_by", "skipped_because"),
            *("superseded_at", "superseded_because", "rework", "people", "tools", "consumables", "values"),
        )


class OperationRunFilter(FilterSet):
    """Find operation runs by unit, operation, place, person, tool, lot, rework or time."""

    unit = django_filters.UUIDFilter(field_name="unit__uid")
    serial = django_filters.CharFilter(field_name="unit__serial")
    part = django_filters.CharFilter(field_name="unit__part_revision__part__number")
    operation = django_filters.CharFilter(field_name="operation__code")
    station = django_filters.CharFilter(field_name="station__code")
    line = django_filters.CharFilter(field_name="station__line__code")
    person = django_filters.CharFilter(method="by_person", label="Who took part.")
    tool = django_filters.CharFilter(field_name="tool_uses__tool__code", distinct=True)
    consumable_lot = django_filters.CharFilter(field_name="consumable_uses__lot__number", distinct=True)
    rework = django_filters.CharFilter(field_name="rework__nonconformance__number")
    site = django_filters.CharFilter(field_name="unit__site__code")
    superseded = django_filters.BooleanFilter(field_name="superseded_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = OperationRun
        fields = {
            **{name: ["exact"] for name in ("state", "started_by", "completed_by")},
            **{name: ["gte", "lt"] for name in ("started_at", "completed_at")},
        }

    def by_person(self, runs: QuerySet[OperationRun], name: str, value: str) -> QuerySet[OperationRun]:
        """Narrow to the runs that a person took part in."""
        return runs.filter(pk__in=Labor.objects.filter(person=value).values("run"))


class OperationRunViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[OperationRun]):
    """Read operation runs, superseded ones included."""

    queryset = OperationRun.objects.select_related(
        "unit", "operation", "station", "rework__nonconformance"
    ).prefetch_related(
        Prefetch("labor", Labor.objects.select_related("station").order_by("pk")),
        Prefetch("tool_uses", ToolUse.objects.select_related("tool").order_by("pk")),
        Prefetch("consumable_uses", ConsumableUse.objects.select_related("lot__part").order_by("pk")),
        Prefetch("values", CapturedValue.objects.select_related("field", "attachment", "signature")),
    )
    serializer_class = OperationRunRecordSerializer
    filterset_class = OperationRunFilter

    def get_queryset(self) -> QuerySet[OperationRun]:
        """Return the runs of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="unit__site")
