"""Work on units over REST."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.services import Actor
from mes.rest import perform
from mes.serials.services import visible_unit
from mes.stations.services import require_device
from mes.workorders.models import OperationRun
from mes.workorders.scans import unit_on_label
from mes.workorders.serializers.capture import ReplaceSerializer, SkipSerializer
from mes.workorders.serializers.work import (
    InstallationSerializer,
    InstallSerializer,
    OperationRunSerializer,
    RemovalSerializer,
    RemoveSerializer,
)
from mes.workorders.services import (
    Removal,
    complete_operation,
    deviation_of,
    install_child,
    join_operation,
    remove_child,
    replace_child,
    skip_operation,
    start_operation,
)


class InstallChild(APIView):
    """Install a unit into a slot."""

    @extend_schema(request=InstallSerializer, responses={201: InstallationSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Install; the answer names the deviation that let it pass, if it took one."""
        device, unit = require_device(request.auth), visible_unit(request.auth, uid)
        given = InstallSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        child = given.validated_data["child"]

        def act(by: Actor) -> dict[str, Any]:
            installed = install_child(
                unit=unit,
                slot_name=given.validated_data["slot"],
                child=visible_unit(request.auth, child["uid"])
                if "uid" in child
                else unit_on_label(device, child["raw"]),
                station=device.station,
                by=by,
            )
            deviation = deviation_of(installed)
            return {**InstallationSerializer(installed).data, "deviation": deviation and deviation.number}

        return perform(request, act, created=True)


def removal_data(removal: Removal) -> dict[str, Any]:
    """Return what a removal makes necessary, and why, as JSON-ready data."""
    repeat = [
        {"sequence": each.sequence, "name": each.name, "because": removal.because(each)}
        for each in removal.repeated
    ]
    return {"repeat": repeat, "rules": removal.rules}


class RemoveChild(APIView):
    """Take a unit out of a slot."""

    @extend_schema(request=RemoveSerializer, responses={200: RemovalSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Remove; the answer says which operations must be repeated."""
        require_device(request.auth)
        unit = visible_unit(request.auth, uid)
        given = RemoveSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        slot, reason = given.validated_data["slot"], given.validated_data["reason"]

        def act(by: Actor) -> dict[str, Any]:
            removal = remove_child(unit=unit, slot_name=slot, reason=reason, by=by)
            return {**InstallationSerializer(removal.installation).data, **removal_data(removal)}

        return perform(request, act)


class OperationAct(APIView):
    """An act on an operation of a unit, at the station of the calling device."""

    do: Callable[..., OperationRun]

    @extend_schema(request=None, responses={200: OperationRunSerializer})
    def post(self, request: Request, uid: str, sequence: int) -> Response:
        # Without words of its own, so that the API's description takes those of each class.
        station, unit = require_device(request.auth).station, visible_unit(request.auth, uid)

        def act(by: Actor) -> dict[str, Any]:
            run = type(self).do(unit=unit, sequence=sequence, station=station, by=by)
            return dict(OperationRunSerializer(run).data)

        return perform(request, act)


class StartOperation(OperationAct):
    """Start an operation of a unit."""

    do = staticmethod(start_operation)


class CompleteOperation(OperationAct):
    """Complete an operation of a unit."""

    do = staticmethod(complete_operation)


class JoinOperation(OperationAct):
    """Take part in a running operation."""

    do = staticmethod(join_operation)


class SkipOperation(APIView):
    """Leave an optional operation out."""

    @extend_schema(request=SkipSerializer, responses={200: OperationRunSerializer})
    def post(self, request: Request, uid: str, sequence: int) -> Response:
        """Skip."""
        station, unit = require_device(request.auth).station, visible_unit(request.auth, uid)
        given = SkipSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        reason = given.validated_data["reason"]

        def act(by: Actor) -> dict[str, Any]:
            run = skip_operation(unit=unit, sequence=sequence, reason=reason, station=station, by=by)
            return dict(OperationRunSerializer(run).data)

        return perform(request, act)


class ReplaceChild(APIView):
    """Swap what is in a slot for another unit, in one act."""

    @extend_schema(request=ReplaceSerializer, responses={200: RemovalSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Replace; the answer says which operations must be repeated."""
        station, unit = require_device(request.auth).station, visible_unit(request.auth, uid)
        given = ReplaceSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        data = given.validated_data
        child = visible_unit(request.auth, data["child"])

        def act(by: Actor) -> dict[str, Any]:
            removal, installed = replace_child(
                unit=unit,
                slot_name=data["slot"],
                child=child,
                reason=data["reason"],
                station=station,
                by=by,
            )
            return {**InstallationSerializer(installed).data, **removal_data(removal)}

        return perform(request, act)
