"""Cabling over REST: plans; the cables of a unit and the acts on them; the machine's own view."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import django_filters
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.cabling.models import CableConnection, CablePlan, NeighbourReport
from mes.cabling.scans import read_cable
from mes.cabling.serializers import (
    CableCheckSerializer,
    CableConnectionSerializer,
    CablePlanDetailSerializer,
    CablePlanSerializer,
    CablingActSerializer,
    CablingVerdictSerializer,
    ConnectCableSerializer,
    CutListSerializer,
    DisconnectCableSerializer,
    DisconnectedSerializer,
    ImportNeighboursSerializer,
    NeighbourReportSerializer,
    PortMapSerializer,
    PortPollSerializer,
    RecordCableCheckSerializer,
    UnitCableSerializer,
    UnitCablesQuery,
    UnitCablesSerializer,
)
from mes.cabling.services import (
    Cable,
    Found,
    Report,
    Seen,
    ask_poll,
    cable_list,
    connect_cable,
    count_states,
    cut_list,
    disconnect_cable,
    import_reports,
    plan_of,
    port_map,
    record_check,
    verify_cabling,
    verify_port_map,
)
from mes.ledger.services import Actor
from mes.rest import checked, perform
from mes.serials.models import Unit
from mes.serials.services import visible_unit
from mes.stations.services import of_site, require_floor

CONNECT = "cabling.add_cableconnection"


def unit_of(request: Request, uid: Any, permission: str) -> Unit:
    """Return the unit of a request, for devices of its site and for people with a permission."""
    require_floor(request.auth, request.user, permission)
    return visible_unit(request.auth, uid)


class CablePlanViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[CablePlan]):
    """Read cable plans."""

    queryset = CablePlan.objects.select_related("part")
    serializer_class = CablePlanSerializer
    filterset_fields = {
        **{name: ["exact"] for name in ("part__number", "version", "name")},
        "released_at": ["gte", "lt", "isnull"],
    }

    @extend_schema(responses={200: CablePlanDetailSerializer})
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Read one plan with its cables."""
        return Response(CablePlanDetailSerializer(self.get_object()).data)

    def get_queryset(self) -> QuerySet[CablePlan]:
        """Return the plans, with their cables where one is read."""
        plans = super().get_queryset()
        return plans if self.action == "list" else plans.prefetch_related("cables__part", "kinds__part")


class CableConnectionFilter(FilterSet):
    """Find connections by unit, cable, lot, planned cable, person and time."""

    unit = django_filters.UUIDFilter(field_name="unit__uid")
    serial = django_filters.CharFilter(field_name="unit__serial")
    label = django_filters.CharFilter(field_name="planned__label")
    cable = django_filters.CharFilter(field_name="cable__serial")
    lot = django_filters.CharFilter(field_name="lot__number")
    live = django_filters.BooleanFilter(field_name="disconnected_at", lookup_expr="isnull")

    class Meta:
        model = CableConnection
        fields = {
            **{name: ["exact"] for name in ("connected_by", "disconnected_by", "station")},
            **{name: ["gte", "lt"] for name in ("connected_at", "disconnected_at")},
        }


class CableConnectionViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[CableConnection]):
    """Read which cables are and were connected where."""

    queryset = CableConnection.objects.select_related("unit", "planned", "cable", "lot").prefetch_related(
        "ends"
    )
    serializer_class = CableConnectionSerializer
    filterset_class = CableConnectionFilter

    def get_queryset(self) -> QuerySet[CableConnection]:
        """Return the connections of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="unit__site")


class NeighbourReportFilter(FilterSet):
    """Find reports by unit, source, device and time."""

    unit = django_filters.UUIDFilter(field_name="unit__uid")
    serial = django_filters.CharFilter(field_name="unit__serial")

    class Meta:
        model = NeighbourReport
        fields = {
            **{name: ["exact"] for name in ("source", "device", "is_current", "reported_by")},
            "taken_at": ["gte", "lt"],
        }


class NeighbourReportViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[NeighbourReport]):
    """Read what was reported of ports."""

    queryset = NeighbourReport.objects.select_related("unit").prefetch_related("neighbours")
    serializer_class = NeighbourReportSerializer
    filterset_class = NeighbourReportFilter

    def get_queryset(self) -> QuerySet[NeighbourReport]:
        """Return the reports of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="unit__site")


