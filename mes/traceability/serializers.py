"""How genealogy, histories and reports look over REST."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from mes.ledger.models import Event
from mes.ledger.serializers import EventSerializer
from mes.racks.models import Installation
from mes.racks.services import MAX_DEPTH, AsBuilt
from mes.serials.models import Unit
from mes.traceability.models import Report


class GenealogyQuery(serializers.Serializer[Any]):
    """At which time and how deep to look."""

    at = serializers.DateTimeField(required=False, help_text="ISO 8601; now if left out.")
    depth = serializers.IntegerField(
        required=False, default=MAX_DEPTH, min_value=1, max_value=MAX_DEPTH, help_text="Levels down."
    )


class AsBuiltSerializer(serializers.Serializer[AsBuilt]):
    """A unit, where it sat at that time, and what was in it. Its own facts are those of today."""

    uid = serializers.UUIDField()
    serial = serializers.CharField()
    part = serializers.CharField()
    part_name = serializers.CharField()
    revision = serializers.CharField()
    slot = serializers.CharField(allow_null=True)
    installed_at = serializers.DateTimeField(allow_null=True)
    state = serializers.ChoiceField(choices=Unit.State.choices)
    held = serializers.BooleanField()
    supplier = serializers.CharField(allow_null=True)
    lot = serializers.CharField(allow_null=True)
    date_code = serializers.CharField(allow_null=True)
    country_of_origin = serializers.CharField()
    place_of_assembly = serializers.CharField()
    children = serializers.SerializerMethodField()

    @extend_schema_field({"type": "array", "items": {"$ref": "#/components/schemas/AsBuilt"}})
    def get_children(self, node: AsBuilt) -> list[dict[str, Any]]:
        """Return what is in the unit, in slot order."""
        return [self.to_representation(child) for child in node.children]

    def to_representation(self, instance: AsBuilt) -> dict[str, Any]:
        """Return a node by hand: a rack has hundreds, and fields one by one would cost ten times as much."""
        unit, revision = instance.unit, instance.unit.part_revision
        return {
            "uid": unit.uid,
            "serial": unit.serial,
            "part": revision.part.number,
            "part_name": revision.part.name,
            "revision": revision.revision,
            "slot": instance.slot or None,
            "installed_at": instance.installed_at,
            "state": unit.state,
            "held": unit.held,
            "supplier": unit.supplier.code if unit.supplier else None,
            "lot": unit.lot.number if unit.lot else None,
            "date_code": unit.lot.date_code if unit.lot else None,
            "country_of_origin": unit.country_of_origin,
            "place_of_assembly": unit.place_of_assembly,
            "children": self.get_children(instance),
        }


class NamedUnitSerializer(serializers.ModelSerializer[Unit]):
    """A unit by its names."""

    part = serializers.CharField(source="part_revision.part.number", read_only=True)
    revision = serializers.CharField(source="part_revision.revision", read_only=True)

    class Meta:
        model = Unit
        fields = ("uid", "serial", "part", "revision", "state")


class PlaceSerializer(serializers.ModelSerializer[Installation]):
    """A place a unit was or is in; ``root`` is the topmost unit above it, ``removed_at`` null while there."""

    parent = NamedUnitSerializer(read_only=True)
    slot = serializers.CharField(source="slot.name", read_only=True)
    root = NamedUnitSerializer(read_only=True)

    class Meta:
        model = Installation
        fields = (
            *("parent", "slot", "root", "installed_at", "installed_by"),
            *("removed_at", "removed_by", "removal_reason"),
        )


class WhereUsedSerializer(serializers.Serializer[Any]):
    """Every place a unit was in, newest first."""

    unit = NamedUnitSerializer()
    places = PlaceSerializer(many=True)


class InstalledLotUnitSerializer(serializers.ModelSerializer[Installation]):
    """A unit of a lot in its place; ``root`` is the rack it ended up in."""

    unit = NamedUnitSerializer(source="child", read_only=True)
    parent = serializers.UUIDField(source="parent.uid", read_only=True)  # type: ignore[assignment]
    slot = serializers.CharField(source="slot.name", read_only=True)
    root = NamedUnitSerializer(read_only=True)

    class Meta:
        model = Installation
        fields = ("unit", "parent", "slot", "root", "installed_at")


class LotWhereUsedSerializer(serializers.Serializer[Any]):
    """Where the units of a lot are: in which racks, and which are in none, with the state of each."""

    lot = serializers.UUIDField(source="lot.uid")
    number = serializers.CharField(source="lot.number")
    part = serializers.CharField(source="lot.part.number")
    supplier = serializers.CharField(source="lot.supplier.code")
    units = serializers.IntegerField(help_text="How many units of the lot there are at the site.")
    racks = NamedUnitSerializer(many=True, help_text="The topmost units that hold any of them.")
    installed = InstalledLotUnitSerializer(many=True)
    not_installed = NamedUnitSerializer(many=True)


class AnyEventSerializer(EventSerializer):
    """One event, with the stream it belongs to."""

    class Meta:
        model = Event
        fields = ("stream", *EventSerializer.Meta.fields)


class AskReportSerializer(serializers.Serializer[Any]):
    """The unit to report on."""

    unit = serializers.UUIDField()
    operator = serializers.CharField(required=False, help_text="Badge of who asks, if not signed on.")


class ReportSerializer(serializers.ModelSerializer[Report]):
    """How far a report is; the links to its files are null until it is ready."""

    unit = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    url = serializers.SerializerMethodField()
    pdf = serializers.SerializerMethodField()
    json = serializers.SerializerMethodField()

    class Meta:
        model = Report
        fields = (
            *("uid", "url", "unit", "serial", "state", "asked_by", "asked_at", "ready_at", "error"),
            *("pdf", "pdf_sha256", "json", "json_sha256"),
        )

    def get_url(self, report: Report) -> str:
        """Return where to ask how far the report is."""
        return reverse("report-detail", args=[report.uid])

    def get_pdf(self, report: Report) -> str | None:
        """Return where the PDF is, once it is made."""
        return self._link("report-pdf", report)

    def get_json(self, report: Report) -> str | None:
        """Return where the JSON is, once it is made."""
        return self._link("report-json", report)

    def _link(self, name: str, report: Report) -> str | None:
        return reverse(name, args=[report.uid]) if report.state == Report.State.READY else None
