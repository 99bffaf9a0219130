"""The unit a request is about, and how it stands."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.serials.services import visible_unit
from mes.workorders.serializers.units import StandingSerializer
from mes.workorders.services import standing_of


class UnitStanding(APIView):
    """How a unit stands."""

    @extend_schema(responses={200: StandingSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Say a unit's order and next operations, and what is, or was, out of the ordinary on it."""
        return Response(StandingSerializer(standing_of(visible_unit(request.auth, uid))).data)
