"""Containment in the admin: ask what is affected, look at the list, hold it, release it."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mes.backoffice import (
    FactAdmin,
    ReasonForm,
    Select,
    TextInput,
    action,
    actor_of,
    display,
    may,
    page_url,
    pretty_json,
    refuse,
)
from mes.errors import RuleViolation
from mes.ledger.services import Answer, decide_again_when_stale
from mes.quality.models import Containment
from mes.stations.models import Site
from mes.traceability.containment import (
    PAGE,
    Affected,
    AffectedUnit,
    Place,
    find_affected,
    hold_containment,
    release_containment,
    with_counts,
)
from mes.traceability.questions import Question

PERMISSION = "quality.change_hold"
ASK = "admin:quality_containment_question"
PLAIN = (
    ("lot", "uid or number"),
    ("supplier", "code"),
    ("date_code", "2642 or 2640..2645"),
    ("part", "number"),
    ("revision", "of that part"),
    ("country_of_origin", "two letters"),
    ("tool", "code"),
    ("station", "code"),
    ("person", "user name"),
    ("firmware_component", "e.g. BMC"),
    ("firmware_version", "e.g. 1.2"),
    ("consumable_lot", "uid or number"),
)


class QuestionForm(forms.Form):
    """The criteria; what is left empty is not asked."""

    site = forms.ModelChoiceField(Site.objects.order_by("code"), to_field_name="code", widget=Select)
    containment = forms.CharField(required=False, widget=forms.HiddenInput)
    since = forms.DateTimeField(required=False, widget=TextInput({"placeholder": "2026-11-27 06:00"}))
    until = forms.DateTimeField(required=False, widget=TextInput({"placeholder": "2026-11-27 14:00"}))

    field_order = ("site", *(name for name, _ in PLAIN), "since", "until")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, hint in PLAIN:
            widget = TextInput({"placeholder": hint})
            self.fields[name] = forms.CharField(required=False, max_length=120, widget=widget)
        self.order_fields(self.field_order)

    def question(self) -> Question:
        """Return what was asked."""
        given = {name: value for name, value in self.cleaned_data.items() if value}
        return Question(**given)


class ConfirmForm(ReasonForm):
    """A reason, and what was seen."""

    expected_count = forms.IntegerField(widget=forms.HiddenInput)
    digest = forms.CharField(widget=forms.HiddenInput)


def where(row: AffectedUnit) -> str:
    """Say where a unit is, in one line."""
    inside = f"{row.top.serial} at {row.path}" if row.path else ""
    if row.shipped is not None:
        on = f"{timezone.localtime(row.shipped.shipped_at):%Y-%m-%d}" if row.shipped.shipped_at else ""
        words = ("Shipped to", row.shipped.shipped_to, on, f"in {inside}" if inside else "")
        return " ".join(word for word in words if word)
    return f"Inside {inside}" if inside else Place(row.place).label.capitalize()


def units_table(affected: Affected) -> dict[str, Any]:
    """Return one page of the units as the theme's table."""
    rows = [
        [
            format_html('<a class="text-link" href="{}">{}</a>', page_url(row.unit), row.unit.serial),
            str(row.unit.part_revision),
            where(row),
            f"{row.order.number} {row.order.customer}".strip() if row.order else "",
            "on hold" if row.unit.held else "",
        ]
        for row in affected.units
    ]
    return {"headers": ["Unit", "Part", "Where", "Order", "Hold"], "rows": rows}


def lots_table(affected: Affected) -> dict[str, Any]:
    """Return the lots as the theme's table."""
    rows = [
        [
            format_html('<a class="text-link" href="{}">{}</a>', page_url(lot), lot.number),
            lot.part.number,
            lot.supplier.code,
            lot.date_code,
            "on hold" if lot.held else "",
        ]
        for lot in affected.lots
    ]
    return {"headers": ["Lot", "Part", "Supplier", "Date code", "Hold"], "rows": rows}


def counted(units: int, lots: int) -> str:
    """Say how many units and lots, e.g. ``12 units and 1 lot``."""
    of_units = "1 unit" if units == 1 else f"{units} units"
    of_lots = "1 lot" if lots == 1 else f"{lots} lots"
    return f"{of_units} and {of_lots}" if lots else of_units


