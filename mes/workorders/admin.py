"""Orders in the admin: drafted and released; what was done on each unit, to look at."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from mes.backoffice import AddedByService, FactAdmin, FactInline, action, actor_of, display, may
from mes.ledger.services import Actor
from mes.workorders.models import OperationRun, OrderUnit, WorkOrder
from mes.workorders.services import create_order, release_order


class OrderUnitInline(FactInline):
    """The units an order builds."""

    model = OrderUnit
    fields = ("unit", "state", "hold")
    readonly_fields = ("state", "hold")
    per_page = 50
    verbose_name_plural = "units"

    def get_queryset(self, request: HttpRequest) -> QuerySet[OrderUnit]:
        """Return the units in the order of their making."""
        return super().get_queryset(request).select_related("unit").order_by("pk")

    @display(description="State")
    def state(self, row: OrderUnit) -> str:
        """Say the state of the unit."""
        return row.unit.get_state_display()

    @display(description="Hold")
    def hold(self, row: OrderUnit) -> str:
        """Say whether the unit is on hold."""
        return "on hold" if row.unit.held else ""


@admin.register(WorkOrder)
class WorkOrderAdmin(AddedByService):
    """Orders: drafted here, released once, finished by their units."""

    list_display = ("number", "part_revision", "state_now", "progress", "customer", "site", "created_at")
    list_select_related = ("part_revision__part", "site")
    list_filter = ("state", "site")
    search_fields = ("number", "customer")
    ordering = ("-id",)
    sortable_by = ("number",)
    autocomplete_fields = ("site", "part_revision", "route", "firmware_baseline")
    add_fieldsets = (
        (None, {"fields": ("number", "site", "part_revision", "route", "firmware_baseline")}),
        (None, {"fields": ("quantity", "customer")}),
    )
    fields = (
        *("number", "state_now", "site", "part_revision", "route", "firmware_baseline"),
        *("quantity", "finished", "customer", "created_at", "released_at"),
    )
    inlines = (OrderUnitInline,)
    actions_detail = ("release",)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow the list of a unit's order, which the unit's page leads to."""
        return lookup == "order_units__unit__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="State", label=True)
    def state_now(self, order: WorkOrder) -> str:
        """Say the state."""
        return order.get_state_display()

    @display(description="Finished")
    def progress(self, order: WorkOrder) -> str:
        """Say how many units are finished."""
        return f"{order.finished} of {order.quantity}"

    def has_release_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change orders and this one is a draft."""
        order = self.row(request, object_id) if object_id else None
        draft = order is None or order.state == WorkOrder.State.DRAFT
        return may(request, "workorders.change_workorder") and draft

    def save_model(self, request: HttpRequest, obj: WorkOrder, form: Any, change: bool) -> None:
        """Draft the order."""
        obj.pk = create_order(
            site=obj.site,
            number=obj.number,
            part_revision=obj.part_revision,
            route=obj.route,
            quantity=obj.quantity,
            firmware_baseline=obj.firmware_baseline,
            customer=obj.customer,
            by=actor_of(request),
        ).pk

    @action(description="Release order", permissions=["release"], icon="play_arrow")
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Release an order and create its units, after a question."""
        order = self.row(request, object_id)

        def act(by: Actor, _reason: str) -> str:
            units = release_order(order=order, by=by)
            return f"Order {order} is released: units {units[0]} to {units[-1]}."

        return self.ask(
            request,
            order,
            title=f"Release order {order}",
            consequence=f"{order.quantity} of {order.part_revision} get serials and may be built.",
            act=act,
            form_class=forms.Form,
        )


@admin.register(OperationRun)
class OperationRunAdmin(FactAdmin):
    """Operations done on units, superseded ones included."""

    list_display = (
        *("operation", "unit", "attempt", "state", "station", "started_at", "started_by"),
        *("completed_at", "superseded_at"),
    )
    list_select_related = ("operation", "unit", "station")
    list_filter = ("state", ("superseded_at", admin.EmptyFieldListFilter))
    search_through = ("unit",)
    search_help_text = "Scan a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "operation", "attempt", "state", "station", "started_at", "started_by"),
        *("completed_at", "completed_by", "superseded_at", "superseded_because"),
    )
