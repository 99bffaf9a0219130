"""How the steps with coolant, and the loop as a whole, look over REST."""

from typing import Any

from rest_framework import serializers

from mes.cooling.models import BranchFlow, ChargeReading, CoolantStep
from mes.cooling.serializers.couplings import CouplingSerializer
from mes.cooling.serializers.leaks import LeakSensorExerciseSerializer, LeakTestSerializer, ResultSerializer
from mes.cooling.services import Branch, LoopState, ResultState
from mes.rest import NumberField


class BranchFlowSerializer(serializers.ModelSerializer[BranchFlow]):
    """What was measured on a branch, and the heat from it."""

    pressure_difference_bar = serializers.FloatField(read_only=True)

    class Meta:
        model = BranchFlow
        fields = (
            *("branch", "flow_l_min", "supply_bar", "return_bar", "pressure_difference_bar"),
            *("supply_cel", "return_cel", "heat_kw"),
        )


class ChargeReadingSerializer(serializers.ModelSerializer[ChargeReading]):
    """A later pressure of a charge; how long it had held, in h."""

    outcome = serializers.CharField(source="test_run.outcome", read_only=True)
    held_h = serializers.SerializerMethodField()

    class Meta:
        model = ChargeReading
        fields = (
            *("pressure_bar", "temperature_cel", "corrected_bar", "read_at", "read_by", "held_h", "outcome"),
        )

    def get_held_h(self, reading: ChargeReading) -> float:
        """Return the time from the charge to this reading."""
        return round((reading.read_at - reading.charge.done_at).total_seconds() / 3600, 2)


class CoolantStepSerializer(serializers.ModelSerializer[CoolantStep]):
    """A step with the fields of its kind; those of others are null or empty."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    lot = serializers.CharField(source="lot.number", default=None, read_only=True)
    fill = serializers.UUIDField(source="fill.uid", default=None, read_only=True)
    result = ResultSerializer(source="test_run", read_only=True)
    branches = BranchFlowSerializer(many=True, read_only=True)
    readings = ChargeReadingSerializer(many=True, read_only=True)

    class Meta:
        model = CoolantStep
        exclude = ("id", "test_run")


class StepSerializer(serializers.Serializer[Any]):
    """What every step may carry."""

    note = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")

    def facts(self) -> dict[str, Any]:
        """Return the input as the service takes it."""
        return {name: value for name, value in self.validated_data.items() if name != "operator"}


class FlushSerializer(StepSerializer):
    """A flush."""

    medium = serializers.CharField(max_length=60)
    volume_l = NumberField(min_value=0.001, max_value=1e6)
    duration_s = NumberField(min_value=1, max_value=1e7)
    filter_um = NumberField(min_value=0.01, max_value=1e4)
    particle_class = serializers.CharField(max_length=11, help_text="ISO 4406, e.g. 18/16/13.")


class FillSerializer(StepSerializer):
    """A fill, with the uid of the coolant's lot."""

    lot = serializers.UUIDField()
    volume_l = NumberField(min_value=0.001, max_value=1e6)
    conductivity_us_cm = NumberField(min_value=0, max_value=1e6)
    ph = NumberField(min_value=0, max_value=14)
    freeze_protection_cel = NumberField(min_value=-100, max_value=50)


class BranchSerializer(serializers.Serializer[Any]):
    """What was measured on a branch: L/min, bar (gauge), Cel."""

    branch = serializers.CharField(max_length=60)
    flow_l_min = NumberField(min_value=0, max_value=1e5)
    supply_bar = NumberField(min_value=-1, max_value=1e3)
    return_bar = NumberField(min_value=-1, max_value=1e3)
    supply_cel = NumberField(min_value=-60, max_value=150)
    return_cel = NumberField(min_value=-60, max_value=150)


class FlowSerializer(StepSerializer):
    """The flow of a loop, per branch or as a whole."""

    branches = serializers.ListField(child=BranchSerializer(), allow_empty=False, max_length=200)

    def facts(self) -> dict[str, Any]:
        """Return the input as the service takes it."""
        given = super().facts()
        return {**given, "branches": [Branch(**row) for row in given["branches"]]}


class DrainSerializer(StepSerializer):
    """What came out."""

    volume_l = NumberField(min_value=0, max_value=1e6)


class NitrogenChargeSerializer(StepSerializer):
    """A nitrogen charge: bar (gauge), Cel, serial of the valve or its label."""

    pressure_bar = NumberField(min_value=0.001, max_value=1e3)
    temperature_cel = NumberField(min_value=-60, max_value=150)
    valve = serializers.CharField(max_length=80)


class RecordReadingSerializer(serializers.Serializer[Any]):
    """A later pressure of a charge: bar (gauge), Cel."""

    pressure_bar = NumberField(min_value=-1, max_value=1e3)
    temperature_cel = NumberField(min_value=-60, max_value=150)
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")


class StandingSerializer(serializers.Serializer[Any]):
    """How the last result of a procedure stands, and why if it is open."""

    procedure = serializers.CharField()
    state = serializers.ChoiceField(choices=[(each.value, each.value) for each in ResultState])
    why = serializers.CharField()
    result = ResultSerializer(source="run", allow_null=True)

    class Meta:
        ref_name = "CoolingStanding"


class LoopSerializer(serializers.Serializer[Any]):
    """The state of a unit's loop, what is open, and the latest of its record."""

    unit = serializers.UUIDField()
    serial = serializers.CharField()
    state = serializers.ChoiceField(choices=[(each.value, each.value) for each in LoopState])
    filled_l = serializers.FloatField(allow_null=True)
    open = serializers.ListField(child=serializers.CharField())
    procedures = StandingSerializer(many=True)
    leak_tests = LeakTestSerializer(many=True)
    leak_sensor_exercises = LeakSensorExerciseSerializer(many=True)
    steps = CoolantStepSerializer(many=True)
    couplings = CouplingSerializer(many=True)
