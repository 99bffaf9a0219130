"""Deviations over REST."""

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
from mes.workorders.models import Deviation, DeviationUse
from mes.workorders.serializers.changes import EndReasonSerializer
from mes.workorders.serializers.deviations import DeviationSerializer, OpenDeviationSerializer
from mes.workorders.services import open_deviation, revoke_deviation


class DeviationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Deviation]):
    """List, read, open and revoke deviations."""

    queryset = Deviation.objects.select_related(
        "site", "order", "unit", "part", "instead__part", "limit", "signature"
    ).prefetch_related(
        Prefetch(
            "uses",
            DeviationUse.objects.select_related(
                "unit", "installation__slot", "installation__child", "test_run"
            ).order_by("pk"),
        )
    )
    serializer_class = DeviationSerializer
    filterset_fields = {
        "kind": ("exact",),
        "order__number": ("exact",),
        "unit__uid": ("exact",),
        "part__number": ("exact",),
        "instead__part__number": ("exact",),
        "limit__procedure": ("exact",),
        "expires_at": ("lt", "gt"),
        "revoked_at": ("isnull",),
    }
    lookup_field = "number"
    lookup_value_regex = "[^/\x00]+"

    def get_queryset(self) -> QuerySet[Deviation]:
        """Return the deviations of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=OpenDeviationSerializer, responses={201: DeviationSerializer})
    def create(self, request: Request) -> Response:
        """Permit an exception, signed."""
        require_floor(request.auth, request.user, "workorders.add_deviation")
        given = OpenDeviationSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        terms = dict(given.validated_data)
        site, proof = site_of(request.auth), proof_of(request, terms.pop("signature"))
        if site is not None and terms["target"].site_id != site.pk:
            raise ValidationError({"unit": ["It belongs to another site than this device."]})

        def act(by: Actor) -> dict[str, Any]:
            return self._answer(open_deviation(proof=proof, by=by, **terms))

        return perform(request, act, created=True)

    @extend_schema(request=EndReasonSerializer, responses={200: DeviationSerializer})
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, number: str) -> Response:
        """End a deviation; what it let pass stays on record."""
        require_permission(request.user, "workorders.change_deviation", operator=operator_of(request))
        deviation = self.get_object()
        given = EndReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)

        def act(by: Actor) -> dict[str, Any]:
            return self._answer(revoke_deviation(deviation=deviation, by=by, **given.validated_data))

        return perform(request, act)

    def _answer(self, deviation: Deviation) -> dict[str, Any]:
        return dict(DeviationSerializer(self.get_queryset().get(pk=deviation.pk)).data)
