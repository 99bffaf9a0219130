"""Orders in the admin: drafted, released, and changed by acts; the units they build."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from mes.backoffice import AddedByService, FactInline, action, actor_of, display, may, page_url
from mes.ledger.services import Actor
from mes.workorders.admin.design import design_link
from mes.workorders.admin.order_forms import CancelForm, ChangeForm, ChildrenForm, CloseForm, SplitForm, typed
from mes.workorders.models import OrderUnit, WorkOrder
from mes.workorders.order_states import FROM
from mes.workorders.services import (
    cancel_order,
    change_order,
    choices_of,
    close_order,
    create_child_orders,
    create_order,
    hold_order,
    promise,
    release_order,
    resume_order,
    split_order,
)

DRAFTED = (
    *("number", "site", "part_revision", "route", "firmware_baseline", "quantity", "extends", "parent"),
    *("customer", "contract", "program", "priority", "due_at", "options"),
)


class OrderUnitInline(FactInline):
    """The units an order builds."""

    model = OrderUnit
    fields = ("unit", "outcome", "state", "hold", "design", "closed_at")
    readonly_fields = ("state", "hold", "design")
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

    @display(description="Design")
    def design(self, row: OrderUnit) -> str:
        """Lead to the unit against its design."""
        return design_link(row)


class OrderPages(AddedByService):
    """How orders are listed, drafted and shown."""

    list_display = (
        *("number", "part_revision", "state_now", "progress", "priority", "due_at"),
        *("customer", "contract", "program", "site", "created_at"),
    )
    list_select_related = ("part_revision__part", "site")
    list_filter = ("state", "kind", "site", "due_at", ("parent", admin.EmptyFieldListFilter))
    search_fields = ("number", "customer", "contract", "program")
    ordering = ("-id",)
    sortable_by = ("number", "priority", "due_at")
    autocomplete_fields = ("site", "part_revision", "route", "firmware_baseline", "extends", "parent")
    add_fieldsets = (
        (None, {"fields": DRAFTED[:6]}),
        ("For whom and when", {"fields": DRAFTED[8:]}),
        ("Part of something", {"fields": DRAFTED[6:8]}),
    )
    fields = (
        *("number", "kind", "state_now", "promised", "site", "parent", "child_orders", "extends"),
        *("part_revision", "route", "firmware_baseline", "quantity", "finished", "scrapped", "cancelled"),
        *("customer", "contract", "program", "priority", "due_at", "options"),
        *("created_at", "released_at", "completed_at"),
    )
    inlines = (OrderUnitInline,)

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

    @display(description="Child orders")
    def child_orders(self, order: WorkOrder) -> str:
        """Name the child orders and their states."""
        rows = ((page_url(child), child.number, child.state) for child in order.children.order_by("pk"))
        return format_html_join("\n", '<div><a class="text-link" href="{}">{}</a> {}</div>', rows) or "none"

    @display(description="Promised for")
    def promised(self, order: WorkOrder) -> str:
        """Say when the order will be done, and what it waits for."""
        made = promise(order)
        when = timezone.localtime(made.date).strftime("%Y-%m-%d %H:%M") if made.date else "no date"
        waits = format_html_join("", "<div>waits for {}</div>", ((wait,) for wait in made.waits_for))
        return format_html("{}{}", when, waits)

    def save_model(self, request: HttpRequest, obj: WorkOrder, form: Any, change: bool) -> None:
        """Draft the order."""
        given = {name: getattr(obj, name) for name in DRAFTED}
        obj.pk = create_order(by=actor_of(request), **given).pk


@admin.register(WorkOrder)
class WorkOrderAdmin(OrderPages):
    """Orders: drafted here, and changed by acts that ask for a reason."""

    actions_detail = (
        *("release", "change_terms", "hold", "resume", "split", "draft_children", "close", "cancel"),
    )

    def _may(self, request: HttpRequest, object_id: str | None, act: str) -> bool:
        order = self.row(request, object_id) if object_id else None
        possible = order is None or order.state in FROM[act]
        return may(request, "workorders.change_workorder") and possible

    def has_release_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change orders and this one is a draft."""
        return self._may(request, object_id, "released")

    def has_terms_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change orders and this one can be changed."""
        return self._may(request, object_id, "changed")

    def has_hold_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change orders and this one can be held."""
        return self._may(request, object_id, "held")

    def has_resume_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change orders and this one is held."""
        return self._may(request, object_id, "resumed")

    def has_split_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change orders and this one can be split."""
        return self._may(request, object_id, "split")

    def has_children_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change orders and this one takes child orders."""
        return self._may(request, object_id, "given child orders")

    def has_close_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change orders and this one is complete."""
        return self._may(request, object_id, "closed")

    def has_cancel_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change orders and this one can be cancelled."""
        return self._may(request, object_id, "cancelled")

    @action(description="Release order", permissions=["release"], icon="play_arrow")
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Release an order and create its units, after a question."""
        order = self.row(request, object_id)

        def act(by: Actor, _reason: str) -> str:
            units = release_order(order=order, by=by)
            return f"Order {order} is released: units {units[0]} to {units[-1]}."

        consequence = f"{order.quantity} of {order.part_revision} get serials and may be built."
        if order.extends:
            consequence = f"{order.extends} comes back to work and becomes {order.part_revision}."
        return self.ask(
            request,
            order,
            title=f"Release order {order}",
            consequence=consequence,
            act=act,
            form_class=forms.Form,
        )

    @action(description="Change", permissions=["terms"], icon="edit")
    def change_terms(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Change priority, due date and the like, with a reason."""
        order = self.row(request, object_id)
        form = ChangeForm(typed(request), order)

        def act(by: Actor, reason: str) -> str:
            change_order(order=order, reason=reason, by=by, **form.changes)
            return f"Order {order} is changed."

        consequence = "The queue and the promise dates follow at once."
        return self.ask(
            request, order, title=f"Change order {order}", consequence=consequence, act=act, form=form
        )

    @action(description="Hold", permissions=["hold"], icon="pause")
    def hold(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Hold an order, with a reason."""
        consequence = "No operation of its units starts until it is resumed; what runs may be completed."
        return self._for_a_reason(request, object_id, hold_order, "Hold", consequence)

    @action(description="Resume", permissions=["resume"], icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Resume a held order, with a reason."""
        return self._for_a_reason(request, object_id, resume_order, "Resume", "Its units are built on.")

    def _for_a_reason(
        self,
        request: HttpRequest,
        object_id: str,
        service: Callable[..., object],
        verb: str,
        consequence: str,
    ) -> HttpResponse:
        order = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            service(order=order, reason=reason, by=by)
            return f"{verb} order {order}: done."

        return self.ask(request, order, title=f"{verb} order {order}", consequence=consequence, act=act)

    @action(description="Split", permissions=["split"], icon="call_split")
    def split(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Move the last units that are not started into a new order."""
        order, form = self.row(request, object_id), SplitForm(typed(request))

        def act(by: Actor, reason: str) -> str:
            number, quantity = form.cleaned_data["number"], form.cleaned_data["quantity"]
            split_order(order=order, number=number, quantity=quantity, reason=reason, by=by)
            return f"{quantity} units of order {order} went to order {number}."

        consequence = "The last units that are not started go to the new order and keep their serials."
        return self.ask(
            request, order, title=f"Split order {order}", consequence=consequence, act=act, form=form
        )

    @action(description="Draft child orders", permissions=["children"], icon="account_tree")
    def draft_children(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Draft an order for each sub-assembly that we make."""
        order, form = self.row(request, object_id), ChildrenForm(typed(request))

        def act(by: Actor, _reason: str) -> str:
            recursive = form.cleaned_data["recursive"]
            made = create_child_orders(order=order, by=by, recursive=recursive)
            return f"Drafted: {', '.join(child.number for child in made)}."

        consequence = "One draft for each part of its bill of material that has a released build route."
        title = f"Draft child orders of {order}"
        return self.ask(request, order, title=title, consequence=consequence, act=act, form=form)

    @action(description="Close", permissions=["close"], icon="task_alt")
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Close a complete order."""
        order = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            close_order(order=order, reason=reason, by=by)
            return f"Order {order} is closed."

        return self.ask(
            request,
            order,
            title=f"Close order {order}",
            consequence="All its units are done.",
            act=act,
            form_class=CloseForm,
        )

    @action(description="Cancel", permissions=["cancel"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Cancel an order; asks what becomes of each unit in progress."""
        order = self.row(request, object_id)
        form = CancelForm(typed(request), choices_of(order))

        def act(by: Actor, reason: str) -> str:
            cancel_order(order=order, reason=reason, by=by, fates=form.fates)
            return f"Order {order} is cancelled."

        consequence = "Units that are not started are cancelled with it; finished ones stay finished."
        return self.ask(
            request, order, title=f"Cancel order {order}", consequence=consequence, act=act, form=form
        )
