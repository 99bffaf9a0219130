"""Lists of what was recorded and decided, over REST."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import mixins, serializers, viewsets

from mes.quality.models import Disposition, RepairRecord
from mes.stations.services import of_site
from mes.workorders.models import CapturedValue, Rework
from mes.workorders.serializers.capture import CapturedValueSerializer
from mes.workorders.serializers.nonconformances import (
    DispositionSerializer,
    RepairSerializer,
    ReworkSerializer,
)


class RecordedValueSerializer(CapturedValueSerializer):
    """A recorded value, with the unit and operation it is of."""

    serial = serializers.CharField(source="run.unit.serial", read_only=True)
    sequence = serializers.IntegerField(source="run.operation.sequence", read_only=True)
    operation = serializers.CharField(source="run.operation.code", read_only=True)

    class Meta(CapturedValueSerializer.Meta):
        fields = ("serial", "sequence", "operation", *CapturedValueSerializer.Meta.fields)


class ListedDispositionSerializer(DispositionSerializer):
    """A disposition, with the nonconformance and unit it is about."""

    number = serializers.CharField(source="nonconformance.number", read_only=True)
    serial = serializers.CharField(source="nonconformance.unit.serial", read_only=True)


class ListedRepairSerializer(RepairSerializer):
    """A repair, with the nonconformance and unit it is about."""

    number = serializers.CharField(source="nonconformance.number", read_only=True)
    serial = serializers.CharField(source="nonconformance.unit.serial", read_only=True)


class ListedReworkSerializer(ReworkSerializer):
    """A rework, with the nonconformance and unit it is about."""

    number = serializers.CharField(source="nonconformance.number", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)

    class Meta(ReworkSerializer.Meta):
        fields = ("number", "serial", *ReworkSerializer.Meta.fields)


class SiteList(mixins.ListModelMixin, viewsets.GenericViewSet[Any]):
    """A list of one site's records; ``site_field`` leads from a record to its site."""

    site_field = ""

    def get_queryset(self) -> QuerySet[Any]:
        """Return the records of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through=self.site_field)


class CapturedValueViewSet(SiteList):
    """Values recorded during operations, replaced ones included."""

    queryset = CapturedValue.objects.select_related("field", "attachment", "signature").select_related(
        "run__unit", "run__operation"
    )
    serializer_class = RecordedValueSerializer
    site_field = "run__unit__site"
    filterset_fields = {
        **{name: ["exact"] for name in ("run__unit__uid", "run__operation__code", "field__name", "verdict")},
        "recorded_by": ["exact"],
        "recorded_at": ["gte", "lt"],
        "replaced_at": ["isnull"],
    }


class DispositionViewSet(SiteList):
    """What the review board decided."""

    queryset = Disposition.objects.select_related(
        "nonconformance__unit", "rework_route", "returns_to", "signature", "quality_signature"
    )
    serializer_class = ListedDispositionSerializer
    site_field = "nonconformance__site"
    filterset_fields = {
        **{name: ["exact"] for name in ("kind", "nonconformance__number", "signature__signer")},
        "decided_at": ["gte", "lt"],
    }


class RepairViewSet(SiteList):
    """What was repaired."""

    queryset = RepairRecord.objects.select_related("nonconformance__unit", "failed_test", "removed", "fitted")
    serializer_class = ListedRepairSerializer
    site_field = "nonconformance__site"
    filterset_fields = {
        **{name: ["exact"] for name in ("symptom", "slot", "nonconformance__number", "repaired_by")},
        "repaired_at": ["gte", "lt"],
    }


class ReworkViewSet(SiteList):
    """Units on rework routes, now and before."""

    queryset = Rework.objects.select_related("nonconformance", "unit", "route", "returns_to")
    serializer_class = ListedReworkSerializer
    site_field = "unit__site"
    filterset_fields = {
        **{name: ["exact"] for name in ("state", "unit__uid", "nonconformance__number", "route__version")},
        "started_at": ["gte", "lt"],
    }
