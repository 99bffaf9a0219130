"""Sites, lines, stations, shifts and roles in the admin; devices, whose token is shown once."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mes.backoffice import AddedByService, OfficeAdmin, action, actor_of, display, may
from mes.ledger.services import Actor
from mes.stations.models import Device, Line, RoleAssignment, Shift, Site, Station
from mes.stations.services import end_role, enroll_device, grant_role, renew_token, revoke_device


@admin.register(Site)
class SiteAdmin(OfficeAdmin):
    """Factories."""

    list_display = ("code", "name")
    search_fields = ("code", "name")
    ordering = ("code",)


@admin.register(Line)
class LineAdmin(OfficeAdmin):
    """Lines of a site."""

    list_display = ("code", "name", "site")
    list_select_related = ("site",)
    list_filter = ("site",)
    search_fields = ("code", "name")
    autocomplete_fields = ("site",)
    ordering = ("code",)


@admin.register(Station)
class StationAdmin(OfficeAdmin):
    """Stations of a line."""

    list_display = ("code", "name", "work_center", "line")
    list_select_related = ("line",)
    list_filter = ("line",)
    search_fields = ("code", "name", "work_center")
    autocomplete_fields = ("line",)
    ordering = ("code",)


def token_message(device: Device, token: str) -> SafeString:
    """Return the one message that shows a token."""
    return format_html(
        "The token of {}, shown only this once: <code>{}</code> Set it in the device now.", device, token
    )


@admin.register(Device)
class DeviceAdmin(AddedByService):
    """Scanners, terminals and testers: enrolled, given new tokens, and revoked."""

    list_display = ("name", "kind", "station", "operator", "last_seen_at", "state")
    list_select_related = ("station", "operator")
    list_filter = ("kind", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "station__code")
    ordering = ("name",)
    autocomplete_fields = ("station",)
    add_fieldsets = ((None, {"fields": ("name", "kind", "station", "expires_at")}),)
    fields = (
        *("name", "kind", "station", "state", "operator", "signed_on_at"),
        *("last_seen_at", "expires_at", "revoked_at"),
    )
    actions_detail = ("renew", "revoke")

    @display(description="State", label={"revoked": "danger", "expired": "warning"})
    def state(self, device: Device) -> str:
        """Say whether the device's token works."""
        if device.revoked_at:
            return "revoked"
        return "working" if device.is_usable else "expired"

    def has_act_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change devices, and this one is not revoked."""
        device = self.row(request, object_id) if object_id else None
        return may(request, "stations.change_device") and not (device and device.revoked_at)

    def save_model(self, request: HttpRequest, obj: Device, form: Any, change: bool) -> None:
        """Enrol the device and show its token."""
        device, token = enroll_device(
            name=obj.name,
            kind=Device.Kind(obj.kind),
            station=obj.station,
            expires_at=obj.expires_at,
            by=actor_of(request),
        )
        obj.pk = device.pk
        messages.warning(request, token_message(device, token))

    @action(description="New token", permissions=["act"], icon="key")
    def renew(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give a device a new token, after a question."""
        device = self.row(request, object_id)
        return self.ask(
            request,
            device,
            title=f"New token for {device}",
            consequence="Its present token stops working at once. The new one is shown only once.",
            act=lambda by, _reason: token_message(device, renew_token(device=device, by=by)),
            form_class=forms.Form,
        )

    @action(description="Revoke", permissions=["act"], icon="block")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a device's token away for good, with a reason."""
        device = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            revoke_device(device=device, reason=reason, by=by)
            return f"{device} is revoked."

        return self.ask(
            request,
            device,
            title=f"Revoke {device}",
            consequence="Its token stops working at once and cannot be given back; enrol it anew for that.",
            act=act,
        )


@admin.register(Shift)
class ShiftAdmin(OfficeAdmin):
    """Shifts of a site, in its local time."""

    list_display = ("name", "site", "starts", "ends")
    list_select_related = ("site",)
    list_filter = ("site",)
    search_fields = ("name",)
    autocomplete_fields = ("site",)
    ordering = ("site", "starts")


@admin.register(RoleAssignment)
class RoleAdmin(AddedByService):
    """Who may decide what, where: granted and ended."""

    list_display = ("person", "role", "site", "line", "state", "granted_at", "granted_by")
    list_select_related = ("person", "site", "line")
    list_filter = ("role", "site", ("ended_at", admin.EmptyFieldListFilter))
    search_fields = ("person__username", "person__badge")
    ordering = ("-id",)
    sortable_by = ()
    autocomplete_fields = ("person", "site", "line")
    add_fieldsets = ((None, {"fields": ("person", "role", "site", "line")}),)
    fields = (
        *("person", "role", "site", "line", "state"),
        *("granted_at", "granted_by", "ended_at", "ended_by"),
    )
    actions_detail = ("end",)

    @display(description="State")
    def state(self, assignment: RoleAssignment) -> str:
        """Say whether the role is still held."""
        return "ended" if assignment.ended_at else "held"

    def has_end_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change roles, and this one is still held."""
        assignment = self.row(request, object_id) if object_id else None
        return may(request, "stations.change_roleassignment") and not (assignment and assignment.ended_at)

    def save_model(self, request: HttpRequest, obj: RoleAssignment, form: Any, change: bool) -> None:
        """Grant the role."""
        obj.pk = grant_role(by=actor_of(request), **form.cleaned_data).pk

    @action(description="End role", permissions=["end"], icon="person_off")
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a role, with a reason."""
        assignment = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            end_role(assignment=assignment, reason=reason, by=by)
            return f"{assignment} is ended."

        return self.ask(
            request,
            assignment,
            title=f"End {assignment}",
            consequence="From now on the person may no longer decide by this role. What was decided stays.",
            act=act,
        )
