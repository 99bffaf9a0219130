"""Containment over REST: ask what is affected, hold it, release it; find units similar to one."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.services import Actor
from mes.people.services import require_permission
from mes.quality.models import Containment
from mes.rest import operator_of, perform
from mes.stations.services import of_site, site_of
from mes.traceability.containment import (
    find_affected,
    hold_containment,
    of_containment,
    release_containment,
    with_counts,
)
from mes.traceability.questions import Question
from mes.traceability.serializers_containment import (
    AffectedSerializer,
    ContainmentDetailSerializer,
    ContainmentSerializer,
    HoldContainmentSerializer,
    ListingSerializer,
    PreviewSerializer,
    ReleaseContainmentSerializer,
    SimilarQuery,
)
from mes.traceability.similar import question_like
from mes.traceability.views import unit_of

PERMISSION = "quality.change_hold"


def question_of(request: Request, given: dict[str, Any]) -> Question:
    """Return a checked question, of the device's own site or of the one a person names."""
    site = site_of(request.auth) or given.get("site")
    if site is None:
        raise serializers.ValidationError({"question": {"site": ["Name the site."]}})
    return Question(**{**given, "site": site})


class ContainmentViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Containment]
):
    """Ask what is affected, hold it under a number, release it by the same question."""

    queryset = with_counts(Containment.objects.select_related("site"))
    serializer_class = ContainmentSerializer
    filterset_fields = {
        "state": ["exact"],
        "site__code": ["exact"],
        "held_by": ["exact"],
        "held_at": ["gte", "lte"],
        "holds__unit__uid": ["exact"],
    }
    lookup_field = "number"
    lookup_value_regex = "[^/]+"

    def get_queryset(self) -> QuerySet[Containment]:
        """Return the containments of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(parameters=[ListingSerializer], responses={200: ContainmentDetailSerializer})
    def retrieve(self, request: Request, number: str) -> Response:
        """Return a containment and what it still holds."""
        listing = ListingSerializer(data=request.query_params)
        listing.is_valid(raise_exception=True)
        containment = self.get_object()
        affected = find_affected(question=of_containment(containment), **listing.validated_data)
        body = ContainmentSerializer(containment).data
        return Response({**body, "affected": AffectedSerializer(affected).data})

    @extend_schema(request=PreviewSerializer, responses={200: AffectedSerializer})
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """Return what a question finds, and where it is; nothing is changed."""
        asked = PreviewSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        question = question_of(request, given.pop("question"))
        return Response(AffectedSerializer(find_affected(question=question, **given)).data)

    @extend_schema(request=HoldContainmentSerializer, responses={201: ContainmentSerializer})
    def create(self, request: Request) -> Response:
        """Hold everything a question finds, as it was seen and counted."""
        require_permission(request.user, PERMISSION, operator=operator_of(request))
        given = self._given(HoldContainmentSerializer(data=request.data))
        given["question"] = question_of(request, given["question"])

        def act(by: Actor) -> dict[str, Any]:
            return self._said(hold_containment(by=by, **given))

        return perform(request, act, created=True)

    @extend_schema(request=ReleaseContainmentSerializer, responses={200: ContainmentSerializer})
    @action(detail=True, methods=["post"])
    def release(self, request: Request, number: str) -> Response:
        """Release what a containment still holds, or the part that a narrower question finds."""
        require_permission(request.user, PERMISSION, operator=operator_of(request))
        containment = self.get_object()
        given = self._given(ReleaseContainmentSerializer(data=request.data))
        if "question" in given:
            given["question"] = Question(**{**given["question"], "site": containment.site})

        def act(by: Actor) -> dict[str, Any]:
            return self._said(release_containment(containment=containment, by=by, **given))

        return perform(request, act)

    def _given(self, serializer: serializers.Serializer[Any]) -> dict[str, Any]:
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def _said(self, containment: Containment) -> dict[str, Any]:
        return dict(ContainmentSerializer(self.get_queryset().get(pk=containment.pk)).data)


class Similar(APIView):
    """Units like one."""

    @extend_schema(parameters=[SimilarQuery], responses={200: AffectedSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Return the units that share something with a unit, as a preview of a containment does."""
        asked = SimilarQuery(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        shared = {name: given.pop(name) for name in ("by", "value") if name in given}
        question = question_like(unit=unit_of(request, uid), **shared)
        return Response(AffectedSerializer(find_affected(question=question, **given)).data)
