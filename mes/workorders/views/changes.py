"""Engineering changes over REST."""

from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from mes.ledger.services import Actor
from mes.people.services import proof_of, require_permission
from mes.rest import operator_of, perform
from mes.stations.services import of_site, require_floor, site_of
from mes.workorders.models import ChangeApproval, ChangeTarget, EngineeringChange
from mes.workorders.serializers.changes import (
    ChangePreviewSerializer,
    DraftChangeSerializer,
    EndReasonSerializer,
    EngineeringChangeSerializer,
    SignedReasonSerializer,
)
from mes.workorders.services import apply_change, approve_change, cancel_change, draft_change, plan_change

CHANGE = "workorders.change_engineeringchange"


class EngineeringChangeViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[EngineeringChange]
):
    """List, read, draft, preview, sign, apply and cancel engineering changes."""

    queryset = EngineeringChange.objects.select_related(
        "site", "to_revision__part", "to_route"
    ).prefetch_related(
        Prefetch("targets", ChangeTarget.objects.select_related("order", "unit").order_by("pk")),
        Prefetch("approvals", ChangeApproval.objects.select_related("signature").order_by("pk")),
    )
    serializer_class = EngineeringChangeSerializer
    filterset_fields = {
        **{name: ["exact"] for name in ("state", "site__code", "to_revision__part__number", "created_by")},
        **{name: ["exact"] for name in ("targets__order__number", "targets__unit__uid")},
        **{name: ["gte", "lt"] for name in ("created_at", "applied_at")},
    }
    lookup_field = "number"
    lookup_value_regex = "[^/\x00]+"

    def get_queryset(self) -> QuerySet[EngineeringChange]:
        """Return the changes of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=DraftChangeSerializer, responses={201: EngineeringChangeSerializer})
    def create(self, request: Request) -> Response:
        """Draft a change."""
        require_permission(request.user, "workorders.add_engineeringchange", operator=operator_of(request))
        given = DraftChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        site = site_of(request.auth)
        if site is not None and given.validated_data["site"] != site:
            raise ValidationError({"site": ["This device belongs to another site."]})

        def act(by: Actor) -> dict[str, Any]:
            return self._answer(draft_change(by=by, **given.validated_data))

        return perform(request, act, created=True)

    @extend_schema(responses={200: ChangePreviewSerializer})
    @action(detail=True, methods=["get"])
    def preview(self, request: Request, number: str) -> Response:
        """Show what the change would do now; nothing is done."""
        plan = plan_change(self.get_object())
        return Response({**plan.data, "digest": plan.digest})

    @extend_schema(request=SignedReasonSerializer, responses={200: EngineeringChangeSerializer})
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, number: str) -> Response:
        """Sign the change as its preview shows it now."""
        require_floor(request.auth, request.user, CHANGE)
        change = self.get_object()
        given = SignedReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        proof, reason = proof_of(request, given.validated_data["signature"]), given.validated_data["reason"]

        def act(by: Actor) -> dict[str, Any]:
            return self._answer(approve_change(change=change, reason=reason, proof=proof, by=by))

        return perform(request, act)

    @extend_schema(request=None, responses={200: EngineeringChangeSerializer})
    @action(detail=True, methods=["post"])
    def apply(self, request: Request, number: str) -> Response:
        """Move all units of an approved change, or none."""
        require_permission(request.user, CHANGE, operator=operator_of(request))
        change = self.get_object()

        def act(by: Actor) -> dict[str, Any]:
            apply_change(change=change, by=by)
            return self._answer(change)

        return perform(request, act)

    @extend_schema(request=EndReasonSerializer, responses={200: EngineeringChangeSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, number: str) -> Response:
        """Give a change up before it is applied."""
        require_permission(request.user, CHANGE, operator=operator_of(request))
        change = self.get_object()
        given = EndReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)

        def act(by: Actor) -> dict[str, Any]:
            return self._answer(cancel_change(change=change, by=by, **given.validated_data))

        return perform(request, act)

    def _answer(self, change: EngineeringChange) -> dict[str, Any]:
        return dict(EngineeringChangeSerializer(self.get_queryset().get(pk=change.pk)).data)
