"""Test runs in the admin, to look at."""

from django.contrib import admin
from django.utils.safestring import SafeString

from mes.backoffice import FactAdmin, FactInline, display, pretty_json
from mes.testing.models import Diagnosis, Measurement, TestRun


class MeasurementInline(FactInline):
    """What was measured, and the limits it was judged by."""

    model = Measurement
    fields = (
        *("name", "component", "step", "value", "text", "unit", "low", "high", "verdict"),
        *("count", "minimum", "mean", "maximum"),
    )
    per_page = 100


class DiagnosisInline(FactInline):
    """What the test concluded."""

    model = Diagnosis
    fields = ("type", "verdict", "component", "message", "step")


@admin.register(TestRun)
class TestRunAdmin(FactAdmin):
    """Test runs with their measurements and diagnoses."""

    list_display = ("procedure", "unit", "result", "status", "station", "received_at", "superseded_at")
    list_select_related = ("unit",)
    list_filter = ("outcome", "format", ("superseded_at", admin.EmptyFieldListFilter))
    search_through = ("unit",)
    search_help_text = "Scan a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "procedure", "procedure_version", "operation", "result", "why", "said", "status"),
        *("format", "remarks", "started_at", "ended_at", "received_at"),
        *("station", "device", "person", "superseded_at", "superseded_because", "configuration", "uid"),
        "reported",
    )
    inlines = (MeasurementInline, DiagnosisInline)

    @display(description="Result", label={"FAIL": "danger", "ERROR": "danger", "RETEST": "warning"})
    def result(self, run: TestRun) -> str:
        """Say the result as judged here."""
        return run.outcome

    @display(description="Because")
    def why(self, run: TestRun) -> str:
        """Give the reasons for the result."""
        return "\n".join(map(str, run.reasons)) or "-"

    @display(description="Remarks")
    def remarks(self, run: TestRun) -> str:
        """Say what was unusual about the report."""
        unusual = {"the report broke off": run.truncated, "in a dialect older than OCP 2.0": run.legacy}
        return ", ".join(remark for remark, is_so in unusual.items() if is_so) or "-"

    @display(description="As reported")
    def reported(self, run: TestRun) -> SafeString:
        """Show the further details set out over lines."""
        return pretty_json(run.details)
