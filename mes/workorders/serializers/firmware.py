"""How the firmware of a unit looks over REST."""

from typing import Any

from rest_framework import serializers

from mes.racks.models import InstalledFirmware
from mes.workorders.serializers.capture import RepeatSerializer


class RecordFirmwareSerializer(serializers.Serializer[Any]):
    """A version that was found."""

    component = serializers.CharField(max_length=40)
    version = serializers.CharField(max_length=60)
    operator = serializers.CharField(required=False)


class InstalledFirmwareSerializer(serializers.ModelSerializer[InstalledFirmware]):
    """A version of a component, from when until when."""

    class Meta:
        model = InstalledFirmware
        fields: tuple[str, ...] = ("component", "version", "since", "until", "recorded_by")


class RecordedFirmwareSerializer(InstalledFirmwareSerializer):
    """A version as it was recorded, with the one before, and what must be repeated because of it."""

    before = serializers.CharField(allow_null=True)
    repeat = RepeatSerializer(many=True)
    rules = serializers.ListField(child=serializers.CharField())

    class Meta(InstalledFirmwareSerializer.Meta):
        fields = (*InstalledFirmwareSerializer.Meta.fields, "before", "repeat", "rules")


class UnitFirmwareSerializer(serializers.Serializer[Any]):
    """The firmware of a unit."""

    current = InstalledFirmwareSerializer(many=True)
    history = InstalledFirmwareSerializer(many=True)
