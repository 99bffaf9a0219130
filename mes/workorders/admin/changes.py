"""Engineering changes in the admin: drafted, looked at beforehand, signed, applied, cancelled."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from mes.backoffice import AddedByService, SignatureForm, TextInput, action, actor_of, display, may
from mes.ledger.services import Actor
from mes.people.services import proof_on_page
from mes.serials.models import Unit
from mes.workorders.models import EngineeringChange, WorkOrder
from mes.workorders.services import (
    apply_change,
    approve_change,
    cancel_change,
    draft_change,
    plan_change,
    signed_by,
)

State = EngineeringChange.State
OPEN = {State.DRAFT, State.APPROVED}


class DraftForm(forms.ModelForm):  # type: ignore[type-arg]
    """A change with the orders and units it is for, typed or scanned."""

    orders = forms.CharField(required=False, widget=TextInput(), help_text="Order numbers, between blanks.")
    units = forms.CharField(required=False, widget=TextInput(), help_text="Serials, between blanks.")

    class Meta:
        model = EngineeringChange
        fields = ("site", "title", "reason", "to_revision", "to_route")

    def clean_orders(self) -> list[WorkOrder]:
        """Find the orders."""
        numbers = self.cleaned_data["orders"].split()
        found = {order.number: order for order in WorkOrder.objects.filter(number__in=numbers)}
        return [_found(found, number) for number in numbers]

    def clean(self) -> dict[str, Any]:
        """Find the units, which are of the part of the new revision."""
        given = super().clean() or self.cleaned_data
        serials = str(given.get("units") or "").split()
        revision = given.get("to_revision")
        if revision is not None:
            units = Unit.objects.filter(serial__in=serials, part_revision__part=revision.part_id)
            found = {unit.serial: unit for unit in units.order_by("pk")}
            given["units"] = [_found(found, serial) for serial in serials]
        return given


def _found(rows: dict[str, Any], name: str) -> Any:
    if name not in rows:
        raise forms.ValidationError(f"There is no {name} of this part.")
    return rows[name]


@admin.register(EngineeringChange)
class EngineeringChangeAdmin(AddedByService):
    """Engineering changes and what each of them does, or did, to its units."""

    list_display = ("number", "title", "state_now", "to_revision", "to_route", "site", "created_at")
    list_select_related = ("site", "to_revision__part", "to_route")
    list_filter = ("state", "site")
    search_fields = ("number", "title")
    ordering = ("-id",)
    sortable_by = ("number",)
    autocomplete_fields = ("site", "to_revision", "to_route")
    add_fieldsets = (
        (None, {"fields": ("site", "title", "reason", "to_revision", "to_route")}),
        ("Moves", {"fields": ("orders", "units")}),
    )
    fields = (
        *("number", "state_now", "site", "title", "reason", "to_revision", "to_route", "moves"),
        *("signatures", "preview", "created_at", "created_by", "applied_at", "applied_by"),
    )
    actions_detail = ("approve", "apply", "cancel")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form of the add page, which asks for the targets too."""
        return super().get_form(request, obj, change, **({} if obj else {"form": DraftForm}), **kwargs)

    @display(description="State", label=True)
    def state_now(self, change: EngineeringChange) -> str:
        """Say the state."""
        return change.get_state_display()

    @display(description="Moves")
    def moves(self, change: EngineeringChange) -> str:
        """Name the orders and units it is for."""
        targets = change.targets.select_related("order", "unit").order_by("pk")
        return ", ".join(str(target.order or target.unit) for target in targets)

    @display(description="Signed")
    def signatures(self, change: EngineeringChange) -> str:
        """Say who signed, and whether it was for what the change would do now."""
        current = set(signed_by(change, plan_change(change).digest).values())
        is_open = change.state in OPEN
        rows = change.approvals.select_related("signature").order_by("pk")
        return "; ".join(
            f"{row.signature.meaning} by {row.person}"
            + (" (of an earlier preview)" if is_open and row.person not in current else "")
            for row in rows
        )

    @display(description="Preview")
    def preview(self, change: EngineeringChange) -> str | SafeString:
        """Say what the change would do to each unit now."""
        if change.state not in OPEN:
            return "-"
        return format_html_join("", "<p>{}</p>", ((line,) for line in plan_change(change).lines()))

    def save_model(self, request: HttpRequest, obj: EngineeringChange, form: Any, change: bool) -> None:
        """Draft the change."""
        names = ("site", "title", "reason", "to_revision", "to_route", "orders", "units")
        given = {name: form.cleaned_data[name] for name in names}
        obj.pk = draft_change(by=actor_of(request), **given).pk

    def _may(self, request: HttpRequest, object_id: str | None, states: set[State]) -> bool:
        change = self.row(request, object_id) if object_id else None
        is_due = change is None or change.state in states
        return may(request, "workorders.change_engineeringchange") and is_due

    def has_approve_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change changes and this one is not closed."""
        return self._may(request, object_id, OPEN)

    def has_apply_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change changes and this one is approved."""
        return self._may(request, object_id, {State.APPROVED})

    @action(description="Sign", permissions=["approve"], icon="signature")
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Sign the change as its preview shows it now."""
        change = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            proof = proof_on_page(request)
            signed = approve_change(change=change, reason=reason, proof=proof, by=by)
            return f"{change} is signed" + (
                " and approved." if signed.state == State.APPROVED else "; the other signature is missing."
            )

        return self.ask(
            request,
            change,
            title=f"Sign {change}",
            consequence=" ".join(plan_change(change).lines()),
            act=act,
            form_class=SignatureForm,
        )

    @action(description="Apply", permissions=["apply"], icon="published_with_changes")
    def apply(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Move all units, after a question."""
        change = self.row(request, object_id)

        def act(by: Actor, _reason: str) -> str:
            moves = apply_change(change=change, by=by)
            return f"{change} is applied; units moved: {len(moves)}."

        return self.ask(
            request,
            change,
            title=f"Apply {change}",
            consequence=" ".join(plan_change(change).lines()),
            act=act,
            form_class=forms.Form,
        )

    @action(description="Cancel", permissions=["approve"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give the change up, with a reason."""
        change = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            cancel_change(change=change, reason=reason, by=by)
            return f"{change} is cancelled."

        return self.ask(
            request, change, title=f"Cancel {change}", consequence="It is never applied.", act=act
        )
