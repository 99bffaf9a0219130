"""What is recorded while an operation runs, and what opening a unit makes untrue, over REST."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.attachments.models import Attachment
from mes.ledger.services import Actor
from mes.people.services import proof_of
from mes.rest import perform
from mes.serials.models import Lot
from mes.serials.services import visible_unit
from mes.stations.models import Tool
from mes.stations.services import require_device, require_floor
from mes.workorders.retests import Retest
from mes.workorders.serializers.capture import (
    BreakSerializer,
    CapturedValueSerializer,
    ConsumableUseSerializer,
    RecordValueSerializer,
    RetestSerializer,
    ToolCodeSerializer,
    UseConsumableSerializer,
)
from mes.workorders.services import (
    record_break,
    record_value,
    use_consumable,
    use_tool,
)


class RecordValue(APIView):
    """Record a value of a running operation."""

    @extend_schema(request=RecordValueSerializer, responses={201: CapturedValueSerializer})
    def post(self, request: Request, uid: str, sequence: int) -> Response:
        """Record a value; a later one of the same field replaces it."""
        device, unit = require_device(request.auth), visible_unit(request.auth, uid)
        given = RecordValueSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        data = given.validated_data
        photos = Attachment.objects.filter(site=unit.site_id)
        attachment = get_object_or_404(photos, uid=data["attachment"]) if "attachment" in data else None
        proof = proof_of(request, data["signature"]) if "signature" in data else None

        def act(by: Actor) -> dict[str, Any]:
            kept = record_value(
                unit=unit,
                sequence=sequence,
                name=data["name"],
                value=data["value"],
                station=device.station,
                by=by,
                attachment=attachment,
                proof=proof,
            )
            return dict(CapturedValueSerializer(kept).data)

        return perform(request, act, created=True)


class UseConsumable(APIView):
    """Record the lot of something an operation uses up."""

    @extend_schema(request=UseConsumableSerializer, responses={201: ConsumableUseSerializer})
    def post(self, request: Request, uid: str, sequence: int) -> Response:
        """Use a lot."""
        device, unit = require_device(request.auth), visible_unit(request.auth, uid)
        given = UseConsumableSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        lots = Lot.objects.select_related("part").filter(site=unit.site_id)
        lot = get_object_or_404(lots, uid=given.validated_data["lot"])
        quantity = given.validated_data.get("quantity")

        def act(by: Actor) -> dict[str, Any]:
            use = use_consumable(
                unit=unit, sequence=sequence, lot=lot, quantity=quantity, station=device.station, by=by
            )
            return dict(ConsumableUseSerializer(use).data)

        return perform(request, act, created=True)


class UseTool(APIView):
    """Bring a tool to the station of the calling device, and note it at the unit's running operation."""

    @extend_schema(request=ToolCodeSerializer, responses={200: ToolCodeSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Use a tool."""
        device, unit = require_device(request.auth), visible_unit(request.auth, uid)
        given = ToolCodeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        tools = Tool.objects.filter(site=unit.site_id)
        tool = get_object_or_404(tools, code__iexact=given.validated_data["tool"])

        def act(by: Actor) -> dict[str, Any]:
            used = use_tool(tool=tool, unit=unit, station=device.station, by=by)
            return {"tool": used.code}

        return perform(request, act)


def retest_data(retest: Retest) -> dict[str, Any]:
    """Return what must be repeated, and why, as JSON-ready data."""
    return {
        "repeat": [
            {"sequence": each.sequence, "name": each.name, "because": retest.because(each)}
            for each in retest.operations
        ],
        "rules": [rule.name for rule in retest.rules],
    }


class Breaks(APIView):
    """Record that the cooling loop or the power path of a unit was opened."""

    @extend_schema(request=BreakSerializer, responses={200: RetestSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record a break; the answer says which operations must be repeated and why."""
        require_floor(request.auth, request.user, "workorders.change_operationrun")
        unit = visible_unit(request.auth, uid)
        given = BreakSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        data = given.validated_data

        def act(by: Actor) -> dict[str, Any]:
            retest = record_break(
                unit=unit, kind=data["kind"], reason=data["reason"], slot_name=data["slot"], by=by
            )
            return retest_data(retest)

        return perform(request, act)
