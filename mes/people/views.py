"""One's own PIN, qualifications, training and signatures over REST."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.ledger.models import Stream
from mes.ledger.services import Actor
from mes.people.models import Qualification, Signature, TrainingRecord, User
from mes.people.serializers import (
    NewTrainingSerializer,
    PinSerializer,
    QualificationSerializer,
    SignatureFactSerializer,
    TrainingSerializer,
)
from mes.people.services import (
    prove_password,
    record_training,
    require_permission,
    revoke_training,
    set_pin,
)
from mes.rest import WhySerializer, operator_of, perform, why_of


class OwnPin(APIView):
    """A person's own PIN."""

    @extend_schema(request=PinSerializer, responses={200: None})
    def post(self, request: Request) -> Response:
        """Set one's own PIN, proved by one's password; in a browser session of one's own."""
        if isinstance(request.auth, Stream) or not isinstance(request.user, User):
            raise PermissionDenied("A person sets their own PIN after logging in with their password.")
        given = PinSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        proof = prove_password(user=request.user, password=given.validated_data["password"])

        def act(by: Actor) -> dict[str, Any]:
            person = set_pin(person=proof.require(), pin=given.validated_data["pin"], by=by)
            return {"person": person.username}

        return perform(request, act)


class QualificationViewSet(viewsets.ReadOnlyModelViewSet[Qualification]):
    """Read qualifications."""

    queryset = Qualification.objects.all()
    serializer_class = QualificationSerializer
    filterset_fields = ("code",)
    lookup_field = "code"


class TrainingViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[TrainingRecord]
):
    """Read, record and revoke training; for people with the permission."""

    queryset = TrainingRecord.objects.select_related("person", "qualification")
    serializer_class = TrainingSerializer
    filterset_fields = {
        "person__username": ["exact"],
        "qualification__code": ["exact"],
        "expires_at": ["lt", "gt", "isnull"],
        "revoked_at": ["isnull"],
    }

    def get_queryset(self) -> QuerySet[TrainingRecord]:
        """Return the records, to people who may see them."""
        require_permission(self.request.user, "people.view_trainingrecord")
        return super().get_queryset()

    @extend_schema(request=NewTrainingSerializer, responses={201: TrainingSerializer})
    def create(self, request: Request) -> Response:
        """Record a training."""
        require_permission(request.user, "people.add_trainingrecord", operator=operator_of(request))
        given = NewTrainingSerializer(data=request.data)
        given.is_valid(raise_exception=True)

        def act(by: Actor) -> dict[str, Any]:
            return dict(TrainingSerializer(record_training(by=by, **given.validated_data)).data)

        return perform(request, act, created=True)

    @extend_schema(request=WhySerializer, responses={200: TrainingSerializer})
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Revoke a training."""
        require_permission(request.user, "people.change_trainingrecord", operator=operator_of(request))
        training = self.get_object()

        def act(by: Actor) -> dict[str, Any]:
            revoked = revoke_training(training=training, reason=why_of(request), by=by)
            return dict(TrainingSerializer(revoked).data)

        return perform(request, act)


class SignatureViewSet(viewsets.ReadOnlyModelViewSet[Signature]):
    """Read signatures, e.g. `?subject=unit:UID`; for people with the permission."""

    queryset = Signature.objects.prefetch_related("works")
    serializer_class = SignatureFactSerializer
    filterset_fields = ("subject", "signer", "meaning")
    lookup_field = "uid"

    def get_queryset(self) -> QuerySet[Signature]:
        """Return the signatures, to people who may see them."""
        require_permission(self.request.user, "people.view_signature")
        return super().get_queryset()
