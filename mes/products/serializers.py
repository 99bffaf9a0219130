"""How definitions and work instructions look over REST."""

from typing import Any

from rest_framework import serializers

from mes.products.models import (
    Budget,
    CompatibilityRule,
    Gate,
    Instruction,
    InstructionReading,
    InstructionStep,
    Limit,
    Operation,
    Part,
    PartRevision,
    Route,
)


class InstructionStepSerializer(serializers.ModelSerializer[InstructionStep]):
    """One step of an instruction; its picture is fetched from ``/attachments/{uid}/``."""

    picture = serializers.UUIDField(source="picture.uid", default=None, read_only=True)

    class Meta:
        model = InstructionStep
        fields = ("order", "name", "text", "picture")


class InstructionSerializer(serializers.ModelSerializer[Instruction]):
    """A released version of an instruction."""

    steps = InstructionStepSerializer(many=True, read_only=True)

    class Meta:
        model = Instruction
        fields = ("code", "version", "title", "must_be_read", "released_at", "steps")


class ConfirmReadingSerializer(serializers.Serializer[Any]):
    """Who confirms, if nobody is signed on."""

    operator = serializers.CharField(required=False)


class InstructionReadingSerializer(serializers.ModelSerializer[InstructionReading]):
    """That a person has read and understood a version."""

    code = serializers.CharField(source="instruction.code", read_only=True)
    version = serializers.CharField(source="instruction.version", read_only=True)
    person = serializers.CharField(source="person.username", read_only=True)

    class Meta:
        model = InstructionReading
        fields = ("code", "version", "person", "read_at", "station")


class PartSerializer(serializers.ModelSerializer[Part]):
    """A kind of thing with a number."""

    class Meta:
        model = Part
        exclude = ("id",)


class BudgetSerializer(serializers.ModelSerializer[Budget]):
    """What the contents of an assembly may come to; without a limit: what is supplied."""

    class Meta:
        model = Budget
        exclude = ("id", "revision")


class CompatibilityRuleSerializer(serializers.ModelSerializer[CompatibilityRule]):
    """Which parts go together in an assembly."""

    class Meta:
        model = CompatibilityRule
        exclude = ("id", "revision")


class PartRevisionSerializer(serializers.ModelSerializer[PartRevision]):
    """A revision with its figures, bill of material, budgets and compatibility rules."""

    part = serializers.CharField(source="part.number", read_only=True)
    bom = serializers.SerializerMethodField()
    budgets = BudgetSerializer(many=True, read_only=True)
    compatibility_rules = CompatibilityRuleSerializer(many=True, read_only=True)

    class Meta:
        model = PartRevision
        exclude = ("id",)

    def get_bom(self, revision: PartRevision) -> list[dict[str, Any]]:
        """Return how many of which part it takes."""
        return [{"part": line.part.number, "quantity": line.quantity} for line in revision.bom_lines.all()]


class GateSerializer(serializers.ModelSerializer[Gate]):
    """A rule of an operation."""

    class Meta:
        model = Gate
        fields = ("rule", "moment", "procedure")


class LimitSerializer(serializers.ModelSerializer[Limit]):
    """What a measurement must keep to."""

    class Meta:
        model = Limit
        fields = ("procedure", "measurement", "unit", "low", "high")


class OperationSerializer(serializers.ModelSerializer[Operation]):
    """A step of a route."""

    gates = GateSerializer(many=True, read_only=True)
    limits = LimitSerializer(many=True, read_only=True)

    class Meta:
        model = Operation
        fields = (
            *("sequence", "code", "name", "work_center", "after", "applies_when", "optional", "people"),
            *("standard_minutes", "gates", "limits"),
        )


class RouteSerializer(serializers.ModelSerializer[Route]):
    """A route with its operations."""

    part = serializers.CharField(source="part.number", read_only=True)
    operations = OperationSerializer(many=True, read_only=True)

    class Meta:
        model = Route
        exclude = ("id",)
