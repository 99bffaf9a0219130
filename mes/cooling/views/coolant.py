"""The steps with coolant over REST, and the loop of a unit as a whole."""

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.cooling.models import CoolantStep, Coupling
from mes.cooling.serializers.coolant import (
    ChargeReadingSerializer,
    CoolantStepSerializer,
    DrainSerializer,
    FillSerializer,
    FlowSerializer,
    FlushSerializer,
    LoopSerializer,
    NitrogenChargeSerializer,
    RecordReadingSerializer,
    StepSerializer,
)
from mes.cooling.services import (
    ResultState,
    read_loop,
    record_charge_reading,
    record_drain,
    record_fill,
    record_flow,
    record_flush,
    record_nitrogen_charge,
)
from mes.cooling.views.leaks import exercises, leak_tests
from mes.ledger.services import Actor
from mes.racks.models import Installation
from mes.rest import perform
from mes.serials.models import Lot
from mes.serials.services import visible_unit
from mes.stations.services import of_site, require_floor
from mes.testing.models import TestRun

LATEST = 50


def steps() -> QuerySet[CoolantStep]:
    """Return steps with all that is shown of them."""
    rows = CoolantStep.objects.select_related("unit", "lot", "fill", "test_run")
    return rows.prefetch_related("branches", "readings__test_run", "readings__charge")


class CoolantStepFilter(FilterSet):
    """Find steps by unit, kind, lot, verdict and time."""

    serial = django_filters.CharFilter(field_name="unit__serial")
    lot = django_filters.CharFilter(field_name="lot__number")
    outcome = django_filters.ChoiceFilter(field_name="test_run__outcome", choices=TestRun.Outcome.choices)
    in_loop = django_filters.BooleanFilter(method="is_in_loop", label="Fills that were not drained.")

    class Meta:
        model = CoolantStep
        fields = {
            **{name: ["exact"] for name in ("unit__uid", "unit__site__code", "lot__uid", "done_by", "valve")},
            "kind": ["exact"],
            "done_at": ["gte", "lt"],
        }

    def is_in_loop(self, rows: QuerySet[CoolantStep], name: str, value: bool) -> QuerySet[CoolantStep]:
        """Narrow to the fills that are, or are no more, in a loop."""
        return rows.filter(kind=CoolantStep.Kind.FILL, drained_at__isnull=value)


class CoolantStepViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[CoolantStep]
):
    """Read what was done with coolant."""

    queryset = CoolantStep.objects.all()
    serializer_class = CoolantStepSerializer
    filterset_class = CoolantStepFilter
    lookup_field = "uid"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[CoolantStep]:
        """Return the steps of the caller's site."""
        return of_site(steps(), self.request.auth, through="unit__site")


class ReadLoop(APIView):
    """The loop of a unit."""

    @extend_schema(responses={200: LoopSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Return the state of the loop, what is open and why, and the latest of its record."""
        unit = visible_unit(request.auth, uid)
        loop = read_loop(unit)
        inside = Installation.objects.live().filter(root=unit).values("child")
        here = Q(manifold__in=inside) | Q(manifold=unit)
        couplings = Coupling.objects.select_related("type", "manifold").filter(here, removed_at__isnull=True)
        facts = {
            "unit": unit.uid,
            "serial": unit.serial,
            "state": loop.state,
            "filled_l": loop.open_fill.volume_l if loop.open_fill else None,
            "procedures": list(loop.standings.values()),
            "open": [row.procedure for row in loop.standings.values() if row.state != ResultState.PASSED],
            "leak_tests": leak_tests().filter(unit=unit).order_by("-id")[:LATEST],
            "leak_sensor_exercises": exercises().filter(unit=unit).order_by("-id")[:LATEST],
            "steps": steps().filter(unit=unit).order_by("-id")[:LATEST],
            "couplings": couplings.filter(Q(manifold__in=inside) | Q(manifold=unit)).order_by(
                "manifold", "place"
            ),
        }
        return Response(LoopSerializer(facts).data)


def record_step(
    request: Request, uid: str, serializer: type[StepSerializer], service: Callable[..., CoolantStep]
) -> Response:
    """Record a step of a unit by its service, with the input as its serializer reads it."""
    require_floor(request.auth, request.user, "cooling.add_coolantstep")
    unit, given = visible_unit(request.auth, uid), serializer(data=request.data)
    given.is_valid(raise_exception=True)
    facts = given.facts()
    if "lot" in facts:
        facts["lot"] = get_object_or_404(Lot.objects.filter(site=unit.site_id), uid=facts["lot"])

    def act(by: Actor) -> dict[str, Any]:
        step = service(unit=unit, by=by, **facts)
        return dict(CoolantStepSerializer(steps().get(pk=step.pk)).data)

    return perform(request, act, created=True)


class RecordFlush(APIView):
    """Flush a loop."""

    @extend_schema(request=FlushSerializer, responses={201: CoolantStepSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record that a loop was flushed."""
        return record_step(request, uid, FlushSerializer, record_flush)


class RecordFill(APIView):
    """Fill a loop."""

    @extend_schema(request=FillSerializer, responses={201: CoolantStepSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record that a loop was filled with coolant of a lot."""
        return record_step(request, uid, FillSerializer, record_fill)


class RecordFlow(APIView):
    """Measure the flow of a loop."""

    @extend_schema(request=FlowSerializer, responses={201: CoolantStepSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record flow, pressure and temperature per branch."""
        return record_step(request, uid, FlowSerializer, record_flow)


class RecordDrain(APIView):
    """Drain a loop."""

    @extend_schema(request=DrainSerializer, responses={201: CoolantStepSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record what came out of a loop."""
        return record_step(request, uid, DrainSerializer, record_drain)


class RecordNitrogenCharge(APIView):
    """Charge a loop with nitrogen."""

    @extend_schema(request=NitrogenChargeSerializer, responses={201: CoolantStepSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record that a loop was charged with nitrogen."""
        return record_step(request, uid, NitrogenChargeSerializer, record_nitrogen_charge)


class RecordChargeReading(APIView):
    """Look at a nitrogen charge later."""

    @extend_schema(request=RecordReadingSerializer, responses={201: ChargeReadingSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Record a later pressure of a nitrogen charge."""
        require_floor(request.auth, request.user, "cooling.add_coolantstep")
        unit, given = visible_unit(request.auth, uid), RecordReadingSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        pressure, cel = (given.validated_data[name] for name in ("pressure_bar", "temperature_cel"))

        def act(by: Actor) -> dict[str, Any]:
            reading = record_charge_reading(unit=unit, pressure_bar=pressure, temperature_cel=cel, by=by)
            return dict(ChargeReadingSerializer(reading).data)

        return perform(request, act, created=True)
