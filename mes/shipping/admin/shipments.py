"""Shipments in the admin: drafted, described, sent off, received."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from mes.backoffice import (
    AddedByService,
    DefinitionAdmin,
    FactAdmin,
    FactInline,
    action,
    actor_of,
    display,
    may,
    pretty_json,
)
from mes.ledger.services import Actor
from mes.shipping.admin.shipment_forms import (
    BILL,
    AcceptForm,
    ArriveForm,
    BillForm,
    CrateForm,
    ReceiveForm,
    typed,
)
from mes.shipping.comparing import differing
from mes.shipping.models import Crate, PackingRule, Receipt, Shipment
from mes.shipping.services import (
    accept_shipment,
    add_crate,
    arrive_shipment,
    cancel_shipment,
    change_shipment,
    create_shipment,
    depart_shipment,
    dispute_shipment,
    hold_shipment,
    receive_shipment,
)

State = Shipment.State


class CrateInline(FactInline):
    """The crates of a shipment."""

    model = Crate
    show_change_link = True
    fields = ("number", "state", "tare_kg", "net_kg", "gross_kg", "packed_at", "packed_by", "condition")


class ReceiptInline(FactInline):
    """What was received."""

    model = Receipt
    show_change_link = True
    fields = ("received_at", "received_by", "source", "matched", "missing", "extra", "different")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Receipt]:
        """Return the receipts without their lines, which fill pages."""
        return super().get_queryset(request).select_related("shipment").defer("lines", "found")


@admin.register(Shipment)
class ShipmentAdmin(AddedByService):
    """What leaves together."""

    list_display = (
        *("number", "shown_state", "customer", "site", "carrier", "bol_number"),
        *("planned_at", "departed_at", "arrived_at", "settled_at"),
    )
    list_select_related = ("site",)
    list_filter = ("state", "site", "mode", "departed_at")
    search_fields = ("number", "customer", "bol_number", "pro_number", "crates__units__unit__serial")
    ordering = ("-id",)
    sortable_by = ("number",)
    autocomplete_fields = ("order",)
    add_fieldsets = ((None, {"fields": ("site", "customer", "ship_to", "order", "planned_at")}),)
    fields = (
        *("number", "shown_state", "site", "customer", "ship_to", "order", *BILL, "seal_numbers"),
        *("hazards", "hazard_declaration", "pieces", "gross_kg", "planned_at", "due_at", "departed_at"),
        *("departed_by", "arrived_at", "arrived_by", "settled_at", "settled_by", "settled_because"),
    )
    inlines = (CrateInline, ReceiptInline)
    actions_detail = (
        *("bill", "add_crate", "hold", "depart", "arrive", "receive", "accept", "dispute", "cancel"),
    )

    @display(
        description="State",
        label={"departed": "info", "accepted": "success", "disputed": "danger", "cancelled": "warning"},
    )
    def shown_state(self, shipment: Shipment) -> str:
        """Say the state."""
        return shipment.state

    def save_model(self, request: HttpRequest, obj: Shipment, form: Any, change: bool) -> None:
        """Draft it."""
        names = ("site", "customer", "ship_to", "order", "planned_at")
        given = {name: form.cleaned_data[name] for name in names}
        obj.pk = create_shipment(by=actor_of(request), **given).pk

    @action(description="Bill of lading", permissions=["bill"], icon="description")
    def bill(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what the bill of lading says."""
        shipment = self.row(request, object_id)
        form = BillForm(typed(request), shipment)

        def act(by: Actor, _reason: str) -> str:
            return f"{change_shipment(shipment=shipment, by=by, **form.changes)} says so."

        consequence = "The carrier and the customer go by it. It is fixed once the shipment departs."
        return self.ask(
            request, shipment, title=f"Bill of {shipment}", consequence=consequence, act=act, form=form
        )

    @action(description="Add a crate", permissions=["pack"], icon="package_2")
    def add_crate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Add a crate."""
        shipment = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            return f"Crate {add_crate(shipment=shipment, by=by, **given)} is added."

        return self.ask_for(
            request,
            shipment,
            title=f"Add a crate to {shipment}",
            consequence="Units, accessories and indicators are then packed into it on its own page.",
            act=act,
            form=CrateForm(typed(request)),
        )

    @action(description="Hold", permissions=["hold"], icon="front_hand")
    def hold(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Hold everything packed in it from shipping."""
        shipment = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            return f"{hold_shipment(shipment=shipment, reason=reason, by=by)} ship holds are placed."

        consequence = "Nothing packed in it leaves until quality or the review board has signed the release."
        return self.ask(request, shipment, title=f"Hold {shipment}", consequence=consequence, act=act)

    @action(description="Depart", permissions=["depart"], icon="local_shipping")
    def depart(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let it depart."""
        shipment = self.row(request, object_id)

        def act(by: Actor, _reason: str) -> str:
            return f"{depart_shipment(shipment=shipment, by=by)} has departed."

        return self.ask(
            request,
            shipment,
            title=f"Let {shipment} depart",
            consequence="Everything packed in it leaves the factory, or nothing does.",
            act=act,
            form_class=forms.Form,
        )

    @action(description="Arrived", permissions=["arrive"], icon="where_to_vote")
    def arrive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Note how it arrived; pictures are added on the page of each crate before."""
        shipment = self.row(request, object_id)
        form = ArriveForm(typed(request), shipment)

        def act(by: Actor, _reason: str) -> str:
            return f"{arrive_shipment(shipment=shipment, crates=form.arrived, by=by)} has arrived."

        return self.ask(
            request,
            shipment,
            title=f"How {shipment} arrived",
            consequence="What the indicators show is kept for good. Add the pictures of each crate first.",
            act=act,
            form=form,
        )

    @action(description="Received", permissions=["receive"], icon="checklist")
    def receive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Compare the serials that were received with those that departed."""
        shipment = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            found = [{"serial": serial} for serial in given["serials"].split()]
            receipt = receive_shipment(shipment=shipment, found=found, source="typed", by=by)
            return f"{receipt.matched} matched, {receipt.missing} missing, {receipt.extra} extra."

        return self.ask_for(
            request,
            shipment,
            title=f"What was received of {shipment}",
            consequence="It is compared with what departed. What is inside comes over the API.",
            act=act,
            form=ReceiveForm(typed(request)),
        )

    @action(description="Accept", permissions=["accept"], icon="thumb_up")
    def accept(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Note that the customer accepts it."""
        shipment = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            return f"{accept_shipment(shipment=shipment, reason=reason, by=by)} is accepted."

        consequence = "A reason is needed where something is not as it departed."
        form = AcceptForm(typed(request))
        return self.ask(
            request, shipment, title=f"Accept {shipment}", consequence=consequence, act=act, form=form
        )

    @action(description="Dispute", permissions=["dispute"], icon="thumb_down")
    def dispute(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Note that the customer does not accept it."""
        shipment = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            return f"{dispute_shipment(shipment=shipment, reason=reason, by=by)} is disputed."

        consequence = "It stays open until it is cleared up and accepted."
        return self.ask(request, shipment, title=f"Dispute {shipment}", consequence=consequence, act=act)

    @action(description="Cancel", permissions=["cancel"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give it up before it departs."""
        shipment = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            return f"{cancel_shipment(shipment=shipment, reason=reason, by=by)} is cancelled."

        consequence = "What is packed in it is free again, and must be packed anew to ship."
        return self.ask(request, shipment, title=f"Cancel {shipment}", consequence=consequence, act=act)

    def _may(self, request: HttpRequest, object_id: str | None, *states: str) -> bool:
        in_state = object_id is None or self.row(request, object_id).state in states
        return may(request, "shipping.change_shipment") and in_state

    def has_bill_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may say what the bill says now."""
        return self._may(request, object_id, *Shipment.IN_FACTORY)

    has_pack_permission = has_cancel_permission = has_bill_permission

    def has_depart_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may let it depart now."""
        return self._may(request, object_id, State.PACKING)

    has_hold_permission = has_depart_permission

    def has_arrive_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may note its arrival now."""
        return self._may(request, object_id, State.DEPARTED)

    def has_receive_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may compare and accept it now."""
        return self._may(request, object_id, State.ARRIVED, State.DISPUTED)

    has_accept_permission = has_receive_permission

    def has_dispute_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may dispute it now."""
        return self._may(request, object_id, State.ARRIVED)


@admin.register(Receipt)
class ReceiptAdmin(FactAdmin):
    """What was received against what was shipped."""

    list_display = (
        *("shipment", "received_at", "received_by", "source"),
        *("matched", "missing", "extra", "different"),
    )
    list_select_related = ("shipment",)
    list_filter = ("received_at",)
    search_fields = ("shipment__number",)
    ordering = ("-id",)
    sortable_by = ()
    fields = (*list_display, "differences")
    readonly_fields = ("differences",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Receipt]:
        """Return the receipts without what was sent, which fills pages."""
        return super().get_queryset(request).defer("found")

    @display(description="What differs")
    def differences(self, receipt: Receipt) -> Any:
        """Show the lines that do not match."""
        return pretty_json(differing(receipt.lines))


@admin.register(PackingRule)
class PackingRuleAdmin(DefinitionAdmin):
    """How parts are packed."""

    list_display = (
        *("part", "version", "expected_kg", "tolerance_percent", "most_gross_kg"),
        *("shock_indicators", "tilt_indicators", "departure_photos", "arrival_photos", "released_at"),
    )
    list_select_related = ("part",)
    search_fields = ("part__number",)
    readonly_fields = ("released_at",)
    autocomplete_fields = ("part",)
