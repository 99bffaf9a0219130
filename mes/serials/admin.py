"""Units and lots in the admin, to look at, with the ways to their acts; suppliers."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from mes.backoffice import (
    AddedByService,
    FactAdmin,
    FactInline,
    OfficeAdmin,
    action,
    actor_of,
    display,
    may,
)
from mes.serials.models import Identifier, Lot, Supplier, Unit
from mes.serials.services import receive_lot

RECEIVED = ("site", "part", "supplier", "number")
ORIGIN = ("country_of_origin", "place_of_assembly", "die_maker", "source_tier")


class IdentifierInline(FactInline):
    """The names a unit goes by."""

    model = Identifier
    fields = ("kind", "value")


@admin.register(Unit)
class UnitAdmin(FactAdmin):
    """Units: found by any code on them."""

    list_display = ("serial", "part", "state_now", "hold", "site", "lot", "supplier", "created_at")
    list_select_related = ("part_revision__part", "site", "lot", "supplier")
    list_filter = ("state", "held", "site")
    search_fields = ("serial",)
    search_help_text = "Scan a serial, MAC, UUID or tag"
    ordering = ("-id",)
    sortable_by = ("serial",)
    fields = (
        *("serial", "part_revision", "state_now", "hold", "live_children", "level", "site", "lot"),
        *("supplier", *ORIGIN, "uid", "created_at", "shipped_at", "shipped_to"),
    )
    inlines = (IdentifierInline,)
    records = (
        ("Installed in it", "racks.installation", "parent__id__exact"),
        ("Where it is and was", "racks.installation", "child__id__exact"),
        ("Work order", "workorders.workorder", "order_units__unit__id__exact"),
        ("In orders", "workorders.orderunit", "unit__id__exact"),
        ("Operation runs", "workorders.operationrun", "unit__id__exact"),
        ("Test runs", "testing.testrun", "unit__id__exact"),
        ("Burn-in runs", "burnin.burninrun", "unit__id__exact"),
        ("Holds", "quality.hold", "unit__id__exact"),
        ("Nonconformances", "quality.nonconformance", "unit__id__exact"),
        ("Reworks", "workorders.rework", "unit__id__exact"),
        ("Gate releases", "workorders.gaterelease", "unit__id__exact"),
        ("Deviations", "workorders.deviation", "unit__id__exact"),
        ("Firmware", "racks.installedfirmware", "unit__id__exact"),
    )
    actions_detail = ("elevation", "hold_unit", "release_gate", "ship", "scrap")

    @display(description="Part", ordering="part_revision")
    def part(self, unit: Unit) -> str:
        """Name the part and its revision."""
        return f"{unit.part_revision} ({unit.part_revision.part.name})"

    @display(description="State", label={Unit.State.SCRAPPED.label: "danger"})
    def state_now(self, unit: Unit) -> str:
        """Say the state, marked when the unit is out of use."""
        return unit.get_state_display()

    @display(description="Hold", label={"on hold": "danger", "locked out": "danger"})
    def hold(self, unit: Unit) -> str:
        """Say whether the unit is on hold or locked out."""
        return "locked out" if unit.locked_out else "on hold" if unit.held else ""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the units that go by a scanned value, by index; every serial is an identifier too."""
        if not search_term:
            return queryset, False
        value = search_term.strip().upper()
        named = Identifier.objects.filter(value=value, kind__in=Identifier.SCANNED)
        return queryset.filter(pk__in=named.values("unit")), False

    def has_hold_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may place holds."""
        return may(request, "quality.add_hold")

    def has_scrap_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may release holds, which is the right to scrap too, as over REST."""
        unit = self.row(request, object_id) if object_id else None
        scrapped = unit is not None and unit.state in {Unit.State.SCRAPPED, Unit.State.CANCELLED}
        return may(request, "quality.change_hold") and not scrapped

    def has_ship_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change orders and this unit is finished."""
        unit = self.row(request, object_id) if object_id else None
        finished = unit is None or unit.state == Unit.State.FINISHED
        return may(request, "workorders.change_workorder") and finished

    @action(description="Against its design", permissions=["view"], icon="view_agenda")
    def elevation(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page that shows what is in this unit against its design."""
        return redirect(reverse("unit-elevation", args=[self.row(request, object_id).uid]))

    @action(description="Put on hold", permissions=["hold"], icon="front_hand")
    def hold_unit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page that places a hold on this unit."""
        return redirect(f"{reverse('admin:quality_hold_add')}?unit={object_id}")

    def has_gate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change work and this unit is being built."""
        unit = self.row(request, object_id) if object_id else None
        in_work = unit is None or unit.state in {Unit.State.PLANNED, Unit.State.IN_WORK}
        return may(request, "workorders.change_operationrun") and in_work

    @action(description="Release a gate", permissions=["gate"], icon="lock_open")
    def release_gate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page that releases a gate of this unit."""
        return redirect(reverse("admin:workorders_unit_gate", args=[object_id]))

    @action(description="Ship", permissions=["ship"], icon="local_shipping")
    def ship(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page that ships this unit."""
        return redirect(reverse("admin:workorders_unit_ship", args=[object_id]))

    @action(description="Scrap", permissions=["scrap"], icon="delete")
    def scrap(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page that scraps this unit."""
        return redirect(reverse("admin:workorders_unit_scrap", args=[object_id]))


@admin.register(Lot)
class LotAdmin(AddedByService):
    """Lots: received, and put on hold."""

    list_display = ("number", "part", "supplier", "site", "date_code", "received_at", "expires_at", "hold")
    list_select_related = ("part", "supplier", "site")
    list_filter = ("held", "site")
    search_fields = ("number__exact",)
    search_help_text = "The whole number of a lot"
    ordering = ("-id",)
    sortable_by = ("number",)
    fields = (
        *("number", "part", "supplier", "site", "hold", "date_code", "unit_cost_usd"),
        *(*ORIGIN, "uid", "received_at", "expires_at"),
    )
    autocomplete_fields = ("part", "supplier", "site")
    add_fieldsets = ((None, {"fields": (*RECEIVED, "date_code", "expires_at", "unit_cost_usd", *ORIGIN)}),)
    records = (
        ("Units of this lot", "serials.unit", "lot__id__exact"),
        ("Holds", "quality.hold", "lot__id__exact"),
    )
    actions_detail = ("hold_lot",)

    @display(description="Hold", label={"on hold": "danger"})
    def hold(self, lot: Lot) -> str:
        """Say whether the lot is on hold."""
        return "on hold" if lot.held else ""

    def save_model(self, request: HttpRequest, obj: Lot, form: Any, change: bool) -> None:
        """Receive the lot."""
        obj.pk = receive_lot(by=actor_of(request), **form.cleaned_data).pk

    def has_hold_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may place holds."""
        return may(request, "quality.add_hold")

    @action(description="Put on hold", permissions=["hold"], icon="front_hand")
    def hold_lot(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page that places a hold on this lot."""
        return redirect(f"{reverse('admin:quality_hold_add')}?lot={object_id}")


@admin.register(Supplier)
class SupplierAdmin(OfficeAdmin):
    """Companies parts come from."""

    list_display = ("code", "name", "country", "cage")
    search_fields = ("code", "name", "cage")
    ordering = ("code",)
