"""Nonconformances over REST: opened, looked at, decided about, repaired."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from mes.attachments.models import Attachment
from mes.ledger.services import Actor
from mes.people.services import Proof, proof_of
from mes.products.models import Operation, Route
from mes.quality.models import Disposition, Nonconformance, RepairRecord
from mes.quality.services import add_pictures
from mes.rest import perform
from mes.serials.models import Unit
from mes.serials.services import visible_unit
from mes.stations.models import Device
from mes.stations.services import of_site, require_floor
from mes.testing.models import TestRun
from mes.workorders.models import OrderUnit, Rework
from mes.workorders.serializers.nonconformances import (
    DisposeSerializer,
    DispositionSerializer,
    NonconformanceSerializer,
    PicturesSerializer,
    RecordRepairSerializer,
    RepairSerializer,
    ReportProblemSerializer,
)
from mes.workorders.services import dispose, record_repair, report_problem

Source = Nonconformance.Source


class NonconformanceViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Nonconformance]
):
    """Read and open nonconformances, decide about them, record repairs."""

    queryset = Nonconformance.objects.select_related(
        "site", "unit__part_revision__part", "operation", "test_run"
    ).prefetch_related(
        "pictures",
        Prefetch(
            "dispositions",
            Disposition.objects.select_related(
                "rework_route", "returns_to", "signature", "quality_signature"
            ),
        ),
        Prefetch("reworks", Rework.objects.select_related("route", "returns_to").order_by("pk")),
        Prefetch(
            "repairs",
            RepairRecord.objects.select_related("failed_test", "removed", "fitted").order_by("pk"),
        ),
    )
    serializer_class = NonconformanceSerializer
    lookup_field = "number"
    filterset_fields = {
        "state": ["exact"],
        "unit__uid": ["exact"],
        "unit__part_revision__part__number": ["exact"],
        **{name: ["exact"] for name in ("symptom", "source", "site__code", "operation__code")},
        **{name: ["exact"] for name in ("location", "opened_by", "opened_station", "dispositions__kind")},
        **{name: ["gte", "lt"] for name in ("opened_at", "closed_at")},
    }

    def get_queryset(self) -> QuerySet[Nonconformance]:
        """Return the nonconformances of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=ReportProblemSerializer, responses={201: NonconformanceSerializer})
    def create(self, request: Request) -> Response:
        """Open one; its unit is on hold at once."""
        require_floor(request.auth, request.user, "quality.add_nonconformance")
        given = ReportProblemSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        data = given.validated_data
        unit = visible_unit(request.auth, data["unit"])
        run = test_run_of(unit, data["test_run"])
        station = request.auth.station if isinstance(request.auth, Device) else None

        def act(by: Actor) -> dict[str, Any]:
            opened = report_problem(
                unit=unit,
                symptom=data["symptom"],
                source=data.get("source") or _source(run, request),
                by=by,
                work_center=station.work_center if station else "",
                sequence=data["operation"],
                description=data["description"],
                location=data["location"],
                test_run=run,
                pictures=pictures_of(unit, data["pictures"]),
            )
            return self._shown(opened)

        return perform(request, act, created=True)

    @extend_schema(request=PicturesSerializer, responses={200: NonconformanceSerializer})
    @action(detail=True, methods=["post"])
    def pictures(self, request: Request, number: str) -> Response:
        """Add pictures that were uploaded as attachments."""
        require_floor(request.auth, request.user, "quality.add_nonconformance")
        nonconformance = self.get_object()
        given = PicturesSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        pictures = pictures_of(nonconformance.unit, given.validated_data["pictures"])
        return perform(
            request,
            lambda by: self._shown(add_pictures(nonconformance=nonconformance, pictures=pictures, by=by)),
        )

    @extend_schema(request=DisposeSerializer, responses={201: DispositionSerializer})
    @action(detail=True, methods=["post"])
    def disposition(self, request: Request, number: str) -> Response:
        """Decide about it, signed by the review board."""
        require_floor(request.auth, request.user, "quality.add_disposition")
        nonconformance = self.get_object()
        given = DisposeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        data, unit = given.validated_data, nonconformance.unit
        proof, quality_proof = _proof(request, data, "signature"), _proof(request, data, "quality_signature")

        def act(by: Actor) -> dict[str, Any]:
            decided = dispose(
                nonconformance=nonconformance,
                kind=data["kind"],
                reason=data["reason"],
                proof=proof,
                quality_proof=quality_proof,
                rework_route=_route_of(unit, data["rework_route"]),
                returns_to=_operation_of(unit, data["returns_to"]),
                by=by,
            )
            return dict(DispositionSerializer(decided).data)

        return perform(request, act, created=True)

    @extend_schema(request=RecordRepairSerializer, responses={201: RepairSerializer})
    @action(detail=True, methods=["post"])
    def repairs(self, request: Request, number: str) -> Response:
        """Record what was done about it."""
        require_floor(request.auth, request.user, "quality.add_repairrecord")
        nonconformance = self.get_object()
        given = RecordRepairSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        data = given.validated_data
        run = test_run_of(nonconformance.unit, data["failed_test"])

        def act(by: Actor) -> dict[str, Any]:
            repair = record_repair(
                nonconformance=nonconformance,
                action=data["action"],
                symptom=data["symptom"],
                failed_test=run,
                slot=data["slot"],
                minutes=data["minutes"],
                by=by,
            )
            return dict(RepairSerializer(repair).data)

        return perform(request, act, created=True)

    def _shown(self, nonconformance: Nonconformance) -> dict[str, Any]:
        return dict(NonconformanceSerializer(self.get_queryset().get(pk=nonconformance.pk)).data)


def _proof(request: Request, data: dict[str, Any], name: str) -> Proof | None:
    return proof_of(request, data[name]) if name in data else None


def _route_of(unit: Unit, version: str) -> Route | None:
    return Route.objects.filter(part=unit.part_revision.part_id, version=version).first()


def _operation_of(unit: Unit, code: str) -> Operation | None:
    now = OrderUnit.objects.filter(unit=unit, closed_at__isnull=True)
    return Operation.objects.filter(route__in=now.values("route"), code=code).first()


def _source(run: TestRun | None, request: Request) -> Source:
    if run is not None:
        return Source.TEST
    return Source.TERMINAL if isinstance(request.auth, Device) else Source.HAND


def test_run_of(unit: Unit, uid: UUID | None) -> TestRun | None:
    """Return a test run of the unit's site, or 404; None for none."""
    return get_object_or_404(TestRun, uid=uid, unit__site=unit.site_id) if uid else None


def pictures_of(unit: Unit, uids: Iterable[UUID]) -> list[Attachment]:
    """Return attachments of the unit's site; an unknown one is bad input."""
    wanted = set(uids)
    found = list(Attachment.objects.filter(uid__in=wanted, site=unit.site_id))
    if len(found) != len(wanted):
        raise ValidationError({"pictures": ["There is no such attachment at this site."]})
    return found
