"""Ship holds, field returns and packing rules over REST."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from mes.ledger.services import Actor
from mes.people.services import proof_of
from mes.rest import checked, perform
from mes.serials.services import visible_unit
from mes.shipping.models import FieldReturn, PackingRule
from mes.shipping.serializers_returns import (
    FieldReturnSerializer,
    PackingRuleSerializer,
    PlaceShipHoldSerializer,
    ReleaseShipHoldSerializer,
    ReturnUnitSerializer,
    ShipHoldSerializer,
)
from mes.shipping.services import return_from_field
from mes.shipping.views import photos_of
from mes.stations.services import of_site, require_floor
from mes.workorders.models import ShipHold, WorkOrder
from mes.workorders.services import place_ship_hold, release_ship_hold


class ShipHoldFilter(FilterSet):
    """Find ship holds by what they hold, by person and time."""

    unit = django_filters.UUIDFilter(field_name="unit__uid")
    serial = django_filters.CharFilter(field_name="unit__serial")
    order = django_filters.CharFilter(field_name="work_order__number")
    site = django_filters.CharFilter(field_name="site__code")

    class Meta:
        model = ShipHold
        fields = {
            **{name: ["exact"] for name in ("placed_by", "released_by", "role")},
            "placed_at": ["gte", "lt"],
            "released_at": ["isnull", "gte", "lt"],
        }


class ShipHoldViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[ShipHold]):
    """Hold units and orders from shipping; release that by signature."""

    queryset = ShipHold.objects.select_related("site", "unit", "work_order", "signature")
    serializer_class = ShipHoldSerializer
    filterset_class = ShipHoldFilter

    def get_queryset(self) -> QuerySet[ShipHold]:
        """Return the ship holds of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=PlaceShipHoldSerializer, responses={201: ShipHoldSerializer})
    def create(self, request: Request) -> Response:
        """Hold a unit or an order from shipping; work on it goes on."""
        require_floor(request.auth, request.user, "workorders.add_shiphold")
        given = checked(PlaceShipHoldSerializer(data=request.data))
        if "unit" in given:
            target: Any = visible_unit(request.auth, given["unit"])
        else:
            orders = of_site(WorkOrder.objects.all(), request.auth)
            target = get_object_or_404(orders, number=given["order"])

        def act(by: Actor) -> dict[str, Any]:
            hold = place_ship_hold(target=target, reason=given["reason"], by=by)
            return dict(ShipHoldSerializer(hold).data)

        return perform(request, act, created=True)

    @extend_schema(request=ReleaseShipHoldSerializer, responses={200: ShipHoldSerializer})
    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: str) -> Response:
        """Release it, signed by quality or the review board; the signature decides, not who calls."""
        hold, given = self.get_object(), checked(ReleaseShipHoldSerializer(data=request.data))
        proof = proof_of(request, given["signature"])

        def act(by: Actor) -> dict[str, Any]:
            released = release_ship_hold(hold=hold, reason=given["reason"], proof=proof, by=by)
            return dict(ShipHoldSerializer(released).data)

        return perform(request, act)


class FieldReturnFilter(FilterSet):
    """Find returns by unit, failure, customer and time."""

    unit = django_filters.UUIDFilter(field_name="unit__uid")
    serial = django_filters.CharFilter(field_name="unit__serial")
    part = django_filters.CharFilter(field_name="unit__part_revision__part__number")
    taken_from = django_filters.UUIDFilter(field_name="taken_from__uid")
    shipment = django_filters.CharFilter(field_name="packed__crate__shipment__number")
    nonconformance = django_filters.CharFilter(field_name="nonconformance__number")
    site = django_filters.CharFilter(field_name="site__code")

    class Meta:
        model = FieldReturn
        fields = {
            **{name: ["exact"] for name in ("number", "symptom", "shipped_to", "nonconformance__state")},
            **{name: ["gte", "lt"] for name in ("received_at", "failed_at", "hours_in_service")},
        }


class FieldReturnViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[FieldReturn]
):
    """What came back from the field."""

    queryset = FieldReturn.objects.select_related(
        "site", "unit", "nonconformance", "packed__crate__shipment", "taken_from"
    )
    serializer_class = FieldReturnSerializer
    filterset_class = FieldReturnFilter
    lookup_field = "number"
    lookup_value_regex = "[^/\x00]+"

    def get_queryset(self) -> QuerySet[FieldReturn]:
        """Return the returns of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=ReturnUnitSerializer, responses={201: FieldReturnSerializer})
    def create(self, request: Request) -> Response:
        """Take a unit back, with its failure; it is on hold until the review board decides."""
        require_floor(request.auth, request.user, "shipping.add_fieldreturn")
        given = checked(ReturnUnitSerializer(data=request.data))
        unit = visible_unit(request.auth, given.pop("unit"))
        given["pictures"] = photos_of(unit.site, given["pictures"])

        def act(by: Actor) -> dict[str, Any]:
            returned = return_from_field(unit=unit, by=by, **given)
            return dict(FieldReturnSerializer(self.get_queryset().get(pk=returned.pk)).data)

        return perform(request, act, created=True)


class PackingRuleViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[PackingRule]):
    """How parts are packed; the same at every site."""

    queryset = PackingRule.objects.select_related("part")
    serializer_class = PackingRuleSerializer
    filterset_fields = {
        **{name: ["exact"] for name in ("part__number", "version")},
        "released_at": ["isnull", "gte", "lt"],
    }
