"""Units and lots in the admin, to look at and to scrap; suppliers."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from mes.backoffice import FactAdmin, FactInline, OfficeAdmin, action, display, may
from mes.ledger.services import Actor
from mes.serials.models import Identifier, Lot, Supplier, Unit
from mes.serials.services import scrap_unit

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
        *("supplier", *ORIGIN, "uid", "created_at"),
    )
    inlines = (IdentifierInline,)
    records = (
        ("Installed in it", "racks.installation", "parent__id__exact"),
        ("Where it is and was", "racks.installation", "child__id__exact"),
        ("Work order", "workorders.workorder", "order_units__unit__id__exact"),
        ("Operation runs", "workorders.operationrun", "unit__id__exact"),
        ("Test runs", "testing.testrun", "unit__id__exact"),
        ("Burn-in runs", "burnin.burninrun", "unit__id__exact"),
        ("Holds", "quality.hold", "unit__id__exact"),
    )
    actions_detail = ("hold_unit", "scrap")

    @display(description="Part", ordering="part_revision")
    def part(self, unit: Unit) -> str:
        """Name the part and its revision."""
        return f"{unit.part_revision} ({unit.part_revision.part.name})"

    @display(description="State", label={Unit.State.SCRAPPED.label: "danger"})
    def state_now(self, unit: Unit) -> str:
        """Say the state, marked when the unit is out of use."""
        return unit.get_state_display()

    @display(description="Hold", label={"on hold": "danger"})
    def hold(self, unit: Unit) -> str:
        """Say whether the unit is on hold."""
        return "on hold" if unit.held else ""

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
        scrapped = unit is not None and unit.state == Unit.State.SCRAPPED
        return may(request, "quality.change_hold") and not scrapped

    @action(description="Put on hold", permissions=["hold"], icon="front_hand")
    def hold_unit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the page that places a hold on this unit."""
        return redirect(f"{reverse('admin:quality_hold_add')}?unit={object_id}")

    @action(description="Scrap", permissions=["scrap"], icon="delete")
    def scrap(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a unit out of use for good, with a reason."""
        unit = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            scrap_unit(unit=unit, reason=reason, by=by)
            return f"{unit} is scrapped."

        return self.ask(
            request,
            unit,
            title=f"Scrap {unit}",
            consequence="It can never be used again. Its records stay.",
            act=act,
        )


@admin.register(Lot)
class LotAdmin(FactAdmin):
    """Lots as they were received."""

    list_display = ("number", "part", "supplier", "site", "date_code", "received_at")
    list_select_related = ("part", "supplier", "site")
    list_filter = ("site",)
    search_fields = ("number__exact",)
    search_help_text = "The whole number of a lot"
    ordering = ("-id",)
    sortable_by = ("number",)
    fields = (
        *("number", "part", "supplier", "site", "date_code", "unit_cost_usd"),
        *(*ORIGIN, "uid", "received_at"),
    )
    records = (("Units of this lot", "serials.unit", "lot__id__exact"),)


@admin.register(Supplier)
class SupplierAdmin(OfficeAdmin):
    """Companies parts come from."""

    list_display = ("code", "name", "country", "cage")
    search_fields = ("code", "name", "cage")
    ordering = ("code",)
