"""Units that ship or are scrapped, over REST."""

from typing import Any

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.services import Actor
from mes.people.services import require_permission
from mes.rest import operator_of, perform
from mes.serials.models import Unit
from mes.serials.services import visible_unit
from mes.stations.services import require_floor
from mes.workorders.serializers.orders import OrderReasonSerializer, ShipSerializer
from mes.workorders.services import scrap_ordered_unit, ship_unit

LEFT = inline_serializer(
    "UnitLeft",
    {
        "uid": serializers.UUIDField(),
        "state": serializers.CharField(),
        "shipped_at": serializers.DateTimeField(allow_null=True),
        "shipped_to": serializers.CharField(),
    },
)


class ShipUnit(APIView):
    """Ship a finished unit with everything in it."""

    @extend_schema(request=ShipSerializer, responses={200: LEFT})
    def post(self, request: Request, uid: str) -> Response:
        """Ship a unit."""
        require_floor(request.auth, request.user, "workorders.change_workorder")
        unit = visible_unit(request.auth, uid)
        given = ShipSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        to = given.validated_data["to"]
        return perform(request, lambda by: _left(ship_unit(unit=unit, to=to, by=by)))


class ScrapUnit(APIView):
    """Take a unit out of use for good."""

    @extend_schema(request=OrderReasonSerializer, responses={200: LEFT})
    def post(self, request: Request, uid: str) -> Response:
        """Scrap a unit; the order that builds it counts it."""
        require_permission(request.user, "quality.change_hold", operator=operator_of(request))
        unit = visible_unit(request.auth, uid)

        def act(by: Actor) -> dict[str, Any]:
            given = OrderReasonSerializer(data=request.data)
            given.is_valid(raise_exception=True)
            return _left(scrap_ordered_unit(unit=unit, reason=given.validated_data["reason"], by=by))

        return perform(request, act)


def _left(unit: Unit) -> dict[str, Any]:
    return {
        "uid": str(unit.uid),
        "state": unit.state,
        "shipped_at": unit.shipped_at,
        "shipped_to": unit.shipped_to,
    }
