"""How inventories, comparisons and verdicts look over REST."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from mes.burnin.services import told
from mes.inventory.models import Collection, FoundComponent, FoundFirmware, FoundInventory, Verdict
from mes.inventory.services import INVENTORY_PROCEDURES, Facts, Firmware, cleaned
from mes.testing.models import TestRun

MOST_COMPONENTS = 500
MOST_FIRMWARE = 500
CLOCK = timedelta(minutes=5)


class FoundComponentSerializer(serializers.ModelSerializer[FoundComponent]):
    """A part that a unit said it is made of."""

    class Meta:
        model = FoundComponent
        fields = (
            *("kind", "name", "path", "location", "serial", "part_number", "uuid", "mac", "model", "present"),
        )


class FoundFirmwareSerializer(serializers.ModelSerializer[FoundFirmware]):
    """A firmware version that a unit told."""

    class Meta:
        model = FoundFirmware
        fields = ("name", "version", "vendor")


class FoundInventorySerializer(serializers.ModelSerializer[FoundInventory]):
    """A unit as it described itself."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    unit_serial = serializers.CharField(source="unit.serial", read_only=True)

    class Meta:
        model = FoundInventory
        fields: tuple[str, ...] = (
            *("uid", "unit", "unit_serial", "source", "taken_at", "received_at", "recorded_by", "serial"),
            *("part_number", "uuid", "asset_tag", "slot_number", "tray_index"),
        )


class FoundInventoryDetailSerializer(FoundInventorySerializer):
    """A unit as it described itself, with its parts, firmware and MAC addresses."""

    macs = serializers.DictField(child=serializers.CharField(), read_only=True)
    components = FoundComponentSerializer(many=True, read_only=True)
    firmware = FoundFirmwareSerializer(many=True, read_only=True)

    class Meta(FoundInventorySerializer.Meta):
        fields = (*FoundInventorySerializer.Meta.fields, "macs", "components", "firmware")


class CollectionSerializer(serializers.ModelSerializer[Collection]):
    """A reading of BMCs, how it stands, and why a unit was not read."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    unit_serial = serializers.CharField(source="unit.serial", read_only=True)
    errors = serializers.DictField(child=serializers.CharField(), read_only=True)  # type: ignore[assignment]

    class Meta:
        model = Collection
        fields = (
            *("uid", "unit", "unit_serial", "state", "asked_by", "created_at", "started_at", "ended_at"),
            *("units_asked", "units_read", "errors"),
        )


def _text(length: int, help_text: str = "") -> serializers.CharField:
    return serializers.CharField(
        required=False, allow_blank=True, max_length=length, default="", help_text=help_text
    )


class UploadedComponentSerializer(serializers.Serializer[Any]):
    """A part as a tester names it."""

    kind = serializers.CharField(max_length=40, help_text="Kind of part: gpu, nic, e1s, ...")
    name = serializers.CharField(max_length=120)
    location = _text(200)
    serial = _text(120)
    part_number = _text(120)
    uuid = _text(60)
    mac = _text(40)
    present = serializers.BooleanField(default=True)

    def get_fields(self) -> dict[str, Any]:
        """Return the fields; ``model`` is added here, for a serializer's own attribute may not be hidden."""
        return {**super().get_fields(), "model": _text(120)}


class UploadedFirmwareSerializer(serializers.Serializer[Any]):
    """A firmware version under the name of its component: BMC, or GPU 0 where there are several."""

    name = serializers.CharField(max_length=40)
    version = serializers.CharField(max_length=60)
    vendor = _text(60)


