"""The house rules of the admin: definitions are edited until released, facts only change through services."""

from collections.abc import Callable
from typing import Any, Protocol, cast

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.db import models, transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator

from mes.errors import RuleViolation
from mes.ledger.models import Event, Stream
from mes.ledger.services import (
    SECRET_FIELDS,
    Actor,
    Answer,
    advance,
    decide_again_when_stale,
    locked,
    record,
    without_secrets,
)
from mes.theme import (
    FactInline,
    ListAdmin,
    PasswordInput,
    ReadOnlyAdmin,
    Select,
    TextInput,
    ThemedInline,
    action,
    display,
    list_url,
    may,
    page_url,
    pretty_json,
)

__all__ = [
    "AddedByService",
    "DefinitionAdmin",
    "DraftAdmin",
    "DraftInline",
    "FactAdmin",
    "FactInline",
    "OfficeAdmin",
    "PasswordInput",
    "ReasonForm",
    "Select",
    "SignatureForm",
    "TextInput",
    "action",
    "actor_of",
    "display",
    "list_url",
    "may",
    "page_url",
    "pretty_json",
    "refuse",
]

EVENTS_SHOWN = 20
SHOWN_CHARACTERS = 120


class Person(Protocol):
    """Who uses the admin."""

    def actor(self, operator: str = "") -> Actor:
        """Return this person acting without a device."""
        ...


class ReasonForm(forms.Form):
    """Asks why."""

    reason = forms.CharField(max_length=300, widget=TextInput({"autofocus": True}))


class SignatureForm(ReasonForm):
    """Asks why, and for the password of who uses the page: a signed act.

    The act makes the proof itself, as its first line and before it calls a service, so that a wrong password
    counts: ``sign(proof=people.services.proof_on_page(request), reason=reason, ...)``.
    """

    password = forms.CharField(
        max_length=1024,
        strip=False,
        widget=PasswordInput({"autocomplete": "current-password"}),
        help_text="Your own; with it you sign.",
    )


def actor_of(request: HttpRequest) -> Actor:
    """Return the person at this page as an actor."""
    return cast(Person, request.user).actor()


def events_table(row: Stream) -> dict[str, Any]:
    """Return the last events of a row as the theme's table: headers and rows, newest first."""
    events = Event.objects.filter(stream=row.stream).order_by("-seq")[:EVENTS_SHOWN]
    rows = [
        [
            event.seq,
            format_html('<a class="text-link" href="{}">{}</a>', page_url(event), event.kind),
            timezone.localtime(event.at).strftime("%Y-%m-%d %H:%M:%S"),
            event.actor,
            event.station,
            Truncator(event.payload_text).chars(SHOWN_CHARACTERS),
        ]
        for event in events
    ]
    return {"headers": ["No.", "What", "At", "Who", "Station", "Facts"], "rows": rows}


def refuse(request: HttpRequest, violation: RuleViolation) -> None:
    """Record a refused attempt in the history of the person who made it; show why and what to do next."""
    typed = without_secrets(request.POST.dict())
    typed.pop("csrfmiddlewaretoken", None)
    refusal = {
        "code": violation.code,
        "detail": violation.detail,
        "rule": violation.rule,
        "release": violation.release,
        "next": violation.next_step,
        **violation.facts,
    }
    tried = {"request": request.path, "body": typed, "refusal": refusal}
    with transaction.atomic():
        person = locked(cast(Stream, request.user))
        record(advance(person, "act.refused", by=actor_of(request), payload=tried))
    messages.error(request, f"{violation.detail} {violation.next_step}")


