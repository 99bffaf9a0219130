"""How leak tests and leak sensor exercises look over REST."""

from typing import Any

from rest_framework import serializers

from mes.cooling.models import LeakSensorExercise, LeakTest, SensorResult
from mes.cooling.services import BadCurve, Curve, LeakReport, Trip, make_curve, read_csv
from mes.rest import NumberField
from mes.serials.models import Unit
from mes.stations.services import find_tool
from mes.testing.models import Measurement, TestRun

MOST_CURVE_BYTES = 2_000_000
JUDGED = ("pressure_decay", "vacuum_decay", "helium_leak_rate")


class ResultSerializer(serializers.Serializer[Any]):
    """The test run that carries the verdict of a record."""

    uid = serializers.UUIDField()
    procedure = serializers.CharField()
    outcome = serializers.ChoiceField(choices=TestRun.Outcome.choices)
    reasons = serializers.ListField(child=serializers.CharField())
    received_at = serializers.DateTimeField()
    superseded_at = serializers.DateTimeField(allow_null=True)
    superseded_because = serializers.CharField()

    class Meta:
        ref_name = "CoolingResult"


class LeakLimitSerializer(serializers.Serializer[Any]):
    """The limit a leak test was judged by, and the released route it stands in."""

    measurement = serializers.CharField(source="name")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    unit = serializers.CharField()
    verdict = serializers.CharField()
    operation = serializers.CharField(source="run.operation.code", allow_null=True, default=None)
    route = serializers.CharField(source="run.operation.route.name", allow_null=True, default=None)
    route_version = serializers.CharField(source="run.operation.route.version", allow_null=True, default=None)


class LeakTestSerializer(serializers.ModelSerializer[LeakTest]):
    """A leak test without its curve, which is a file of its own. Pressures in mbar, times in s."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    result = ResultSerializer(source="test_run", read_only=True)
    limits = serializers.SerializerMethodField()
    value_unit = serializers.CharField(read_only=True, help_text="Of computed, uncompensated, claimed.")
    instrument = serializers.CharField(source="instrument.code", read_only=True)
    certificate = serializers.CharField(source="calibration.certificate", default=None, read_only=True)
    calibrated_at = serializers.DateTimeField(
        source="calibration.calibrated_at", default=None, read_only=True
    )
    calibration_due_at = serializers.DateTimeField(source="calibration.due_at", default=None, read_only=True)

    class Meta:
        model = LeakTest
        exclude = ("id", "curve", "test_run", "calibration")

    def get_limits(self, test: LeakTest) -> list[dict[str, Any]]:
        """Return what judged the test: the limit of its route, or of a deviation from it."""
        rows = [row for row in test.test_run.measurements.all() if row.verdict != Measurement.Verdict.NONE]
        for row in rows:
            row.run = test.test_run
        return [dict(row) for row in LeakLimitSerializer(rows, many=True).data]


class CurveSerializer(serializers.Serializer[Any]):
    """The samples of a test, from when the pressure was applied."""

    t_s = serializers.ListField(child=NumberField())
    value = serializers.ListField(
        child=NumberField(), help_text="Pressure in mbar; of a helium test, mbar.L/s."
    )
    temperature_cel = serializers.ListField(child=NumberField(), required=False, default=list)

    class Meta:
        ref_name = "LeakCurve"


class RecordLeakTestSerializer(serializers.Serializer[Any]):
    """A leak test as its tester reports it, with the curve in the body or as a CSV file."""

    scope = serializers.ChoiceField(
        choices=LeakTest.Scope.choices, required=False, help_text="Else by the unit."
    )
    method = serializers.ChoiceField(choices=LeakTest.Method.choices)
    medium = serializers.ChoiceField(choices=LeakTest.Medium.choices)
    pressure_reference = serializers.ChoiceField(choices=LeakTest.Reference.choices, default="absolute")
    test_pressure_mbar = NumberField(min_value=1e-6, max_value=1e6)
    ambient_pressure_mbar = NumberField(min_value=300, max_value=1200, required=False)
    stabilise_s = NumberField(min_value=0, max_value=1e6)
    measure_s = NumberField(min_value=1, max_value=1e6)
    ambient_start_cel = NumberField(min_value=-60, max_value=150, required=False)
    ambient_end_cel = NumberField(min_value=-60, max_value=150, required=False)
    volume_l = NumberField(min_value=1e-6, max_value=1e6, required=False)
    instrument = serializers.CharField(max_length=60, help_text="Code on the label of the leak tester.")
    said = serializers.ChoiceField(
        choices=["PASS", "FAIL"], required=False, help_text="The tester's verdict."
    )
    claimed = NumberField(required=False, help_text="The tester's own decay or leak rate.")
    started_at = serializers.DateTimeField(required=False)
    ended_at = serializers.DateTimeField(required=False)
    curve = CurveSerializer(required=False)
    curve_file = serializers.FileField(required=False, help_text="CSV: t_s,value[,temperature_cel]")
    operator = serializers.CharField(required=False, help_text="Badge of who tests, if not signed on.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Read the curve; exactly one is given."""
        rows, file = attrs.pop("curve", None), attrs.pop("curve_file", None)
        if (rows is None) == (file is None):
            raise serializers.ValidationError({"curve": ["Give curve or curve_file, and not both."]})
        try:
            return {**attrs, "curve": _read_file(file) if file else make_curve(*_columns(rows))}
        except BadCurve as error:
            raise serializers.ValidationError({"curve": [str(error)]}) from error

    def report(self, unit: Unit) -> LeakReport:
        """Return the report; an instrument unknown at the unit's site is bad input."""
        given = dict(self.validated_data)
        given.pop("operator", None)
        tool = find_tool(code=given.pop("instrument"), site=unit.site)
        if tool is None:
            raise serializers.ValidationError({"instrument": ["There is no such tool at this site."]})
        return LeakReport(instrument=tool, **given)


