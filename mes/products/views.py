"""Definitions over REST, to read, and work instructions, confirmed by each person; alike at every site."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from mes.ledger.services import Actor
from mes.people.services import require_permission
from mes.products.models import Instruction, InstructionReading, Part, PartRevision, Route
from mes.products.serializers import (
    ConfirmReadingSerializer,
    InstructionReadingSerializer,
    InstructionSerializer,
    PartRevisionSerializer,
    PartSerializer,
    RouteSerializer,
)
from mes.products.services import confirm_reading, find_instruction
from mes.rest import perform
from mes.stations.services import require_sign_on


class InstructionViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Instruction]):
    """Released work instructions; one is read in its latest version."""

    queryset = Instruction.objects.filter(released_at__isnull=False).prefetch_related("steps__picture")
    serializer_class = InstructionSerializer
    filterset_fields = ("code", "version")
    lookup_field = "code"
    lookup_value_regex = "[^/\x00]+"

    def get_object(self) -> Instruction:
        """Return the latest released version."""
        found = find_instruction(self.kwargs["code"])
        if found is None:
            raise Http404
        return found

    @extend_schema(responses={200: InstructionSerializer})
    def retrieve(self, request: Request, code: str) -> Response:
        """Read the latest version."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=ConfirmReadingSerializer, responses={201: InstructionReadingSerializer})
    @action(detail=True, methods=["post"])
    def read(self, request: Request, code: str) -> Response:
        """Confirm that the latest version was read and understood."""
        instruction = self.get_object()

        def act(by: Actor) -> dict[str, Any]:
            require_sign_on(by)
            reading = confirm_reading(instruction=instruction, person=by.person, by=by)
            return dict(InstructionReadingSerializer(reading).data)

        return perform(request, act, created=True)


class InstructionReadingViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[InstructionReading]):
    """Who has read which version, newest first."""

    queryset = InstructionReading.objects.select_related("instruction", "person")
    serializer_class = InstructionReadingSerializer
    filterset_fields = ("instruction__code", "instruction__version", "person__username")

    def get_queryset(self) -> QuerySet[InstructionReading]:
        """Return the readings, to people who may see them."""
        require_permission(self.request.user, "products.view_instructionreading")
        return super().get_queryset()


class PartViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Part]):
    """Read parts."""

    queryset = Part.objects.all()
    serializer_class = PartSerializer
    filterset_fields = ("kind", "level", "tracking", "maker", "maker_number")
    lookup_field = "number"
    lookup_value_regex = "[^/\x00]+"


class PartRevisionViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[PartRevision]):
    """Read part revisions with their figures, bills of material, budgets and compatibility rules."""

    queryset = PartRevision.objects.select_related("part").prefetch_related(
        "bom_lines__part", "budgets", "compatibility_rules"
    )
    serializer_class = PartRevisionSerializer
    filterset_fields = {
        **{name: ["exact"] for name in ("part__number", "part__kind", "revision")},
        "released_at": ["isnull", "gte", "lt"],
    }


class RouteViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Route]):
    """Read routes with their operations, gates and limits."""

    queryset = Route.objects.select_related("part").prefetch_related(
        "operations__gates", "operations__limits"
    )
    serializer_class = RouteSerializer
    filterset_fields = {
        **{name: ["exact"] for name in ("part__number", "version", "kind")},
        "released_at": ["isnull", "gte", "lt"],
    }