class UnitCables(APIView):
    """The cables of a unit."""

    answers_csv = True

    @extend_schema(parameters=[UnitCablesQuery], responses={200: UnitCablesSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Return every planned cable and how it stands; as CSV, its rows."""
        unit = unit_of(request, uid, "cabling.view_cableconnection")
        asked = UnitCablesQuery(data=request.query_params)
        asked.is_valid(raise_exception=True)
        plan = plan_of(unit)
        rows = cable_list(unit=unit, plan=plan)
        shown = [UnitCableSerializer.flat(row) for row in rows if asked.takes(row)]
        answer = {"plan": str(plan.row), "counts": count_states(rows), "rows": shown}
        return Response(UnitCablesSerializer(answer).data)


class CutList(APIView):
    """What to cut for a unit."""

    answers_csv = True

    @extend_schema(responses={200: CutListSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Return how many cables of each part and length a unit takes; as CSV, its rows."""
        unit = unit_of(request, uid, "cabling.view_cableconnection")
        plan = plan_of(unit)
        rows = [asdict(row) for row in cut_list(cable_list(unit=unit, plan=plan))]
        return Response(CutListSerializer({"plan": str(plan.row), "rows": rows}).data)


class ConnectCable(APIView):
    """Connect a cable."""

    @extend_schema(request=ConnectCableSerializer, responses={201: CableConnectionSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record that a cable goes from a port to another."""
        unit = unit_of(request, uid, CONNECT)
        given = checked(ConnectCableSerializer(data=request.data))

        def act(by: Actor) -> dict[str, Any]:
            cable = read_cable(given["cable"], plan_of(unit), unit.site)
            cable = Cable(cable.unit, cable.lot, given.get("cut_length_mm"))
            ends = (_end(given["end_a"]), _end(given["end_b"]))
            connection = connect_cable(unit=unit, ends=ends, cable=cable, label=given["label"], by=by)
            return dict(CableConnectionSerializer(connection).data)

        return perform(request, act, created=True)


def _end(scanned: str) -> str:
    """Return an end without what its barcode says it is."""
    return scanned[5:] if scanned.upper().startswith("PORT:") else scanned


class DisconnectCable(APIView):
    """Disconnect a cable."""

    @extend_schema(request=DisconnectCableSerializer, responses={200: DisconnectedSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record that a cable came off, and return what must be repeated."""
        unit = unit_of(request, uid, "cabling.change_cableconnection")
        given = checked(DisconnectCableSerializer(data=request.data))

        def act(by: Actor) -> dict[str, Any]:
            done = disconnect_cable(unit=unit, label=given["label"], reason=given["reason"], by=by)
            retest = done.retest
            answer = {
                "connection": done.connection,
                "repeat": [str(operation) for operation in retest.operations] if retest else [],
                "rules": [rule.name for rule in retest.rules] if retest else [],
            }
            return dict(DisconnectedSerializer(answer).data)

        return perform(request, act)


class CheckCable(APIView):
    """Check a cable."""

    @extend_schema(request=RecordCableCheckSerializer, responses={201: CableCheckSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record what was found on a connected cable."""
        unit = unit_of(request, uid, "cabling.add_cablecheck")
        given = checked(RecordCableCheckSerializer(data=request.data, context={"site": unit.site_id}))
        found = Found(
            given["kind"],
            passed=given["passed"],
            value=given["value"],
            unit=given["unit"],
            note=given["note"],
            photo=given.get("photo"),
        )

        def act(by: Actor) -> dict[str, Any]:
            check = record_check(unit=unit, label=given["label"], found=found, by=by)
            return dict(CableCheckSerializer(check).data)

        return perform(request, act, created=True)


class VerifyCabling(APIView):
    """Judge the cabling of a unit."""

    @extend_schema(request=CablingActSerializer, responses={201: CablingVerdictSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Report the test run ``cabling``: every planned cable connected, every check passed."""
        unit = unit_of(request, uid, "cabling.add_cablingverdict")
        return perform(request, _judged(lambda by: verify_cabling(unit=unit, by=by)), created=True)


class VerifyPortMap(APIView):
    """Judge the machine's own view of a unit."""

    @extend_schema(request=CablingActSerializer, responses={201: CablingVerdictSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Report the test run ``port_map``: the machine sees every planned cable as planned."""
        unit = unit_of(request, uid, "cabling.add_cablingverdict")
        return perform(request, _judged(lambda by: verify_port_map(unit=unit, by=by)), created=True)


def _judged(judge: Callable[[Actor], Any]) -> Callable[[Actor], dict[str, Any]]:
    return lambda by: dict(CablingVerdictSerializer(judge(by)).data)


class UnitPortMap(APIView):
    """The machine's own view of a unit."""

    answers_csv = True

    @extend_schema(responses={200: PortMapSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Compare what the ports report with the plan, live; as CSV, its rows."""
        unit = unit_of(request, uid, "cabling.view_neighbourreport")
        return Response(PortMapSerializer(port_map(unit=unit)).data)


class PollPorts(APIView):
    """Ask the BMCs of a unit for their ports."""

    @extend_schema(request=CablingActSerializer, responses={200: PortPollSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Have the BMCs asked as soon as a worker is free."""
        unit = unit_of(request, uid, "cabling.add_neighbourreport")
        return perform(request, lambda by: dict(PortPollSerializer(ask_poll(unit=unit, by=by)).data))


class ImportNeighbours(APIView):
    """Import what was read of a unit's ports."""

    @extend_schema(request=ImportNeighboursSerializer, responses={201: NeighbourReportSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Keep a report of LLDP, NVLink or Redfish neighbours."""
        unit = unit_of(request, uid, "cabling.add_neighbourreport")
        given = checked(ImportNeighboursSerializer(data=request.data))
        ports = [Seen(**{**row, "device": row["device"] or given["device"]}) for row in given["neighbours"]]
        report = Report(given["source"], given["taken_at"], ports, given["device"])

        def act(by: Actor) -> dict[str, Any]:
            (row,) = import_reports(unit=unit, reports=[report], by=by)
            return dict(NeighbourReportSerializer(row).data)

        return perform(request, act, created=True)
