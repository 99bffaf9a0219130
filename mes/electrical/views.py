"""Electrical safety over REST: tests recorded and listed; live hipots begun, finished and aborted."""

from datetime import timedelta
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

from mes.electrical.models import HipotSession, SafetyTest
from mes.electrical.serializers import (
    AbortHipotSerializer,
    BeginHipotSerializer,
    FinishHipotSerializer,
    HipotSessionSerializer,
    RecordSafetySerializer,
    SafetyTestSerializer,
)
from mes.electrical.services import abort_hipot, begin_hipot, finish_hipot, record_safety_test
from mes.ledger.services import Actor
from mes.people.services import proof_of
from mes.rest import checked, perform
from mes.serials.services import visible_unit
from mes.stations.services import of_site, require_floor
from mes.testing.models import TestRun


class RecordSafetyTest(APIView):
    """Ground bond and insulation tests of a unit."""

    @extend_schema(request=RecordSafetySerializer, responses={201: SafetyTestSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record a test with its instrument and its points; the limits of the route judge it."""
        require_floor(request.auth, request.user, "electrical.add_safetytest")
        unit, given = visible_unit(request.auth, uid), RecordSafetySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        code, readings = given.validated_data["instrument"], given.readings()

        def act(by: Actor) -> dict[str, Any]:
            return _shown(record_safety_test(unit=unit, instrument=code, readings=readings, by=by))

        return perform(request, act, created=True)


class BeginHipot(APIView):
    """A live hipot of a unit."""

    @extend_schema(request=BeginHipotSerializer, responses={201: HipotSessionSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Begin it: signed by two people, on an empty rack, which is locked out until it has ended."""
        require_floor(request.auth, request.user, "electrical.add_hipotsession")
        unit, data = visible_unit(request.auth, uid), checked(BeginHipotSerializer(data=request.data))
        proofs = [proof_of(request, signature) for signature in data["signatures"]]

        def act(by: Actor) -> dict[str, Any]:
            session = begin_hipot(
                unit=unit,
                instrument=data["instrument"],
                reason=data["reason"],
                proofs=proofs,
                by=by,
                lasts=timedelta(minutes=data["minutes"]),
            )
            return dict(HipotSessionSerializer(session).data)

        return perform(request, act, created=True)


class SafetyTestFilter(FilterSet):
    """Find safety tests by unit, kind, outcome, instrument, person and time."""

    unit = django_filters.UUIDFilter(field_name="unit__uid")
    serial = django_filters.CharFilter(field_name="unit__serial")
    instrument = django_filters.CharFilter(field_name="tool__code")
    outcome = django_filters.ChoiceFilter(field_name="test_run__outcome", choices=TestRun.Outcome.choices)
    superseded = django_filters.BooleanFilter(
        field_name="test_run__superseded_at", lookup_expr="isnull", exclude=True
    )

    class Meta:
        model = SafetyTest
        fields = {
            "kind": ["exact"],
            "certificate": ["exact"],
            "recorded_by": ["exact"],
            "unit__site__code": ["exact"],
            "recorded_at": ["gte", "lt"],
        }


class SafetyTestViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[SafetyTest]
):
    """Read electrical safety tests."""

    queryset = SafetyTest.objects.select_related(
        "unit", "tool", "plan", "session", "test_run"
    ).prefetch_related("points")
    serializer_class = SafetyTestSerializer
    filterset_class = SafetyTestFilter
    lookup_field = "uid"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[SafetyTest]:
        """Return the tests of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="unit__site")


class HipotSessionFilter(FilterSet):
    """Find live and ended hipots by unit, state, person and time."""

    unit = django_filters.UUIDFilter(field_name="unit__uid")
    serial = django_filters.CharFilter(field_name="unit__serial")

    class Meta:
        model = HipotSession
        fields = {
            **{name: ["exact"] for name in ("state", "first_person", "second_person", "ended_by")},
            "unit__site__code": ["exact"],
            **{name: ["gte", "lt"] for name in ("begun_at", "ended_at", "expires_at")},
        }


class HipotSessionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[HipotSession]
):
    """Read live hipots; finish and abort them."""

    queryset = HipotSession.objects.select_related("unit", "operation", "plan", "tool", "test")
    serializer_class = HipotSessionSerializer
    filterset_class = HipotSessionFilter
    lookup_field = "uid"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[HipotSession]:
        """Return the sessions of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="unit__site")

    @extend_schema(request=FinishHipotSerializer, responses={200: SafetyTestSerializer})
    @action(detail=True, methods=["post"])
    def finish(self, request: Request, uid: str) -> Response:
        """Record the result, by one of the two; the lockout ends."""
        require_floor(request.auth, request.user, "electrical.change_hipotsession")
        session, given = self.get_object(), FinishHipotSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        readings, discharged = given.readings(), given.validated_data["discharged"]

        def act(by: Actor) -> dict[str, Any]:
            return _shown(finish_hipot(session=session, readings=readings, discharged=discharged, by=by))

        return perform(request, act)

    @extend_schema(request=AbortHipotSerializer, responses={200: HipotSessionSerializer})
    @action(detail=True, methods=["post"])
    def abort(self, request: Request, uid: str) -> Response:
        """Stop it without a result, with a reason; anybody may. The lockout ends."""
        require_floor(request.auth, request.user, "electrical.change_hipotsession")
        session, data = self.get_object(), checked(AbortHipotSerializer(data=request.data))

        def act(by: Actor) -> dict[str, Any]:
            ended = abort_hipot(session=session, reason=data["reason"], discharged=data["discharged"], by=by)
            return dict(HipotSessionSerializer(ended).data)

        return perform(request, act)


def _shown(test: SafetyTest) -> dict[str, Any]:
    return dict(SafetyTestSerializer(test).data)
