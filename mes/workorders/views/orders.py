"""Orders over REST."""

from collections.abc import Callable
from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from mes.ledger.services import Actor
from mes.people.services import require_permission
from mes.rest import operator_of, perform
from mes.serials.services import visible_units
from mes.stations.services import of_site, site_of
from mes.workorders.models import OrderUnit, WorkOrder
from mes.workorders.serializers.orders import (
    CancelOrderSerializer,
    ChangeOrderSerializer,
    ChildOrdersSerializer,
    CloseOrderSerializer,
    CreateWorkOrderSerializer,
    OrderReasonSerializer,
    PromiseSerializer,
    SplitOrderSerializer,
    WorkOrderSerializer,
)
from mes.workorders.services import (
    cancel_order,
    change_order,
    close_order,
    create_child_orders,
    create_order,
    hold_order,
    promise,
    release_order,
    resume_order,
    split_order,
)

ORDER = {200: WorkOrderSerializer}
RANGE = ["exact", "gte", "lte"]


class WorkOrderViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[WorkOrder]):
    """List and read orders, and do what is done with them."""

    queryset = WorkOrder.objects.select_related(
        "site", "parent", "extends", "part_revision__part", "route", "firmware_baseline"
    ).prefetch_related(
        Prefetch("order_units", OrderUnit.objects.select_related("unit").order_by("pk")),
        Prefetch("children", WorkOrder.objects.select_related("part_revision__part").order_by("pk")),
    )
    serializer_class = WorkOrderSerializer
    filterset_fields = {
        "state": ["exact", "in"],
        "kind": ["exact"],
        "customer": ["exact"],
        "contract": ["exact"],
        "program": ["exact"],
        "priority": RANGE,
        **dict.fromkeys(("due_at", "created_at", "released_at", "completed_at"), RANGE),
        **{name: ["exact"] for name in ("site__code", "parent__number", "extends__uid", "route__version")},
        "parent": ["isnull"],
        "part_revision__part__number": ["exact"],
        "part_revision__revision": ["exact"],
        "order_units__unit__uid": ["exact"],
    }
    lookup_field = "number"
    lookup_value_regex = "[^/\x00]+"

    def get_queryset(self) -> QuerySet[WorkOrder]:
        """Return the orders of the caller's site."""
        return of_site(super().get_queryset(), self.request.auth)

    @extend_schema(request=CreateWorkOrderSerializer, responses={201: WorkOrderSerializer})
    def create(self, request: Request) -> Response:
        """Draft an order."""
        require_permission(request.user, "workorders.add_workorder", operator=operator_of(request))
        given = CreateWorkOrderSerializer(data=request.data)
        given.is_valid(raise_exception=True)

        site = site_of(request.auth)
        if site is not None and given.validated_data["site"] != site:
            raise ValidationError({"site": ["This device belongs to another site."]})

        def act(by: Actor) -> dict[str, Any]:
            return self._shown(create_order(by=by, **given.validated_data))

        return perform(request, act, created=True)

    @extend_schema(request=None, responses=ORDER)
    @action(detail=True, methods=["post"])
    def release(self, request: Request, number: str) -> Response:
        """Release an order; it creates the order's units, or takes the unit it extends back to work."""
        return self._act(request, lambda order, by: release_order(order=order, by=by))

    @extend_schema(request=ChangeOrderSerializer, responses=ORDER)
    @action(detail=True, methods=["post"])
    def change(self, request: Request, number: str) -> Response:
        """Change priority, due date and the like, with a reason."""
        return self._act(request, change_order, ChangeOrderSerializer)

    @extend_schema(request=OrderReasonSerializer, responses=ORDER)
    @action(detail=True, methods=["post"])
    def hold(self, request: Request, number: str) -> Response:
        """Hold an order: none of its operations starts."""
        return self._act(request, hold_order, OrderReasonSerializer)

    @extend_schema(request=OrderReasonSerializer, responses=ORDER)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, number: str) -> Response:
        """Let a held order go on."""
        return self._act(request, resume_order, OrderReasonSerializer)

    @extend_schema(request=CloseOrderSerializer, responses=ORDER)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, number: str) -> Response:
        """Close a complete order."""
        return self._act(request, close_order, CloseOrderSerializer)

    @extend_schema(request=CancelOrderSerializer, responses=ORDER)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, number: str) -> Response:
        """Cancel an order; refused with what may become of each unit in progress until all are decided."""

        def act(order: WorkOrder, by: Actor, reason: str, fates: dict[str, str] | None = None) -> None:
            cancel_order(order=order, reason=reason, by=by, fates=fates or {})

        return self._act(request, act, CancelOrderSerializer)

    @extend_schema(request=SplitOrderSerializer, responses=ORDER)
    @action(detail=True, methods=["post"])
    def split(self, request: Request, number: str) -> Response:
        """Split units that are not started off into a new order, which is the answer."""

        def act(order: WorkOrder, by: Actor, units: Any = (), **given: Any) -> WorkOrder:
            chosen = list(visible_units(order.site).filter(uid__in=units))
            if len(chosen) != len(set(units)):
                raise ValidationError({"units": ["Some are no units of this site."]})
            return split_order(order=order, by=by, units=chosen, **given)

        return self._act(request, act, SplitOrderSerializer)

    @extend_schema(request=ChildOrdersSerializer, responses=ORDER)
    @action(detail=True, methods=["post"])
    def children(self, request: Request, number: str) -> Response:
        """Draft child orders for the sub-assemblies of an order."""

        def act(order: WorkOrder, by: Actor, recursive: bool) -> None:
            create_child_orders(order=order, by=by, recursive=recursive)

        return self._act(request, act, ChildOrdersSerializer)

    @extend_schema(responses={200: PromiseSerializer})
    @action(detail=True, methods=["get"])
    def promise(self, request: Request, number: str) -> Response:
        """Say when an order will be done, and what it waits for."""
        return Response(PromiseSerializer(promise(self.get_object())).data)

    def _act(
        self,
        request: Request,
        service: Callable[..., object],
        serializer: type[serializers.Serializer[Any]] = serializers.Serializer,
    ) -> Response:
        """Do something with an order; the answer is what the service returns if that is an order, else it."""
        require_permission(request.user, "workorders.change_workorder", operator=operator_of(request))
        order, given = self.get_object(), serializer(data=request.data)
        given.is_valid(raise_exception=True)

        def act(by: Actor) -> dict[str, Any]:
            made = service(order=order, by=by, **given.validated_data)
            return self._shown(made if isinstance(made, WorkOrder) else order)

        return perform(request, act)

    def _shown(self, order: WorkOrder) -> dict[str, Any]:
        return dict(WorkOrderSerializer(self.get_queryset().get(pk=order.pk)).data)
