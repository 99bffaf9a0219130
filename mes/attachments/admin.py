"""Attachments in the admin: looked at, never changed."""

from django.contrib import admin
from django.utils.html import format_html

from mes.attachments.models import Attachment
from mes.backoffice import FactAdmin, display


@admin.register(Attachment)
class AttachmentAdmin(FactAdmin):
    """Files that records refer to."""

    list_display = ("name", "content_type", "size", "site", "uploaded_at", "uploaded_by")
    list_select_related = ("site",)
    list_filter = ("site", "content_type")
    search_fields = ("name", "sha256")
    ordering = ("-id",)
    sortable_by = ()
    fields = ("name", "content", "content_type", "size", "sha256", "site", "uploaded_at", "uploaded_by")
    readonly_fields = ("content",)

    @display(description="Content")
    def content(self, attachment: Attachment) -> str:
        """Link to the file."""
        return format_html('<a class="text-link" href="/api/v1/attachments/{}/">Open</a>', attachment.uid)
