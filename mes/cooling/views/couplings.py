"""Couplings over REST: fit, remove, count mates."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.cooling.models import Coupling
from mes.cooling.serializers.couplings import (
    CouplingMateSerializer,
    CouplingSerializer,
    FitCouplingSerializer,
    MatesSerializer,
    RecordMatesSerializer,
    RemoveCouplingSerializer,
)
from mes.cooling.services import fit_coupling, record_mate, record_slot_mates, remove_coupling
from mes.ledger.services import Actor
from mes.rest import perform
from mes.serials.services import visible_unit
from mes.stations.services import of_site, require_floor


class CouplingFilter(FilterSet):
    """Find couplings by serial, type, manifold, place, and how often they were mated."""

    type = django_filters.CharFilter(field_name="type__code")
    manifold_serial = django_filters.CharFilter(field_name="manifold__serial")
    fitted = django_filters.BooleanFilter(field_name="removed_at", lookup_expr="isnull")

    class Meta:
        model = Coupling
        fields = {
            **{name: ["exact"] for name in ("serial", "place", "manifold__uid", "manifold__site__code")},
            "mates": ["gte", "lt"],
            "fitted_at": ["gte", "lt"],
        }


class CouplingViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Coupling]):
    """Read and remove couplings."""

    queryset = Coupling.objects.select_related("type", "manifold")
    serializer_class = CouplingSerializer
    filterset_class = CouplingFilter
    lookup_field = "uid"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[Coupling]:
        """Return the couplings of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="manifold__site")

    @extend_schema(responses={200: CouplingMateSerializer(many=True)})
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def mates(self, request: Request, uid: str) -> Response:
        """Return the mates of a coupling, newest first; at most 500."""
        history = self.get_object().history.select_related("coupling", "manifold", "mated_with")
        return Response(CouplingMateSerializer(history[:500], many=True).data)

    @extend_schema(request=RemoveCouplingSerializer, responses={200: CouplingSerializer})
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, uid: str) -> Response:
        """Take a coupling off its manifold; its mates stay counted."""
        require_floor(request.auth, request.user, "cooling.change_coupling")
        coupling, given = self.get_object(), RemoveCouplingSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        reason = given.validated_data["reason"]

        def act(by: Actor) -> dict[str, Any]:
            return dict(CouplingSerializer(remove_coupling(coupling=coupling, reason=reason, by=by)).data)

        return perform(request, act)


class FitCoupling(APIView):
    """Fit a coupling to a manifold or hose."""

    @extend_schema(request=FitCouplingSerializer, responses={201: CouplingSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Fit a coupling; one known by its serial brings its mates along."""
        require_floor(request.auth, request.user, "cooling.add_coupling")
        unit, given = visible_unit(request.auth, uid), FitCouplingSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        place, kind, serial = (given.validated_data[name] for name in ("place", "type", "serial"))

        def act(by: Actor) -> dict[str, Any]:
            coupling = fit_coupling(manifold=unit, place=place, type=kind, serial=serial, by=by)
            return dict(CouplingSerializer(coupling).data)

        return perform(request, act, created=True)


class RecordMates(APIView):
    """Count mates of couplings."""

    @extend_schema(request=RecordMatesSerializer, responses={201: MatesSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Count one mate: of the coupling at a place of a manifold, or of all couplings of a rack's slot."""
        require_floor(request.auth, request.user, "cooling.change_coupling")
        unit, given = visible_unit(request.auth, uid), RecordMatesSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        named = given.validated_data
        other = visible_unit(request.auth, named["mated_with"]) if "mated_with" in named else None

        def act(by: Actor) -> dict[str, Any]:
            if "slot" in named:
                rows = record_slot_mates(parent=unit, slot_name=named["slot"], mated_with=other, by=by)
            else:
                rows = [record_mate(manifold=unit, place=named["place"], mated_with=other, by=by)]
            return dict(MatesSerializer({"mates": rows}).data)

        return perform(request, act, created=True)
