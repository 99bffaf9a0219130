"""How cable plans, connections, checks and port maps look over REST."""

from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework import serializers

from mes.attachments.models import Attachment
from mes.cabling.models import (
    CableCheck,
    CableConnection,
    CableKind,
    CablePlan,
    CablingVerdict,
    Check,
    Neighbour,
    NeighbourReport,
    PlannedCable,
    PortPoll,
)
from mes.cabling.services import CableRow, CableState, PortState


class CablePlanSerializer(serializers.ModelSerializer[CablePlan]):
    """A cable plan of a part, in one version."""

    part = serializers.CharField(source="part.number", read_only=True)

    class Meta:
        model = CablePlan
        fields: tuple[str, ...] = ("id", "part", "version", "name", "released_at", "assumption")


class PlannedCableSerializer(serializers.ModelSerializer[PlannedCable]):
    """One cable of a plan."""

    part = serializers.CharField(source="part.number", read_only=True)

    class Meta:
        model = PlannedCable
        fields = (
            *("label", "part", "length_mm", "a_device", "a_port", "b_device", "b_port", "order"),
            *("checks", "assumption"),
        )


class CableKindSerializer(serializers.ModelSerializer[CableKind]):
    """What holds for every cable of a part in a plan."""

    part = serializers.CharField(source="part.number", read_only=True)

    class Meta:
        model = CableKind
        fields = (
            *("part", "length_mm", "tolerance_mm", "single_use", "torque_low", "torque_high"),
            *("bend_radius_low", "photo_checks", "assumption"),
        )


class CablePlanDetailSerializer(CablePlanSerializer):
    """A cable plan with its cables and kinds."""

    cables = PlannedCableSerializer(many=True, read_only=True)
    kinds = CableKindSerializer(many=True, read_only=True)

    class Meta(CablePlanSerializer.Meta):
        fields = (*CablePlanSerializer.Meta.fields, "cables", "kinds")


