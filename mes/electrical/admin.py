"""Electrical safety in the admin: plans until released; tests are looked at, live hipots aborted."""

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from mes.backoffice import (
    DefinitionAdmin,
    FactAdmin,
    FactInline,
    ReasonForm,
    action,
    display,
    may,
)
from mes.electrical.models import HipotSession, SafetyPlan, SafetyPoint, SafetyTest
from mes.electrical.services import abort_hipot
from mes.ledger.services import Actor


class AbortForm(ReasonForm):
    """Asks why, and whether the unit is discharged."""

    discharged = forms.BooleanField(
        required=False, help_text="The tester is off and the unit is discharged; the lockout ends."
    )


@admin.register(SafetyPlan)
class SafetyPlanAdmin(DefinitionAdmin):
    """What is measured, and what may stay in a rack under high voltage."""

    list_display = ("part", "version", "may_stay", "released_at")
    list_select_related = ("part",)
    search_fields = ("part__number",)
    readonly_fields = ("released_at",)


class SafetyPointInline(FactInline):
    """What was measured at each point."""

    model = SafetyPoint
    fields = ("name", "value", "unit")


@admin.register(SafetyTest)
class SafetyTestAdmin(FactAdmin):
    """Electrical safety tests."""

    list_display = ("unit", "kind", "outcome", "tool", "certificate", "recorded_by", "recorded_at")
    list_filter = ("kind", "test_run__outcome")
    list_select_related = ("unit", "tool", "test_run")
    search_through = ("unit",)
    search_help_text = "Scan or type a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "kind", "outcome", "why", "test_run", "session", "plan", "tool", "certificate"),
        *("calibration_due_at", "supply", "current_a", "voltage_v", "ramp_s", "duration_s"),
        *("arc_detected", "recorded_at", "recorded_by"),
    )
    inlines = (SafetyPointInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SafetyTest]:
        """Return the tests with what judged them."""
        return super().get_queryset(request).select_related("test_run")

    @display(description="Outcome", label={"PASS": "success", "FAIL": "danger"})
    def outcome(self, test: SafetyTest) -> str:
        """Say how the limits judged it."""
        return test.test_run.outcome

    @display(description="Why")
    def why(self, test: SafetyTest) -> str:
        """Say what decided the verdict."""
        return " ".join(map(str, test.test_run.reasons))


@admin.register(HipotSession)
class HipotSessionAdmin(FactAdmin):
    """Live hipots, and how they ended."""

    list_display = ("unit", "shown_state", "first_person", "second_person", "begun_at", "expires_at")
    list_filter = ("state",)
    list_select_related = ("unit",)
    search_through = ("unit",)
    search_help_text = "Scan or type a code of the unit"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("unit", "operation", "shown_state", "reason", "plan", "tool", "first_person", "second_person"),
        *("first_signature", "second_signature", "station", "begun_at", "expires_at"),
        *("ended_at", "ended_by", "abort_reason"),
    )
    actions_detail = ("abort",)

    @display(description="State", label={"live": "danger", "finished": "success", "aborted": "warning"})
    def shown_state(self, session: HipotSession) -> str:
        """Say whether it is live."""
        return session.state

    @action(description="Abort", permissions=["abort"], icon="cancel")
    def abort(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a live hipot without a result, with a reason."""
        session = self.row(request, object_id)
        form = AbortForm(request.POST if request.method == "POST" else None)

        def act(by: Actor, reason: str) -> str:
            discharged = bool(form.cleaned_data["discharged"])
            ended = abort_hipot(session=session, reason=reason, discharged=discharged, by=by)
            return f"The {ended} is aborted; {ended.unit.serial} may be worked on."

        consequence = (
            f"{session.unit.serial} is locked out while the hipot is live. Once it is aborted anybody may"
            " touch it: see first that the tester is off and the rack is discharged."
        )
        return self.ask(
            request, session, title=f"Abort the {session}", consequence=consequence, act=act, form=form
        )

    def has_abort_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may end sessions and this one is live."""
        is_live = object_id is None or self.row(request, object_id).state == HipotSession.State.LIVE
        return may(request, "electrical.change_hipotsession") and is_live
