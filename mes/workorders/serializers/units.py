"""How a unit stands, over REST."""

from typing import Any

from rest_framework import serializers


class NextOperationSerializer(serializers.Serializer[Any]):
    """An operation that may be worked on now."""

    sequence = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    work_center = serializers.CharField()


class StandingSerializer(serializers.Serializer[Any]):
    """How a unit stands: its order, the operations at hand, and how much of what is on record for it."""

    unit = serializers.UUIDField(source="unit.uid")
    serial = serializers.CharField(source="unit.serial")
    state = serializers.CharField(source="unit.state")
    held = serializers.BooleanField(source="unit.held")
    order = serializers.CharField(source="position.order.number", default=None)
    route = serializers.CharField(source="position.order_unit.route.version", default=None)
    rework = serializers.CharField(
        source="position.rework.nonconformance.number", default=None, help_text="What it is reworked for."
    )
    next_operations = NextOperationSerializer(source="position.open_operations", many=True, default=())
    open_holds = serializers.IntegerField()
    nonconformances = serializers.IntegerField()
    open_nonconformances = serializers.IntegerField()
    deviations = serializers.IntegerField(help_text="For the unit itself, revoked ones included.")
    gate_releases = serializers.IntegerField()
    gate_passes = serializers.IntegerField(help_text="How often a gate was passed by one of them.")