class CableConnectionSerializer(serializers.ModelSerializer[CableConnection]):
    """A cable in its two ports, from when until when."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    unit_serial = serializers.CharField(source="unit.serial", read_only=True)
    label = serializers.CharField(source="planned.label", read_only=True)  # type: ignore[assignment]
    cable = serializers.CharField(source="code", read_only=True, help_text="Its serial, else its lot.")
    ends = serializers.SerializerMethodField()

    class Meta:
        model = CableConnection
        fields = (
            *("unit", "unit_serial", "label", "cable", "ends", "cut_length_mm", "connected_at"),
            *("connected_by", "station", "disconnected_at", "disconnected_by", "disconnect_reason"),
        )

    def get_ends(self, connection: CableConnection) -> list[str]:
        """Return both ends as scanned."""
        return [str(end) for end in connection.ends.all()]


class CableCheckSerializer(serializers.ModelSerializer[CableCheck]):
    """What was found on a connected cable."""

    photo = serializers.UUIDField(source="photo.uid", read_only=True, default=None)

    class Meta:
        model = CableCheck
        fields = (
            *("kind", "outcome", "value", "unit", "low", "high", "photo", "note", "checked_at"),
            *("checked_by", "station"),
        )


class UnitCableSerializer(serializers.Serializer[Any]):
    """A planned cable of a unit and how it stands."""

    label = serializers.CharField()  # type: ignore[assignment]
    state = serializers.ChoiceField(choices=[(state.value, state.value) for state in CableState])
    why = serializers.CharField()
    part = serializers.CharField()
    length_mm = serializers.IntegerField()
    end_a = serializers.CharField()
    end_b = serializers.CharField()
    cable = serializers.CharField()
    connected_at = serializers.DateTimeField(allow_null=True)
    connected_by = serializers.CharField()
    checks_asked = serializers.ListField(child=serializers.CharField())
    checks = CableCheckSerializer(many=True)

    @staticmethod
    def flat(row: CableRow) -> dict[str, Any]:
        """Return a row as plain values."""
        planned, connection = row.planned, row.connection
        return {
            "label": planned.label,
            "state": row.state.value,
            "why": row.why,
            "part": planned.part.number,
            "length_mm": planned.length_mm,
            "end_a": f"{planned.a_device}/{planned.a_port}",
            "end_b": f"{planned.b_device}/{planned.b_port}",
            "cable": connection.code if connection else "",
            "connected_at": connection.connected_at if connection else None,
            "connected_by": connection.connected_by if connection else "",
            "checks_asked": planned.checks,
            "checks": list(row.checks.values()),
        }


class UnitCablesSerializer(serializers.Serializer[Any]):
    """All cables of a unit against its plan."""

    plan = serializers.CharField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="By state.")
    rows = UnitCableSerializer(many=True)


class UnitCablesQuery(serializers.Serializer[Any]):
    """Which cables to show."""

    state = serializers.ChoiceField(
        choices=[(state.value, state.value) for state in CableState], required=False
    )
    label = serializers.CharField(required=False)  # type: ignore[assignment]
    device = serializers.CharField(required=False, help_text="At either end.")
    port = serializers.CharField(required=False, help_text="At either end.")
    part = serializers.CharField(required=False)
    cable = serializers.CharField(required=False, help_text="Serial or lot.")

    def takes(self, row: CableRow) -> bool:
        """Return whether a row is one that was asked for."""
        planned = row.planned
        has = {
            "state": {row.state.value},
            "label": {planned.label},
            "device": {planned.a_device, planned.b_device},
            "port": {planned.a_port, planned.b_port},
            "part": {planned.part.number},
            "cable": {row.connection.code} if row.connection else set(),
        }
        return all(
            wanted.casefold() in {text.casefold() for text in has[name]}
            for name, wanted in self.validated_data.items()
        )


class CutRowSerializer(serializers.Serializer[Any]):
    """How many cables of a part and length a unit takes."""

    part = serializers.CharField()
    name = serializers.CharField()
    length_mm = serializers.IntegerField()
    count = serializers.IntegerField()
    connected = serializers.IntegerField()
    labels = serializers.ListField(child=serializers.CharField())


class CutListSerializer(serializers.Serializer[Any]):
    """What to cut or take from stock for a unit."""

    plan = serializers.CharField()
    rows = CutRowSerializer(many=True)


class CablingActSerializer(serializers.Serializer[Any]):
    """Who acts, where nobody is signed on at the device."""

    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")


class ConnectCableSerializer(CablingActSerializer):
    """Both ends and the cable, each as scanned."""

    end_a = serializers.CharField(max_length=130, help_text="DEVICE/PORT, e.g. U08/NIC1, or PORT:U08/NIC1.")
    end_b = serializers.CharField(max_length=130)
    cable = serializers.CharField(max_length=500, help_text="The label of its serial or lot, as scanned.")
    label = serializers.CharField(  # type: ignore[assignment]
        max_length=60, required=False, default="", help_text="The planned cable meant."
    )
    cut_length_mm = serializers.IntegerField(
        min_value=1, required=False, help_text="As cut; asked of a lot whose kind is not made in a length."
    )


class DisconnectCableSerializer(CablingActSerializer):
    """Which cable came off, and why."""

    label = serializers.CharField(  # type: ignore[assignment]
        max_length=80, help_text="Of the planned cable, or the cable's serial."
    )
    reason = serializers.CharField(max_length=200)


class DisconnectedSerializer(serializers.Serializer[Any]):
    """A closed connection and what must be repeated."""

    connection = CableConnectionSerializer()
    repeat = serializers.ListField(child=serializers.CharField(), help_text="Operations to be repeated.")
    rules = serializers.ListField(child=serializers.CharField(), help_text="The rules that say so.")


class RecordCableCheckSerializer(CablingActSerializer):
    """What was found on a connected cable."""

    label = serializers.CharField(  # type: ignore[assignment]
        max_length=80, help_text="Of the planned cable, or the cable's serial."
    )
    kind = serializers.ChoiceField(choices=Check.choices)
    passed = serializers.BooleanField(default=True)
    value = serializers.FloatField(required=False, allow_null=True, default=None)
    unit = serializers.CharField(max_length=10, required=False, default="", help_text="N.m or mm")
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    photo = serializers.UUIDField(required=False, help_text="uid of an attachment.")

    def validate_photo(self, uid: Any) -> Attachment:
        """Find the photo at the site of the unit."""
        found: Attachment = get_object_or_404(Attachment, uid=uid, site=self.context["site"])
        return found


class CablingVerdictSerializer(serializers.ModelSerializer[CablingVerdict]):
    """A judgement on the cabling of a unit."""

    plan = serializers.CharField(source="plan.__str__", read_only=True)
    test_run = serializers.UUIDField(source="test_run.uid", read_only=True)
    outcome = serializers.CharField(source="test_run.outcome", read_only=True)

    class Meta:
        model = CablingVerdict
        fields = ("procedure", "outcome", "plan", "test_run", "faults", "judged_at", "judged_by")


class NeighbourSerializer(serializers.ModelSerializer[Neighbour]):
    """One port as reported."""

    class Meta:
        model = Neighbour
        fields = ("device", "port", "link", "speed_gbps", "remote_device", "remote_port")
        extra_kwargs = {"device": {"required": False, "allow_blank": True, "default": ""}}


class NeighbourReportSerializer(serializers.ModelSerializer[NeighbourReport]):
    """What was reported of the ports of a device, or of a whole unit."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    unit_serial = serializers.CharField(source="unit.serial", read_only=True)
    neighbours = NeighbourSerializer(many=True, read_only=True)

    class Meta:
        model = NeighbourReport
        fields = (
            *("uid", "unit", "unit_serial", "source", "device", "taken_at", "confirmed_at", "received_at"),
            *("reported_by", "is_current", "neighbours"),
        )


