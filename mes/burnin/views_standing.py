"""What there is to see of a run over REST: its limits, its events, its comparison; and the bay wall."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.burnin.models import BurnInAttempt, BurnInRun
from mes.burnin.serializers_standing import LimitStandingSerializer, RackComparisonSerializer, WallSerializer
from mes.burnin.services import compare_run, read_standing, wall_of
from mes.ledger.models import Event
from mes.ledger.serializers import EventSerializer
from mes.stations.services import of_site, site_of


def run_of(request: Request, uid: Any) -> BurnInRun:
    """Return a run at the caller's site, or 404."""
    runs = BurnInRun.objects.select_related("unit", "profile")
    return get_object_or_404(of_site(runs, request.auth, through="unit__site"), uid=uid)


class RunLimits(APIView):
    """How close each tray of a run came to each limit."""

    @extend_schema(responses={200: LimitStandingSerializer(many=True)})
    def get(self, request: Request, uid: str) -> Response:
        """List a run's trays in slot order with each limit of their kind, over the whole soak so far."""
        standing = read_standing(run_of(request, uid))
        rows = [{"tray": tray, "margin": margin} for tray in standing.trays for margin in tray.margins]
        return Response(LimitStandingSerializer(rows, many=True).data)


class RunEvents(generics.ListAPIView[Event]):
    """The history of a run, newest first; `?ordering=seq` for oldest first."""

    serializer_class = EventSerializer
    queryset = Event.objects.all()
    filterset_fields = ("kind",)
    ordering = ("-seq",)
    ordering_fields = ("seq",)

    def get_queryset(self) -> QuerySet[Event]:
        """Return the events of a run at the caller's site."""
        return Event.objects.filter(stream=run_of(self.request, self.kwargs["uid"]).stream)


class RunOutliers(APIView):
    """What of a run is unlike the last racks."""

    @extend_schema(responses={200: RackComparisonSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Compare a run, as it stands now, with the same slots of the last racks that passed before it."""
        run = run_of(request, uid)
        attempts = BurnInAttempt.objects.filter(run=run).select_related("slot", "unit__part_revision__part")
        return Response(RackComparisonSerializer(compare_run(run, attempts)).data)


class BurnInWall(APIView):
    """The bay wall."""

    @extend_schema(responses={200: WallSerializer})
    def get(self, request: Request) -> Response:
        """Return every burn-in that goes on at the caller's site, bay by bay, and those that wait."""
        return Response(WallSerializer(wall_of(site_of(request.auth))).data)
