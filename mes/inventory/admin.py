"""Inventory in the admin: maps until released; what units said, collections and verdicts to look at."""

from django.contrib import admin

from mes.backoffice import DefinitionAdmin, DraftInline, FactAdmin, FactInline, display
from mes.inventory.models import (
    Collection,
    ComponentName,
    FirmwareName,
    FoundComponent,
    FoundFirmware,
    FoundInventory,
    ReportMap,
    Verdict,
)


class ComponentNameInline(DraftInline):
    """The resources of a map."""

    model = ComponentName


class FirmwareNameInline(DraftInline):
    """The firmware names of a map."""

    model = FirmwareName


@admin.register(ReportMap)
class ReportMapAdmin(DefinitionAdmin):
    """How the words of BMCs are read."""

    list_display = ("unit_kind", "maker", "version", "released_at")
    search_fields = ("unit_kind", "maker")
    readonly_fields = ("released_at",)
    inlines = (ComponentNameInline, FirmwareNameInline)


class FoundComponentInline(FactInline):
    """The parts that a unit told."""

    model = FoundComponent
    fields = ("kind", "name", "serial", "part_number", "uuid", "mac", "location", "present")


class FoundFirmwareInline(FactInline):
    """The firmware that a unit told."""

    model = FoundFirmware
    fields = ("name", "version", "vendor")


@admin.register(FoundInventory)
class FoundInventoryAdmin(FactAdmin):
    """What units said of themselves."""

    list_display = ("unit", "source", "taken_at", "serial", "slot_number", "tray_index", "recorded_by")
    list_filter = ("source",)
    list_select_related = ("unit",)
    search_through = ("unit",)
    search_help_text = "Scan or type a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "source", "collection", "taken_at", "received_at", "recorded_by", "serial", "part_number"),
        *("uuid", "asset_tag", "slot_number", "tray_index", "macs"),
    )
    inlines = (FoundComponentInline, FoundFirmwareInline)


@admin.register(Collection)
class CollectionAdmin(FactAdmin):
    """Readings of BMCs."""

    list_display = ("unit", "shown_state", "units_read", "units_asked", "asked_by", "created_at", "ended_at")
    list_filter = ("state",)
    list_select_related = ("unit",)
    search_through = ("unit",)
    search_help_text = "Scan or type a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "shown_state", "units_asked", "units_read", "errors", "asked_by", "created_at"),
        *("started_at", "ended_at", "lease_until"),
    )

    @display(description="State", label={"complete": "success", "failed": "danger"})
    def shown_state(self, collection: Collection) -> str:
        """Say how the collection stands."""
        return collection.state


@admin.register(Verdict)
class VerdictAdmin(FactAdmin):
    """Verdicts on inventories and firmware."""

    list_display = ("unit", "procedure", "test_run", "at")
    list_filter = ("procedure",)
    list_select_related = ("unit", "test_run")
    search_through = ("unit",)
    search_help_text = "Scan or type a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = ("unit", "procedure", "test_run", "at", "digest", "rows")
