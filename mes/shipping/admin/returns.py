"""Ship holds and field returns in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from mes.backoffice import AddedByService, SignatureForm, action, actor_of, display, may
from mes.ledger.services import Actor
from mes.people.services import proof_on_page
from mes.shipping.models import FieldReturn
from mes.shipping.services import return_from_field
from mes.workorders.models import ShipHold
from mes.workorders.services import place_ship_hold, release_ship_hold


@admin.register(ShipHold)
class ShipHoldAdmin(AddedByService):
    """What is held from shipping; released by another person's signature."""

    list_display = (
        *("unit", "work_order", "state", "reason", "placed_at", "placed_by"),
        *("released_at", "released_by", "role"),
    )
    list_select_related = ("unit", "work_order")
    list_filter = (("released_at", admin.EmptyFieldListFilter), "site")
    search_fields = ("reason", "unit__serial", "work_order__number")
    ordering = ("-id",)
    sortable_by = ()
    autocomplete_fields = ("unit", "work_order")
    add_fieldsets = ((None, {"fields": ("unit", "work_order", "reason")}),)
    fields = (
        *("unit", "work_order", "state", "reason", "placed_at", "placed_by"),
        *("released_at", "released_by", "role", "release_reason", "signature"),
    )
    actions_detail = ("release",)

    @display(description="State", label={"open": "danger"})
    def state(self, hold: ShipHold) -> str:
        """Say whether it still holds."""
        return "released" if hold.released_at else "open"

    def save_model(self, request: HttpRequest, obj: ShipHold, form: Any, change: bool) -> None:
        """Place the hold, on the unit or the order."""
        target = obj.unit or obj.work_order
        if target is not None:
            obj.pk = place_ship_hold(target=target, reason=obj.reason, by=actor_of(request)).pk

    @action(description="Release", permissions=["release"], icon="lock_open")
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Release it, signed by who uses the page."""
        hold = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            proof = proof_on_page(request)
            release_ship_hold(hold=hold, reason=reason, proof=proof, by=by)
            return f"{hold.unit or hold.work_order} may ship."

        return self.ask(
            request,
            hold,
            title=f"Release the ship hold on {hold.unit or hold.work_order}",
            consequence=f"Held by {hold.placed_by} because: {hold.reason}. Quality or the review board signs,"
            " never who placed it.",
            act=act,
            form_class=SignatureForm,
        )

    def has_release_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may look at ship holds and this one is open; the signature decides."""
        hold = self.row(request, object_id) if object_id else None
        return may(request, "workorders.view_shiphold") and not (hold and hold.released_at)


@admin.register(FieldReturn)
class FieldReturnAdmin(AddedByService):
    """What came back from the field."""

    list_display = (
        *("number", "unit", "symptom", "nonconformance", "state", "shipped_to"),
        *("taken_from", "failed_at", "hours_in_service", "received_at"),
    )
    list_select_related = ("unit", "nonconformance", "taken_from")
    list_filter = ("site", "received_at")
    search_fields = ("number", "symptom", "unit__serial", "nonconformance__number")
    ordering = ("-id",)
    sortable_by = ()
    autocomplete_fields = ("unit",)
    add_fieldsets = (
        (
            None,
            {
                "fields": (
                    *("unit", "symptom", "number", "customer_words"),
                    *("failed_at", "hours_in_service"),
                )
            },
        ),
    )
    fields = (
        *("number", "unit", "symptom", "customer_words", "nonconformance", "state", "failed_at"),
        *("hours_in_service", "shipped_at", "shipped_to", "taken_from", "slot", "received_at", "received_by"),
    )

    @display(description="State", label={"open": "danger", "rework": "warning", "closed": "success"})
    def state(self, returned: FieldReturn) -> str:
        """Say how far its nonconformance is."""
        return returned.nonconformance.state

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Ask for the number only if the customer has one."""
        form = super().get_form(request, obj, change, **kwargs)
        if obj is None and "number" in form.base_fields:
            form.base_fields["number"].required = False
        return form

    def save_model(self, request: HttpRequest, obj: FieldReturn, form: Any, change: bool) -> None:
        """Take it back."""
        names = ("unit", "symptom", "number", "customer_words", "failed_at", "hours_in_service")
        given = {name: form.cleaned_data[name] for name in names}
        obj.pk = return_from_field(by=actor_of(request), **given).pk
