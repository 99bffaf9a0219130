"""How deviations look over REST."""

from typing import Any

from rest_framework import serializers

from mes.products.models import Part, PartRevision
from mes.rest import SignatureSerializer
from mes.serials.models import Unit
from mes.workorders.models import Deviation, DeviationUse, WorkOrder
from mes.workorders.services import LimitException, PartException, find_limit


class DeviationUseSerializer(serializers.ModelSerializer[DeviationUse]):
    """An installation or a test that a deviation let pass."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    slot = serializers.CharField(source="installation.slot.name", default=None, read_only=True)
    child = serializers.CharField(source="installation.child.serial", default=None, read_only=True)
    test_run = serializers.UUIDField(source="test_run.uid", default=None, read_only=True)

    class Meta:
        model = DeviationUse
        fields = ("unit", "serial", "slot", "child", "test_run", "used_at")


class DeviationSerializer(serializers.ModelSerializer[Deviation]):
    """A deviation, its terms, who signed it, and what it let pass."""

    site = serializers.CharField(source="site.code", read_only=True)
    order = serializers.CharField(source="order.number", default=None, read_only=True)
    unit = serializers.UUIDField(source="unit.uid", default=None, read_only=True)
    part = serializers.CharField(source="part.number", default=None, read_only=True)
    instead = serializers.CharField(source="instead.part.number", default=None, read_only=True)
    instead_revision = serializers.CharField(source="instead.revision", default=None, read_only=True)
    procedure = serializers.CharField(source="limit.procedure", default=None, read_only=True)
    measurement = serializers.CharField(source="limit.measurement", default=None, read_only=True)
    signed_by = serializers.CharField(source="signature.signer", read_only=True)
    uses = DeviationUseSerializer(many=True, read_only=True)

    class Meta:
        model = Deviation
        fields = (
            *("number", "kind", "site", "order", "unit", "part", "instead", "instead_revision"),
            *("procedure", "measurement", "low", "high", "reason", "quantity", "used", "expires_at"),
            *("signed_by", "created_at", "revoked_at", "revoked_by", "uses"),
        )


class OpenDeviationSerializer(serializers.Serializer[Any]):
    """An exception to permit: for an order or a unit; of a part or of a limit of its route."""

    order = serializers.SlugRelatedField(
        slug_field="number", queryset=WorkOrder.objects.all(), required=False
    )
    unit = serializers.SlugRelatedField(slug_field="uid", queryset=Unit.objects.all(), required=False)
    part = serializers.SlugRelatedField(slug_field="number", queryset=Part.objects.all(), required=False)
    instead = serializers.CharField(max_length=60, required=False, help_text="Part number; else `part`.")
    instead_revision = serializers.CharField(max_length=20, required=False)
    procedure = serializers.CharField(max_length=60, required=False)
    measurement = serializers.CharField(max_length=80, required=False)
    low = serializers.FloatField(required=False, allow_null=True, default=None)
    high = serializers.FloatField(required=False, allow_null=True, default=None)
    quantity = serializers.IntegerField(min_value=0, max_value=100_000)
    expires_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=300)
    signature = SignatureSerializer()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one target and one exception, and find what they name."""
        targets = [attrs.pop(name) for name in ("unit", "order") if name in attrs]
        if len(targets) != 1:
            raise serializers.ValidationError({"unit": ["Give either a unit or an order."]})
        if ("part" in attrs) == ("procedure" in attrs):
            raise serializers.ValidationError({"part": ["Give either a part or a procedure."]})
        exception = _part(attrs) if "part" in attrs else _limit(targets[0], attrs)
        terms = {name: attrs[name] for name in ("quantity", "expires_at", "reason", "signature")}
        return {"target": targets[0], "exception": exception, **terms}


def _part(attrs: dict[str, Any]) -> PartException:
    number = attrs.get("instead", attrs["part"].number)
    revisions = PartRevision.objects.select_related("part").filter(part__number=number)
    found = revisions.filter(revision=attrs.get("instead_revision", "")).first()
    if found is None:
        raise serializers.ValidationError({"instead_revision": ["There is no such part revision."]})
    return PartException(attrs["part"], found)


def _limit(target: Unit | WorkOrder, attrs: dict[str, Any]) -> LimitException:
    measurement = attrs.get("measurement", "")
    found = find_limit(target=target, procedure=attrs["procedure"], measurement=measurement)
    if found is None:
        raise serializers.ValidationError({"measurement": ["Its route sets no such limit."]})
    return LimitException(found, attrs["low"], attrs["high"])
