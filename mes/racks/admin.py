"""Installations and firmware in the admin, to look at."""

from django.contrib import admin

from mes.backoffice import FactAdmin
from mes.racks.models import Installation, InstalledFirmware


@admin.register(Installation)
class InstallationAdmin(FactAdmin):
    """What is and was installed where."""

    list_display = ("child", "slot", "parent", "root", "installed_at", "installed_by", "removed_at")
    list_select_related = ("child", "slot", "parent", "root")
    list_filter = (("removed_at", admin.EmptyFieldListFilter),)
    search_through = ("child", "parent")
    search_help_text = "Scan a unit, or what it sits in"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("child", "slot", "parent", "root", "operation", "installed_at", "installed_by"),
        *("removed_at", "removed_by", "removal_reason"),
    )


@admin.register(InstalledFirmware)
class InstalledFirmwareAdmin(FactAdmin):
    """Which firmware units run and ran."""

    list_display = ("unit", "component", "version", "since", "until", "recorded_by")
    list_select_related = ("unit",)
    list_filter = (("until", admin.EmptyFieldListFilter),)
    search_through = ("unit",)
    search_help_text = "Scan a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = ("unit", "component", "version", "since", "until", "recorded_by")
