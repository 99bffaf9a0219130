"""How results of stress tools look over REST."""

from typing import Any

from rest_framework import serializers

from mes.burnin.models import ToolResult
from mes.testing.models import TestRun, Tool


class PostResultSerializer(serializers.Serializer[Any]):
    """Which tool printed the output, and about which tray."""

    tool = serializers.ChoiceField(choices=Tool.choices)
    slot = serializers.CharField(max_length=40, required=False, help_text="Slot of the tray; or `unit`.")
    unit = serializers.UUIDField(required=False, help_text="uid of the tray; or `slot`.")
    exit_status = serializers.IntegerField(
        required=False, min_value=0, max_value=255, help_text="How the tool ended; stress-ng needs it."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Require a tray."""
        if "slot" not in attrs and "unit" not in attrs:
            raise serializers.ValidationError({"slot": ["Name the slot or the unit."]})
        return {**attrs, "tool": Tool(attrs["tool"])}


class ResultFileSerializer(serializers.Serializer[Any]):
    """The output of a tool as a file."""

    file = serializers.FileField(allow_empty_file=True)
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")


class ToolResultSerializer(serializers.ModelSerializer[ToolResult]):
    """What a stress tool found; the output is at `/attachments/{output}/`, the values in the test run."""

    slot = serializers.CharField(source="attempt.slot.name", read_only=True)
    attempt = serializers.IntegerField(source="attempt.number", read_only=True)
    unit = serializers.UUIDField(source="attempt.unit.uid", read_only=True)
    serial = serializers.CharField(source="attempt.unit.serial", read_only=True)
    outcome = serializers.ChoiceField(
        source="test_run.outcome", choices=TestRun.Outcome.choices, read_only=True
    )
    reasons = serializers.JSONField(source="test_run.reasons", read_only=True)
    received_at = serializers.DateTimeField(source="test_run.received_at", read_only=True)
    test_run = serializers.UUIDField(source="test_run.uid", read_only=True)
    output = serializers.UUIDField(source="output.uid", read_only=True)
    sha256 = serializers.CharField(source="output.sha256", read_only=True)

    class Meta:
        model = ToolResult
        fields = (
            *("uid", "slot", "attempt", "unit", "serial", "tool", "name", "outcome", "reasons"),
            *("received_at", "test_run", "output", "sha256"),
        )