class OfficeAdmin(ListAdmin):
    """What all pages share: acts that ask first, links to records, and the last events of a row.

    ``records`` are links to lists of other admins: title, model as app.model, and the lookup that takes the
    row's key. They are named, not imported, so that a page can lead to apps above its own.
    """

    show_full_result_count = False
    list_per_page = 50
    records: tuple[tuple[str, str, str], ...] = ()
    change_form_outer_before_template = "backoffice/records.html"
    change_form_outer_after_template = "backoffice/events.html"

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row an act is about, or raise Http404."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        return row

    def ask(
        self,
        request: HttpRequest,
        row: models.Model,
        *,
        title: str,
        consequence: str,
        act: Callable[[Actor, str], str],
        form_class: type[forms.Form] = ReasonForm,
        form: forms.BaseForm | None = None,
    ) -> HttpResponse:
        """Ask for a reason (or, with a form without fields, for a yes), then act and show what was done.

        ``act`` takes the actor and the reason, calls a service and returns the sentence to show. A refusal
        is recorded and shown instead. With ``SignatureForm`` the act is signed: see there. An act that needs
        more than the reason passes its ``form``, made from ``request.POST``, and reads the rest from it.
        """

        def act_because(by: Actor, given: dict[str, Any]) -> str:
            return act(by, str(given.get("reason", "")))

        form = form or form_class(request.POST if request.method == "POST" else None)
        return self.ask_for(request, row, title=title, consequence=consequence, act=act_because, form=form)

    def ask_for(
        self,
        request: HttpRequest,
        row: models.Model,
        *,
        title: str,
        consequence: str,
        act: Callable[[Actor, dict[str, Any]], str],
        form: forms.BaseForm,
    ) -> HttpResponse:
        """Ask what a form asks, then act on it; as ``ask``, but ``act`` takes all that the form was given."""
        if form.is_valid():
            try:
                done = decide_again_when_stale(lambda: Answer(200, act(actor_of(request), form.cleaned_data)))
                messages.success(request, done.body)
            except RuleViolation as violation:
                refuse(request, violation)
            return redirect(page_url(row))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": title,
            "consequence": consequence,
            "form": form,
            "back": page_url(row),
        }
        return TemplateResponse(request, "backoffice/act.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a row with its records, and its last events if it has a history of its own."""
        row = self.get_object(request, unquote(object_id))
        context = {"records": self._record_links(request, object_id), **(extra_context or {})}
        if isinstance(row, Stream) and may(request, "ledger.view_event"):
            context["all_events"] = list_url("ledger_event", stream=row.stream)
            context["events"] = events_table(row)
        return super().change_view(request, object_id, form_url, context)

    def _record_links(self, request: HttpRequest, object_id: str) -> list[tuple[str, str]]:
        return [
            (title, list_url(model.replace(".", "_"), **{lookup: object_id}))
            for title, model, lookup in self.records
            if may(request, model.replace(".", ".view_"))
        ]


class FactAdmin(ReadOnlyAdmin, OfficeAdmin):
    """Facts: looked at, never edited.

    ``search_through`` names foreign keys; the search then finds the rows of what their own admin finds.
    """

    search_through: tuple[str, ...] = ()

    def get_search_fields(self, request: HttpRequest) -> Any:
        """Return what is searched."""
        return self.search_through or super().get_search_fields(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the rows found, and that none of them is there twice."""
        if not self.search_through or not search_term:
            return super().get_search_results(request, queryset, search_term)
        found = Q()
        for name in self.search_through:
            model = cast(type[models.Model], self.model._meta.get_field(name).related_model)
            searched = self.admin_site.get_model_admin(model)
            rows, _ = searched.get_search_results(request, model._default_manager.all(), search_term)
            # As a list: an OR of two subqueries would scan the whole table.
            found |= Q(**{f"{name}__in": list(rows.values_list("pk", flat=True))})
        return queryset.filter(found), False


class AddedByService(FactAdmin):
    """Facts whose add page calls a service, in ``save_model``; when refused, what was typed stays typed."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the person may add rows."""
        return may(request, f"{self.opts.app_label}.add_{self.opts.model_name}")

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Return no inlines for the add page, for nothing is there yet."""
        return super().get_inlines(request, obj) if obj else ()

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the add page, and what it refuses."""
        try:
            return super().add_view(request, form_url, extra_context)
        except RuleViolation as violation:
            refuse(request, violation)
            typed = request.POST.copy()
            for name in ("csrfmiddlewaretoken", *SECRET_FIELDS):
                typed.pop(name, None)
            return redirect(f"{request.path}?{typed.urlencode()}")

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponseRedirect:
        """Go to the new row."""
        return HttpResponseRedirect(page_url(obj))


class DraftAdmin(OfficeAdmin):
    """Definitions and their parts: edited while a draft, read-only once released."""

    def definition_of(self, row: Any) -> Any:
        """Return the definition whose release freezes a row: the row itself, or what it is part of."""
        return row

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False for what is released."""
        return not self._is_frozen(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False for what is released."""
        return not self._is_frozen(obj) and super().has_delete_permission(request, obj)

    def _is_frozen(self, row: Any) -> bool:
        return row is not None and bool(self.definition_of(row).is_released)


class DraftInline(ThemedInline):
    """Rows of a definition; the page shows them read-only once it is released."""

    extra = 0
    hide_title = True


class DefinitionAdmin(DraftAdmin):
    """Definitions that are released, which freezes them."""

    actions_detail: tuple[str, ...] = ("release",)

    def check_release(self, row: Any) -> None:
        """Refuse with a RuleViolation what must not be released."""

    def has_release_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change definitions and this one is still a draft."""
        row = self.get_object(request, unquote(object_id)) if object_id else None
        return self.has_change_permission(request, row)

    @action(description="Release", permissions=["release"], icon="lock")
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Release a definition, after a question."""
        row = self.row(request, object_id)

        def act(by: Actor, _reason: str) -> str:
            self.check_release(row)
            release_definition(definition=row, person=cast(Stream, request.user), by=by)
            return f"{row} is released."

        return self.ask(
            request,
            row,
            title=f"Release {row}",
            consequence="It can then be built to, and nothing in it can be changed again, here or in the"
            " database. A change is a new revision.",
            act=act,
            form_class=forms.Form,
        )


@transaction.atomic
def release_definition(*, definition: models.Model, person: Stream, by: Actor) -> None:
    """Freeze a definition; the release is in the history of the person. Refuses with ``already_released``."""
    drafts = definition.__class__._default_manager.filter(pk=definition.pk, released_at__isnull=True)
    if not drafts.update(released_at=timezone.now()):
        raise RuleViolation(
            "already_released",
            f"{definition} was released before.",
            rule="a definition is released once",
            next_step="Nothing more to do.",
        )
    payload = {"definition": definition._meta.label_lower, "name": str(definition)}
    record(advance(locked(person), "definition.released", by=by, payload=payload))
