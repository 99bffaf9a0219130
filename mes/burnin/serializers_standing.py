"""How the standing of a run, its comparison with the last racks, and the bay wall look over REST."""

from typing import Any

from rest_framework import serializers

from mes.burnin.models import SeriesLimit
from mes.burnin.serializers import BaySerializer, BurnInRunSerializer


class LimitStandingSerializer(serializers.Serializer[Any]):
    """A tray and one limit of its kind: the value closest to it, or furthest beyond, over the whole soak.

    ``left`` is what the limit leaves, negative beyond it; without any sample it and the values are null.
    ``violations`` and ``over_seconds`` are of the series that was outside most often and longest.
    """

    slot = serializers.CharField(source="tray.attempt.slot.name")
    number = serializers.IntegerField(source="tray.attempt.number")
    serial = serializers.CharField(source="tray.attempt.unit.serial")
    state = serializers.CharField(source="tray.attempt.state")
    credited_hours = serializers.FloatField(source="tray.credited_hours")
    gaps = serializers.IntegerField(source="tray.gap_count")
    gap_seconds = serializers.FloatField(source="tray.gap_seconds")
    group = serializers.CharField(source="margin.limit.group")
    pattern = serializers.CharField(source="margin.limit.pattern")
    series = serializers.CharField(source="margin.worst.series")
    value = serializers.FloatField(source="margin.worst.value", allow_null=True)
    unit = serializers.CharField(source="margin.limit.unit")
    low = serializers.FloatField(source="margin.limit.low", allow_null=True)
    high = serializers.FloatField(source="margin.limit.high", allow_null=True)
    left = serializers.FloatField(source="margin.left", allow_null=True)
    violations = serializers.IntegerField(source="margin.violations")
    over_seconds = serializers.FloatField(source="margin.over_seconds")
    action = serializers.ChoiceField(choices=SeriesLimit.Action.choices, source="margin.limit.action")
    count = serializers.IntegerField(source="margin.worst.count")
    minimum = serializers.FloatField(source="margin.worst.minimum", allow_null=True)
    maximum = serializers.FloatField(source="margin.worst.maximum", allow_null=True)
    mean = serializers.FloatField(source="margin.worst.mean", allow_null=True)


class OutlierSerializer(serializers.Serializer[Any]):
    """The mean or the largest value of a series that is unlike the same slot of the last racks."""

    slot = serializers.CharField()
    group = serializers.CharField()
    series = serializers.CharField()
    statistic = serializers.ChoiceField(choices=["mean", "max"])
    value = serializers.FloatField()
    unit = serializers.CharField()
    median = serializers.FloatField(help_text="Of the racks compared with.")
    spread = serializers.FloatField(help_text="One sigma, robust (docs/burnin.md).")
    sigmas = serializers.FloatField(help_text="How many spreads above the median, or (negative) below.")
    racks = serializers.IntegerField(help_text="Racks that have this series in this slot.")


class RackComparisonSerializer(serializers.Serializer[Any]):
    """A run against the last racks; with fewer than ``least_racks`` nothing is said."""

    racks = serializers.IntegerField()
    least_racks = serializers.IntegerField()
    sigmas = serializers.FloatField()
    found = OutlierSerializer(many=True)


class WallRunSerializer(BurnInRunSerializer):
    """A burn-in on the wall, with the numbers of its trays."""

    trays = serializers.IntegerField(read_only=True)
    suspect = serializers.IntegerField(read_only=True)
    failed = serializers.IntegerField(read_only=True)
    remaining_hours = serializers.FloatField(read_only=True)

    class Meta(BurnInRunSerializer.Meta):
        fields = (*BurnInRunSerializer.Meta.fields, "trays", "suspect", "failed", "remaining_hours")


class WallBaySerializer(BaySerializer):
    """A bay on the wall."""

    runs = WallRunSerializer(many=True)


class WallSerializer(serializers.Serializer[Any]):
    """Every burn-in that goes on: bay by bay, those without a bay, and those that wait, oldest first."""

    bays = WallBaySerializer(many=True)
    elsewhere = WallRunSerializer(many=True)
    waiting = WallRunSerializer(many=True)