@admin.register(Containment)
class ContainmentAdmin(FactAdmin):
    """Holds on everything that a question found; asked, held and released on one page."""

    list_display = ("number", "state_now", "reason", "units", "still_held", "site", "held_at", "held_by")
    list_select_related = ("site",)
    list_filter = ("state", "site")
    search_fields = ("number__iexact",)
    search_help_text = "The whole number of a containment"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("number", "state_now", "asked", "reason", "site", "units", "lots", "still_held"),
        *("held_at", "held_by", "released_at", "released_by"),
    )
    readonly_fields = ("asked",)
    records = (("Holds", "quality.hold", "containment__id__exact"),)
    actions_list = ("question",)
    actions_detail = ("release",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return containments with how much of each is still held."""
        return with_counts(super().get_queryset(request))

    @display(description="State", label={Containment.State.HELD.label: "danger"})
    def state_now(self, containment: Containment) -> str:
        """Say the state, marked while something is held."""
        return containment.get_state_display()

    @display(description="Still held")
    def still_held(self, containment: Any) -> str:
        """Say how many units and lots are still held."""
        return counted(containment.units_still_held, containment.lots_still_held)

    @display(description="Question")
    def asked(self, containment: Containment) -> SafeString:
        """Show the criteria as they were asked."""
        return pretty_json(containment.question)

    def has_question_permission(self, request: HttpRequest) -> bool:
        """Return whether the person may look at containments."""
        return self.has_view_permission(request)

    def has_release_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may release holds and something is still held."""
        row = self.row(request, object_id) if object_id else None
        return may(request, PERMISSION) and not (row and row.state == Containment.State.RELEASED)

    @action(description="What it holds, and release", permissions=["release"], icon="lock_open")
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the question what this containment still holds."""
        row = self.row(request, object_id)
        return redirect(f"{reverse(ASK)}?{urlencode({'site': row.site.code, 'containment': row.number})}")

    @action(description="Ask what is affected", permissions=["question"], icon="troubleshoot")
    def question(self, request: HttpRequest) -> HttpResponse:
        """Show the question, what it finds, and the one button that holds or releases it."""
        form = QuestionForm(request.GET or None, initial={"site": Site.objects.order_by("code").first()})
        question = form.question() if form.is_valid() else None
        confirm = ConfirmForm(request.POST if request.method == "POST" else None)
        if question is not None and confirm.is_valid():
            return self._confirm(request, question, confirm.cleaned_data)
        return self._show(request, form, question, confirm)

    def _confirm(self, request: HttpRequest, question: Question, seen: dict[str, Any]) -> HttpResponse:
        if not may(request, PERMISSION):
            raise PermissionDenied
        try:
            done = decide_again_when_stale(lambda: Answer(200, self._act(request, question, seen)))
        except RuleViolation as violation:
            refuse(request, violation)
            return redirect(request.get_full_path())
        messages.success(request, f"{done.body}: {seen['reason']}")
        return redirect(page_url(done.body))

    def _act(self, request: HttpRequest, question: Question, seen: dict[str, Any]) -> Containment:
        by = actor_of(request)
        if not question.containment:
            return hold_containment(question=question, by=by, **seen)
        containment = Containment.objects.get(number__iexact=question.containment, site=question.site)
        return release_containment(containment=containment, question=question, by=by, **seen)

    def _show(
        self, request: HttpRequest, form: QuestionForm, question: Question | None, confirm: ConfirmForm
    ) -> HttpResponse:
        released = question.containment if question is not None else ""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Release {released}" if released else "Ask what is affected",
            "form": form,
            "confirm": confirm,
            "back": reverse("admin:quality_containment_changelist"),
        }
        if question is not None:
            try:
                context |= self._answer(request, question)
            except RuleViolation as violation:
                messages.error(request, f"{violation.detail} {violation.next_step}")
        return TemplateResponse(request, "backoffice/containment.html", context)

    def _answer(self, request: HttpRequest, question: Question) -> dict[str, Any]:
        asked = request.GET.copy()
        place = str(asked.get("place", "")) if asked.get("place") in Place.values else ""
        offset = int(page) if (page := str(asked.get("offset", ""))[:9]).isdecimal() else 0
        affected = find_affected(question=question, place=place, offset=offset)
        lots = len(affected.lots)
        counts = [
            {"label": place.label.capitalize(), "count": number, "href": changed(asked, place=place.value)}
            for place in Place
            if (number := affected.places[place.value])
        ]
        movable, verb = (affected.count, "Release") if question.containment else (affected.to_hold, "Hold")
        return {
            "affected": affected,
            "found": counted(affected.count, lots),
            "counts": counts,
            "everything": changed(asked) if place else "",
            "button": f"{verb} {counted(movable, lots)}",
            "units": units_table(affected),
            "lots": lots_table(affected),
            "more": changed(asked, place=place, offset=offset + PAGE) if affected.next_offset else "",
            "may_confirm": may(request, PERMISSION) and (movable or lots),
        }


def changed(asked: Any, **more: Any) -> str:
    """Return the address of the same question with another part of its list."""
    query = asked.copy()
    for name in ("place", "offset"):
        query.pop(name, None)
    for name, value in more.items():
        if value:
            query[name] = str(value)
    return f"?{query.urlencode()}"
