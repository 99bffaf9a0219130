"""How orders look over REST."""

from typing import Any

from rest_framework import serializers

from mes.products.models import FirmwareBaseline, PartRevision, Route
from mes.serials.models import Unit
from mes.stations.models import Site
from mes.workorders.models import WorkOrder


class WorkOrderSerializer(serializers.ModelSerializer[WorkOrder]):
    """An order, the units it builds, and its child orders with their state."""

    site = serializers.CharField(source="site.code", read_only=True)
    parent = serializers.CharField(  # type: ignore[assignment]
        source="parent.number", default=None, read_only=True
    )
    extends = serializers.UUIDField(source="extends.uid", default=None, read_only=True)
    part = serializers.CharField(source="part_revision.part.number", read_only=True)
    revision = serializers.CharField(source="part_revision.revision", read_only=True)
    route = serializers.CharField(source="route.version", read_only=True)
    firmware_baseline = serializers.CharField(source="firmware_baseline.name", default=None, read_only=True)
    children = serializers.SerializerMethodField()
    units = serializers.SerializerMethodField()

    class Meta:
        model = WorkOrder
        fields = (
            *("number", "kind", "state", "site", "parent", "extends", "part", "revision", "route"),
            *("firmware_baseline", "quantity", "finished", "scrapped", "cancelled"),
            *("customer", "contract", "program", "priority", "due_at", "options"),
            *("created_at", "released_at", "completed_at", "children", "units"),
        )

    def get_children(self, order: WorkOrder) -> list[dict[str, Any]]:
        """Return the child orders, with how far they are."""
        return [
            {
                "number": child.number,
                "state": child.state,
                "part": child.part_revision.part.number,
                "quantity": child.quantity,
                "finished": child.finished,
            }
            for child in order.children.all()
        ]

    def get_units(self, order: WorkOrder) -> list[dict[str, str]]:
        """Return the order's units, their state, and what became of them in this order."""
        return [
            {
                "uid": str(row.unit.uid),
                "serial": row.unit.serial,
                "state": row.unit.state,
                "outcome": row.outcome,
            }
            for row in order.order_units.all()
        ]


class OrderOptionsField(serializers.ListField):
    """Names of options, each once."""

    child = serializers.CharField(max_length=50)

    def to_internal_value(self, data: Any) -> list[Any]:
        """Return the names, each once, in the order given."""
        return list(dict.fromkeys(super().to_internal_value(data)))


class OrderFieldsSerializer(serializers.Serializer[Any]):
    """What an order says about customer and urgency."""

    customer = serializers.CharField(max_length=120, required=False, allow_blank=True)
    contract = serializers.CharField(max_length=60, required=False, allow_blank=True)
    program = serializers.CharField(max_length=60, required=False, allow_blank=True)
    priority = serializers.IntegerField(min_value=1, max_value=99, required=False)
    due_at = serializers.DateTimeField(required=False, allow_null=True)
    options = OrderOptionsField(max_length=50, required=False)
    quantity = serializers.IntegerField(min_value=1, max_value=10_000, required=False)


class CreateWorkOrderSerializer(OrderFieldsSerializer):
    """An order to draft; without a route version, the part's latest released one of its kind.

    ``extends`` makes it an expansion order of a shipped unit, whose quantity is 1.
    """

    number = serializers.CharField(max_length=40)
    part = serializers.CharField(max_length=60)
    revision = serializers.CharField(max_length=20)
    route = serializers.CharField(max_length=20, required=False)
    firmware_baseline = serializers.SlugRelatedField(
        slug_field="name", queryset=FirmwareBaseline.objects.all(), required=False
    )
    site = serializers.SlugRelatedField(slug_field="code", queryset=Site.objects.all())
    parent = serializers.SlugRelatedField(  # type: ignore[assignment]
        slug_field="number", queryset=WorkOrder.objects.select_related("site"), required=False
    )
    extends = serializers.SlugRelatedField(
        slug_field="uid", queryset=Unit.objects.select_related("part_revision__part", "site"), required=False
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Find the part revision and the route; ask for the quantity of what is built."""
        if "extends" not in attrs and "quantity" not in attrs:
            raise serializers.ValidationError({"quantity": ["This field is required."]})
        attrs.setdefault("quantity", 1)
        part, revision, version = attrs.pop("part"), attrs.pop("revision"), attrs.pop("route", None)
        attrs["part_revision"] = (
            PartRevision.objects.select_related("part").filter(part__number=part, revision=revision).first()
        )
        if attrs["part_revision"] is None:
            raise serializers.ValidationError({"part": ["There is no such part revision."]})
        routes = Route.objects.filter(part__number=part)
        kind = Route.Kind.EXPANSION if "extends" in attrs else Route.Kind.BUILD
        latest = routes.filter(released_at__isnull=False, kind=kind)
        attrs["route"] = (
            (routes.filter(version=version) if version else latest).order_by("-released_at", "-pk").first()
        )
        if attrs["route"] is None:
            raise serializers.ValidationError({"route": ["There is no such route."]})
        return attrs


class OrderReasonSerializer(serializers.Serializer[Any]):
    """Why something is done with an order or a unit."""

    reason = serializers.CharField(max_length=300)


class ChangeOrderSerializer(OrderReasonSerializer, OrderFieldsSerializer):
    """What changes, and why."""


class CloseOrderSerializer(serializers.Serializer[Any]):
    """Why finished units stay, if any do."""

    reason = serializers.CharField(max_length=300, required=False, allow_blank=True)


class SplitOrderSerializer(OrderReasonSerializer):
    """How many units go to which new order; ``units`` (uids) chooses them, else the last ones go."""

    number = serializers.CharField(max_length=40)
    quantity = serializers.IntegerField(min_value=1, max_value=10_000)
    units = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=10_000)


class CancelOrderSerializer(OrderReasonSerializer):
    """What becomes of each unit in progress, by uid; which fates each may have, the refusal lists."""

    fates = serializers.DictField(child=serializers.CharField(max_length=50), required=False)


class ChildOrdersSerializer(serializers.Serializer[Any]):
    """How deep child orders are drafted."""

    recursive = serializers.BooleanField(default=False)


class ShipSerializer(serializers.Serializer[Any]):
    """Where a unit ships to."""

    to = serializers.CharField(max_length=120)
    operator = serializers.CharField(required=False, help_text="Badge of who does it, if not signed on.")


class PromiseLineSerializer(serializers.Serializer[Any]):
    """The work of an order at a work center, and what is ahead of it."""

    work_center = serializers.CharField()
    stations = serializers.IntegerField()
    queue_minutes = serializers.FloatField()
    own_minutes = serializers.FloatField()


class PromiseSerializer(serializers.Serializer[Any]):
    """When an order will be done once what it waits for is there; null where that cannot be said."""

    order = serializers.CharField(source="order.number")
    date = serializers.DateTimeField(allow_null=True)
    waits_for = serializers.ListField(child=serializers.CharField())
    lines = PromiseLineSerializer(many=True)
