"""How gates and their releases look over REST."""

from typing import Any

from rest_framework import serializers

from mes.rest import NumberField, SignatureSerializer
from mes.workorders.models import GateRelease


class LiveReleaseSerializer(serializers.ModelSerializer[GateRelease]):
    """By whom, why, how often and until when a gate may be passed."""

    class Meta:
        model = GateRelease
        fields = ("released_by", "role", "reason", "released_at", "allowed", "used", "expires_at")


class GateStateSerializer(serializers.Serializer[Any]):
    """A gate of an operation and how it stands."""

    gate = serializers.CharField()
    moment = serializers.ChoiceField(choices=["start", "complete"])
    state = serializers.ChoiceField(choices=["open", "blocked", "released", "not_asked"])
    code = serializers.CharField(source="violation.code", default="")
    detail = serializers.CharField(source="violation.detail", default="")
    rule = serializers.CharField(source="violation.rule", default="")
    release = serializers.CharField(source="violation.release", default="")
    next = serializers.CharField(source="violation.next_step", default="")
    releasable_by = serializers.ListField(child=serializers.CharField())
    released = LiveReleaseSerializer(source="release", allow_null=True)


class GatesSerializer(serializers.Serializer[Any]):
    """Every gate of an operation on a unit."""

    unit = serializers.UUIDField()
    serial = serializers.CharField()
    order = serializers.CharField()
    operation = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.CharField()
    gates = GateStateSerializer(many=True)


class ReleaseGateSerializer(serializers.Serializer[Any]):
    """Which gate is let pass, why, how often and for how long; signed."""

    operation = serializers.IntegerField(help_text="Sequence.")
    reason = serializers.CharField(max_length=300)
    allowed = serializers.IntegerField(default=1)
    hours = NumberField(default=8)
    signature = SignatureSerializer()
    operator = serializers.CharField(required=False)


class GateReleaseSerializer(serializers.ModelSerializer[GateRelease]):
    """A release of a gate, with what is left of it."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    operation = serializers.IntegerField(source="operation.sequence", read_only=True)
    signature = serializers.UUIDField(source="signature.uid", read_only=True)

    class Meta:
        model = GateRelease
        exclude: tuple[str, ...] = ()
