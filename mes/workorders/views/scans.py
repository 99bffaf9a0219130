"""Scans over REST."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.rest import perform
from mes.stations.services import require_device
from mes.workorders.scans import proof_on_label, scan
from mes.workorders.serializers.scans import ScanAnswerSerializer, ScanSerializer


class Scans(APIView):
    """The one call a scanner needs."""

    @extend_schema(request=ScanSerializer, responses={200: ScanAnswerSerializer})
    def post(self, request: Request) -> Response:
        """Scan anything: badge, command, station, unit, slot, part or lot label."""
        device = require_device(request.auth)
        given = ScanSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        raw, symbology = given.validated_data["raw"], given.validated_data.get("symbology")
        proof = proof_on_label(device, raw, given.validated_data.get("pin", ""), symbology)

        def act(by: Actor) -> dict[str, Any]:
            try:
                return scan(device=device, raw=raw, by=by, symbology=symbology, proof=proof)
            except RuleViolation as violation:
                violation.facts |= {"outcome": "refused", "sound": "refuse"}
                raise

        return perform(request, act)
