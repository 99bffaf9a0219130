"""Inventory and firmware as found over REST: collect, upload, compare, verify."""

from typing import Any

import django_filters
from django.db import transaction
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mes.inventory import tasks
from mes.inventory.models import Collection, FoundInventory
from mes.inventory.serializers import (
    CollectionSerializer,
    FirmwareComparisonSerializer,
    FoundInventoryDetailSerializer,
    FoundInventorySerializer,
    InventoryComparisonSerializer,
    InventoryVerdictSerializer,
    UploadInventorySerializer,
    VerifyFirmwareSerializer,
    VerifyInventorySerializer,
)
from mes.inventory.services import (
    Maps,
    ask_collection,
    compare_firmware,
    compare_inventory,
    keep_inventory,
    verify_firmware,
    verify_inventory,
)
from mes.ledger.services import Actor
from mes.rest import checked, perform
from mes.serials.services import visible_unit
from mes.stations.services import of_site, require_floor


class FoundInventoryFilter(FilterSet):
    """Find inventories by unit, source, what was told, and time."""

    unit = django_filters.UUIDFilter(field_name="unit__uid")
    unit_serial = django_filters.CharFilter(field_name="unit__serial")

    class Meta:
        model = FoundInventory
        fields = {
            **{name: ["exact"] for name in ("source", "serial", "recorded_by")},
            **{name: ["gte", "lt"] for name in ("taken_at", "received_at")},
        }


class FoundInventoryViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[FoundInventory]
):
    """Read what units said of themselves."""

    queryset = FoundInventory.objects.select_related("unit")
    serializer_class = FoundInventorySerializer
    filterset_class = FoundInventoryFilter
    lookup_field = "uid"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[FoundInventory]:
        """Return the inventories of units at the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="unit__site")

    @extend_schema(responses={200: FoundInventoryDetailSerializer})
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Read one inventory with everything in it."""
        return Response(FoundInventoryDetailSerializer(self.get_object()).data)


class CollectionFilter(FilterSet):
    """Find collections by unit, state and time."""

    unit = django_filters.UUIDFilter(field_name="unit__uid")
    unit_serial = django_filters.CharFilter(field_name="unit__serial")

    class Meta:
        model = Collection
        fields = {
            **{name: ["exact"] for name in ("state", "asked_by")},
            **{name: ["gte", "lt"] for name in ("created_at", "ended_at")},
        }


class CollectionViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Collection]
):
    """Watch collections."""

    queryset = Collection.objects.select_related("unit")
    serializer_class = CollectionSerializer
    filterset_class = CollectionFilter
    lookup_field = "uid"
    lookup_value_converter = "uuid"

    def get_queryset(self) -> QuerySet[Collection]:
        """Return the collections of units at the caller's site."""
        return of_site(super().get_queryset(), self.request.auth, through="unit__site")


class UploadInventory(APIView):
    """What a tester read of a unit."""

    @extend_schema(request=UploadInventorySerializer, responses={201: FoundInventoryDetailSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Keep an inventory; firmware versions that changed are recorded with before and after."""
        require_floor(request.auth, request.user, "inventory.add_foundinventory")
        unit, given = visible_unit(request.auth, uid), UploadInventorySerializer(data=request.data)
        given.is_valid(raise_exception=True)

        def act(by: Actor) -> dict[str, Any]:
            found = keep_inventory(unit=unit, facts=given.facts(), by=by, maps=Maps())
            return dict(FoundInventoryDetailSerializer(found).data)

        return perform(request, act, created=True)


class CollectInventory(APIView):
    """Have the BMCs of a unit, and of what is in it, read."""

    @extend_schema(request=VerifyFirmwareSerializer, responses={202: CollectionSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Ask for a collection; a worker reads it within seconds."""
        require_floor(request.auth, request.user, "inventory.add_collection")
        unit = visible_unit(request.auth, uid)

        def act(by: Actor) -> dict[str, Any]:
            collection = ask_collection(unit=unit, by=by)
            send_soon(collection)
            return dict(CollectionSerializer(collection).data)

        return accepted(perform(request, act, created=True))


class CompareInventory(APIView):
    """Scanned, reported and design of a unit, compared."""

    @extend_schema(responses={200: InventoryComparisonSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Return every place with its three sides, differences first; as CSV, one line a place."""
        comparison = compare_inventory(unit=visible_unit(request.auth, uid))
        return Response(InventoryComparisonSerializer(comparison).data)


class VerifyInventory(APIView):
    """The verdict on an inventory."""

    @extend_schema(request=VerifyInventorySerializer, responses={201: InventoryVerdictSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Judge the inventory as it stands, as a test run for the gates of the route."""
        require_floor(request.auth, request.user, "inventory.add_verdict")
        unit, given = visible_unit(request.auth, uid), checked(VerifyInventorySerializer(data=request.data))
        procedure = given["procedure"]

        def act(by: Actor) -> dict[str, Any]:
            return dict(
                InventoryVerdictSerializer(verify_inventory(unit=unit, procedure=procedure, by=by)).data
            )

        return perform(request, act, created=True)


class CompareFirmware(APIView):
    """The firmware of a unit against its baseline."""

    @extend_schema(responses={200: FirmwareComparisonSerializer})
    def get(self, request: Request, uid: str) -> Response:
        """Return every component, mismatches first; as CSV, one line a component."""
        comparison = compare_firmware(unit=visible_unit(request.auth, uid))
        return Response(FirmwareComparisonSerializer(comparison).data)


class VerifyFirmware(APIView):
    """The verdict on firmware."""

    @extend_schema(request=VerifyFirmwareSerializer, responses={201: InventoryVerdictSerializer})
    def post(self, request: Request, uid: str) -> Response:
        """Judge the firmware as it stands, as a test run for the gates of the route."""
        require_floor(request.auth, request.user, "inventory.add_verdict")
        unit = visible_unit(request.auth, uid)
        return perform(
            request,
            lambda by: dict(InventoryVerdictSerializer(verify_firmware(unit=unit, by=by)).data),
            created=True,
        )


def send_soon(collection: Collection) -> None:
    """Have a worker read right after commit; a broker that is down only costs some seconds."""
    transaction.on_commit(lambda: tasks.collect.apply_async((collection.pk,), retry=False), robust=True)


def accepted(response: Response) -> Response:
    """Return the answer to a new collection as 202: it is still to be read."""
    if response.status_code == status.HTTP_201_CREATED:
        response.status_code = status.HTTP_202_ACCEPTED
        response["Location"] = f"/api/v1/inventory-collections/{response.data['uid']}/"
    return response
