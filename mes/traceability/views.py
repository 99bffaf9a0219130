"""Genealogy, where-used, histories and traceability reports over REST."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import FileResponse
from django_filters.rest_framework import FilterSet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.models import Event
from mes.ledger.serializers import EventSerializer
from mes.ledger.services import Actor
from mes.racks.services import as_built, where_used, where_used_of_lot
from mes.rest import AnyAccept, perform
from mes.serials.models import Lot, Unit
from mes.serials.services import visible_units
from mes.stations.models import Site, Station
from mes.stations.services import of_site, site_of
from mes.traceability import tasks
from mes.traceability.models import Report
from mes.traceability.serializers import (
    AnyEventSerializer,
    AsBuiltSerializer,
    AskReportSerializer,
    GenealogyQuery,
    LotWhereUsedSerializer,
    ReportSerializer,
    WhereUsedSerializer,
)
from mes.traceability.services import ask_report, find_file


def unit_of(request: Request, uid: Any) -> Unit:
    """Return a unit of the caller's site with its origin, or 404."""
    units = visible_units(site_of(request.auth)).select_related("part_revision__part", "lot", "supplier")
    return get_object_or_404(units, uid=uid)


class Genealogy(APIView):
    """What a unit is made of."""

    @extend_schema(parameters=[GenealogyQuery], responses={200: AsBuiltSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Return what is, or at a time was, inside a unit."""
        asked = GenealogyQuery(data=request.query_params)
        asked.is_valid(raise_exception=True)
        tree = as_built(unit=unit_of(request, uid), **asked.validated_data)
        return Response(AsBuiltSerializer(tree).data)


class WhereUsed(APIView):
    """Where a unit is and was."""

    @extend_schema(responses={200: WhereUsedSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Return every place a unit was or is in, newest first."""
        unit = unit_of(request, uid)
        return Response(WhereUsedSerializer({"unit": unit, "places": where_used(unit=unit)}).data)


class LotWhereUsed(APIView):
    """Where the units of a lot are."""

    @extend_schema(responses={200: LotWhereUsedSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Return all units of a lot, with the racks that hold them."""
        site = site_of(request.auth)
        lots = Lot.objects.select_related("part", "supplier")
        lot = get_object_or_404(of_site(lots, request.auth), uid=uid)
        return Response(LotWhereUsedSerializer(units_of_lot(lot, site)).data)


def units_of_lot(lot: Lot, site: Site | None) -> dict[str, Any]:
    """Return the units of a lot at a site, or at all sites, by whether they are installed."""
    units = list(visible_units(site).filter(lot=lot).order_by("serial", "pk"))
    ids = {unit.pk for unit in units}
    installed = [row for row in where_used_of_lot(lot=lot) if row.child_id in ids]
    placed = {row.child_id for row in installed}
    return {
        "lot": lot,
        "units": len(units),
        "racks": list({row.root_id: row.root for row in installed}.values()),
        "installed": installed,
        "not_installed": [unit for unit in units if unit.pk not in placed],
    }


class UnitEvents(generics.ListAPIView[Event]):
    """The history of a unit, newest first; `?ordering=seq` for oldest first."""

    serializer_class = EventSerializer
    queryset = Event.objects.all()
    filterset_fields = ("kind",)
    ordering = ("-seq",)
    ordering_fields = ("seq",)

    def get_queryset(self) -> QuerySet[Event]:
        """Return the events of a unit of the caller's site."""
        return Event.objects.filter(stream=unit_of(self.request, self.kwargs["uid"]).stream)


class EventFilter(FilterSet):
    """Find events by what, who, where and when."""

    class Meta:
        model = Event
        fields = {
            **{name: ["exact"] for name in ("stream", "actor", "station", "device")},
            "kind": ["exact", "startswith"],
            "at": ["gte", "lt"],
        }


class EventList(generics.ListAPIView[Event]):
    """Everything that happened, newest first; a device sees what was recorded at stations of its site."""

    serializer_class = AnyEventSerializer
    queryset = Event.objects.all()
    filterset_class = EventFilter

    def get_queryset(self) -> QuerySet[Event]:
        """Return the events at the caller's site."""
        site = site_of(self.request.auth)
        stations = Station.objects.filter(line__site=site).values("code")
        return Event.objects.filter(station__in=stations) if site else Event.objects.all()


class ReportViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Report]):
    """Ask for traceability reports and fetch them."""

    queryset = Report.objects.select_related("unit")
    serializer_class = ReportSerializer
    filterset_fields = {
        **{name: ["exact"] for name in ("unit__uid", "unit__serial", "state", "asked_by")},
        **{name: ["gte", "lt"] for name in ("asked_at", "ready_at")},
    }
    lookup_field = "uid"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[Report]:
        """Return the reports on units of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="unit__site")

    @extend_schema(request=AskReportSerializer, responses={202: ReportSerializer})
    def create(self, request: Request) -> Response:
        """Ask for the report of a unit; it is made within seconds."""
        given = AskReportSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        unit = unit_of(request, given.validated_data["unit"])

        def act(by: Actor) -> dict[str, Any]:
            report = ask_report(unit=unit, by=by)
            send_soon(report)
            return dict(ReportSerializer(report).data)

        return accepted(perform(request, act, created=True))

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], content_negotiation_class=AnyAccept)
    def pdf(self, request: Request, uid: str) -> FileResponse:
        """Return the report as PDF; 404 until it is ready."""
        return self._file("pdf", "application/pdf")

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    @action(detail=True, methods=["get"], content_negotiation_class=AnyAccept)
    def json(self, request: Request, uid: str) -> FileResponse:
        """Return the report as canonical JSON; 404 until it is ready."""
        return self._file("json", "application/json")

    def _file(self, kind: str, content_type: str) -> FileResponse:
        report = self.get_object()
        path = find_file(report=report, name=getattr(report, f"{kind}_file"))
        name = f"{report.unit.serial} traceability.{kind}"
        return FileResponse(path.open("rb"), filename=name, content_type=content_type)


def send_soon(report: Report) -> None:
    """Have a worker make the report right after commit; a broker that is down only costs some seconds."""
    transaction.on_commit(lambda: tasks.make_report.apply_async((report.pk,), retry=False), robust=True)


def accepted(response: Response) -> Response:
    """Return the answer to a new report as 202: its files are still to be made."""
    if response.status_code == status.HTTP_201_CREATED:
        response.status_code = status.HTTP_202_ACCEPTED
        response["Location"] = response.data["url"]
    return response
