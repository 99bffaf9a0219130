"""The admin theme with types, and what needs nothing but it: read-only pages, links, permissions.

The one place that knows the theme; every `admin.py` builds on the classes here and in `backoffice`.
"""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, strip_tags
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from mes.exports import CHUNK, MOST_ROWS, csv_response

if TYPE_CHECKING:  # the theme ships no types; its classes take the place of Django's
    from django.contrib.admin import ModelAdmin, TabularInline
    from django.core.paginator import Paginator as InfinitePaginator
    from django.forms import PasswordInput, Select, TextInput

    ThemedAdmin = ModelAdmin[Any]
    ThemedInline = TabularInline[Any, Any]
    MethodT = TypeVar("MethodT", bound=Callable[..., Any])

    def action(
        *, description: str, permissions: Iterable[str], icon: str = ""
    ) -> Callable[[MethodT], MethodT]: ...
    def display(
        *, description: str, label: bool | dict[str, str] = False, ordering: str = ""
    ) -> Callable[[MethodT], MethodT]: ...
else:
    from unfold.admin import ModelAdmin as ThemedAdmin
    from unfold.admin import TabularInline as ThemedInline
    from unfold.decorators import action, display
    from unfold.paginator import InfinitePaginator
    from unfold.widgets import UnfoldAdminPasswordWidget as PasswordInput
    from unfold.widgets import UnfoldAdminSelectWidget as Select
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

__all__ = [
    "FactInline",
    "ListAdmin",
    "PasswordInput",
    "ReadOnlyAdmin",
    "Select",
    "TextInput",
    "ThemedAdmin",
    "ThemedInline",
    "action",
    "display",
    "list_url",
    "may",
    "page_url",
    "pretty_json",
]


def may(request: HttpRequest, permission: str) -> bool:
    """Return whether the person at this page has a permission, e.g. quality.change_hold."""
    return request.user.has_perm(permission)


def page_url(row: Model) -> str:
    """Return the address of a row's admin page."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def list_url(name: str, **filters: Any) -> str:
    """Return the address of an admin list, e.g. ``list_url("ledger_event", kind="unit.held")``."""
    return f"{reverse(f'admin:{name}_changelist')}?{urlencode(filters)}"


def pretty_json(value: Any) -> SafeString:
    """Return a JSON value set out over lines, as HTML."""
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    return format_html('<pre class="overflow-x-auto text-xs leading-5">{}</pre>', text)


class ListAdmin(ThemedAdmin):
    """Lists that lead to themselves as a CSV file, all rows of what was searched and filtered."""

    def get_urls(self) -> list[Any]:
        """Return the addresses of this admin, that of the file first."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/", self.admin_site.admin_view(self.export_csv), name=name), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, with a way to its file."""
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data:
            name = f"admin:{self.opts.app_label}_{self.opts.model_name}_export"
            address = f"{reverse(name)}?{request.GET.urlencode()}".removesuffix("?")
            button = {"title": "Export CSV", "icon": "download", "path": address, "items": []}
            shown = response.context_data.get("actions_list") or []
            response.context_data["actions_list"] = [*shown, button]
        return response

    def export_csv(self, request: HttpRequest) -> HttpResponseBase:
        """Return all rows of the list, with the columns it shows, as a CSV file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        changelist = self.get_changelist_instance(request)
        rows = changelist.get_queryset(request)
        if rows[: MOST_ROWS + 1].count() > MOST_ROWS:
            too_long = f"This list has more than {MOST_ROWS:,} rows. Narrow it by its filters, then export."
            messages.error(request, too_long)
            name = f"{self.opts.app_label}_{self.opts.model_name}"
            return redirect(f"{reverse(f'admin:{name}_changelist')}?{request.GET.urlencode()}")
        columns = [name for name in changelist.list_display if name != "action_checkbox"]
        header = [str(label_for_field(name, self.model, self)) for name in columns]
        table = ([self._cell(row, name) for name in columns] for row in rows.iterator(chunk_size=CHUNK))
        return csv_response(str(self.opts.verbose_name_plural).replace(" ", "-"), header, table)

    def _cell(self, row: Model, name: Any) -> Any:
        try:
            field, _, value = lookup_field(name, row, self)
        except ObjectDoesNotExist:
            return ""
        if field is not None and getattr(field, "choices", None):
            return getattr(row, f"get_{field.name}_display")()
        if field is not None and field.is_relation:
            return str(getattr(row, field.name) or "")
        return strip_tags(value) if isinstance(value, str) and hasattr(value, "__html__") else value


class ReadOnlyAdmin(ListAdmin):
    """Rows that are looked at, never edited; paged without counting, for there may be millions."""

    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a row without the admin's own history, for no edits happen here."""
        context = {**(extra_context or {}), "show_history": False}
        return super().changeform_view(request, object_id, form_url, context)


class FactInline(ThemedInline):
    """Rows of a read-only page; whoever may see the page sees them."""

    extra = 0
    can_delete = False
    hide_title = True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return True."""
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False