class UploadInventorySerializer(serializers.Serializer[Any]):
    """What a tester read of a unit."""

    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")
    taken_at = serializers.DateTimeField(required=False)
    serial = _text(120)
    part_number = _text(120)
    uuid = _text(60)
    asset_tag = _text(120)
    slot_number = serializers.IntegerField(required=False, min_value=0, max_value=32767, allow_null=True)
    tray_index = serializers.IntegerField(required=False, min_value=0, max_value=32767, allow_null=True)
    components = UploadedComponentSerializer(many=True, required=False)
    firmware = UploadedFirmwareSerializer(many=True, required=False)

    def validate_taken_at(self, value: Any) -> Any:
        """Refuse times to come: they would outlast every later inventory."""
        if value > timezone.now() + CLOCK:
            raise serializers.ValidationError("This time is yet to come.")
        return value

    def validate_components(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Refuse lists without end."""
        if len(value) > MOST_COMPONENTS:
            raise serializers.ValidationError(f"At most {MOST_COMPONENTS} parts.")
        return value

    def validate_firmware(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Refuse lists without end, and two versions of one component."""
        if len(value) > MOST_FIRMWARE:
            raise serializers.ValidationError(f"At most {MOST_FIRMWARE} versions.")
        if len({row["name"] for row in value}) != len(value):
            raise serializers.ValidationError("Each component once.")
        return value

    def facts(self) -> Facts:
        """Return what was uploaded, cleaned of what is no answer."""
        given = self.validated_data
        names = {name: given[name] for name in ("serial", "part_number", "uuid", "asset_tag")}
        itself = cleaned(FoundComponent(kind="", name="", model=names.pop("asset_tag"), **names))
        return Facts(
            source=FoundInventory.Source.TESTER,
            taken_at=given.get("taken_at") or timezone.now(),
            names={
                "serial": itself.serial,
                "part_number": itself.part_number,
                "uuid": itself.uuid,
                "asset_tag": itself.model,
            },
            slot_number=given.get("slot_number"),
            tray_index=given.get("tray_index"),
            components=tuple(cleaned(FoundComponent(**row)) for row in given.get("components", [])),
            firmware=tuple(
                Firmware(row["name"], row["version"], told(row["vendor"]) or "")
                for row in given.get("firmware", [])
                if told(row["version"])
            ),
        )


class InventoryRowSerializer(serializers.Serializer[Any]):
    """One place compared: what design wants, what was scanned, what is reported."""

    place = serializers.CharField(help_text="Path of slots.")
    kind = serializers.CharField()
    state = serializers.CharField(help_text="match, not_told, not_read, empty, or a difference.")
    is_difference = serializers.BooleanField()
    design = serializers.CharField(allow_blank=True)
    scanned = serializers.CharField(allow_blank=True)
    reported = serializers.CharField(allow_blank=True)
    reported_as = serializers.CharField(allow_blank=True, help_text="The BMC's name of it.")
    detail = serializers.CharField(allow_blank=True)
    unit = serializers.CharField(allow_blank=True)


class InventoryComparisonSerializer(serializers.Serializer[Any]):
    """Scanned, reported and design compared; differences first."""

    unit = serializers.UUIDField(source="unit.uid")
    serial = serializers.CharField(source="unit.serial")
    trays = serializers.SerializerMethodField()
    differences = serializers.SerializerMethodField()
    not_read = serializers.SerializerMethodField()
    rows = InventoryRowSerializer(many=True)

    def get_trays(self, comparison: Any) -> int:
        """Return how many units in it describe themselves."""
        return len(comparison.trays)

    def get_differences(self, comparison: Any) -> int:
        """Return how many rows somebody must look into."""
        return len(comparison.differences)

    def get_not_read(self, comparison: Any) -> int:
        """Return how many units were not read since they were installed."""
        return len(comparison.not_read)


class FirmwareRowSerializer(serializers.Serializer[Any]):
    """One component against its baseline."""

    place = serializers.CharField()
    serial = serializers.CharField()
    unit = serializers.CharField()
    kind = serializers.CharField()
    component = serializers.CharField()
    state = serializers.CharField(
        help_text="at_baseline, behind, ahead, different, wrong_vendor, not_told or unknown."
    )
    is_mismatch = serializers.BooleanField()
    wanted = serializers.CharField(allow_blank=True)
    found = serializers.CharField(allow_blank=True)
    vendor = serializers.CharField(allow_blank=True)
    detail = serializers.CharField(allow_blank=True)


class FirmwareComparisonSerializer(serializers.Serializer[Any]):
    """The firmware of a unit against the baseline of its order; mismatches first."""

    unit = serializers.UUIDField(source="unit.uid")
    serial = serializers.CharField(source="unit.serial")
    baseline = serializers.SerializerMethodField()
    mismatches = serializers.SerializerMethodField()
    rows = FirmwareRowSerializer(many=True)

    def get_baseline(self, comparison: Any) -> str:
        """Return the name of the baseline, "" without one."""
        return str(comparison.baseline or "")

    def get_mismatches(self, comparison: Any) -> int:
        """Return how many components are not as the baseline asks."""
        return len(comparison.mismatches)


class VerifyInventorySerializer(serializers.Serializer[Any]):
    """Which test the verdict is for."""

    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")
    procedure = serializers.ChoiceField(choices=INVENTORY_PROCEDURES, default=INVENTORY_PROCEDURES[0])


class VerifyFirmwareSerializer(serializers.Serializer[Any]):
    """Who acts, where nobody is signed on at the device."""

    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")


class InventoryVerdictSerializer(serializers.ModelSerializer[Verdict]):
    """What a comparison came to, and the test run by which gates know of it."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    test_run = serializers.UUIDField(source="test_run.uid", read_only=True)
    outcome = serializers.ChoiceField(
        source="test_run.outcome", choices=TestRun.Outcome.choices, read_only=True
    )
    reasons = serializers.ListField(source="test_run.reasons", child=serializers.CharField(), read_only=True)
    rows = serializers.ListField(child=serializers.DictField(), read_only=True)

    class Meta:
        model = Verdict
        fields = ("unit", "procedure", "at", "outcome", "reasons", "test_run", "digest", "rows")
