"""Crates and their indicators over REST: packed, weighed, closed, read."""

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import Prefetch, QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from mes.ledger.services import Actor
from mes.rest import checked, perform
from mes.serials.models import Unit
from mes.serials.services import find_units, visible_units
from mes.shipping.models import Crate, CratePhoto, Indicator, LooseItem, PackedUnit
from mes.shipping.serializers import (
    AddItemSerializer,
    ApplyIndicatorSerializer,
    CloseCrateSerializer,
    CratePhotosSerializer,
    CrateSerializer,
    IndicatorSerializer,
    PackUnitSerializer,
    ReadIndicatorSerializer,
    ShippingReasonSerializer,
    UnpackUnitSerializer,
)
from mes.shipping.services import (
    add_item,
    add_photos,
    apply_indicator,
    close_crate,
    open_crate,
    pack_unit,
    read_indicator,
    remove_indicator,
    remove_item,
    unpack_unit,
    withdraw_crate,
)
from mes.shipping.views import MAY, part_of, photos_of
from mes.stations.services import of_site, require_floor, site_of


class CrateFilter(FilterSet):
    """Find crates by shipment, content, state and condition."""

    shipment = django_filters.CharFilter(field_name="shipment__number")
    site = django_filters.CharFilter(field_name="shipment__site__code")
    customer = django_filters.CharFilter(field_name="shipment__customer")
    unit = django_filters.UUIDFilter(field_name="units__unit__uid", distinct=True)
    serial = django_filters.CharFilter(field_name="units__unit__serial", distinct=True)

    class Meta:
        model = Crate
        fields = {
            **{name: ["exact"] for name in ("state", "condition", "part__number", "packed_by")},
            "packed_at": ["gte", "lt"],
        }


class CrateViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Crate]):
    """Pack, weigh, close and look at crates."""

    queryset = Crate.objects.select_related("shipment__site", "part").prefetch_related(
        Prefetch("units", PackedUnit.objects.select_related("unit", "test_run")),
        Prefetch("items", LooseItem.objects.select_related("part")),
        Prefetch(
            "indicators",
            Indicator.objects.select_related("crate__shipment", "departure_photo", "arrival_photo"),
        ),
        Prefetch("photos", CratePhoto.objects.select_related("attachment")),
    )
    serializer_class = CrateSerializer
    filterset_class = CrateFilter
    lookup_field = "number"
    lookup_value_regex = "[^/\x00]+"

    def get_queryset(self) -> QuerySet[Crate]:
        """Return the crates of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="shipment__site")

    @extend_schema(request=PackUnitSerializer, responses={201: CrateSerializer})
    @action(detail=True, methods=["post"])
    def units(self, request: Request, number: str) -> Response:
        """Put a unit in."""
        given = checked(PackUnitSerializer(data=request.data))

        def act(crate: Crate, by: Actor) -> None:
            pack_unit(crate=crate, unit=self._unit(request, crate, given), by=by)

        return self._act(request, act, created=True)

    @extend_schema(request=UnpackUnitSerializer, responses={200: CrateSerializer})
    @action(detail=True, methods=["post"], url_path="units/remove")
    def remove_unit(self, request: Request, number: str) -> Response:
        """Take a unit out."""
        given = checked(UnpackUnitSerializer(data=request.data))

        def act(crate: Crate, by: Actor) -> None:
            unit = self._unit(request, crate, given)
            unpack_unit(crate=crate, unit=unit, reason=given["reason"], by=by)

        return self._act(request, act)

    @extend_schema(request=AddItemSerializer, responses={201: CrateSerializer})
    @action(detail=True, methods=["post"])
    def items(self, request: Request, number: str) -> Response:
        """Put an accessory or a document in."""
        given = checked(AddItemSerializer(data=request.data))
        part = part_of(given.pop("part", ""))

        def act(crate: Crate, by: Actor) -> None:
            add_item(crate=crate, part=part, by=by, **given)

        return self._act(request, act, created=True)

    @extend_schema(request=ShippingReasonSerializer, responses={200: CrateSerializer})
    @action(detail=True, methods=["post"], url_path="items/(?P<item>[0-9]+)/remove")
    def remove_item(self, request: Request, number: str, item: str) -> Response:
        """Take a loose item out."""
        reason = checked(ShippingReasonSerializer(data=request.data))["reason"]
        found = get_object_or_404(LooseItem.objects.select_related("crate"), crate=self.get_object(), pk=item)

        def act(_crate: Crate, by: Actor) -> None:
            remove_item(item=found, reason=reason, by=by)

        return self._act(request, act)

    @extend_schema(request=ApplyIndicatorSerializer, responses={201: IndicatorSerializer})
    @action(detail=True, methods=["post"])
    def indicators(self, request: Request, number: str) -> Response:
        """Put an indicator on."""
        given = checked(ApplyIndicatorSerializer(data=request.data))
        photo = _photo(self.get_object(), given)

        def act(crate: Crate, by: Actor) -> Any:
            return IndicatorSerializer(apply_indicator(crate=crate, photo=photo, by=by, **given)).data

        return self._act(request, act, created=True)

    @extend_schema(request=CratePhotosSerializer, responses={200: CrateSerializer})
    @action(detail=True, methods=["post"])
    def photos(self, request: Request, number: str) -> Response:
        """Add pictures of it: of its departure, once it departed of its arrival."""
        photos = photos_of(
            self.get_object().shipment.site, checked(CratePhotosSerializer(data=request.data))["photos"]
        )

        def act(crate: Crate, by: Actor) -> None:
            add_photos(crate=crate, photos=photos, by=by)

        return self._act(request, act)

    @extend_schema(request=CloseCrateSerializer, responses={200: CrateSerializer})
    @action(detail=True, methods=["post"])
    def close(self, request: Request, number: str) -> Response:
        """Weigh and close it; each unit in it is proved packed."""
        given = checked(CloseCrateSerializer(data=request.data))

        def act(crate: Crate, by: Actor) -> None:
            close_crate(crate=crate, by=by, **given)

        return self._act(request, act)

    @extend_schema(request=ShippingReasonSerializer, responses={200: CrateSerializer})
    @action(detail=True, methods=["post"])
    def open(self, request: Request, number: str) -> Response:
        """Open it again, with a reason."""
        reason = checked(ShippingReasonSerializer(data=request.data))["reason"]

        def act(crate: Crate, by: Actor) -> None:
            open_crate(crate=crate, reason=reason, by=by)

        return self._act(request, act)

    @extend_schema(request=ShippingReasonSerializer, responses={200: CrateSerializer})
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, number: str) -> Response:
        """Take it, empty, out of its shipment, with a reason."""
        reason = checked(ShippingReasonSerializer(data=request.data))["reason"]

        def act(crate: Crate, by: Actor) -> None:
            withdraw_crate(crate=crate, reason=reason, by=by)

        return self._act(request, act)

    def _unit(self, request: Request, crate: Crate, given: dict[str, Any]) -> Unit:
        units = visible_units(site_of(request.auth))
        if "unit" in given:
            return get_object_or_404(units, uid=given["unit"])
        found = find_units(value=given["serial"], site=crate.shipment.site)
        if len(found) != 1:
            said = "Several units go by this; name the unit by its uid." if found else "No unit goes by this."
            raise ValidationError({"serial": [said]})
        return found[0]

    def _act(
        self, request: Request, act: Callable[[Crate, Actor], Any], *, created: bool = False
    ) -> Response:
        require_floor(request.auth, request.user, MAY)
        crate = self.get_object()

        def answer(by: Actor) -> Any:
            done = act(crate, by)
            return CrateSerializer(self.get_queryset().get(pk=crate.pk)).data if done is None else done

        return perform(request, answer, created=created)


def _photo(crate: Crate, given: dict[str, Any]) -> Any:
    uid = given.pop("photo", None)
    return photos_of(crate.shipment.site, [uid])[0] if uid else None


class IndicatorFilter(FilterSet):
    """Find indicators by crate, shipment and what they showed."""

    crate = django_filters.CharFilter(field_name="crate__number")
    shipment = django_filters.CharFilter(field_name="crate__shipment__number")
    site = django_filters.CharFilter(field_name="crate__shipment__site__code")

    class Meta:
        model = Indicator
        fields = {
            **{name: ["exact"] for name in ("kind", "serial", "departure", "arrival")},
            "removed_at": ["isnull"],
            "arrival_read_at": ["gte", "lt"],
        }


class IndicatorViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Indicator]):
    """Read shock and tilt indicators."""

    queryset = Indicator.objects.select_related("crate__shipment__site", "departure_photo", "arrival_photo")
    serializer_class = IndicatorSerializer
    filterset_class = IndicatorFilter
    lookup_field = "serial"
    lookup_value_regex = "[^/\x00]+"

    def get_queryset(self) -> QuerySet[Indicator]:
        """Return the indicators of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="crate__shipment__site")

    @extend_schema(request=ReadIndicatorSerializer, responses={200: IndicatorSerializer})
    @action(detail=True, methods=["post"])
    def read(self, request: Request, serial: str) -> Response:
        """Note how it stands before departure."""
        require_floor(request.auth, request.user, MAY)
        indicator, given = self.get_object(), checked(ReadIndicatorSerializer(data=request.data))
        photo, state = _photo(indicator.crate, given), given["state"]

        def act(by: Actor) -> dict[str, Any]:
            row = read_indicator(indicator=indicator, state=state, photo=photo, by=by)
            return dict(IndicatorSerializer(row).data)

        return perform(request, act)

    @extend_schema(request=ShippingReasonSerializer, responses={200: IndicatorSerializer})
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, serial: str) -> Response:
        """Take it off its crate, with a reason."""
        require_floor(request.auth, request.user, MAY)
        indicator, reason = self.get_object(), checked(ShippingReasonSerializer(data=request.data))["reason"]

        def act(by: Actor) -> dict[str, Any]:
            return dict(IndicatorSerializer(remove_indicator(indicator=indicator, reason=reason, by=by)).data)

        return perform(request, act)
