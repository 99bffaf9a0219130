"""The admin theme with types, and what needs nothing but it: read-only pages, links, permissions.

The one place that knows the theme; every `admin.py` builds on the classes here and in `backoffice`.
"""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.admin import ShowFacets
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

if TYPE_CHECKING:  # the theme ships no types; its classes take the place of Django's
    from django.contrib.admin import ModelAdmin, TabularInline
    from django.core.paginator import Paginator as InfinitePaginator
    from django.forms import TextInput

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
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

__all__ = [
    "FactInline",
    "ReadOnlyAdmin",
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


class ReadOnlyAdmin(ThemedAdmin):
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
