"""Leak tests and leak sensor exercises over REST."""

import hashlib
from typing import Any, cast

import django_filters
from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django_filters.rest_framework import FilterSet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.cooling.models import LeakSensorExercise, LeakTest
from mes.cooling.serializers.leaks import (
    LeakSensorExerciseSerializer,
    LeakTestSerializer,
    RecordExerciseSerializer,
    RecordLeakTestSerializer,
)
from mes.cooling.services import record_leak_test, record_sensor_exercise, unpack_curve
from mes.exports import csv_response
from mes.ledger.services import Actor
from mes.rest import AnyAccept, CleanJSONParser, perform
from mes.serials.services import visible_unit
from mes.stations.services import of_site, require_floor
from mes.testing.models import TestRun


def leak_tests() -> QuerySet[LeakTest]:
    """Return leak tests with all that is shown of them, without their curves."""
    tests = LeakTest.objects.defer("curve").select_related(
        "unit", "instrument", "calibration", "test_run__operation__route"
    )
    return tests.prefetch_related("test_run__measurements")


def exercises() -> QuerySet[LeakSensorExercise]:
    """Return leak sensor exercises with all that is shown of them."""
    rows = LeakSensorExercise.objects.select_related("unit", "test_run")
    return rows.prefetch_related("results__detector")


class LeakTestFilter(FilterSet):
    """Find leak tests by unit, method, instrument, verdict and time."""

    serial = django_filters.CharFilter(field_name="unit__serial")
    instrument = django_filters.CharFilter(field_name="instrument__code")
    certificate = django_filters.CharFilter(field_name="calibration__certificate")
    outcome = django_filters.ChoiceFilter(field_name="test_run__outcome", choices=TestRun.Outcome.choices)
    superseded = django_filters.BooleanFilter(
        field_name="test_run__superseded_at", lookup_expr="isnull", exclude=True
    )

    class Meta:
        model = LeakTest
        fields = {
            **{name: ["exact"] for name in ("unit__uid", "unit__site__code", "scope", "method", "medium")},
            "recorded_by": ["exact"],
            "ended_at": ["gte", "lt"],
        }


class LeakTestViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[LeakTest]):
    """Read leak tests and their curves."""

    queryset = LeakTest.objects.all()
    serializer_class = LeakTestSerializer
    filterset_class = LeakTestFilter
    lookup_field = "uid"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[LeakTest]:
        """Return the tests of the caller's site."""
        return of_site(leak_tests(), self.request.auth, through="unit__site")

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Hand a curve out whatever the caller says it accepts."""
        if self.action == "curve":
            return AnyAccept().select_renderer(request, self.get_renderers())
        return super().perform_content_negotiation(request, force)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def curve(self, request: Request, uid: str) -> StreamingHttpResponse:
        """Return the curve as CSV: t_s, the value with its unit in the name, temperature_cel."""
        test = self.get_object()
        unit = "mbar_l_per_s" if test.method == LeakTest.Method.HELIUM else "mbar"
        header = ("t_s", f"value_{unit}", "temperature_cel")
        return csv_response(f"leak-test-{test.uid}", header, unpack_curve(bytes(test.curve), test.samples))


class RecordLeakTest(APIView):
    """Report a leak test."""

    parser_classes = (CleanJSONParser, MultiPartParser)

    @extend_schema(request=RecordLeakTestSerializer, responses={201: LeakTestSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Report a leak test with its curve, as JSON or as multipart/form-data with a CSV file."""
        require_floor(request.auth, request.user, "cooling.add_leaktest")
        unit = visible_unit(request.auth, uid)
        given = RecordLeakTestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        report = given.report(unit)

        def act(by: Actor) -> dict[str, Any]:
            test = record_leak_test(unit=unit, report=report, by=by)
            return dict(LeakTestSerializer(leak_tests().get(pk=test.pk)).data)

        return perform(request, act, created=True, body=_body(request))


def _body(request: Request) -> Any:
    """Return what stands for the body of a request that brings a file; None: the body itself does."""
    if "curve_file" not in request.FILES:
        return None
    file = request.FILES["curve_file"]
    file.seek(0)
    given = cast(dict[str, Any], request.data)
    fields = {name: given[name] for name in given if name != "curve_file"}
    return {**fields, "curve_sha256": hashlib.sha256(file.read()).hexdigest()}


class ExerciseFilter(FilterSet):
    """Find exercises by unit, sensor, verdict and time."""

    serial = django_filters.CharFilter(field_name="unit__serial")
    sensor = django_filters.CharFilter(field_name="results__sensor", distinct=True)
    outcome = django_filters.ChoiceFilter(field_name="test_run__outcome", choices=TestRun.Outcome.choices)

    class Meta:
        model = LeakSensorExercise
        fields = {
            **{name: ["exact"] for name in ("unit__uid", "unit__site__code", "done_by")},
            "done_at": ["gte", "lt"],
        }


class LeakSensorExerciseViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[LeakSensorExercise]
):
    """Read leak sensor exercises."""

    queryset = LeakSensorExercise.objects.all()
    serializer_class = LeakSensorExerciseSerializer
    filterset_class = ExerciseFilter
    lookup_field = "uid"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[LeakSensorExercise]:
        """Return the exercises of the caller's site."""
        return of_site(exercises(), self.request.auth, through="unit__site")


class RecordExercise(APIView):
    """Report a leak sensor exercise."""

    @extend_schema(request=RecordExerciseSerializer, responses={201: LeakSensorExerciseSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Report that every leak sensor of a unit was wetted or shorted, and what it did."""
        require_floor(request.auth, request.user, "cooling.add_leaksensorexercise")
        unit = visible_unit(request.auth, uid)
        given = RecordExerciseSerializer(data=request.data)
        given.is_valid(raise_exception=True)

        def act(by: Actor) -> dict[str, Any]:
            exercise = record_sensor_exercise(unit=unit, trips=given.trips(), by=by)
            return dict(LeakSensorExerciseSerializer(exercises().get(pk=exercise.pk)).data)

        return perform(request, act, created=True)
