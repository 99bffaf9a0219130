"""How containment questions, answers and containments look over REST."""

from typing import Any

from rest_framework import serializers

from mes.quality.models import Containment
from mes.serials.models import Lot
from mes.stations.models import Site
from mes.traceability.containment import MAX_PAGE, PAGE, Affected, AffectedUnit, Place
from mes.traceability.questions import Question, as_json
from mes.traceability.similar import SHARED


class QuestionSerializer(serializers.Serializer[Question]):
    """Criteria that all must be met; docs/containment.md says what each one finds."""

    site = serializers.SlugRelatedField(
        slug_field="code", queryset=Site.objects.all(), required=False, help_text="People name it."
    )
    lot = serializers.CharField(required=False, help_text="uid or number.")
    supplier = serializers.CharField(required=False, help_text="Code.")
    date_code = serializers.CharField(required=False, help_text="One, or a range: 2640..2645.")
    part = serializers.CharField(required=False, help_text="Number.")
    revision = serializers.CharField(required=False, help_text="Of that part.")
    country_of_origin = serializers.RegexField(r"^[A-Za-z]{2}$", required=False)
    firmware_component = serializers.CharField(required=False)
    firmware_version = serializers.CharField(required=False)
    tool = serializers.CharField(required=False, help_text="Code.")
    station = serializers.CharField(required=False, help_text="Code.")
    person = serializers.CharField(required=False, help_text="User name.")
    consumable_lot = serializers.CharField(required=False, help_text="uid or number.")
    containment = serializers.CharField(required=False, help_text="What it still holds, e.g. CT-0001.")
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class ListingSerializer(serializers.Serializer[Any]):
    """Which part of the list to answer with."""

    place = serializers.ChoiceField(choices=Place.choices, required=False, help_text="Only units there.")
    offset = serializers.IntegerField(required=False, min_value=0, default=0)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=MAX_PAGE, default=PAGE)


class PreviewSerializer(ListingSerializer):
    """A question, and which part of the list to answer with."""

    question = QuestionSerializer()


class SimilarQuery(ListingSerializer):
    """What similar units share."""

    by = serializers.ChoiceField(choices=list(SHARED))
    value = serializers.CharField(required=False, help_text="Which tool, station or person, of several.")


class AffectedUnitSerializer(serializers.Serializer[AffectedUnit]):
    """A unit that was found, and where it is."""

    uid = serializers.UUIDField(source="unit.uid")
    serial = serializers.CharField(source="unit.serial")
    part = serializers.CharField(source="unit.part_revision.part.number")
    revision = serializers.CharField(source="unit.part_revision.revision")
    state = serializers.CharField(source="unit.state")
    held = serializers.BooleanField(source="unit.held")
    place = serializers.ChoiceField(choices=Place.choices)
    top_uid = serializers.UUIDField(source="top.uid")
    top_serial = serializers.CharField(source="top.serial")
    top_part = serializers.CharField(source="top.part_revision.part.number")
    path = serializers.CharField(help_text="Slots from the topmost unit down; empty: it is in nothing.")
    order = serializers.CharField(source="order.number", default=None)
    customer = serializers.CharField(source="order.customer", default=None)
    shipped_to = serializers.CharField(source="shipped.shipped_to", default=None)
    shipped_at = serializers.DateTimeField(source="shipped.shipped_at", default=None)


class AffectedLotSerializer(serializers.ModelSerializer[Lot]):
    """A lot that was found."""

    part = serializers.CharField(source="part.number", read_only=True)
    supplier = serializers.CharField(source="supplier.code", read_only=True)

    class Meta:
        model = Lot
        fields = ("uid", "number", "part", "supplier", "date_code", "held")


class AffectedSerializer(serializers.Serializer[Affected]):
    """What a question found; counts and digest are of all, ``units`` is a part of the list."""

    question = serializers.SerializerMethodField()
    count = serializers.IntegerField()
    to_hold = serializers.IntegerField(help_text="All but what is scrapped or returned.")
    held = serializers.IntegerField(help_text="How many some hold stops already.")
    places = serializers.DictField(child=serializers.IntegerField())
    digest = serializers.CharField()
    lots = AffectedLotSerializer(many=True)
    units = AffectedUnitSerializer(many=True)
    next_offset = serializers.IntegerField(allow_null=True)

    def get_question(self, affected: Affected) -> dict[str, str]:
        """Return the criteria as they were asked."""
        return as_json(affected.question)


class ConfirmSerializer(serializers.Serializer[Any]):
    """That what was seen is what is meant."""

    reason = serializers.CharField(max_length=300)
    expected_count = serializers.IntegerField(min_value=0, help_text="The count that was seen.")
    digest = serializers.CharField(max_length=64, help_text="The digest that was seen.")


class HoldContainmentSerializer(ConfirmSerializer):
    """A question whose answer is put on hold."""

    question = QuestionSerializer()


class ReleaseContainmentSerializer(ConfirmSerializer):
    """What is released of a containment; everything when no question narrows it."""

    question = QuestionSerializer(required=False)


class ContainmentSerializer(serializers.ModelSerializer[Containment]):
    """A containment and how much of it is still held."""

    site = serializers.CharField(source="site.code", read_only=True)
    units_still_held = serializers.IntegerField(read_only=True)
    lots_still_held = serializers.IntegerField(read_only=True)

    class Meta:
        model = Containment
        fields: tuple[str, ...] = (
            *("uid", "number", "site", "question", "reason", "state", "units", "lots"),
            *("units_still_held", "lots_still_held", "held_at", "held_by", "released_at", "released_by"),
        )


class ContainmentDetailSerializer(ContainmentSerializer):
    """A containment with what it still holds and where that is."""

    affected = AffectedSerializer(read_only=True)

    class Meta(ContainmentSerializer.Meta):
        fields = (*ContainmentSerializer.Meta.fields, "affected")
