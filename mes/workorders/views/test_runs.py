"""Test results over REST."""

import hashlib
from collections.abc import Iterator
from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.services import Actor
from mes.rest import perform
from mes.serials.services import visible_unit
from mes.stations.models import Station
from mes.stations.services import of_site, require_floor
from mes.testing.models import TestRun
from mes.testing.ocp import LONGEST_LINE, MalformedOcpOutput, read_ocp
from mes.testing.services import ocp_result
from mes.workorders.serializers.test_runs import ProcedureSerializer, ReportTestSerializer, TestRunSerializer
from mes.workorders.services import (
    report_test,
)


class TestRunFilter(FilterSet):
    """Find test runs by unit, test, result, place, person or time."""

    serial = django_filters.CharFilter(field_name="unit__serial")
    part = django_filters.CharFilter(field_name="unit__part_revision__part__number")
    supplier = django_filters.CharFilter(field_name="unit__supplier__code")
    lot = django_filters.CharFilter(field_name="unit__lot__number")
    line = django_filters.CharFilter(method="at_line", label="Code of the line.")
    operation = django_filters.CharFilter(field_name="operation__code")
    reported_as = django_filters.ChoiceFilter(field_name="format", choices=TestRun.Format.choices)
    superseded = django_filters.BooleanFilter(field_name="superseded_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = TestRun
        fields = {
            **{name: ["exact"] for name in ("unit__uid", "procedure", "outcome", "status")},
            **{name: ["exact"] for name in ("truncated", "station", "device", "person", "procedure_version")},
            "received_at": ["gte", "lt"],
        }

    def at_line(self, runs: QuerySet[TestRun], name: str, value: str) -> QuerySet[TestRun]:
        """Narrow to the runs at stations of a line."""
        return runs.filter(station__in=Station.objects.filter(line__code=value).values("code"))


class TestRunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[TestRun]):
    """Read and report test runs."""

    queryset = TestRun.objects.select_related("unit", "operation").prefetch_related(
        "measurements", "diagnoses"
    )
    serializer_class = TestRunSerializer
    filterset_class = TestRunFilter
    lookup_field = "uid"

    def get_queryset(self) -> QuerySet[TestRun]:
        """Return the runs of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="unit__site")

    @extend_schema(request=ReportTestSerializer, responses={201: TestRunSerializer})
    def create(self, request: Request) -> Response:
        """Report a result in the native form."""
        require_floor(request.auth, request.user, "testing.add_testrun")
        given = ReportTestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        unit = visible_unit(request.auth, given.validated_data["unit"])

        def act(by: Actor) -> dict[str, Any]:
            return dict(TestRunSerializer(report_test(unit=unit, result=given.result(), by=by)).data)

        return perform(request, act, created=True)


class OcpParser(BaseParser):
    """Reads OCP output line by line as it arrives, so that its size does not matter."""

    media_type = "application/x-ndjson"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        """Return the ``run`` and the ``sha256`` of the body; output that breaks the standard is bad input."""
        digest = hashlib.sha256()

        def lines() -> Iterator[bytes]:
            while line := stream.readline(LONGEST_LINE + 1):
                digest.update(line)
                yield line

        try:
            return {"run": read_ocp(lines()), "sha256": digest.hexdigest()}
        except MalformedOcpOutput as error:
            raise ValidationError({"body": [str(error)]}) from error


class ReportOcpTest(APIView):
    """Report a result as OCP Test & Validation 2.0 JSON lines."""

    parser_classes = (OcpParser,)

    @extend_schema(
        request={"application/x-ndjson": OpenApiTypes.STR},
        parameters=[
            OpenApiParameter("unit", OpenApiTypes.UUID, required=True, description="uid of the unit tested."),
            OpenApiParameter(
                "procedure", str, description="The route's name of the test; else the run's own."
            ),
        ],
        responses={201: TestRunSerializer},
    )
    def post(self, request: Request) -> Response:
        """Report."""
        require_floor(request.auth, request.user, "testing.add_testrun")
        unit = visible_unit(request.auth, request.query_params.get("unit"))
        body: Any = request.data
        if "run" not in body:
            raise ValidationError({"body": ["line 0: the output is empty"]})
        asked = ProcedureSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        result = ocp_result(body["run"], procedure=asked.validated_data["procedure"])
        result.details["sha256"] = body["sha256"]

        def act(by: Actor) -> dict[str, Any]:
            return dict(TestRunSerializer(report_test(unit=unit, result=result, by=by)).data)

        return perform(request, act, created=True, body=body["sha256"])