def _columns(rows: dict[str, Any]) -> tuple[list[float], list[float], list[float]]:
    return rows["t_s"], rows["value"], rows["temperature_cel"]


def _read_file(file: Any) -> Curve:
    content = file.read(MOST_CURVE_BYTES + 1)
    if len(content) > MOST_CURVE_BYTES:
        raise BadCurve(f"The file of a curve has at most {MOST_CURVE_BYTES:,} bytes.")
    try:
        return read_csv(content.decode())
    except UnicodeDecodeError as error:
        raise BadCurve("The file of a curve is UTF-8 text.") from error


class SensorResultSerializer(serializers.ModelSerializer[SensorResult]):
    """How one sensor did, in s; null: it did not."""

    detector = serializers.CharField(source="detector.serial", default=None, read_only=True)

    class Meta:
        model = SensorResult
        fields = ("sensor", "detector", "stimulus", "tripped_s", "cleared_s")


class LeakSensorExerciseSerializer(serializers.ModelSerializer[LeakSensorExercise]):
    """An exercise of all leak sensors of a unit."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    result = ResultSerializer(source="test_run", read_only=True)
    results = SensorResultSerializer(many=True, read_only=True)

    class Meta:
        model = LeakSensorExercise
        exclude = ("id", "test_run")


class TripSerializer(serializers.Serializer[Any]):
    """What one sensor did; a time that is null or missing: it did not."""

    sensor = serializers.CharField(max_length=120)
    stimulus = serializers.ChoiceField(choices=SensorResult.Stimulus.choices)
    tripped_s = NumberField(min_value=0, allow_null=True, required=False, default=None)
    cleared_s = NumberField(min_value=0, allow_null=True, required=False, default=None)


class RecordExerciseSerializer(serializers.Serializer[Any]):
    """All sensors of a unit, exercised."""

    sensors = TripSerializer(many=True, allow_empty=False)
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")

    def trips(self) -> list[Trip]:
        """Return what the sensors did."""
        return [Trip(**row) for row in self.validated_data["sensors"]]
