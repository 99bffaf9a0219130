"""Units of orders in the admin, how they leave, shipped or scrapped, and their gates.

The pages of the acts are led to from the page of a unit, which is below and names them by their addresses.
"""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path

from mes.backoffice import FactAdmin, actor_of, display, may, page_url, refuse
from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.people.services import proof_on_page
from mes.serials.models import Unit
from mes.workorders.admin.design import design_link
from mes.workorders.admin.order_forms import ReleaseGateForm, ShipForm, typed
from mes.workorders.models import OrderUnit
from mes.workorders.services import gates_of, position_of, release_gate, scrap_ordered_unit, ship_unit

AT_THE_STATION = {"qualified", "instruction_read", "tools"}


@admin.register(OrderUnit)
class OrderUnitAdmin(FactAdmin):
    """Units with the orders that build or built them, and what became of them there."""

    list_display = ("unit", "work_order", "outcome", "unit_state", "design", "closed_at")
    list_select_related = ("unit", "work_order")
    list_filter = ("outcome", "unit__state", "work_order__state", "work_order__site")
    search_through = ("unit",)
    search_help_text = "Scan a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = ("unit", "work_order", "route", "outcome", "unit_state", "design", "closed_at")

    @display(description="Design")
    def design(self, row: OrderUnit) -> str:
        """Lead to the unit against its design."""
        return design_link(row)

    @display(description="State of the unit")
    def unit_state(self, row: OrderUnit) -> str:
        """Say the state of the unit."""
        return row.unit.get_state_display()

    def get_urls(self) -> list[Any]:
        """Return the pages, with those of the acts on any unit."""
        view = self.admin_site.admin_view
        acts = [
            path("units/<path:object_id>/ship/", view(self.ship), name="workorders_unit_ship"),
            path("units/<path:object_id>/gate/", view(self.release_gate), name="workorders_unit_gate"),
            path("units/<path:object_id>/scrap/", view(self.scrap), name="workorders_unit_scrap"),
        ]
        return [*acts, *super().get_urls()]

    def ship(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ship a finished unit with everything in it."""
        unit = self._unit(request, object_id, "workorders.change_workorder")
        form = ShipForm(typed(request))

        def act(by: Actor, _reason: str) -> str:
            ship_unit(unit=unit, to=form.cleaned_data["to"], by=by)
            return f"{unit} has shipped."

        consequence = "It leaves the factory with everything in it; nothing in it is worked on any more."
        return self.ask(request, unit, title=f"Ship {unit}", consequence=consequence, act=act, form=form)

    def scrap(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a unit out of use for good, with a reason."""
        unit = self._unit(request, object_id, "quality.change_hold")

        def act(by: Actor, reason: str) -> str:
            scrap_ordered_unit(unit=unit, reason=reason, by=by)
            return f"{unit} is scrapped."

        consequence = "It can never be used again. Its records stay."
        return self.ask(request, unit, title=f"Scrap {unit}", consequence=consequence, act=act)

    def release_gate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let a unit pass a gate that holds it, signed by who uses the page."""
        unit = self._unit(request, object_id, "workorders.change_operationrun")
        try:
            held = _held_gates(unit, actor_of(request))
        except RuleViolation as violation:
            refuse(request, violation)
            return redirect(page_url(unit))
        form = ReleaseGateForm(typed(request), held)

        def act(by: Actor, reason: str) -> str:
            proof = proof_on_page(request)
            sequence, gate = form.chosen
            release = release_gate(
                unit=unit,
                sequence=sequence,
                gate=gate,
                reason=reason,
                proof=proof,
                by=by,
                allowed=form.cleaned_data["allowed"],
                lasts=timedelta(hours=form.cleaned_data["hours"]),
            )
            return f"{unit} may pass {release.gate} {release.allowed} times."

        consequence = (
            "What the gate asks for stays undone, and the release is in every report of the unit. Gates that"
            " ask who works, or with which tool, are released at the station."
        )
        title = f"Release a gate of {unit}"
        return self.ask(request, unit, title=title, consequence=consequence, act=act, form=form)

    def _unit(self, request: HttpRequest, object_id: str, permission: str) -> Unit:
        if not may(request, permission):
            raise PermissionDenied
        pages: Any = self.admin_site.get_model_admin(Unit)
        unit: Unit = pages.row(request, object_id)
        return unit


def _held_gates(unit: Unit, by: Actor) -> dict[str, str]:
    """Return the gates that hold a unit at its open operations and can be released here, in words."""
    held = {}
    for operation in position_of(unit).open_operations:
        for each in gates_of(unit=unit, by=by, sequence=operation.sequence).gates:
            blocked = each.state == "blocked" and each.violation is not None
            if blocked and each.releasable_by and each.gate not in AT_THE_STATION:
                held[f"{operation.sequence}:{each.gate}"] = (
                    f"{operation}: {each.gate.replace('_', ' ')} ({each.violation})"
                )
    return held
