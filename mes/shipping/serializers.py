"""How shipments, crates and what is in them look over REST."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from mes.shipping.models import Crate, CratePhoto, Indicator, LooseItem, PackedUnit, Receipt, Shipment


class IndicatorSerializer(serializers.ModelSerializer[Indicator]):
    """A shock or tilt indicator of a crate: as it departed and as it arrived."""

    crate = serializers.CharField(source="crate.number", read_only=True)
    shipment = serializers.CharField(source="crate.shipment.number", read_only=True)
    rating_unit = serializers.CharField(source="unit_of_rating", read_only=True)
    departure_photo = serializers.UUIDField(source="departure_photo.uid", default=None, read_only=True)
    arrival_photo = serializers.UUIDField(source="arrival_photo.uid", default=None, read_only=True)

    class Meta:
        model = Indicator
        exclude = ("id",)


class PackedUnitSerializer(serializers.ModelSerializer[PackedUnit]):
    """A unit in a crate, and the test that proved it packed."""

    uid = serializers.UUIDField(source="unit.uid", read_only=True)
    serial = serializers.CharField(source="unit.serial", read_only=True)
    test_run = serializers.UUIDField(source="test_run.uid", default=None, read_only=True)

    class Meta:
        model = PackedUnit
        fields = (
            *("uid", "serial", "packed_at", "packed_by", "unpacked_at", "unpacked_by", "unpacked_because"),
            *("departed_at", "test_run"),
        )


class LooseItemSerializer(serializers.ModelSerializer[LooseItem]):
    """What else is in a crate."""

    part = serializers.CharField(source="part.number", default="", read_only=True)

    class Meta:
        model = LooseItem
        fields = (
            *("id", "kind", "part", "description", "quantity", "weight_kg"),
            *("packed_at", "packed_by", "removed_at", "removed_because"),
        )


class CratePhotoSerializer(serializers.ModelSerializer[CratePhoto]):
    """A picture of a crate; its content is at `/attachments/{attachment}/`."""

    attachment = serializers.UUIDField(source="attachment.uid", read_only=True)

    class Meta:
        model = CratePhoto
        fields = ("attachment", "moment", "added_at", "added_by")


class CrateSerializer(serializers.ModelSerializer[Crate]):
    """A crate with its units, loose items, indicators and photos."""

    shipment = serializers.CharField(source="shipment.number", read_only=True)
    part = serializers.CharField(source="part.number", default="", read_only=True)
    units = PackedUnitSerializer(many=True, read_only=True)
    items = LooseItemSerializer(many=True, read_only=True)
    indicators = IndicatorSerializer(many=True, read_only=True)
    photos = CratePhotoSerializer(many=True, read_only=True)

    class Meta:
        model = Crate
        exclude = ("id", "head", "version")


class ReceiptSerializer(serializers.ModelSerializer[Receipt]):
    """What was received, compared with what was shipped."""

    shipment = serializers.CharField(source="shipment.number", read_only=True)
    agrees = serializers.BooleanField(read_only=True)

    class Meta:
        model = Receipt
        exclude = ("id", "found", "lines")


class ShipmentSerializer(serializers.ModelSerializer[Shipment]):
    """A shipment with what its bill of lading says."""

    site = serializers.CharField(source="site.code", read_only=True)
    order = serializers.CharField(source="order.number", default=None, read_only=True)
    crates: Any = serializers.SlugRelatedField(slug_field="number", many=True, read_only=True)

    class Meta:
        model = Shipment
        exclude = ("id", "head", "version")


class ShippingActSerializer(serializers.Serializer[Any]):
    """An act of a person; a device names the person unless somebody is signed on."""

    operator = serializers.CharField(required=False, help_text="Badge, if nobody is signed on.")


class ShippingReasonSerializer(ShippingActSerializer):
    """Why something is done."""

    reason = serializers.CharField(max_length=300)


class AcceptShipmentSerializer(ShippingActSerializer):
    """Why it is accepted although something is not as it departed."""

    reason = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")


class BillOfLadingSerializer(ShippingActSerializer):
    """What the bill of lading says; all of it may be changed until departure."""

    customer = serializers.CharField(max_length=120, required=False)
    ship_to = serializers.CharField(max_length=1000, required=False)
    carrier = serializers.CharField(max_length=120, required=False, allow_blank=True)
    mode = serializers.ChoiceField(choices=Shipment.Mode.choices, required=False)
    bol_number = serializers.CharField(max_length=40, required=False, allow_blank=True)
    pro_number = serializers.CharField(max_length=40, required=False, allow_blank=True)
    seal_numbers = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, max_length=50
    )
    freight_class = serializers.CharField(max_length=10, required=False, allow_blank=True)
    nmfc = serializers.CharField(max_length=20, required=False, allow_blank=True)
    incoterm = serializers.RegexField(
        r"^[A-Z]{3}$", required=False, allow_blank=True, help_text="Incoterms 2020, e.g. DAP."
    )
    hazards = serializers.ListField(
        child=serializers.ChoiceField(choices=["coolant", "batteries"]),
        required=False,
        allow_null=True,
        help_text="What is declared; [] declares that nothing is hazardous.",
    )
    hazard_declaration = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    planned_at = serializers.DateTimeField(required=False, allow_null=True)
    due_at = serializers.DateTimeField(required=False, allow_null=True)


class CreateShipmentSerializer(BillOfLadingSerializer):
    """A shipment to draft; a person names the site, a device has one."""

    site = serializers.CharField(max_length=20, required=False)
    order = serializers.CharField(max_length=40, required=False)
    customer = serializers.CharField(max_length=120)
    ship_to = serializers.CharField(max_length=1000)


class AddCrateSerializer(ShippingActSerializer):
    """A crate to add: the number on its label (or none, for the next of ours), its part and outer size."""

    number = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")
    part = serializers.CharField(max_length=60, required=False)
    length_mm = serializers.IntegerField(min_value=1, max_value=100_000, required=False)
    width_mm = serializers.IntegerField(min_value=1, max_value=100_000, required=False)
    height_mm = serializers.IntegerField(min_value=1, max_value=100_000, required=False)


class PackUnitSerializer(ShippingActSerializer):
    """A unit to put in: its uid, or what was scanned from its label."""

    unit = serializers.UUIDField(required=False)
    serial = serializers.CharField(max_length=120, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one of both."""
        if ("unit" in attrs) == ("serial" in attrs):
            raise serializers.ValidationError({"unit": ["Name a unit by unit (its uid) or by serial."]})
        return attrs


