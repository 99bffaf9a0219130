"""Liquid cooling in the admin: definitions until released; the record, to look at, with the curve drawn."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from mes.backoffice import DefinitionAdmin, FactAdmin, FactInline, display
from mes.cooling.drawing import draw_curve
from mes.cooling.models import (
    BranchFlow,
    ChargeReading,
    Coolant,
    CoolantStep,
    CoolingPlan,
    Coupling,
    CouplingMate,
    CouplingType,
    LeakSensorExercise,
    LeakTest,
    SensorResult,
)

RESULT = {"FAIL": "danger", "ERROR": "danger", "RETEST": "warning"}


@admin.register(CouplingType)
class CouplingTypeAdmin(DefinitionAdmin):
    """Kinds of quick-disconnects."""

    list_display = ("code", "version", "name", "maximum_mates", "released_at")
    search_fields = ("code", "name")
    readonly_fields = ("released_at",)


@admin.register(Coolant)
class CoolantAdmin(DefinitionAdmin):
    """What coolants are like."""

    list_display = ("part", "version", "source", "released_at")
    list_select_related = ("part",)
    search_fields = ("part__number", "part__name")
    readonly_fields = ("released_at",)


@admin.register(CoolingPlan)
class CoolingPlanAdmin(DefinitionAdmin):
    """Which leak sensors parts have."""

    list_display = ("part", "version", "sensors", "released_at")
    list_select_related = ("part",)
    search_fields = ("part__number", "part__name")
    readonly_fields = ("released_at",)


@admin.register(LeakTest)
class LeakTestAdmin(FactAdmin):
    """Leak tests with their curves."""

    list_display = ("unit", "method", "medium", "computed", "claimed", "result", "instrument", "ended_at")
    list_select_related = ("unit", "test_run", "instrument")
    list_filter = ("method", "scope", "test_run__outcome")
    search_through = ("unit",)
    search_help_text = "Scan a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "test_run", "result", "why", "scope", "method", "medium", "drawn"),
        *("computed", "uncompensated", "resolution", "said", "claimed", "findings"),
        *("test_pressure_mbar", "pressure_reference", "ambient_pressure_mbar", "stabilise_s", "measure_s"),
        *("ambient_start_cel", "ambient_end_cel", "volume_l", "samples"),
        *("instrument", "calibration", "started_at", "ended_at", "recorded_by", "uid"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[LeakTest]:
        """Return the tests; a curve is read only where it is drawn."""
        return super().get_queryset(request).defer("curve")

    @display(description="Result", label=RESULT)
    def result(self, test: LeakTest) -> str:
        """Say the result as judged here."""
        return test.test_run.outcome

    @display(description="Because")
    def why(self, test: LeakTest) -> str:
        """Give the reasons for the result."""
        return "\n".join(map(str, test.test_run.reasons)) or "-"

    @display(description="Curve")
    def drawn(self, test: LeakTest) -> SafeString:
        """Draw the curve."""
        return render_to_string("cooling/curve.html", {"drawing": draw_curve(test)})


class SensorResultInline(FactInline):
    """What the sensors did."""

    model = SensorResult
    fields = ("sensor", "detector", "stimulus", "tripped_s", "cleared_s")
    per_page = 100


@admin.register(LeakSensorExercise)
class LeakSensorExerciseAdmin(FactAdmin):
    """Leak sensors that were made to trip."""

    list_display = ("unit", "result", "done_at", "done_by")
    list_select_related = ("unit", "test_run")
    list_filter = ("test_run__outcome",)
    search_through = ("unit",)
    search_help_text = "Scan a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = ("unit", "test_run", "result", "done_at", "done_by", "uid")
    inlines = (SensorResultInline,)

    @display(description="Result", label=RESULT)
    def result(self, exercise: LeakSensorExercise) -> str:
        """Say the result as judged here."""
        return exercise.test_run.outcome


class BranchFlowInline(FactInline):
    """What was measured per branch."""

    model = BranchFlow
    fields = ("branch", "flow_l_min", "supply_bar", "return_bar", "supply_cel", "return_cel", "heat_kw")
    per_page = 100


class ChargeReadingInline(FactInline):
    """Later looks at a charge."""

    model = ChargeReading
    fields = ("pressure_bar", "temperature_cel", "corrected_bar", "read_at", "read_by")


@admin.register(CoolantStep)
class CoolantStepAdmin(FactAdmin):
    """What was done with coolant."""

    list_display = ("unit", "kind", "volume_l", "lot", "result", "done_at", "done_by", "drained_at")
    list_select_related = ("unit", "lot", "test_run")
    list_filter = ("kind", "test_run__outcome")
    search_through = ("unit", "lot")
    search_help_text = "Scan a code of the unit or the lot"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "kind", "test_run", "result", "done_at", "done_by", "note", "volume_l"),
        *("medium", "duration_s", "filter_um", "particle_class"),
        *("lot", "conductivity_us_cm", "ph", "freeze_protection_cel", "drained_at", "fill", "stays_l"),
        *("pressure_bar", "temperature_cel", "valve", "uid"),
    )
    inlines = (BranchFlowInline, ChargeReadingInline)

    @display(description="Result", label=RESULT)
    def result(self, step: CoolantStep) -> str:
        """Say the result as judged here."""
        return step.test_run.outcome


class CouplingMateInline(FactInline):
    """Every mate."""

    model = CouplingMate
    fields = ("number", "manifold", "place", "mated_with", "mated_at", "mated_by")
    per_page = 50


@admin.register(Coupling)
class CouplingAdmin(FactAdmin):
    """Quick-disconnects and how often they were mated."""

    list_display = (
        "serial",
        "type",
        "manifold",
        "place",
        "mates",
        "maximum_mates",
        "fitted_at",
        "removed_at",
    )
    list_select_related = ("type", "manifold")
    list_filter = ("type", ("removed_at", admin.EmptyFieldListFilter))
    search_fields = ("serial", "manifold__serial")
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("serial", "type", "manifold", "place", "mates", "maximum_mates", "fitted_at"),
        *("removed_at", "removal_reason", "uid"),
    )
    inlines = (CouplingMateInline,)
