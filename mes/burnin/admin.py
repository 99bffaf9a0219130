"""Burn-in in the admin: profiles until released; runs are watched, paused, resumed and aborted."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mes.backoffice import (
    DefinitionAdmin,
    DraftInline,
    FactAdmin,
    FactInline,
    OfficeAdmin,
    ReasonForm,
    Select,
    action,
    display,
    may,
)
from mes.burnin.meter_models import GridFactor, MeterEndpoint, RunMeter
from mes.burnin.models import (
    BmcEndpoint,
    BurnInAttempt,
    BurnInBay,
    BurnInPhase,
    BurnInProfile,
    BurnInRun,
    SeriesLimit,
    TelemetryArchive,
    ToolResult,
    Violation,
)
from mes.burnin.services import (
    abort_run,
    pause_run,
    require_consistent,
    require_sound_phases,
    resume_run,
    swap_tray,
)
from mes.ledger.services import Actor

PAUSES = {
    True: "The stress of every tray goes on; a leak, or a limit that stops the rack, ends the run.",
    False: "Every tray is told to end its stress; a leak still ends the run.",
}
SWAPS = {
    BurnInProfile.SoakClock.RESTART_TRAY: "It starts at 0; the others keep what they have soaked.",
    BurnInProfile.SoakClock.RESTART_RACK: "Every tray of the rack starts at 0.",
    BurnInProfile.SoakClock.CONTINUE: "It soaks what is left, or the least that the profile asks for.",
}


class SwapForm(ReasonForm):
    """Asks whose place a new tray takes, and why."""

    slot = forms.ChoiceField()
    field_order = ("slot", "reason")

    def __init__(self, data: Any, run: BurnInRun) -> None:
        super().__init__(data)
        trays = run.attempts.exclude(state=BurnInAttempt.State.SUPERSEDED).select_related("slot", "unit")
        choices = [(tray.slot.name, f"{tray.slot.name}: {tray.unit.serial}, {tray.state}") for tray in trays]
        self.fields["slot"] = forms.ChoiceField(choices=choices, widget=Select())


class BurnInPhaseInline(DraftInline):
    """The phases of a profile."""

    model = BurnInPhase


class SeriesLimitInline(DraftInline):
    """The limits of a profile."""

    model = SeriesLimit


@admin.register(BurnInProfile)
class BurnInProfileAdmin(DefinitionAdmin):
    """How racks are burned in."""

    list_display = ("name", "version", "part", "required_hours", "time_scale", "released_at")
    list_filter = ("part",)
    list_select_related = ("part",)
    search_fields = ("name",)
    readonly_fields = ("released_at",)
    inlines = (BurnInPhaseInline, SeriesLimitInline)

    def check_release(self, row: BurnInProfile) -> None:
        """Refuse phases that do not make up the soak, and limits that contradict themselves."""
        require_sound_phases(row)
        require_consistent(row)


@admin.register(BurnInBay)
class BurnInBayAdmin(OfficeAdmin):
    """Bays where racks are burned in."""

    list_display = ("code", "site", "positions", "power_kw", "coolant_lpm", "is_open")
    list_select_related = ("site",)
    list_filter = ("site", "is_open")
    search_fields = ("code",)
    autocomplete_fields = ("site",)
    ordering = ("code",)


class AttemptInline(FactInline):
    """The trays of a run."""

    model = BurnInAttempt
    fields = (
        *("slot", "number", "unit", "state", "credited_seconds", "carried_seconds", "soak_clock"),
        *("last_good_at", "missed", "reasons"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[BurnInAttempt]:
        """Return the trays without their statistics, which fill pages."""
        return super().get_queryset(request).select_related("slot", "unit").defer("statistics")


class RunMeterInline(FactInline):
    """The meters of a run."""

    model = RunMeter
    fields = (
        "role",
        "name",
        "seconds",
        "joules_in",
        "joules_out",
        "joules_heat",
        "last_at",
        "missed",
        "said",
    )


@admin.register(BurnInRun)
class BurnInRunAdmin(FactAdmin):
    """Burn-ins of racks."""

    list_display = ("unit", "profile", "shown_state", "bay", "soaked", "waits_for", "created_at", "ended_at")
    list_filter = ("state", "bay", "profile")
    list_select_related = ("unit", "profile", "bay")
    search_through = ("unit",)
    search_help_text = "Scan or type a code of the rack"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "profile", "shown_state", "state_since", "waits_for", "bay", "soaked", "phase", "step"),
        "reasons",
        *("started_by", "retest_of", "created_at", "soak_started_at", "ended_at", "abort_reason"),
    )
    inlines = (AttemptInline, RunMeterInline)
    actions_detail = ("pause", "pause_under_stress", "resume", "swap", "abort")

    @display(
        description="State",
        label={"passed": "success", "failed": "danger", "aborted": "warning", "paused": "warning"},
    )
    def shown_state(self, run: BurnInRun) -> str:
        """Say what the run is doing."""
        return run.state

    @display(description="Soaked")
    def soaked(self, run: BurnInRun) -> str:
        """Say how much of the soak is credited."""
        return f"{run.credited_hours:.2f} of {run.profile.required_hours:g} h"

    @action(description="Pause, stress off", permissions=["pause"], icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pause a soak and end the stress meanwhile, with a reason."""
        return self._pause(request, object_id, keep_stress=False)

    @action(description="Pause, stress on", permissions=["pause"], icon="pause_circle")
    def pause_under_stress(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pause a soak while the stress goes on, with a reason."""
        return self._pause(request, object_id, keep_stress=True)

    @action(description="Resume", permissions=["resume"], icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let a paused run go on, with a reason."""
        run = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            return f"The {resume_run(run=run, reason=reason, by=by)} goes on."

        consequence = "Every tray is told to run its stress; soak time counts again once all report it."
        return self.ask(request, run, title=f"Resume the {run}", consequence=consequence, act=act)

    @action(description="Swap a tray", permissions=["swap"], icon="swap_horiz")
    def swap(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the new tray in a slot take the place of the one before, with a reason."""
        run = self.row(request, object_id)
        form = SwapForm(request.POST if request.method == "POST" else None, run)

        def act(by: Actor, reason: str) -> str:
            slot = form.cleaned_data["slot"]
            return f"The new tray in {slot} is in the {swap_tray(run=run, slot=slot, reason=reason, by=by)}."

        policy = BurnInProfile.SoakClock(run.profile.swap_policy)
        consequence = f"The soak of the tray before ends without a result. {SWAPS[policy]}"
        return self.ask(
            request, run, title=f"Swap a tray in the {run}", consequence=consequence, act=act, form=form
        )

    @action(description="Abort", permissions=["abort"], icon="cancel")
    def abort(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a run without a verdict, with a reason."""
        run = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            return f"The {abort_run(run=run, reason=reason, by=by)} is being stopped."

        consequence = (
            f"{self.soaked(run)} are lost. Every tray is told to end its stress; the rack has no result and"
            " must be burned in anew."
        )
        return self.ask(request, run, title=f"Abort the {run}", consequence=consequence, act=act)

    def has_pause_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may pause runs and this one is soaking."""
        return self._may_act(request, object_id, {BurnInRun.State.SOAKING})

    def has_resume_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may resume runs and this one is paused."""
        return self._may_act(request, object_id, {BurnInRun.State.PAUSED})

    def has_swap_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change runs and this one is soaking or paused."""
        return self._may_act(request, object_id, {BurnInRun.State.SOAKING, BurnInRun.State.PAUSED})

    def has_abort_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may abort runs and this one has not ended."""
        return self._may_act(request, object_id, set(BurnInRun.State) - set(BurnInRun.ENDED))

    def _may_act(self, request: HttpRequest, object_id: str | None, states: set[Any]) -> bool:
        in_state = object_id is None or self.row(request, object_id).state in states
        return may(request, "burnin.change_burninrun") and in_state

    def _pause(self, request: HttpRequest, object_id: str, *, keep_stress: bool) -> HttpResponse:
        run = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            return f"The {pause_run(run=run, reason=reason, by=by, keep_stress=keep_stress)} is paused."

        consequence = f"Soak time stops counting until the run is resumed. {PAUSES[keep_stress]}"
        return self.ask(request, run, title=f"Pause the {run}", consequence=consequence, act=act)


@admin.register(TelemetryArchive)
class TelemetryArchiveAdmin(FactAdmin):
    """The samples of runs that were moved into files."""

    list_display = ("run", "rows", "size", "archived_at", "samples")
    list_select_related = ("run__unit",)
    search_fields = ("file", "sha256")
    ordering = ("-id",)
    sortable_by = ()
    fields = ("run", "file", "size", "sha256", "rows", "archived_at", "samples")
    readonly_fields = ("samples",)

    @display(description="Samples")
    def samples(self, archive: TelemetryArchive) -> SafeString:
        """Return a link to the file."""
        address = reverse("burninrun-samples", args=[archive.run.uid])
        return format_html('<a class="text-link" href="{}">Parquet</a>', address)


@admin.register(Violation)
class ViolationAdmin(FactAdmin):
    """Excursions of series outside their limits."""

    list_display = ("attempt", "series", "limit", "from_at", "to_at", "samples", "worst", "most", "is_open")
    list_select_related = ("attempt__slot", "attempt__run__unit", "limit__profile")
    list_filter = ("is_open", "limit__kind")
    search_fields = ("series", "limit__group")
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("attempt", "limit", "series", "from_at", "to_at", "samples"),
        *("worst", "worst_at", "most", "is_open"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Violation]:
        """Return the rows without the statistics of their trays, which fill pages."""
        return super().get_queryset(request).defer("attempt__statistics")


@admin.register(ToolResult)
class ToolResultAdmin(FactAdmin):
    """What stress tools found in burn-ins, and what they printed."""

    list_display = ("tool", "name", "unit", "slot", "result", "received_at")
    list_select_related = ("attempt__unit", "attempt__slot", "test_run")
    list_filter = ("tool", "test_run__outcome")
    search_through = ("test_run",)
    search_help_text = "Scan or type a code of the tray"
    ordering = ("-id",)
    sortable_by = ()
    fields = ("attempt", "unit", "tool", "name", "result", "why", "received_at", "test_run", "output", "uid")

    @display(description="Tray")
    def unit(self, result: ToolResult) -> str:
        """Name the tray."""
        return str(result.attempt.unit)

    @display(description="Slot")
    def slot(self, result: ToolResult) -> str:
        """Name its slot."""
        return result.attempt.slot.name

    @display(description="Result", label={"PASS": "success", "FAIL": "danger", "RETEST": "warning"})
    def result(self, result: ToolResult) -> str:
        """Say the result as judged here."""
        return result.test_run.outcome

    @display(description="Because")
    def why(self, result: ToolResult) -> str:
        """Give the reasons for the result."""
        return "\n".join(map(str, result.test_run.reasons)) or "-"

    @display(description="Received")
    def received_at(self, result: ToolResult) -> Any:
        """Say when it came."""
        return result.test_run.received_at


@admin.register(BmcEndpoint)
class BmcEndpointAdmin(FactAdmin):
    """Addresses of BMCs; set through the API, and their passwords are shown nowhere."""

    list_display = ("unit", "url", "username")
    list_select_related = ("unit",)
    search_through = ("unit",)
    search_help_text = "Scan or type a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = ("unit", "url", "username")


@admin.register(MeterEndpoint)
class MeterEndpointAdmin(FactAdmin):
    """Addresses of meters; set through the API, and their passwords are shown nowhere."""

    list_display = ("unit", "bay", "url", "username", "coolant")
    list_select_related = ("unit", "bay")
    search_through = ("unit",)
    search_help_text = "Scan or type a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = ("unit", "bay", "url", "username", "connector", "coolant")


@admin.register(GridFactor)
class GridFactorAdmin(OfficeAdmin):
    """What the electricity of each site emits."""

    list_display = ("site", "valid_from", "grams_per_kwh", "source")
    list_select_related = ("site",)
    list_filter = ("site",)
    search_fields = ("source",)
    autocomplete_fields = ("site",)
    ordering = ("site__code", "-valid_from")
