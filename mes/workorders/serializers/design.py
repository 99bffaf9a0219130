"""How a comparison with the design looks over REST."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from mes.exports import chunked
from mes.serials.models import Unit
from mes.workorders.services import Comparison, SlotState, Tested, Verdict, compare_units

DIFFERENCES = "differences"
AT_ONCE = 50  # racks compared by one set of queries: some 27,000 installations


class ComparisonQuery(serializers.Serializer[Any]):
    """As of which time, and which rows."""

    at = serializers.DateTimeField(required=False, help_text="ISO 8601; now if left out.")
    only = serializers.ChoiceField(
        choices=[DIFFERENCES, *SlotState.values],
        required=False,
        help_text="The rows in one state; differences are what is wrong, extra or missing.",
    )


class SlotRowSerializer(serializers.Serializer[Any]):
    """A slot against what is in it."""

    path = serializers.CharField(help_text="Slots from the unit down, e.g. U08/SC0/GPU1.")
    state = serializers.ChoiceField(choices=SlotState.choices)
    wanted = serializers.CharField(help_text="What belongs here; empty where the design has no such slot.")
    parent = serializers.UUIDField(source="parent.uid")  # type: ignore[assignment]
    parent_serial = serializers.CharField(source="parent.serial")
    child = serializers.UUIDField(source="child.uid", default=None)
    serial = serializers.CharField(source="child.serial", default=None)
    part = serializers.CharField(source="child.part_revision.part.number", default=None)
    revision = serializers.CharField(source="child.part_revision.revision", default=None)
    installed_at = serializers.DateTimeField(source="placement.installed_at", default=None)
    held = serializers.BooleanField(help_text="Whether what is in it is on hold now.")
    tested = serializers.ChoiceField(
        choices=[("", "no live test"), *((each.value, each.value) for each in Tested)],
        help_text="What the live tests of what is in it say, as it is built.",
    )
    deviation = serializers.CharField(help_text="The number of the deviation that permits it.")
    why = serializers.CharField(help_text="What is not as designed.")


class CountsSerializer(serializers.Serializer[Any]):
    """How many slots are in each state."""

    wrong = serializers.IntegerField()
    extra = serializers.IntegerField()
    missing = serializers.IntegerField()
    deviation = serializers.IntegerField()
    expected = serializers.IntegerField()
    installed = serializers.IntegerField()


class ComparisonHeadSerializer(serializers.Serializer[Any]):
    """A unit against its design: what it comes to."""

    unit = serializers.UUIDField(source="unit.uid")
    serial = serializers.CharField(source="unit.serial")
    part = serializers.CharField(source="revision.part.number")
    revision = serializers.CharField(source="revision.revision")
    unit_state = serializers.ChoiceField(source="unit.state", choices=Unit.State.choices)
    as_designed = serializers.BooleanField(help_text="Every slot holds what is designed or permitted.")
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    counts = CountsSerializer()


class ComparisonSerializer(ComparisonHeadSerializer):
    """A unit against its design, slot by slot, from the top down."""

    at = serializers.DateTimeField(allow_null=True, help_text="Null: now.")
    rows = serializers.SerializerMethodField()

    @extend_schema_field(SlotRowSerializer(many=True))
    def get_rows(self, _comparison: Comparison) -> Any:
        """Return the rows asked for, which the view passes."""
        return SlotRowSerializer(self.context["rows"], many=True).data


class ComparedUnits(serializers.ListSerializer[Any]):
    """Compares a page of units together."""

    def to_representation(self, data: Any) -> Any:
        """Return a row for each unit; the number of queries is that for one, for up to 50 units at once."""
        compared = (compare_units(units=units) for units in chunked(data, AT_ONCE))
        return super().to_representation([each for some in compared for each in some])


class ComparedUnitSerializer(ComparisonHeadSerializer):
    """A unit against its design, as a row of a list."""

    class Meta:
        list_serializer_class = ComparedUnits
