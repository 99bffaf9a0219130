"""Clusters over REST: how one stands, and where it is built up."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.clusters.serializers import ClusterSerializer, SetUpAtSerializer
from mes.clusters.services import status_of
from mes.ledger.services import Actor
from mes.rest import perform
from mes.serials.services import set_up_at, visible_unit
from mes.stations.services import require_floor, require_sign_on


class Cluster(APIView):
    """How a cluster stands."""

    @extend_schema(responses={200: ClusterSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Say the status of a cluster in one word and why, with its places, racks and tests."""
        return Response(ClusterSerializer(status_of(visible_unit(request.auth, uid))).data)


class SetUpAt(APIView):
    """Where a cluster is built up."""

    @extend_schema(request=SetUpAtSerializer, responses={200: ClusterSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Say at which customer's place an empty cluster is built up; racks shipped there may be placed."""
        require_floor(request.auth, request.user, "workorders.change_workorder")
        unit, given = visible_unit(request.auth, uid), SetUpAtSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        place = given.validated_data["place"]

        def act(by: Actor) -> dict[str, Any]:
            require_sign_on(by)
            return dict(ClusterSerializer(status_of(set_up_at(unit=unit, place=place, by=by))).data)

        return perform(request, act)