MOST_PORTS = 20_000


class ImportNeighboursSerializer(CablingActSerializer):
    """What a tester or a collector read of a unit's ports."""

    source = serializers.ChoiceField(choices=NeighbourReport.Source.choices)  # type: ignore[assignment]
    device = serializers.CharField(
        max_length=60, required=False, allow_blank=True, default="", help_text="Whose ports; empty: see each."
    )
    taken_at = serializers.DateTimeField()
    neighbours = serializers.ListField(child=NeighbourSerializer(), allow_empty=False, max_length=MOST_PORTS)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Every port is one of a device."""
        if not attrs["device"] and not all(row.get("device") for row in attrs["neighbours"]):
            raise serializers.ValidationError({"device": ["Name the device, here or at each neighbour."]})
        return attrs


class PortRowSerializer(serializers.Serializer[Any]):
    """A planned cable, a swapped pair of them, or a link that nobody planned."""

    state = serializers.ChoiceField(choices=[(state.value, state.value) for state in PortState])
    cables = serializers.ListField(child=serializers.CharField())
    end_a = serializers.CharField()
    end_b = serializers.CharField()
    detail = serializers.CharField()


class PortMapSerializer(serializers.Serializer[Any]):
    """The machine's own view against the plan, port by port, differences first."""

    plan = serializers.CharField(source="plan.row.__str__")
    taken_at = serializers.DateTimeField(allow_null=True, help_text="Of the newest report.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="By state.")
    nvlinks = serializers.DictField(
        child=serializers.IntegerField(), help_text="NVLinks that the plan does not name, by link state."
    )
    rows = PortRowSerializer(many=True)


class PortPollSerializer(serializers.ModelSerializer[PortPoll]):
    """When the BMCs of a unit are asked next, and what the last time came to."""

    class Meta:
        model = PortPoll
        fields = ("next_due_at", "asked_by", "polled_at", "errors")
