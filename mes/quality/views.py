"""Holds over REST; placing is for everybody on the floor, releasing for supervisors."""

from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.services import Actor
from mes.people.services import require_permission
from mes.quality.models import Hold
from mes.quality.services import place_hold, place_lot_hold, release_hold
from mes.rest import operator_of, perform
from mes.serials.models import Lot
from mes.serials.services import visible_unit
from mes.stations.services import of_site, require_floor, site_of


class ReasonSerializer(serializers.Serializer[Any]):
    """Why something is done."""

    reason = serializers.CharField(max_length=300)
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")


class HoldSerializer(serializers.ModelSerializer[Hold]):
    """A hold on a unit or a lot; of a containment, if it has a number."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True, default=None)
    lot = serializers.UUIDField(source="lot.uid", read_only=True, default=None)
    containment = serializers.CharField(source="containment.number", read_only=True, default=None)

    class Meta:
        model = Hold
        exclude: tuple[str, ...] = ()


class HoldUnit(APIView):
    """Put a unit on hold."""

    @extend_schema(request=ReasonSerializer, responses={201: HoldSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Place a hold."""
        require_floor(request.auth, request.user, "quality.add_hold")
        unit = visible_unit(request.auth, uid)

        def act(by: Actor) -> dict[str, Any]:
            return dict(HoldSerializer(place_hold(unit=unit, reason=reason_of(request), by=by)).data)

        return perform(request, act, created=True)


class HoldLot(APIView):
    """Put a lot on hold."""

    @extend_schema(request=ReasonSerializer, responses={201: HoldSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Place a hold: nothing more of the lot is received or used."""
        require_floor(request.auth, request.user, "quality.add_hold")
        lot = get_object_or_404(of_site(Lot.objects.all(), request.auth), uid=uid)

        def act(by: Actor) -> dict[str, Any]:
            return dict(HoldSerializer(place_lot_hold(lot=lot, reason=reason_of(request), by=by)).data)

        return perform(request, act, created=True)


class HoldViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Hold]):
    """Read and release holds."""

    queryset = Hold.objects.select_related("unit", "lot", "containment")
    serializer_class = HoldSerializer
    filterset_fields = {
        **{name: ["exact"] for name in ("unit__uid", "unit__serial", "lot__uid", "lot__number")},
        **{name: ["exact"] for name in ("placed_by", "released_by", "unit__site__code")},
        "reason": ["exact", "icontains"],
        "unit__part_revision__part__number": ["exact"],
        "nonconformance__number": ["exact"],
        "containment__number": ["exact"],
        "released_at": ["isnull", "gte", "lt"],
        "placed_at": ["gte", "lt"],
    }

    def get_queryset(self) -> QuerySet[Hold]:
        """Return the holds of the caller's site."""
        site = site_of(self.request.auth)
        holds = super().get_queryset()
        return holds.filter(Q(unit__site=site) | Q(lot__site=site)) if site else holds

    @extend_schema(request=ReasonSerializer, responses={200: HoldSerializer})
    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: str) -> Response:
        """Release a hold."""
        require_permission(request.user, "quality.change_hold", operator=operator_of(request))
        hold = self.get_object()

        def act(by: Actor) -> dict[str, Any]:
            return dict(HoldSerializer(release_hold(hold=hold, reason=reason_of(request), by=by)).data)

        return perform(request, act)


def reason_of(request: Request) -> str:
    """Return the reason given in the request; a missing one is bad input."""
    given = ReasonSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    return str(given.validated_data["reason"])
