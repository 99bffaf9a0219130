"""How couplings and their mates look over REST."""

from typing import Any

from rest_framework import serializers

from mes.cooling.models import Coupling, CouplingMate, CouplingType


class CouplingSerializer(serializers.ModelSerializer[Coupling]):
    """A quick-disconnect, where it is fitted, and how often it was mated."""

    type = serializers.CharField(source="type.code", read_only=True)
    type_version = serializers.CharField(source="type.version", read_only=True)
    manifold = serializers.UUIDField(source="manifold.uid", read_only=True)
    manifold_serial = serializers.CharField(source="manifold.serial", read_only=True)

    class Meta:
        model = Coupling
        exclude = ("id", "version", "head")


class CouplingMateSerializer(serializers.ModelSerializer[CouplingMate]):
    """One mate of a coupling."""

    coupling = serializers.UUIDField(source="coupling.uid", read_only=True)
    serial = serializers.CharField(source="coupling.serial", read_only=True)
    maximum_mates = serializers.IntegerField(source="coupling.maximum_mates", read_only=True)
    manifold = serializers.UUIDField(source="manifold.uid", read_only=True)
    mated_with = serializers.UUIDField(source="mated_with.uid", default=None, read_only=True)

    class Meta:
        model = CouplingMate
        exclude = ("id",)


class FitCouplingSerializer(serializers.Serializer[Any]):
    """A coupling fitted to a place; without a version, of the latest released one of its type."""

    place = serializers.CharField(max_length=60, help_text="e.g. U08 supply")
    serial = serializers.CharField(max_length=80)
    type = serializers.CharField(max_length=40)
    type_version = serializers.CharField(max_length=20, required=False)
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Find the type."""
        types = CouplingType.objects.filter(code=attrs["type"])
        if "type_version" in attrs:
            found = types.filter(version=attrs["type_version"]).first()
        else:
            found = types.filter(released_at__isnull=False).order_by("-released_at", "-pk").first()
        if found is None:
            raise serializers.ValidationError({"type": ["There is no such coupling type."]})
        return {**attrs, "type": found}


class RemoveCouplingSerializer(serializers.Serializer[Any]):
    """Why a coupling is taken off."""

    reason = serializers.CharField(max_length=200)
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")


class RecordMatesSerializer(serializers.Serializer[Any]):
    """What was mated: a place of this manifold, or all couplings of a slot of this rack."""

    place = serializers.CharField(max_length=60, required=False)
    slot = serializers.CharField(max_length=40, required=False)
    mated_with = serializers.UUIDField(required=False, help_text="uid of the unit that was put in.")
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of place and slot is named."""
        if ("place" in attrs) == ("slot" in attrs):
            raise serializers.ValidationError({"place": ["Name a place or a slot, and not both."]})
        return attrs


class MatesSerializer(serializers.Serializer[Any]):
    """The mates that were counted."""

    mates = CouplingMateSerializer(many=True)
