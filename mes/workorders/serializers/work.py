"""How work on units looks over REST."""

from typing import Any

from rest_framework import serializers

from mes.racks.models import Installation
from mes.workorders.models import OperationRun
from mes.workorders.serializers.capture import RepeatSerializer


class ChildSerializer(serializers.Serializer[Any]):
    """A unit to install: its uid, or its label as scanned."""

    uid = serializers.UUIDField(required=False)
    raw = serializers.CharField(required=False, max_length=4096)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one of the two."""
        if len(attrs) != 1:
            raise serializers.ValidationError("Give either uid or raw.")
        return attrs


class InstallSerializer(serializers.Serializer[Any]):
    """What goes into which slot."""

    slot = serializers.CharField(max_length=40)
    child = ChildSerializer()
    operator = serializers.CharField(required=False)


class RemoveSerializer(serializers.Serializer[Any]):
    """Which slot is emptied, and why."""

    slot = serializers.CharField(max_length=40)
    reason = serializers.CharField(max_length=200)
    operator = serializers.CharField(required=False)


class InstallationSerializer(serializers.ModelSerializer[Installation]):
    """A child in a slot."""

    parent = serializers.UUIDField(source="parent.uid", read_only=True)  # type: ignore[assignment]
    child = serializers.UUIDField(source="child.uid", read_only=True)
    serial = serializers.CharField(source="child.serial", read_only=True)
    slot = serializers.CharField(source="slot.name", read_only=True)

    class Meta:
        model = Installation
        fields = (
            *("parent", "slot", "child", "serial", "installed_at", "installed_by"),
            *("removed_at", "removed_by", "removal_reason"),
        )


class RemovalSerializer(InstallationSerializer):
    """A removal or a swap: the child in question, and what must be repeated because of it."""

    repeat = RepeatSerializer(many=True)
    rules = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Installation
        fields = (*InstallationSerializer.Meta.fields, "repeat", "rules")


class OperationRunSerializer(serializers.ModelSerializer[OperationRun]):
    """One attempt at an operation."""

    sequence = serializers.IntegerField(source="operation.sequence", read_only=True)
    name = serializers.CharField(source="operation.name", read_only=True)
    station = serializers.CharField(source="station.code", default=None, read_only=True)

    class Meta:
        model = OperationRun
        fields = (
            *("sequence", "name", "attempt", "state", "station", "started_at", "started_by"),
            *("completed_at", "completed_by", "superseded_at", "superseded_because"),
        )
