"""Units and lots over REST."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from mes.ledger.services import Actor
from mes.rest import perform
from mes.serials.models import Identifier, Lot, Supplier, Unit
from mes.serials.serializers import (
    LotSerializer,
    ReceiveLotSerializer,
    ReceiveUnitSerializer,
    SupplierSerializer,
    UnitSerializer,
)
from mes.serials.services import receive_lot, receive_unit
from mes.stations.services import of_site, require_floor, site_of


class UnitFilter(FilterSet):
    """Find units by any identifier, by part, state, hold, origin or time."""

    identifier = django_filters.CharFilter(method="by_identifier", label="Any identifier, as scanned.")
    part = django_filters.CharFilter(field_name="part_revision__part__number")
    revision = django_filters.CharFilter(field_name="part_revision__revision")
    kind = django_filters.CharFilter(field_name="part_revision__part__kind")
    supplier = django_filters.CharFilter(field_name="supplier__code")
    lot = django_filters.CharFilter(field_name="lot__number")
    date_code = django_filters.CharFilter(field_name="lot__date_code")
    site = django_filters.CharFilter(field_name="site__code")

    class Meta:
        model = Unit
        fields = {
            **{name: ["exact"] for name in ("serial", "state", "held", "level", "country_of_origin")},
            **{name: ["exact"] for name in ("shipped_to", "lot__uid")},
            **{name: ["gte", "lt"] for name in ("created_at", "shipped_at")},
        }

    def by_identifier(self, units: QuerySet[Unit], name: str, value: str) -> QuerySet[Unit]:
        """Narrow to the units that go by a value."""
        named = Identifier.objects.filter(value=value.upper(), kind__in=Identifier.SCANNED)
        return units.filter(pk__in=named.values("unit"))


class UnitViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Unit]):
    """Find, read and receive units."""

    queryset = Unit.objects.select_related("part_revision__part", "site", "lot", "supplier").prefetch_related(
        "identifiers"
    )
    serializer_class = UnitSerializer
    filterset_class = UnitFilter
    lookup_field = "uid"

    def get_queryset(self) -> QuerySet[Unit]:
        """Return the units of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=ReceiveUnitSerializer, responses={201: UnitSerializer})
    def create(self, request: Request) -> Response:
        """Receive one unit into stock."""
        require_floor(request.auth, request.user, "serials.add_unit")

        def act(by: Actor) -> dict[str, Any]:
            unit = receive_unit(by=by, **with_site(ReceiveUnitSerializer(data=request.data), request))
            return dict(UnitSerializer(unit).data)

        return perform(request, act, created=True)


class LotViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Lot]):
    """Find, read and receive lots."""

    queryset = Lot.objects.select_related("part", "supplier")
    serializer_class = LotSerializer
    filterset_fields = {
        **{name: ["exact"] for name in ("number", "part__number", "supplier__code", "date_code", "held")},
        **{name: ["exact"] for name in ("country_of_origin", "site__code")},
        **{name: ["gte", "lt"] for name in ("received_at", "expires_at")},
    }
    lookup_field = "uid"

    def get_queryset(self) -> QuerySet[Lot]:
        """Return the lots of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=ReceiveLotSerializer, responses={201: LotSerializer})
    def create(self, request: Request) -> Response:
        """Receive one lot."""
        require_floor(request.auth, request.user, "serials.add_lot")

        def act(by: Actor) -> dict[str, Any]:
            lot = receive_lot(by=by, **with_site(ReceiveLotSerializer(data=request.data), request))
            return dict(LotSerializer(lot).data)

        return perform(request, act, created=True)


class SupplierViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Supplier]):
    """Read suppliers."""

    queryset = Supplier.objects.all()
    serializer_class = SupplierSerializer
    filterset_fields = ("country", "cage")
    lookup_field = "code"
    lookup_value_regex = "[^/\x00]+"


def with_site(serializer: serializers.Serializer[Any], request: Request) -> dict[str, Any]:
    """Return checked input with the site it is for: the device's, or the one a person names."""
    serializer.is_valid(raise_exception=True)
    data = dict(serializer.validated_data)
    site = site_of(request.auth) or data.get("site")
    if site is None:
        raise serializers.ValidationError({"site": ["Name the site."]})
    if (lot := data.get("lot")) is not None and lot.site_id != site.pk:
        raise serializers.ValidationError({"lot": ["There is no such lot."]})
    return {**data, "site": site}
