"""Units against their designs, over REST."""

import django_filters
from django.db.models import Exists, OuterRef, QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.rest import CursorPagination
from mes.serials.models import Unit
from mes.serials.services import visible_unit
from mes.stations.services import of_site
from mes.workorders.models import OrderUnit
from mes.workorders.serializers.design import (
    AT_ONCE,
    DIFFERENCES,
    ComparedUnitSerializer,
    ComparisonQuery,
    ComparisonSerializer,
)
from mes.workorders.services import Comparison, SlotRow, SlotState, compare_with_design


class DesignComparison(APIView):
    """A unit, with everything in it, against its design."""

    @extend_schema(parameters=[ComparisonQuery], responses={200: ComparisonSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Say of each slot, at any depth, whether what is in it, or was at a time, is as designed."""
        asked = ComparisonQuery(data=request.query_params)
        asked.is_valid(raise_exception=True)
        found = compare_with_design(unit=visible_unit(request.auth, uid), at=asked.validated_data.get("at"))
        return Response(ComparisonSerializer(found, context={"rows": _rows(found, asked)}).data)


def _rows(found: Comparison, asked: ComparisonQuery) -> list[SlotRow]:
    only = asked.validated_data.get("only")
    if only is None:
        return found.rows
    return found.differences if only == DIFFERENCES else found.only(SlotState(only))


class ComparedUnitFilter(FilterSet):
    """Find the units to compare: of an order or a site, by part or state."""

    order = django_filters.CharFilter(field_name="order_units__work_order__number")
    site = django_filters.CharFilter(field_name="site__code")
    part = django_filters.CharFilter(field_name="part_revision__part__number")
    revision = django_filters.CharFilter(field_name="part_revision__revision")
    kind = django_filters.CharFilter(field_name="part_revision__part__kind")

    class Meta:
        model = Unit
        fields = {name: ["exact"] for name in ("serial", "state", "level", "held")}


class ComparisonPagination(CursorPagination):
    """Pages that are compared together."""

    page_size = 20
    max_page_size = AT_ONCE


class DesignComparisonList(generics.ListAPIView[Unit]):
    """Units of orders against their designs, a row for each, newest first."""

    queryset = Unit.objects.select_related("part_revision__part")
    serializer_class = ComparedUnitSerializer
    filterset_class = ComparedUnitFilter
    pagination_class = ComparisonPagination

    def get_queryset(self) -> QuerySet[Unit]:
        """Return the units that orders of the caller's site build or built."""
        ordered = Exists(OrderUnit.objects.filter(unit=OuterRef("pk")))
        return of_site(super().get_queryset(), self.request.auth).filter(ordered)
