"""What is installed where, and what a received assembly arrived with, over REST."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.services import Actor
from mes.racks.models import Installation
from mes.racks.serializers import BudgetsSerializer
from mes.racks.services import budgets_of, declare_contents
from mes.rest import perform
from mes.serials.services import visible_unit, visible_units
from mes.stations.services import of_site, require_floor, require_sign_on, site_of


class InstallationRecordSerializer(serializers.ModelSerializer[Installation]):
    """A unit in a slot of another, from when until when."""

    child = serializers.UUIDField(source="child.uid", read_only=True)
    child_serial = serializers.CharField(source="child.serial", read_only=True)
    child_part = serializers.CharField(source="child.part_revision.part.number", read_only=True)
    slot = serializers.CharField(source="slot.name", read_only=True)
    parent = serializers.UUIDField(source="parent.uid", read_only=True)  # type: ignore[assignment]
    parent_serial = serializers.CharField(source="parent.serial", read_only=True)
    root = serializers.UUIDField(source="root.uid", read_only=True)  # type: ignore[assignment]
    root_serial = serializers.CharField(source="root.serial", read_only=True)

    class Meta:
        model = Installation
        fields = (
            *(
                "child",
                "child_serial",
                "child_part",
                "slot",
                "parent",
                "parent_serial",
                "root",
                "root_serial",
            ),
            *("installed_at", "installed_by", "removed_at", "removed_by", "removal_reason"),
        )


class InstallationFilter(FilterSet):
    """Find installations by what is in what, by slot, person or time."""

    child = django_filters.UUIDFilter(field_name="child__uid")
    child_part = django_filters.CharFilter(field_name="child__part_revision__part__number")
    parent = django_filters.UUIDFilter(field_name="parent__uid")
    root = django_filters.UUIDFilter(field_name="root__uid")
    supplier = django_filters.CharFilter(field_name="child__supplier__code")
    lot = django_filters.CharFilter(field_name="child__lot__number")
    slot = django_filters.CharFilter(field_name="slot__name")
    live = django_filters.BooleanFilter(field_name="removed_at", lookup_expr="isnull")

    class Meta:
        model = Installation
        fields = {
            **{name: ["exact"] for name in ("installed_by", "removed_by")},
            **{name: ["gte", "lt"] for name in ("installed_at", "removed_at")},
        }


class InstallationViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Installation]):
    """Read what is and was installed where."""

    queryset = Installation.objects.select_related("child__part_revision__part", "slot", "parent", "root")
    serializer_class = InstallationRecordSerializer
    filterset_class = InstallationFilter

    def get_queryset(self) -> QuerySet[Installation]:
        """Return the installations of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="parent__site")


class ContentSerializer(serializers.Serializer[Any]):
    """A unit in a slot."""

    slot = serializers.CharField(max_length=40)
    child = serializers.UUIDField(help_text="uid of a unit in stock.")


class ContentsSerializer(serializers.Serializer[Any]):
    """Everything a received assembly arrived with."""

    contents = ContentSerializer(many=True, allow_empty=False)


class Contents(APIView):
    """Record what a received assembly arrived with."""

    @extend_schema(request=ContentsSerializer, responses={201: ContentsSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Install the contents into their slots without an operation."""
        require_floor(request.auth, request.user, "racks.add_installation")
        units = visible_units(site_of(request.auth))
        unit = get_object_or_404(units, uid=uid)
        given = ContentsSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        rows = given.validated_data["contents"]
        children = {child.uid: child for child in units.filter(uid__in=[row["child"] for row in rows])}
        if len(children) != len({row["child"] for row in rows}):
            raise serializers.ValidationError({"contents": ["Some of these units do not exist."]})

        def act(by: Actor) -> dict[str, Any]:
            require_sign_on(by)
            declare_contents(
                unit=unit, contents=[(row["slot"], children[row["child"]]) for row in rows], by=by
            )
            return {"contents": [{"slot": row["slot"], "child": str(row["child"])} for row in rows]}

        return perform(request, act, created=True)


class UnitBudgets(APIView):
    """What the contents of a unit come to, and may."""

    @extend_schema(responses={200: BudgetsSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Read the budgets as they stand and when complete."""
        unit = visible_unit(request.auth, uid)
        return Response(BudgetsSerializer(budgets_of(unit=unit)).data)
