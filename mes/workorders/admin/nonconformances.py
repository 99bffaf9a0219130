"""Nonconformances in the admin, with the acts on them: rework lives here, above quality."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from mes.attachments.services import store_attachment
from mes.backoffice import (
    AddedByService,
    FactAdmin,
    FactInline,
    PasswordInput,
    SignatureForm,
    TextInput,
    action,
    actor_of,
    display,
    may,
)
from mes.ledger.services import Actor
from mes.people.services import proof_on_page, prove
from mes.products.models import Operation, Route
from mes.quality.models import Disposition, Nonconformance, RepairRecord
from mes.quality.services import add_pictures
from mes.workorders.admin.order_forms import typed
from mes.workorders.models import OrderUnit, Rework
from mes.workorders.services import dispose, record_repair, report_problem


class DispositionInline(FactInline):
    """What was decided."""

    model = Disposition
    fields = ("kind", "reason", "rework_route", "returns_to", "signature", "quality_signature", "decided_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Disposition]:
        """Return the decisions with what they name."""
        rows = super().get_queryset(request)
        return rows.select_related("rework_route", "returns_to", "signature", "quality_signature")


class ReworkInline(FactInline):
    """The rework that followed."""

    model = Rework
    fields = ("route", "returns_to", "state", "started_at", "ended_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rework]:
        """Return the reworks with what they name."""
        return super().get_queryset(request).select_related("route", "returns_to")


class RepairInline(FactInline):
    """What was done."""

    model = RepairRecord
    fields = ("action", "symptom", "slot", "removed", "fitted", "minutes", "repaired_at", "repaired_by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RepairRecord]:
        """Return the repairs with what they name."""
        return super().get_queryset(request).select_related("removed", "fitted")


class RepairForm(forms.Form):
    """Asks what was done, and where; what was swapped there is read from the installations."""

    action = forms.CharField(max_length=300, label="What was done", widget=TextInput({"autofocus": True}))
    slot = forms.CharField(
        max_length=120, required=False, widget=TextInput(), help_text="Path of slots, e.g. U08/SC1."
    )
    symptom = forms.CharField(
        max_length=60, required=False, widget=TextInput(), help_text="If another than that found."
    )
    minutes = forms.DecimalField(min_value=0, max_digits=8, decimal_places=1, required=False)


class PictureForm(forms.Form):
    """Asks for a picture."""

    picture = forms.FileField(help_text="PNG, JPEG or WebP, to 20 MB.")


class DisposeForm(SignatureForm):
    """Asks what is decided; for rework and repair also by which route, and where it returns.

    Badge and PIN are those of quality, who signs too where a rework limit is reached.
    """

    field_order = ("kind", "rework_route", "returns_to", "reason", "password", "badge", "pin")
    kind = forms.ChoiceField(choices=Disposition.Kind.choices)
    rework_route = forms.ModelChoiceField(
        Route.objects.none(), required=False, help_text="For rework and repair."
    )
    returns_to = forms.ModelChoiceField(
        Operation.objects.none(), required=False, help_text="The operation done again after rework or repair."
    )

    badge = forms.CharField(
        max_length=60, required=False, label="Badge of quality", help_text="If a rework limit is reached."
    )
    pin = forms.CharField(max_length=12, required=False, label="PIN of quality", widget=PasswordInput())

    def __init__(self, data: Any, found: Nonconformance) -> None:
        super().__init__(data)
        part = found.unit.part_revision.part_id
        routes = Route.objects.filter(part=part, kind=Route.Kind.REWORK, released_at__isnull=False)
        now = OrderUnit.objects.filter(unit=found.unit, closed_at__isnull=True)
        self._offer("rework_route", routes)
        self._offer("returns_to", Operation.objects.filter(route__in=now.values("route")))

    def _offer(self, name: str, rows: QuerySet[Any]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ModelChoiceField):
            field.queryset = rows


@admin.register(Nonconformance)
class NonconformanceAdmin(AddedByService):
    """What is wrong with units: opened here or on the floor, decided about by the review board."""

    list_display = (
        *("number", "unit", "state_now", "symptom", "source", "location", "operation"),
        *("opened_at", "opened_by", "closed_at"),
    )
    list_select_related = ("unit", "operation")
    list_filter = ("state", "source", "site", "opened_at")
    search_fields = ("number", "symptom", "unit__serial")
    ordering = ("-id",)
    sortable_by = ("number",)
    autocomplete_fields = ("unit",)
    add_fieldsets = ((None, {"fields": ("unit", "symptom", "location", "description")}),)
    fields = (
        *("number", "state_now", "unit", "symptom", "source", "description", "location", "operation"),
        *("test_run", "pictures_taken", "opened_at", "opened_by", "opened_station", "closed_at", "closed_by"),
    )
    inlines = (DispositionInline, ReworkInline, RepairInline)
    records = (("Hold", "quality.hold", "nonconformance__id__exact"),)
    actions_detail = ("dispose", "repair", "add_picture")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow the list of a unit's nonconformances, which the unit's page leads to."""
        return lookup == "unit__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="State", label={"open": "danger", "in rework": "warning"})
    def state_now(self, found: Nonconformance) -> str:
        """Say the state."""
        return found.get_state_display().lower()

    @display(description="Pictures")
    def pictures_taken(self, found: Nonconformance) -> SafeString:
        """Link the pictures."""
        rows = ((f"/api/v1/attachments/{picture.uid}/", picture.name) for picture in found.pictures.all())
        return format_html_join(", ", '<a class="text-link" href="{}">{}</a>', rows)

    def has_dispose_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may decide and this one waits for a decision."""
        found = self.row(request, object_id) if object_id else None
        waits = found is None or found.state == Nonconformance.State.OPEN
        return may(request, "quality.add_disposition") and waits

    def has_repair_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may record repairs and this one is in rework."""
        found = self.row(request, object_id) if object_id else None
        in_rework = found is None or found.state == Nonconformance.State.REWORK
        return may(request, "quality.add_repairrecord") and in_rework

    def has_picture_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may open nonconformances and this one is not closed."""
        found = self.row(request, object_id) if object_id else None
        is_open = found is None or found.state != Nonconformance.State.CLOSED
        return may(request, "quality.add_nonconformance") and is_open

    def save_model(self, request: HttpRequest, obj: Nonconformance, form: Any, change: bool) -> None:
        """Open it."""
        obj.pk = report_problem(
            unit=form.cleaned_data["unit"],
            symptom=obj.symptom,
            source=Nonconformance.Source.HAND,
            description=obj.description,
            location=obj.location,
            by=actor_of(request),
        ).pk

    @action(description="Decide", permissions=["dispose"], icon="gavel")
    def dispose(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Decide about it, signed; where a rework limit is reached, quality signs too by badge and PIN."""
        found = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            proof = proof_on_page(request)
            quality = prove(badge=given["badge"], pin=given["pin"]) if given["badge"] else None
            dispose(
                nonconformance=found,
                kind=given["kind"],
                reason=given["reason"],
                proof=proof,
                quality_proof=quality,
                by=by,
                rework_route=given["rework_route"],
                returns_to=given["returns_to"],
            )
            return f"{found}: {given['kind'].replace('_', ' ')} is decided."

        return self.ask_for(
            request,
            found,
            title=f"Decide about {found}",
            consequence=f"{found.unit} is on hold for {found.symptom}. What you decide happens at once.",
            act=act,
            form=DisposeForm(request.POST if request.method == "POST" else None, found),
        )

    @action(description="Record a repair", permissions=["repair"], icon="build")
    def repair(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Write down what was done about it."""
        found = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            repair = record_repair(nonconformance=found, by=by, **given)
            return f"{found}: {repair.action} is recorded."

        return self.ask_for(
            request,
            found,
            title=f"Record a repair of {found}",
            consequence=f"{found.unit} is in rework for {found.symptom}.",
            act=act,
            form=RepairForm(typed(request)),
        )

    @action(description="Add a picture", permissions=["picture"], icon="add_a_photo")
    def add_picture(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Add a picture of what is wrong."""
        found = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            file = given["picture"]
            file.seek(0)  # an act that met a rival is done again
            with transaction.atomic():
                picture = store_attachment(
                    site=found.site,
                    name=file.name,
                    content_type=file.content_type,
                    content=file.read(),
                    by=by,
                )
                add_pictures(nonconformance=found, pictures=[picture], by=by)
            return f"{picture.name} is added to {found}."

        return self.ask_for(
            request,
            found,
            title=f"Add a picture to {found}",
            consequence="It is kept with what was found, and cannot be taken away.",
            act=act,
            form=PictureForm(typed(request), request.FILES or None),
        )


@admin.register(Disposition)
class DispositionAdmin(FactAdmin):
    """Decisions of the review board."""

    list_display = ("nonconformance", "kind", "reason", "signature", "quality_signature", "decided_at")
    list_select_related = ("nonconformance", "signature", "quality_signature")
    list_filter = ("kind", "decided_at")
    search_fields = ("nonconformance__number",)
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("nonconformance", "kind", "reason", "rework_route", "returns_to"),
        *("signature", "quality_signature", "decided_at"),
    )


@admin.register(RepairRecord)
class RepairRecordAdmin(FactAdmin):
    """What was done about nonconformances."""

    list_display = (
        *("nonconformance", "action", "symptom", "slot", "removed", "fitted"),
        *("minutes", "repaired_at", "repaired_by"),
    )
    list_select_related = ("nonconformance", "removed", "fitted")
    list_filter = ("repaired_at",)
    search_fields = ("nonconformance__number", "symptom")
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("nonconformance", "failed_test", "symptom", "action", "slot", "removed", "fitted"),
        *("minutes", "repaired_at", "repaired_by"),
    )


@admin.register(Rework)
class ReworkAdmin(FactAdmin):
    """Units on rework routes, and what became of it."""

    list_display = ("unit", "nonconformance", "route", "returns_to", "state", "started_at", "ended_at")
    list_select_related = ("unit", "nonconformance", "route", "returns_to")
    list_filter = ("state", "started_at")
    search_fields = ("nonconformance__number", "unit__serial")
    ordering = ("-id",)
    sortable_by = ()
    fields = ("unit", "nonconformance", "route", "returns_to", "state", "started_at", "ended_at")
