"""What was done on each unit, by whom, with what, and which gates were released; to look at."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from mes.backoffice import FactAdmin, FactInline, display
from mes.workorders.models import CapturedValue, ConsumableUse, GateRelease, Labor, OperationRun, ToolUse


class LaborInline(FactInline):
    """Who took part."""

    model = Labor
    fields = ("person", "station", "started_at", "ended_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Labor]:
        """Return the rows with their stations."""
        return super().get_queryset(request).select_related("station")


class ToolUseInline(FactInline):
    """Which tools were used, and until when their calibration held."""

    model = ToolUse
    fields = ("tool", "calibration_due_at", "used_at", "used_by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ToolUse]:
        """Return the rows with their tools."""
        return super().get_queryset(request).select_related("tool")


class ConsumableUseInline(FactInline):
    """Which lots were used up."""

    model = ConsumableUse
    fields = ("lot", "quantity", "unit", "used_at", "used_by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsumableUse]:
        """Return the rows with their lots."""
        return super().get_queryset(request).select_related("lot")


class CapturedValueInline(FactInline):
    """What was recorded, values that were corrected later included."""

    model = CapturedValue
    fields = ("field", "number", "text", "verdict", "recorded_at", "recorded_by", "replaced_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CapturedValue]:
        """Return the rows with their fields."""
        return super().get_queryset(request).select_related("field")


@admin.register(OperationRun)
class OperationRunAdmin(FactAdmin):
    """Operations done on units, superseded ones included."""

    list_display = (
        *("operation", "unit", "attempt", "state", "station", "started_at", "started_by"),
        *("completed_at", "superseded_at"),
    )
    list_select_related = ("operation", "unit", "station")
    list_filter = ("state", ("superseded_at", admin.EmptyFieldListFilter))
    search_through = ("unit",)
    search_help_text = "Scan a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "operation", "rework", "attempt", "state", "station", "started_at", "started_by"),
        *("completed_at", "completed_by", "skipped_because", "superseded_at", "superseded_because"),
    )
    inlines = (LaborInline, ToolUseInline, ConsumableUseInline, CapturedValueInline)


@admin.register(CapturedValue)
class CapturedValueAdmin(FactAdmin):
    """Values recorded during operations, replaced ones included."""

    list_display = ("field", "unit", "number", "text", "verdict", "recorded_at", "recorded_by", "replaced_at")
    list_select_related = ("field", "run__unit")
    list_filter = ("verdict", ("replaced_at", admin.EmptyFieldListFilter))
    search_fields = ("run__unit__serial__exact", "field__name__exact")
    search_help_text = "A serial, or the name of a field"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("run", "field", "number", "text", "attachment", "signature", "verdict"),
        *("recorded_at", "recorded_by", "replaced_at"),
    )

    @display(description="Unit")
    def unit(self, value: CapturedValue) -> str:
        """Say of which unit it is."""
        return value.run.unit.serial


@admin.register(GateRelease)
class GateReleaseAdmin(FactAdmin):
    """Gates that were released: for which unit, by whom, why, and how often they were passed."""

    list_display = ("gate", "unit", "operation", "role", "released_by", "reason", "passes", "expires_at")
    list_select_related = ("unit", "operation")
    list_filter = ("gate", "role")
    search_through = ("unit",)
    search_help_text = "Scan a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "operation", "gate", "role", "reason", "released_by", "released_at"),
        *("signature", "allowed", "used", "expires_at"),
    )

    @display(description="Passes")
    def passes(self, release: GateRelease) -> str:
        """Say how often it was used, of how often it may be."""
        return f"{release.used} of {release.allowed}"
