"""Installations in the admin, to look at."""

from django.contrib import admin

from mes.backoffice import FactAdmin
from mes.racks.models import Installation


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