class UnpackUnitSerializer(PackUnitSerializer, ShippingReasonSerializer):
    """A unit to take out, and why."""


class AddItemSerializer(ShippingActSerializer):
    """A loose item to put in: by its part, or in words."""

    kind = serializers.ChoiceField(choices=LooseItem.Kind.choices, default=LooseItem.Kind.ACCESSORY)
    part = serializers.CharField(max_length=60, required=False)
    description = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    quantity = serializers.IntegerField(min_value=1, max_value=100_000, default=1)
    weight_kg = serializers.DecimalField(
        max_digits=9, decimal_places=3, min_value=0, default=Decimal(0), help_text="Of all of it together."
    )


class CloseCrateSerializer(ShippingActSerializer):
    """The weights of a crate, in kg: empty, what is in it, and all together."""

    tare_kg = serializers.DecimalField(max_digits=9, decimal_places=3, min_value=0)
    net_kg = serializers.DecimalField(max_digits=9, decimal_places=3, min_value=0)
    gross_kg = serializers.DecimalField(max_digits=9, decimal_places=3, min_value=0)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what weighs nothing."""
        if not (attrs["net_kg"] > 0 and attrs["gross_kg"] > 0):
            raise serializers.ValidationError({"net_kg": ["What is packed weighs something."]})
        return attrs


class ApplyIndicatorSerializer(ShippingActSerializer):
    """An indicator to put on a crate; rating in g for shock, in degrees for tilt."""

    kind = serializers.ChoiceField(choices=Indicator.Kind.choices)
    serial = serializers.CharField(max_length=60)
    rating = serializers.DecimalField(max_digits=6, decimal_places=1)
    state = serializers.ChoiceField(choices=Indicator.State.choices, default=Indicator.State.OK)
    photo = serializers.UUIDField(required=False)

    def validate_rating(self, value: Any) -> Any:
        """Refuse what trips at nothing."""
        if value <= 0:
            raise serializers.ValidationError("A rating is above 0.")
        return value


class ReadIndicatorSerializer(ShippingActSerializer):
    """How an indicator stands before departure."""

    state = serializers.ChoiceField(choices=Indicator.State.choices)
    photo = serializers.UUIDField(required=False)


class CratePhotosSerializer(ShippingActSerializer):
    """Pictures of a crate that were uploaded as attachments."""

    photos = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=50)


class ArrivedCrateSerializer(serializers.Serializer[Any]):
    """How a crate came; ``indicators`` gives each one's state by its serial."""

    number = serializers.CharField(max_length=40)
    condition = serializers.ChoiceField(choices=Crate.Condition.choices, default=Crate.Condition.GOOD)
    note = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    indicators = serializers.DictField(
        child=serializers.ChoiceField(choices=Indicator.State.choices), required=False, default=dict
    )
    indicator_photos = serializers.DictField(child=serializers.UUIDField(), required=False, default=dict)
    photos = serializers.ListField(child=serializers.UUIDField(), required=False, default=list, max_length=50)


class ArriveShipmentSerializer(ShippingActSerializer):
    """How a shipment arrived, crate by crate."""

    arrived_at = serializers.DateTimeField(required=False)
    crates = ArrivedCrateSerializer(many=True, allow_empty=False)


class FoundInsideSerializer(serializers.Serializer[Any]):
    """What was found inside a unit: a serial, and where and of which part if that was read."""

    serial = serializers.CharField(max_length=120)
    path = serializers.CharField(max_length=120, required=False, allow_blank=True)
    part = serializers.CharField(max_length=60, required=False, allow_blank=True)


class FoundUnitSerializer(serializers.Serializer[Any]):
    """A unit that was received; ``contents`` if it was read inside, ``covers`` the kinds that were read."""

    serial = serializers.CharField(max_length=120)
    part = serializers.CharField(max_length=60, required=False, allow_blank=True)
    contents = FoundInsideSerializer(many=True, required=False)
    covers = serializers.ListField(child=serializers.CharField(max_length=40), required=False)


class ReceiveShipmentSerializer(ShippingActSerializer):
    """What the receiver scanned or read."""

    source = serializers.CharField(max_length=60, default="scanned")  # type: ignore[assignment]
    units = FoundUnitSerializer(many=True)


class ComparisonLineSerializer(serializers.Serializer[Any]):
    """One thing of a comparison."""

    verdict = serializers.CharField(help_text="matched, missing, extra or different.")
    unit = serializers.CharField()
    path = serializers.CharField()
    part = serializers.CharField()
    expected = serializers.CharField()
    found = serializers.CharField()
    found_path = serializers.CharField()


class ShipmentComparisonSerializer(ReceiptSerializer):
    """The last receipt of a shipment, with what differs; with `?all=1` every line."""

    rows = ComparisonLineSerializer(many=True)

    class Meta(ReceiptSerializer.Meta):
        pass


class ShipHoldsPlacedSerializer(serializers.Serializer[Any]):
    """How many ship holds were placed."""

    placed = serializers.IntegerField()
