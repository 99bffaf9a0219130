"""Tools in the admin: registered, calibrated and retired."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from mes.backoffice import AddedByService, FactAdmin, FactInline, TextInput, action, actor_of, display, may
from mes.ledger.services import Actor
from mes.stations.models import Calibration, Tool
from mes.stations.services import calibrate_tool, register_tool, retire_tool

DUE_SOON = timedelta(days=14)


class CalibrationForm(forms.Form):
    """Asks what the certificate of a calibration says."""

    calibrated_at = forms.DateTimeField(widget=TextInput({"type": "datetime-local", "autofocus": True}))
    due_at = forms.DateTimeField(
        label="Next one due at", widget=TextInput({"type": "datetime-local"}), help_text="In local time."
    )
    certificate = forms.CharField(max_length=120, widget=TextInput())
    found_within_limits = forms.TypedChoiceField(
        label="As found",
        choices=[("", "---"), ("yes", "within limits"), ("no", "out of limits")],
        coerce=lambda answer: answer == "yes",
        help_text="Before any adjustment. Out of limits: what it did since its last good one is in doubt.",
    )


class CalibrationFilter(admin.SimpleListFilter):
    """Tools in use by when their calibration is due."""

    title = "calibration"
    parameter_name = "calibration"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [("overdue", "Overdue"), ("soon", "Due in 14 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Tool]) -> QuerySet[Tool]:
        """Narrow the list to a choice."""
        now, in_use = timezone.now(), queryset.filter(retired_at__isnull=True)
        choices = {
            "overdue": in_use.filter(calibration_due_at__lte=now),
            "soon": in_use.filter(calibration_due_at__gt=now, calibration_due_at__lte=now + DUE_SOON),
        }
        return choices.get(self.value() or "", queryset)


class CalibrationInline(FactInline):
    """The calibrations of a tool, newest first."""

    model = Calibration
    fields = ("calibrated_at", "due_at", "certificate", "found_within_limits", "recorded_by")
    ordering = ("-calibrated_at",)
    per_page = 20
    verbose_name_plural = "calibrations"


@admin.register(Tool)
class ToolAdmin(AddedByService):
    """Tools that are scanned before they are used."""

    list_display = ("code", "name", "type", "site", "state", "calibration_due_at")
    list_select_related = ("site",)
    list_filter = (CalibrationFilter, "type", "site", ("retired_at", admin.EmptyFieldListFilter))
    search_fields = ("code", "name", "type")
    ordering = ("code",)
    autocomplete_fields = ("site",)
    add_fieldsets = ((None, {"fields": ("site", "code", "type", "name", "calibration_due_at")}),)
    fields = ("code", "name", "type", "site", "state", "calibration_due_at", "retired_at")
    inlines = (CalibrationInline,)
    actions_detail = ("calibrate", "retire")

    @display(description="State", label={"overdue": "danger", "due soon": "warning"})
    def state(self, tool: Tool) -> str:
        """Say whether the tool may be used."""
        if tool.retired_at:
            return "retired"
        due, now = tool.calibration_due_at, timezone.now()
        if due is None or due > now + DUE_SOON:
            return "usable"
        return "overdue" if due <= now else "due soon"

    def _may(self, request: HttpRequest, permission: str, object_id: str | None) -> bool:
        tool = self.row(request, object_id) if object_id else None
        return may(request, permission) and not (tool and tool.retired_at)

    def has_calibrate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may record calibrations, and this tool is in use."""
        return self._may(request, "stations.add_calibration", object_id)

    def has_retire_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change tools, and this one is in use."""
        return self._may(request, "stations.change_tool", object_id)

    def save_model(self, request: HttpRequest, obj: Tool, form: Any, change: bool) -> None:
        """Register the tool."""
        obj.pk = register_tool(by=actor_of(request), **form.cleaned_data).pk

    @action(description="Record calibration", permissions=["calibrate"], icon="straighten")
    def calibrate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Record a calibration."""
        tool = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            calibrate_tool(tool=tool, by=by, **given)
            return f"The calibration of {tool} is on record."

        return self.ask_for(
            request,
            tool,
            title=f"Record a calibration of {tool}",
            consequence="The tool may be used until the next calibration is due.",
            act=act,
            form=CalibrationForm(request.POST if request.method == "POST" else None),
        )

    @action(description="Retire", permissions=["retire"], icon="block")
    def retire(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a tool out of use for good, with a reason."""
        tool = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            retire_tool(tool=tool, reason=reason, by=by)
            return f"{tool} is retired."

        return self.ask(
            request,
            tool,
            title=f"Retire {tool}",
            consequence="It cannot be used again. What was done with it stays on record.",
            act=act,
        )


@admin.register(Calibration)
class CalibrationAdmin(FactAdmin):
    """Calibrations of all tools."""

    list_display = ("tool", "calibrated_at", "due_at", "certificate", "found_within_limits", "recorded_by")
    list_select_related = ("tool",)
    list_filter = ("found_within_limits",)
    search_fields = ("tool__code", "certificate")
    ordering = ("-id",)
    sortable_by = ()
