"""Meters and grid factors over REST."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.crypto import salted_hmac
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.burnin.meter_models import GridFactor, MeterEndpoint
from mes.burnin.models import BurnInBay
from mes.burnin.serializers import (
    GridFactorSerializer,
    MeterSerializer,
    SetBayMeterSerializer,
    SetMeterSerializer,
)
from mes.burnin.services import set_bay_meter, set_shelf_meter
from mes.ledger.services import Actor
from mes.rest import checked, perform
from mes.serials.services import visible_unit
from mes.stations.services import of_site, require_floor

LOGIN = ("url", "username", "password")


class SetMeter(APIView):
    """Where the meter of a power shelf answers."""

    @extend_schema(request=SetMeterSerializer, responses={200: MeterSerializer})
    def put(self, request: Request, uid: str) -> Response:
        """Set address and login; the password is stored encrypted and never comes back."""
        require_floor(request.auth, request.user, "burnin.change_meterendpoint")
        unit = visible_unit(request.auth, uid)
        given = checked(SetMeterSerializer(data=request.data))
        login = {name: given[name] for name in LOGIN}
        return _perform(request, login, lambda by: set_shelf_meter(unit=unit, by=by, **login))


class SetBayMeter(APIView):
    """Where the coolant meter of a bay answers."""

    @extend_schema(request=SetBayMeterSerializer, responses={200: MeterSerializer})
    def put(self, request: Request, code: str) -> Response:
        """Set address, login and coolant; the password is stored encrypted and never comes back."""
        require_floor(request.auth, request.user, "burnin.change_meterendpoint")
        bay = get_object_or_404(of_site(BurnInBay.objects.all(), request.auth), code=code)
        given = checked(SetBayMeterSerializer(data=request.data))
        facts = {name: given[name] for name in (*LOGIN, "coolant", "connector")}
        return _perform(request, facts, lambda by: set_bay_meter(bay=bay, **facts))


class GridFactorViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[GridFactor]):
    """What the electricity of each site emits, the latest first."""

    queryset = GridFactor.objects.select_related("site").order_by("site__code", "-valid_from")
    serializer_class = GridFactorSerializer
    filterset_fields = {"site__code": ["exact"], "valid_from": ["gte", "lte"]}

    def get_queryset(self) -> Any:
        """Return the factors of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)


def _perform(request: Request, facts: Mapping[str, Any], act: Callable[[Actor], MeterEndpoint]) -> Response:
    # What was asked is kept with a refusal: there the password must not be readable.
    hidden = salted_hmac("mes.burnin.views_meters", facts["password"], algorithm="sha256").hexdigest()
    body = {**facts, "password": hidden}
    return perform(request, lambda by: dict(MeterSerializer(act(by)).data), body=body)
