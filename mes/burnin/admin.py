"""Burn-in in the admin: profiles until released; runs are watched, paused, resumed and aborted."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from mes.backoffice import (
    DefinitionAdmin,
    DraftInline,
    FactAdmin,
    FactInline,
    OfficeAdmin,
    action,
    display,
    may,
)
from mes.burnin.meter_models import GridFactor, MeterEndpoint, RunMeter
from mes.burnin.models import BmcEndpoint, BurnInAttempt, BurnInBay, BurnInProfile, BurnInRun, SeriesLimit
from mes.burnin.services import abort_run, pause_run, resume_run
from mes.ledger.services import Actor

PAUSES = {
    True: "The stress of every tray goes on while nothing is polled, so nobody watches for leaks or heat.",
    False: "Every tray is told to end its stress.",
}


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
    inlines = (SeriesLimitInline,)


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
    fields = ("slot", "number", "unit", "state", "credited_seconds", "last_good_at", "missed", "reasons")

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
        *("unit", "profile", "shown_state", "state_since", "waits_for", "bay", "soaked", "reasons"),
        *("started_by", "created_at", "soak_started_at", "ended_at", "abort_reason"),
    )
    inlines = (AttemptInline, RunMeterInline)
    actions_detail = ("pause", "pause_under_stress", "resume", "abort")

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
