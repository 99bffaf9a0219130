"""Burn-in over REST: start, watch, pause, resume and abort runs; set BMC addresses."""

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import Prefetch, QuerySet
from django.http import FileResponse
from django.utils.crypto import salted_hmac
from django_filters.rest_framework import FilterSet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.burnin.models import BurnInProfile, BurnInRun, SeriesLimit, TelemetryArchive, Violation
from mes.burnin.serializers import (
    AbortRunSerializer,
    ActSerializer,
    BaySerializer,
    BmcSerializer,
    BurnInProfileSerializer,
    BurnInRunDetailSerializer,
    BurnInRunSerializer,
    EnergySerializer,
    PauseRunSerializer,
    ReadingsQuerySerializer,
    ReadingsSerializer,
    SetBmcSerializer,
    StartRunSerializer,
    StatisticsSerializer,
    SwapTraySerializer,
    ViolationSerializer,
)
from mes.burnin.services import (
    abort_run,
    bays_of,
    energy_of,
    find_archive,
    pause_run,
    read_series,
    read_statistics,
    resume_run,
    set_bmc,
    start_run,
    swap_tray,
)
from mes.ledger.services import Actor
from mes.rest import AnyAccept, checked, perform
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

    queryset = BurnInRun.objects.select_related("unit", "profile", "bay", "retest_of")
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
            options = {name: given[name] for name in ("bay", "retest_of") if name in given}
            return self._shown(start_run(unit=unit, profile=given["profile"], by=by, **options))

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

    @extend_schema(request=SwapTraySerializer, responses={200: BurnInRunDetailSerializer})
    @action(detail=True, methods=["post"])
    def swap(self, request: Request, uid: str) -> Response:
        """Let the tray that was newly installed in a slot take the place of the one before."""
        require_floor(request.auth, request.user, "burnin.change_burninrun")
        run, given = self.get_object(), checked(SwapTraySerializer(data=request.data))

        def act(by: Actor) -> dict[str, Any]:
            return self._shown(swap_tray(run=run, slot=given["slot"], reason=given["reason"], by=by))

        return perform(request, act)

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
        return Response(ReadingsSerializer(self._read(request, read_series)).data)

    @extend_schema(parameters=[ReadingsQuerySerializer], responses={200: StatisticsSerializer})
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def statistics(self, request: Request, uid: str) -> Response:
        """Read count, minimum, maximum and mean of series of one tray: the latest attempt in a slot."""
        return Response(StatisticsSerializer(self._read(request, read_statistics)).data)

    @extend_schema(responses={(200, "application/vnd.apache.parquet"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], content_negotiation_class=AnyAccept)
    def samples(self, request: Request, uid: str) -> FileResponse:
        """Return every sample of an archived run as a Parquet file; 404 until it is archived."""
        require_floor(request.auth, request.user, "burnin.view_telemetryarchive")
        archive = get_object_or_404(TelemetryArchive, run=self.get_object())
        return FileResponse(
            find_archive(archive).open("rb"),
            as_attachment=True,
            filename=archive.file,
            content_type="application/vnd.apache.parquet",
        )

    def _read(self, request: Request, read: Callable[..., list[Any]]) -> dict[str, Any]:
        """Answer a question on series of the latest attempt in a slot."""
        query = checked(ReadingsQuerySerializer(data=request.query_params))
        attempts = self.get_object().attempts.filter(slot__name__iexact=query["slot"])
        attempt = get_object_or_404(attempts.select_related("slot").order_by("-number")[:1])
        since, until = query.get("since"), query.get("until")
        series = read(attempt=attempt, pattern=query["series"], since=since, until=until)
        return {"slot": attempt.slot.name, "number": attempt.number, "series": series}

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


class BurnInProfileViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[BurnInProfile]):
    """Released burn-in profiles with their limits; alike at every site."""

    queryset = (
        BurnInProfile.objects.filter(released_at__isnull=False)
        .select_related("part")
        .prefetch_related(Prefetch("limits", SeriesLimit.objects.order_by("pk")))
    )
    serializer_class = BurnInProfileSerializer
    filterset_fields = ("name", "version", "part__number")


class ViolationFilter(FilterSet):
    """Find excursions by run, rack, tray, series and time."""

    run = django_filters.UUIDFilter(field_name="attempt__run__uid")
    serial = django_filters.CharFilter(field_name="attempt__run__unit__serial")
    slot = django_filters.CharFilter(field_name="attempt__slot__name", lookup_expr="iexact")
    group = django_filters.CharFilter(field_name="limit__group")

    class Meta:
        model = Violation
        fields = {"series": ["exact"], "is_open": ["exact"], "from_at": ["gte", "lt"]}


class ViolationViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Violation]):
    """Excursions of series outside their limits."""

    queryset = Violation.objects.select_related("attempt__slot", "attempt__run", "limit").defer(
        "attempt__statistics"
    )
    serializer_class = ViolationSerializer
    filterset_class = ViolationFilter

    def get_queryset(self) -> QuerySet[Violation]:
        """Return the excursions at the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="attempt__run__unit__site")


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
