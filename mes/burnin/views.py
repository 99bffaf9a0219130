"""Burn-in over REST: start, watch, pause, resume and abort runs; set BMC addresses."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.burnin.models import BurnInRun
from mes.burnin.serializers import (
    AbortRunSerializer,
    ActSerializer,
    BaySerializer,
    BmcSerializer,
    BurnInRunDetailSerializer,
    BurnInRunSerializer,
    EnergySerializer,
    PauseRunSerializer,
    ReadingsQuerySerializer,
    ReadingsSerializer,
    SetBmcSerializer,
    StartRunSerializer,
)
from mes.burnin.services import (
    abort_run,
    bays_of,
    energy_of,
    pause_run,
    read_series,
    resume_run,
    set_bmc,
    start_run,
)
from mes.ledger.services import Actor
from mes.rest import checked, perform
from mes.serials.services import visible_unit
from mes.stations.services import of_site, require_floor, site_of


class BurnInRunFilter(FilterSet):
    """Find runs by rack, profile, state, person and time."""

    unit = django_filters.UUIDFilter(field_name="unit__uid")
    serial = django_filters.CharFilter(field_name="unit__serial")
    profile = django_filters.CharFilter(field_name="profile__name")
    state = django_filters.MultipleChoiceFilter(choices=BurnInRun.State.choices)
    ended = django_filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = BurnInRun
        fields = {
            "started_by": ["exact"],
            "unit__site__code": ["exact"],
            **{name: ["gte", "lt"] for name in ("created_at", "ended_at")},
        }


class BurnInRunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[BurnInRun]):
    """Start, watch and stop burn-in runs."""

    queryset = BurnInRun.objects.select_related("unit", "profile", "bay")
    serializer_class = BurnInRunSerializer
    filterset_class = BurnInRunFilter
    lookup_field = "uid"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[BurnInRun]:
        """Return the runs of the caller's site."""
        runs = super().get_queryset()
        if self.action != "list":
            runs = runs.prefetch_related("attempts__slot", "attempts__unit", "attempts__gaps")
        return of_site(runs, self.request.auth, through="unit__site")

    @extend_schema(responses={200: BurnInRunDetailSerializer})
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Read one run with its trays."""
        return Response(BurnInRunDetailSerializer(self.get_object()).data)

    @extend_schema(request=StartRunSerializer, responses={201: BurnInRunDetailSerializer})
    def create(self, request: Request) -> Response:
        """Queue the burn-in of a rack."""
        require_floor(request.auth, request.user, "burnin.add_burninrun")
        given = checked(StartRunSerializer(data=request.data))
        unit = visible_unit(request.auth, given["unit"])

        def act(by: Actor) -> dict[str, Any]:
            run = start_run(unit=unit, profile=given["profile"], bay=given.get("bay"), by=by)
            return self._shown(run)

        return perform(request, act, created=True)

    @extend_schema(request=PauseRunSerializer, responses={200: BurnInRunDetailSerializer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, uid: str) -> Response:
        """Pause a soak; say whether the stress goes on meanwhile."""
        require_floor(request.auth, request.user, "burnin.change_burninrun")
        run, given = self.get_object(), checked(PauseRunSerializer(data=request.data))

        def act(by: Actor) -> dict[str, Any]:
            keep, reason = given["keep_stress"], given["reason"]
            return self._shown(pause_run(run=run, reason=reason, by=by, keep_stress=keep))

        return perform(request, act)

    @extend_schema(request=ActSerializer, responses={200: BurnInRunDetailSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, uid: str) -> Response:
        """Let a paused run go on."""
        require_floor(request.auth, request.user, "burnin.change_burninrun")
        run = self.get_object()
        return perform(request, lambda by: self._shown(resume_run(run=run, by=by)))

    @extend_schema(request=AbortRunSerializer, responses={200: BurnInRunDetailSerializer})
    @action(detail=True, methods=["post"])
    def abort(self, request: Request, uid: str) -> Response:
        """End a run without a verdict on the rack."""
        require_floor(request.auth, request.user, "burnin.change_burninrun")
        run, given = self.get_object(), checked(AbortRunSerializer(data=request.data))
        return perform(request, lambda by: self._shown(abort_run(run=run, reason=given["reason"], by=by)))

    @extend_schema(parameters=[ReadingsQuerySerializer], responses={200: ReadingsSerializer})
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def readings(self, request: Request, uid: str) -> Response:
        """Read series of one tray for a chart: the latest attempt in a slot."""
        query = checked(ReadingsQuerySerializer(data=request.query_params))
        attempts = self.get_object().attempts.filter(slot__name__iexact=query["slot"])
        attempt = get_object_or_404(attempts.select_related("slot").order_by("-number")[:1])
        series = read_series(
            attempt=attempt, pattern=query["series"], since=query.get("since"), until=query.get("until")
        )
        answer = {"slot": attempt.slot.name, "number": attempt.number, "series": series}
        return Response(ReadingsSerializer(answer).data)

    @extend_schema(responses={200: EnergySerializer})
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def energy(self, request: Request, uid: str) -> Response:
        """Read what a run has cost in energy so far, or in all once it has ended."""
        runs = of_site(
            BurnInRun.objects.select_related("unit__site", "profile"), request.auth, through="unit__site"
        )
        return Response(EnergySerializer(energy_of(get_object_or_404(runs, uid=uid))).data)

    def _shown(self, run: BurnInRun) -> dict[str, Any]:
        return dict(BurnInRunDetailSerializer(self.get_queryset().get(pk=run.pk)).data)


class Bays(APIView):
    """The bays of the caller's site."""

    @extend_schema(responses={200: BaySerializer(many=True)})
    def get(self, request: Request) -> Response:
        """List bays with what they can give, what is left of it, and the racks that stand in them."""
        return Response(BaySerializer(bays_of(site_of(request.auth)), many=True).data)


class SetBmc(APIView):
    """Where the BMC of a unit answers."""

    @extend_schema(request=SetBmcSerializer, responses={200: BmcSerializer})
    def put(self, request: Request, uid: str) -> Response:
        """Set address and login; the password is stored encrypted and never comes back."""
        require_floor(request.auth, request.user, "burnin.change_bmcendpoint")
        unit = visible_unit(request.auth, uid)
        given = checked(SetBmcSerializer(data=request.data))
        url, username, password = given["url"], given["username"], given["password"]

        def act(by: Actor) -> dict[str, Any]:
            endpoint = set_bmc(unit=unit, url=url, username=username, password=password, by=by)
            return dict(BmcSerializer(endpoint).data)

        # What was asked is kept with a refusal: there the password must not be readable.
        hidden = salted_hmac("mes.burnin.views.SetBmc", password, algorithm="sha256").hexdigest()
        return perform(request, act, body={"url": url, "username": username, "password": hidden})
