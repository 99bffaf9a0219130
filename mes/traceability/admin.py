"""Reports in the admin: to look at and to open; they are asked for over the API."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mes.backoffice import FactAdmin, display
from mes.traceability.admin_containment import ContainmentAdmin
from mes.traceability.models import Report

__all__ = ["ContainmentAdmin", "ReportAdmin"]


@admin.register(Report)
class ReportAdmin(FactAdmin):
    """Every report that was asked for, with links to its files."""

    list_display = ("uid", "unit", "state", "asked_by", "asked_at", "ready_at", "files")
    list_filter = ("state",)
    list_select_related = ("unit",)
    search_through = ("unit",)
    ordering = ("-pk",)
    readonly_fields = ("files",)

    @display(description="Files")
    def files(self, report: Report) -> SafeString:
        """Return links to the files once they are there, else why they are not."""
        if report.state != Report.State.READY:
            return format_html("{}", report.error)
        links = ((reverse(f"report-{kind}", args=[report.uid]), kind.upper()) for kind in ("pdf", "json"))
        return format_html_join(" ", '<a class="text-link" href="{}">{}</a>', links)
