"""Shipments over REST: drafted, described, sent off, received."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import django_filters
from django.db.models import Prefetch, QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from mes.attachments.models import Attachment
from mes.ledger.services import Actor
from mes.products.models import Part
from mes.rest import CsvRenderer, checked, perform
from mes.shipping.comparing import differing
from mes.shipping.models import Crate, Receipt, Shipment
from mes.shipping.serializers import (
    AcceptShipmentSerializer,
    AddCrateSerializer,
    ArriveShipmentSerializer,
    BillOfLadingSerializer,
    ComparisonLineSerializer,
    CrateSerializer,
    CreateShipmentSerializer,
    ReceiptSerializer,
    ReceiveShipmentSerializer,
    ShipHoldsPlacedSerializer,
    ShipmentComparisonSerializer,
    ShipmentSerializer,
    ShippingActSerializer,
    ShippingReasonSerializer,
)
from mes.shipping.services import (
    Arrived,
    accept_shipment,
    add_crate,
    arrive_shipment,
    cancel_shipment,
    change_shipment,
    create_shipment,
    depart_shipment,
    dispute_shipment,
    hold_shipment,
    lines_of,
    pack_list,
    receive_shipment,
)
from mes.stations.models import Site
from mes.stations.services import chosen_site, of_site, require_floor
from mes.workorders.models import WorkOrder

MAY = "shipping.change_shipment"


class ShipmentFilter(FilterSet):
    """Find shipments by what is in them, by customer, carrier, state and time."""

    site = django_filters.CharFilter(field_name="site__code")
    order = django_filters.CharFilter(field_name="order__number")
    unit = django_filters.UUIDFilter(field_name="crates__units__unit__uid", distinct=True)
    serial = django_filters.CharFilter(field_name="crates__units__unit__serial", distinct=True)
    state = django_filters.MultipleChoiceFilter(choices=Shipment.State.choices)

    class Meta:
        model = Shipment
        fields = {
            **{name: ["exact"] for name in ("customer", "carrier", "mode", "bol_number", "pro_number")},
            **{name: ["gte", "lt"] for name in ("planned_at", "departed_at", "arrived_at", "settled_at")},
        }


class ShipmentViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Shipment]):
    """Draft, pack, send off and receive shipments."""

    queryset = Shipment.objects.select_related("site", "order").prefetch_related(
        Prefetch("crates", Crate.objects.exclude(state=Crate.State.WITHDRAWN))
    )
    serializer_class = ShipmentSerializer
    filterset_class = ShipmentFilter
    lookup_field = "number"
    lookup_value_regex = "[^/\x00]+"

    def get_queryset(self) -> QuerySet[Shipment]:
        """Return the shipments of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=CreateShipmentSerializer, responses={201: ShipmentSerializer})
    def create(self, request: Request) -> Response:
        """Draft a shipment."""
        require_floor(request.auth, request.user, "shipping.add_shipment")
        given = checked(CreateShipmentSerializer(data=request.data))
        site, order = given.pop("site", None), given.pop("order", None)
        named = get_object_or_404(Site, code=site) if site else None

        orders = of_site(WorkOrder.objects.select_related("site"), request.auth)
        its = get_object_or_404(orders, number=order) if order else None

        def act(by: Actor) -> dict[str, Any]:
            at = chosen_site(request.auth, named)
            return self._shown(create_shipment(site=at, order=its, by=by, **given))

        return perform(request, act, created=True)

    @extend_schema(request=BillOfLadingSerializer, responses={200: ShipmentSerializer})
    @action(detail=True, methods=["post"], url_path="bill-of-lading")
    def bill_of_lading(self, request: Request, number: str) -> Response:
        """Say what the bill of lading says."""
        given = checked(BillOfLadingSerializer(data=request.data))
        return self._act(request, lambda shipment, by: change_shipment(shipment=shipment, by=by, **given))

    @extend_schema(request=AddCrateSerializer, responses={201: CrateSerializer})
    @action(detail=True, methods=["post"])
    def crates(self, request: Request, number: str) -> Response:
        """Add a crate, by scanning its label."""
        given = checked(AddCrateSerializer(data=request.data))
        part = part_of(given.pop("part", ""))

        def act(shipment: Shipment, by: Actor) -> Any:
            return CrateSerializer(add_crate(shipment=shipment, part=part, by=by, **given)).data

        return self._act(request, act, created=True)

    @extend_schema(
        parameters=[OpenApiParameter("format", str, enum=["json", "csv"])],
        responses={200: OpenApiTypes.OBJECT},
    )
    @action(detail=True, methods=["get"], url_path="pack-list")
    def pack_list(self, request: Request, number: str) -> Response:
        """Return what is in it, crate by crate, down to the last serial; as CSV, line by line."""
        listed = pack_list(self.get_object())
        is_table = request.accepted_renderer.format == CsvRenderer.format
        return Response(list(lines_of(listed)) if is_table else listed)

    @extend_schema(request=ShippingReasonSerializer, responses={201: ShipHoldsPlacedSerializer})
    @action(detail=True, methods=["post"])
    def hold(self, request: Request, number: str) -> Response:
        """Place a ship hold on every unit packed in it."""
        reason = checked(ShippingReasonSerializer(data=request.data))["reason"]

        def act(shipment: Shipment, by: Actor) -> Any:
            return {"placed": hold_shipment(shipment=shipment, reason=reason, by=by)}

        return self._act(request, act, created=True)

    @extend_schema(request=ShippingActSerializer, responses={200: ShipmentSerializer})
    @action(detail=True, methods=["post"])
    def depart(self, request: Request, number: str) -> Response:
        """Let it depart: everything in it ships, or nothing does."""
        return self._act(request, lambda shipment, by: depart_shipment(shipment=shipment, by=by))

    @extend_schema(request=ArriveShipmentSerializer, responses={200: ShipmentSerializer})
    @action(detail=True, methods=["post"])
    def arrive(self, request: Request, number: str) -> Response:
        """Note how it arrived: every crate, every indicator."""
        given, site = checked(ArriveShipmentSerializer(data=request.data)), self.get_object().site
        crates = {
            each["number"]: Arrived(
                condition=each["condition"],
                note=each["note"],
                indicators=each["indicators"],
                photos=photos_of(site, each["photos"]),
                indicator_photos={
                    serial: photos_of(site, [uid])[0] for serial, uid in each["indicator_photos"].items()
                },
            )
            for each in given["crates"]
        }
        at = given.get("arrived_at")
        return self._act(
            request, lambda shipment, by: arrive_shipment(shipment=shipment, crates=crates, at=at, by=by)
        )

    @extend_schema(request=ReceiveShipmentSerializer, responses={201: ShipmentComparisonSerializer})
    @action(detail=True, methods=["post"])
    def receive(self, request: Request, number: str) -> Response:
        """Compare what was received with what departed; the answer names what differs."""
        given = checked(ReceiveShipmentSerializer(data=request.data))

        def act(shipment: Shipment, by: Actor) -> Any:
            receipt = receive_shipment(shipment=shipment, found=given["units"], source=given["source"], by=by)
            return _compared(receipt, differing(receipt.lines))

        return self._act(request, act, created=True)

    @extend_schema(
        parameters=[OpenApiParameter("all", bool, description="Also what matches.")],
        responses={200: ShipmentComparisonSerializer},
    )
    @action(detail=True, methods=["get"])
    def comparison(self, request: Request, number: str) -> Response:
        """Return the last receipt: what was shipped against what was received."""
        receipt = get_object_or_404(self.get_object().receipts.order_by("-pk")[:1])
        wants_all = request.query_params.get("all", "").lower() in {"1", "true"}
        rows = receipt.lines if wants_all else differing(receipt.lines)
        return Response(_compared(receipt, rows))

    @extend_schema(request=AcceptShipmentSerializer, responses={200: ShipmentSerializer})
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, number: str) -> Response:
        """Note that the customer accepts it."""
        reason = checked(AcceptShipmentSerializer(data=request.data))["reason"]
        return self._act(
            request, lambda shipment, by: accept_shipment(shipment=shipment, reason=reason, by=by)
        )

    @extend_schema(request=ShippingReasonSerializer, responses={200: ShipmentSerializer})
    @action(detail=True, methods=["post"])
    def dispute(self, request: Request, number: str) -> Response:
        """Note that the customer does not accept it, and why."""
        reason = checked(ShippingReasonSerializer(data=request.data))["reason"]
        return self._act(
            request, lambda shipment, by: dispute_shipment(shipment=shipment, reason=reason, by=by)
        )

    @extend_schema(request=ShippingReasonSerializer, responses={200: ShipmentSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, number: str) -> Response:
        """Give it up before it departs."""
        reason = checked(ShippingReasonSerializer(data=request.data))["reason"]
        return self._act(
            request, lambda shipment, by: cancel_shipment(shipment=shipment, reason=reason, by=by)
        )

    def _act(
        self, request: Request, act: Callable[[Shipment, Actor], Any], *, created: bool = False
    ) -> Response:
        require_floor(request.auth, request.user, MAY)
        shipment = self.get_object()

        def answer(by: Actor) -> Any:
            done = act(shipment, by)
            return self._shown(done) if isinstance(done, Shipment) else done

        return perform(request, answer, created=created)

    def _shown(self, shipment: Shipment) -> dict[str, Any]:
        return dict(ShipmentSerializer(self.get_queryset().get(pk=shipment.pk)).data)


def _compared(receipt: Receipt, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a receipt with lines of its comparison; columns in one order on every database."""
    lines = ComparisonLineSerializer(rows, many=True).data
    return {**ReceiptSerializer(receipt).data, "rows": lines}


def part_of(number: str) -> Part | None:
    """Return a part by its number; an unknown one is bad input."""
    part = Part.objects.filter(number=number).first() if number else None
    if number and part is None:
        raise ValidationError({"part": ["There is no such part."]})
    return part


def photos_of(site: Site, uids: Iterable[UUID]) -> list[Attachment]:
    """Return attachments of a site; an unknown one is bad input."""
    wanted = set(uids)
    found = list(Attachment.objects.filter(uid__in=wanted, site=site))
    if len(found) != len(wanted):
        raise ValidationError({"photos": ["There is no such attachment at this site."]})
    return found
