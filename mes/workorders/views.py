"""Orders, work on units, test results and scans over REST."""

import hashlib
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.people.services import require_permission
from mes.rest import operator_of, perform
from mes.serials.models import Unit
from mes.serials.services import visible_units
from mes.stations.services import require_device, require_floor, site_of
from mes.testing.models import TestRun
from mes.testing.ocp import LONGEST_LINE, MalformedOcpOutput, read_ocp
from mes.testing.services import ocp_result
from mes.workorders.models import WorkOrder
from mes.workorders.scans import scan, unit_on_label
from mes.workorders.serializers import (
    CreateWorkOrderSerializer,
    InstallationSerializer,
    InstallSerializer,
    OperationRunSerializer,
    ProcedureSerializer,
    RemoveSerializer,
    ReportTestSerializer,
    ScanAnswerSerializer,
    ScanSerializer,
    TestRunSerializer,
    WorkOrderSerializer,
)
from mes.workorders.services import (
    complete_operation,
    create_order,
    install_child,
    release_order,
    remove_child,
    report_test,
    start_operation,
)


def unit_of(request: Request, uid: Any) -> Unit:
    """Return a unit of the caller's site, or 404."""
    return get_object_or_404(visible_units(site_of(request.auth)), uid=uid)


class WorkOrderViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[WorkOrder]):
    """List, read, create and release orders."""

    queryset = WorkOrder.objects.select_related(
        "part_revision__part", "route", "firmware_baseline"
    ).prefetch_related("order_units__unit")
    serializer_class = WorkOrderSerializer
    filterset_fields = ("state", "customer", "part_revision__part__number")
    lookup_field = "number"
    lookup_value_regex = "[^/\x00]+"

    def get_queryset(self) -> QuerySet[WorkOrder]:
        """Return the orders of the caller's site."""
        site = site_of(self.request.auth)
        return super().get_queryset().filter(site=site) if site else super().get_queryset()

    @extend_schema(request=CreateWorkOrderSerializer, responses={201: WorkOrderSerializer})
    def create(self, request: Request) -> Response:
        """Draft an order."""
        require_permission(request.user, "workorders.add_workorder", operator=operator_of(request))
        given = CreateWorkOrderSerializer(data=request.data)
        given.is_valid(raise_exception=True)

        site = site_of(request.auth)
        if site is not None and given.validated_data["site"] != site:
            raise ValidationError({"site": ["This device belongs to another site."]})

        def act(by: Actor) -> dict[str, Any]:
            return dict(WorkOrderSerializer(create_order(by=by, **given.validated_data)).data)

        return perform(request, act, created=True)

    @extend_schema(request=None, responses={200: WorkOrderSerializer})
    @action(detail=True, methods=["post"])
    def release(self, request: Request, number: str) -> Response:
        """Release an order; it creates the order's units."""
        require_permission(request.user, "workorders.change_workorder", operator=operator_of(request))
        order = self.get_object()

        def act(by: Actor) -> dict[str, Any]:
            release_order(order=order, by=by)
            return dict(WorkOrderSerializer(self.get_queryset().get(pk=order.pk)).data)

        return perform(request, act)


class InstallChild(APIView):
    """Install a unit into a slot."""

    @extend_schema(request=InstallSerializer, responses={201: InstallationSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Install."""
        device, unit = require_device(request.auth), unit_of(request, uid)
        given = InstallSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        child = given.validated_data["child"]

        def act(by: Actor) -> dict[str, Any]:
            installed = install_child(
                unit=unit,
                slot_name=given.validated_data["slot"],
                child=unit_of(request, child["uid"])
                if "uid" in child
                else unit_on_label(device, child["raw"]),
                station=device.station,
                by=by,
            )
            return dict(InstallationSerializer(installed).data)

        return perform(request, act, created=True)


class RemoveChild(APIView):
    """Take a unit out of a slot."""

    @extend_schema(request=RemoveSerializer, responses={200: InstallationSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Remove; the answer says which operations must be repeated."""
        require_device(request.auth)
        unit = unit_of(request, uid)
        given = RemoveSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        slot, reason = given.validated_data["slot"], given.validated_data["reason"]

        def act(by: Actor) -> dict[str, Any]:
            removal = remove_child(unit=unit, slot_name=slot, reason=reason, by=by)
            repeat = [{"sequence": item.sequence, "name": item.name} for item in removal.repeated]
            removed = InstallationSerializer(removal.installation).data
            return {**removed, "repeat": repeat, "rules": removal.rules}

        return perform(request, act)


class StartOperation(APIView):
    """Start an operation of a unit."""

    @extend_schema(request=None, responses={200: OperationRunSerializer})
    def post(self, request: Request, uid: str, sequence: int) -> Response:
        """Start."""
        station, unit = require_device(request.auth).station, unit_of(request, uid)

        def act(by: Actor) -> dict[str, Any]:
            run = start_operation(unit=unit, sequence=sequence, station=station, by=by)
            return dict(OperationRunSerializer(run).data)

        return perform(request, act)


class CompleteOperation(APIView):
    """Complete an operation of a unit."""

    @extend_schema(request=None, responses={200: OperationRunSerializer})
    def post(self, request: Request, uid: str, sequence: int) -> Response:
        """Complete."""
        station, unit = require_device(request.auth).station, unit_of(request, uid)

        def act(by: Actor) -> dict[str, Any]:
            run = complete_operation(unit=unit, sequence=sequence, station=station, by=by)
            return dict(OperationRunSerializer(run).data)

        return perform(request, act)


class Scans(APIView):
    """The one call a scanner needs."""

    @extend_schema(request=ScanSerializer, responses={200: ScanAnswerSerializer})
    def post(self, request: Request) -> Response:
        """Scan anything: badge, command, station, unit, slot, part or lot label."""
        device = require_device(request.auth)
        given = ScanSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        raw, symbology = given.validated_data["raw"], given.validated_data.get("symbology")

        def act(by: Actor) -> dict[str, Any]:
            try:
                return scan(device=device, raw=raw, by=by, symbology=symbology)
            except RuleViolation as violation:
                violation.facts |= {"outcome": "refused", "sound": "refuse"}
                raise

        return perform(request, act)


class TestRunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[TestRun]):
    """Read and report test runs."""

    queryset = TestRun.objects.select_related("unit", "operation").prefetch_related(
        "measurements", "diagnoses"
    )
    serializer_class = TestRunSerializer
    filterset_fields = ("unit__uid", "procedure", "outcome", "truncated")
    lookup_field = "uid"

    def get_queryset(self) -> QuerySet[TestRun]:
        """Return the runs of the caller's site."""
        site = site_of(self.request.auth)
        return super().get_queryset().filter(unit__site=site) if site else super().get_queryset()

    @extend_schema(request=ReportTestSerializer, responses={201: TestRunSerializer})
    def create(self, request: Request) -> Response:
        """Report a result in the native form."""
        require_floor(request.auth, request.user, "testing.add_testrun")
        given = ReportTestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        unit = unit_of(request, given.validated_data["unit"])

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
        unit = unit_of(request, request.query_params.get("unit"))
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
