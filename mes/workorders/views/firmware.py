"""The firmware of a unit over REST: read, recorded, and what a change makes untrue."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.services import Actor
from mes.racks.models import InstalledFirmware
from mes.rest import perform
from mes.serials.services import visible_unit
from mes.stations.services import require_floor
from mes.workorders.serializers.firmware import (
    InstalledFirmwareSerializer,
    RecordedFirmwareSerializer,
    RecordFirmwareSerializer,
    UnitFirmwareSerializer,
)
from mes.workorders.services import change_firmware
from mes.workorders.views.capture import retest_data


class Firmware(APIView):
    """The firmware a unit was found to run."""

    @extend_schema(responses={200: UnitFirmwareSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Return what each component runs now, and what it ran before, newest first."""
        unit = visible_unit(request.auth, uid)
        rows = list(InstalledFirmware.objects.filter(unit=unit).order_by("component", "-since", "-pk"))
        answer = {
            "current": [row for row in rows if row.until is None],
            "history": [row for row in rows if row.until is not None],
        }
        return Response(UnitFirmwareSerializer(answer).data)

    @extend_schema(request=RecordFirmwareSerializer, responses={200: RecordedFirmwareSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record the version that a component was found to run; a change says what must be repeated."""
        require_floor(request.auth, request.user, "racks.add_installedfirmware")
        unit = visible_unit(request.auth, uid)
        given = RecordFirmwareSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        component, version = given.validated_data["component"], given.validated_data["version"]

        def act(by: Actor) -> dict[str, Any]:
            change = change_firmware(unit=unit, component=component, version=version, by=by)
            row = InstalledFirmwareSerializer(change.firmware).data
            return {**row, "before": change.before, **retest_data(change.retest)}

        return perform(request, act)
