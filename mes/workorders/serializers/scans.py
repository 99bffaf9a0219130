"""How scans and their answers look over REST."""

from typing import Any

from rest_framework import serializers


class ScanSerializer(serializers.Serializer[Any]):
    """A scan, as the scanner read it."""

    raw = serializers.CharField(max_length=8192, trim_whitespace=False, allow_blank=True)
    pin = serializers.CharField(
        required=False, max_length=12, write_only=True, help_text="With a badge, if its roles demand it."
    )
    symbology = serializers.CharField(required=False, max_length=4, help_text="AIM identifier, e.g. ]d2.")
    at = serializers.DateTimeField(required=False, help_text="The device's clock.")
    seq = serializers.IntegerField(required=False, help_text="The device's counter.")
    operator = serializers.CharField(required=False, help_text="Badge, if nobody is signed on.")


class ScanAnswerSerializer(serializers.Serializer[Any]):
    """What a scan led to."""

    outcome = serializers.ChoiceField(choices=["accepted", "needs_more", "duplicate"])
    title = serializers.CharField()
    detail = serializers.CharField()
    sound = serializers.ChoiceField(choices=["accept", "refuse", "tick"])
    next = serializers.CharField()
    unit = serializers.DictField(allow_null=True)
    operation = serializers.DictField(allow_null=True)
