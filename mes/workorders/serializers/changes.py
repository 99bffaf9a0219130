"""How engineering changes look over REST."""

from typing import Any

from rest_framework import serializers

from mes.products.models import PartRevision, Route
from mes.rest import SignatureSerializer
from mes.serials.models import Unit
from mes.stations.models import Site
from mes.workorders.models import EngineeringChange, WorkOrder


class EngineeringChangeSerializer(serializers.ModelSerializer[EngineeringChange]):
    """An engineering change, what it is for, and who signed it."""

    site = serializers.CharField(source="site.code", read_only=True)
    part = serializers.CharField(source="to_revision.part.number", read_only=True)
    to_revision = serializers.CharField(source="to_revision.revision", read_only=True)
    to_route = serializers.CharField(source="to_route.version", read_only=True)
    orders = serializers.SerializerMethodField()
    units = serializers.SerializerMethodField()
    approvals = serializers.SerializerMethodField()

    class Meta:
        model = EngineeringChange
        fields = (
            *("number", "state", "site", "title", "reason", "part", "to_revision", "to_route"),
            *("orders", "units", "approvals", "created_at", "created_by", "applied_at", "applied_by"),
        )

    def get_orders(self, change: EngineeringChange) -> list[str]:
        """Return the numbers of the orders it is for."""
        return [target.order.number for target in change.targets.all() if target.order]

    def get_units(self, change: EngineeringChange) -> list[dict[str, str]]:
        """Return uid and serial of the units it is for, besides those of its orders."""
        units = [target.unit for target in change.targets.all() if target.unit]
        return [{"uid": str(unit.uid), "serial": unit.serial} for unit in units]

    def get_approvals(self, change: EngineeringChange) -> list[dict[str, str]]:
        """Return who signed what kind of approval of which plan."""
        return [
            {
                "person": approval.person,
                "meaning": approval.signature.meaning,
                "digest": approval.signature.subject_digest,
            }
            for approval in change.approvals.all()
        ]


class DraftChangeSerializer(serializers.Serializer[Any]):
    """A change to draft: the orders and units that move, and where to."""

    site = serializers.SlugRelatedField(slug_field="code", queryset=Site.objects.all())
    title = serializers.CharField(max_length=120)
    reason = serializers.CharField(max_length=2000)
    part = serializers.CharField(max_length=60)
    to_revision = serializers.CharField(max_length=20)
    to_route = serializers.CharField(max_length=20)
    orders = serializers.SlugRelatedField(
        slug_field="number", queryset=WorkOrder.objects.all(), many=True, required=False
    )
    units = serializers.SlugRelatedField(
        slug_field="uid", queryset=Unit.objects.all(), many=True, required=False
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Find the part revision and the route."""
        part, revision, version = attrs.pop("part"), attrs["to_revision"], attrs["to_route"]
        revisions = PartRevision.objects.select_related("part")
        attrs["to_revision"] = revisions.filter(part__number=part, revision=revision).first()
        attrs["to_route"] = Route.objects.filter(part__number=part, version=version).first()
        for name in ("to_revision", "to_route"):
            if attrs[name] is None:
                raise serializers.ValidationError({name: ["This part has no such one."]})
        return attrs


class SignedReasonSerializer(serializers.Serializer[Any]):
    """A reason, signed."""

    reason = serializers.CharField(max_length=300)
    signature = SignatureSerializer()


class EndReasonSerializer(serializers.Serializer[Any]):
    """Why something is ended."""

    reason = serializers.CharField(max_length=300)


class ChangePreviewSerializer(serializers.Serializer[Any]):
    """What a change would do now, unit by unit; signatures are bound to its digest."""

    change = serializers.CharField()
    to_revision = serializers.CharField()
    to_route = serializers.CharField()
    orders = serializers.ListField(child=serializers.DictField())
    units = serializers.ListField(child=serializers.DictField())
    refused = serializers.ListField(child=serializers.DictField())
    unchanged = serializers.ListField(child=serializers.CharField())
    digest = serializers.CharField()
