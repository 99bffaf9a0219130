"""How units and lots look over REST."""

from typing import Any

from rest_framework import serializers

from mes.products.models import Part, PartRevision
from mes.serials.models import Identifier, Lot, Supplier, Unit
from mes.stations.models import Site

ORIGIN = ("country_of_origin", "place_of_assembly", "die_maker", "source_tier")


class IdentifierSerializer(serializers.ModelSerializer[Identifier]):
    """One name of a unit."""

    class Meta:
        model = Identifier
        fields = ("kind", "value")


class UnitSerializer(serializers.ModelSerializer[Unit]):
    """A unit as it stands."""

    part = serializers.CharField(source="part_revision.part.number", read_only=True)
    part_name = serializers.CharField(source="part_revision.part.name", read_only=True)
    revision = serializers.CharField(source="part_revision.revision", read_only=True)
    site = serializers.CharField(source="site.code", read_only=True)
    lot = serializers.CharField(source="lot.number", default=None, read_only=True)
    supplier = serializers.CharField(source="supplier.code", default=None, read_only=True)
    identifiers = IdentifierSerializer(many=True, read_only=True)

    class Meta:
        model = Unit
        fields = (
            *(
                "uid",
                "part",
                "part_name",
                "revision",
                "serial",
                "site",
                "state",
                "held",
                "locked_out",
                "version",
                "live_children",
            ),
            *("lot", "supplier", *ORIGIN, "created_at", "identifiers"),
        )


class SupplierSerializer(serializers.ModelSerializer[Supplier]):
    """A company parts come from."""

    class Meta:
        model = Supplier
        exclude = ("id",)


class OriginSerializer(serializers.Serializer[Any]):
    """Where a thing comes from."""

    country_of_origin = serializers.RegexField(r"^[A-Z]{2}$", required=False, allow_blank=True)
    place_of_assembly = serializers.CharField(required=False, allow_blank=True, max_length=120)
    die_maker = serializers.CharField(required=False, allow_blank=True, max_length=60)
    source_tier = serializers.CharField(required=False, allow_blank=True, max_length=30)


class ReceiveLotSerializer(OriginSerializer):
    """A lot to take in."""

    part = serializers.SlugRelatedField(slug_field="number", queryset=Part.objects.all())
    supplier = serializers.SlugRelatedField(slug_field="code", queryset=Supplier.objects.all())
    number = serializers.CharField(max_length=60)
    date_code = serializers.CharField(required=False, allow_blank=True, max_length=10)
    unit_cost_usd = serializers.DecimalField(max_digits=14, decimal_places=4, required=False, min_value=0)
    expires_at = serializers.DateTimeField(required=False, help_text="End of its shelf life.")
    site = serializers.SlugRelatedField(slug_field="code", queryset=Site.objects.all(), required=False)


class LotSerializer(serializers.ModelSerializer[Lot]):
    """A lot as it was received."""

    part = serializers.CharField(source="part.number", read_only=True)
    supplier = serializers.CharField(source="supplier.code", read_only=True)

    class Meta:
        model = Lot
        fields = (
            *("uid", "part", "supplier", "number", "date_code", "unit_cost_usd", *ORIGIN),
            *("received_at", "expires_at", "held"),
        )


class ReceiveUnitSerializer(OriginSerializer):
    """A unit to take in; of a lot, it takes over the lot's supplier and origin."""

    part = serializers.CharField(max_length=60)
    revision = serializers.CharField(max_length=20)
    serial = serializers.CharField(max_length=80)
    lot = serializers.UUIDField(required=False, help_text="uid of the lot.")
    supplier = serializers.SlugRelatedField(
        slug_field="code", queryset=Supplier.objects.all(), required=False
    )
    identifiers = serializers.DictField(child=serializers.CharField(max_length=120), required=False)
    site = serializers.SlugRelatedField(slug_field="code", queryset=Site.objects.all(), required=False)

    def validate_identifiers(self, value: dict[str, str]) -> dict[str, str]:
        """Refuse kinds of identifiers that do not exist."""
        unknown = set(value) - set(Identifier.Kind.values)
        if unknown:
            raise serializers.ValidationError(f"Unknown kinds: {', '.join(sorted(unknown))}.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Find the part revision and the lot."""
        revisions = PartRevision.objects.select_related("part")
        attrs["part_revision"] = revisions.filter(
            part__number=attrs.pop("part"), revision=attrs.pop("revision")
        ).first()
        if attrs["part_revision"] is None:
            raise serializers.ValidationError({"part": ["There is no such part revision."]})
        if "lot" in attrs:
            attrs["lot"] = Lot.objects.select_related("supplier", "part").filter(uid=attrs["lot"]).first()
            if attrs["lot"] is None:
                raise serializers.ValidationError({"lot": ["There is no such lot."]})
        return attrs
