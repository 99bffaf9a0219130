"""How values, consumables, tools and breaks look over REST."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from mes.products.models import RetestRule
from mes.rest import SignatureSerializer
from mes.workorders.models import CapturedValue, ConsumableUse


class RecordValueSerializer(serializers.Serializer[Any]):
    """A value of a field: a number, text or choice; a photo by its attachment; a signature."""

    field = serializers.CharField(max_length=60, source="name")
    value = serializers.JSONField(required=False, allow_null=True, default=None)
    attachment = serializers.UUIDField(required=False)
    signature = SignatureSerializer(required=False)
    operator = serializers.CharField(required=False)


class CapturedValueSerializer(serializers.ModelSerializer[CapturedValue]):
    """A recorded value."""

    name = serializers.CharField(source="field.name", read_only=True)
    unit = serializers.CharField(source="field.unit", read_only=True)
    low = serializers.FloatField(source="field.low", read_only=True)
    high = serializers.FloatField(source="field.high", read_only=True)
    attachment = serializers.UUIDField(source="attachment.uid", default=None, read_only=True)
    signature = serializers.UUIDField(source="signature.uid", default=None, read_only=True)

    class Meta:
        model = CapturedValue
        fields: tuple[str, ...] = (
            *("name", "number", "text", "unit", "low", "high", "verdict", "attachment", "signature"),
            *("recorded_at", "recorded_by", "replaced_at"),
        )


class UseConsumableSerializer(serializers.Serializer[Any]):
    """Which lot is used, and how much; without a quantity, what the operation takes."""

    lot = serializers.UUIDField(help_text="uid of the lot.")
    quantity = serializers.DecimalField(
        max_digits=10, decimal_places=3, min_value=Decimal("0.001"), required=False
    )
    operator = serializers.CharField(required=False)


class ConsumableUseSerializer(serializers.ModelSerializer[ConsumableUse]):
    """A use of a lot."""

    lot = serializers.CharField(source="lot.number", read_only=True)
    part = serializers.CharField(source="lot.part.number", read_only=True)

    class Meta:
        model = ConsumableUse
        fields = ("part", "lot", "quantity", "unit", "used_at", "used_by")


class ToolCodeSerializer(serializers.Serializer[Any]):
    """The code on a tool's label."""

    tool = serializers.CharField(max_length=60)
    operator = serializers.CharField(required=False)


class SkipSerializer(serializers.Serializer[Any]):
    """Why an optional operation is left out."""

    reason = serializers.CharField(max_length=200)
    operator = serializers.CharField(required=False)


class BreakSerializer(serializers.Serializer[Any]):
    """What was opened, where, and why."""

    kind = serializers.ChoiceField(choices=[RetestRule.Trigger.WET_BREAK, RetestRule.Trigger.POWER_BREAK])
    slot = serializers.CharField(max_length=40, required=False, default="")
    reason = serializers.CharField(max_length=200)
    operator = serializers.CharField(required=False)


class RepeatSerializer(serializers.Serializer[Any]):
    """An operation that must be repeated, and the rules that say so."""

    sequence = serializers.IntegerField()
    name = serializers.CharField()
    because = serializers.ListField(child=serializers.CharField())


class RetestSerializer(serializers.Serializer[Any]):
    """What an act made untrue."""

    repeat = RepeatSerializer(many=True)
    rules = serializers.ListField(child=serializers.CharField())


class ReplaceSerializer(serializers.Serializer[Any]):
    """What takes the place of what is in a slot, and why."""

    slot = serializers.CharField(max_length=40)
    child = serializers.UUIDField(help_text="uid of the unit that is fitted.")
    reason = serializers.CharField(max_length=200)
    operator = serializers.CharField(required=False)
