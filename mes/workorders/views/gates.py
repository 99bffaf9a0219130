"""Gates over REST: which hold a unit, and releasing one."""

from datetime import timedelta
from typing import Any, cast

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.services import Actor
from mes.people.models import User
from mes.people.services import proof_of
from mes.rest import perform
from mes.serials.services import visible_unit
from mes.stations.models import Device
from mes.stations.services import of_site
from mes.workorders.models import GateRelease
from mes.workorders.serializers.gates import (
    GateReleaseSerializer,
    GatesSerializer,
    ReleaseGateSerializer,
)
from mes.workorders.services import gates_of, release_gate


class Gates(APIView):
    """Every gate of an operation, so that nobody wonders why it blocks."""

    @extend_schema(
        parameters=[
            OpenApiParameter("operation", int, description="Sequence; without it, the operation at hand.")
        ],
        responses={200: GatesSerializer},
    )
    def get(self, request: Request, uid: str) -> Response:
        """List the gates; a device asks for itself, its person and its station."""
        unit = visible_unit(request.auth, uid)
        asked = request.query_params.get("operation")
        if asked is not None and not asked.isdecimal():
            raise ValidationError({"operation": ["A sequence, e.g. 20."]})
        device = request.auth if isinstance(request.auth, Device) else None
        by = device.actor() if device else cast(User, request.user).actor()
        found = gates_of(
            unit=unit,
            sequence=int(asked) if asked else None,
            by=by,
            station=device.station if device else None,
        )
        return Response(GatesSerializer(found).data)


class ReleaseGate(APIView):
    """Let a unit pass a gate that holds it."""

    @extend_schema(request=ReleaseGateSerializer, responses={201: GateReleaseSerializer})
    def post(self, request: Request, uid: str, gate: str) -> Response:
        """Release a gate, signed by somebody whose role allows it."""
        unit = visible_unit(request.auth, uid)
        given = ReleaseGateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        data = given.validated_data
        proof = proof_of(request, data["signature"])
        device = request.auth if isinstance(request.auth, Device) else None

        def act(by: Actor) -> dict[str, Any]:
            release = release_gate(
                unit=unit,
                sequence=data["operation"],
                gate=gate,
                reason=data["reason"],
                proof=proof,
                by=by,
                station=device.station if device else None,
                allowed=data["allowed"],
                lasts=timedelta(hours=data["hours"]),
            )
            return dict(GateReleaseSerializer(release).data)

        return perform(request, act, created=True)


class GateReleaseViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[GateRelease]):
    """Releases of gates, newest first."""

    queryset = GateRelease.objects.select_related("unit", "operation", "signature")
    serializer_class = GateReleaseSerializer
    filterset_fields = {
        **{name: ["exact"] for name in ("unit__uid", "unit__serial", "unit__site__code")},
        "unit__part_revision__part__number": ["exact"],
        "gate": ["exact"],
        "role": ["exact"],
        "released_by": ["exact"],
        "released_at": ["gte", "lt"],
        "operation__sequence": ["exact"],
    }

    def get_queryset(self) -> QuerySet[GateRelease]:
        """Return the releases at the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="unit__site")
