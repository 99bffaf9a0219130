"""How ship holds, field returns and packing rules look over REST."""

from typing import Any

from rest_framework import serializers

from mes.rest import SignatureSerializer
from mes.shipping.models import FieldReturn, PackingRule
from mes.shipping.serializers import ShippingActSerializer, ShippingReasonSerializer
from mes.workorders.models import ShipHold


class ShipHoldSerializer(serializers.ModelSerializer[ShipHold]):
    """A hold on shipping, of a unit or of an order, and its signed release."""

    site = serializers.CharField(source="site.code", read_only=True)
    unit = serializers.UUIDField(source="unit.uid", default=None, read_only=True)
    serial = serializers.CharField(source="unit.serial", default=None, read_only=True)
    order = serializers.CharField(source="work_order.number", default=None, read_only=True)
    signature = serializers.UUIDField(source="signature.uid", default=None, read_only=True)

    class Meta:
        model = ShipHold
        exclude = ("work_order",)


class PlaceShipHoldSerializer(ShippingReasonSerializer):
    """What is held from shipping, and why: a unit (its uid) or an order (its number)."""

    unit = serializers.UUIDField(required=False)
    order = serializers.CharField(max_length=40, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one of both."""
        if ("unit" in attrs) == ("order" in attrs):
            raise serializers.ValidationError({"unit": ["Name either a unit or an order."]})
        return attrs


class ReleaseShipHoldSerializer(ShippingReasonSerializer):
    """Why a ship hold is released, and who signs that."""

    signature = SignatureSerializer()


class FieldReturnSerializer(serializers.ModelSerializer[FieldReturn]):
    """A unit that came back, its failure, and how far its nonconformance is."""

    site = serializers.CharField(source="site.code", read_only=True)
    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    unit_state = serializers.CharField(source="unit.state", read_only=True)
    nonconformance = serializers.CharField(source="nonconformance.number", read_only=True)
    nonconformance_state = serializers.CharField(source="nonconformance.state", read_only=True)
    shipment = serializers.CharField(source="packed.crate.shipment.number", default=None, read_only=True)
    taken_from = serializers.UUIDField(source="taken_from.uid", default=None, read_only=True)
    taken_from_serial = serializers.CharField(source="taken_from.serial", default=None, read_only=True)

    class Meta:
        model = FieldReturn
        exclude = ("id", "packed")


class ReturnUnitSerializer(ShippingActSerializer):
    """What came back and what is wrong with it, as the customer told it."""

    unit = serializers.UUIDField()
    symptom = serializers.CharField(max_length=60, help_text="A short code, e.g. leak, gpu_ecc.")
    number = serializers.CharField(max_length=30, required=False, allow_blank=True, default="")
    customer_words = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")
    failed_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    hours_in_service = serializers.DecimalField(
        max_digits=9, decimal_places=1, min_value=0, required=False, allow_null=True, default=None
    )
    pictures = serializers.ListField(
        child=serializers.UUIDField(), required=False, default=list, max_length=50
    )


class PackingRuleSerializer(serializers.ModelSerializer[PackingRule]):
    """How a part is packed, in one version."""

    part = serializers.CharField(source="part.number", read_only=True)

    class Meta:
        model = PackingRule
        exclude = ("id",)
