"""Definitions in the admin: edited while a draft, shown once released."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Field, ForeignKey, QuerySet
from django.http import HttpRequest

from mes.backoffice import DefinitionAdmin, DraftAdmin, DraftInline, OfficeAdmin, TextInput
from mes.products.models import (
    BomLine,
    FirmwareBaseline,
    FirmwareVersion,
    Gate,
    Limit,
    Operation,
    Part,
    PartRevision,
    RetestRule,
    Route,
    Slot,
)


class NamesField(forms.CharField):
    """A list, typed with commas."""

    widget = TextInput

    def prepare_value(self, value: Any) -> Any:
        """Return a stored list as it is typed."""
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return what was typed as a list."""
        return [name.strip() for name in str(value or "").split(",") if name.strip()]


class NumbersField(NamesField):
    """A list of whole numbers, typed with commas."""

    def to_python(self, value: Any) -> Any:
        """Return what was typed as a list of numbers."""
        try:
            return [int(number) for number in super().to_python(value)]
        except ValueError as error:
            raise ValidationError("Whole numbers with commas between them, e.g. 20, 30.") from error


@admin.register(Part)
class PartAdmin(OfficeAdmin):
    """Kinds of things."""

    list_display = ("number", "name", "kind", "level", "tracking", "maker", "maker_number")
    list_filter = ("tracking", "level")
    search_fields = ("number", "name", "maker_number", "kind")
    ordering = ("number",)


class BomLineInline(DraftInline):
    """The bill of material of a revision."""

    model = BomLine
    autocomplete_fields = ("part",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BomLine]:
        """Return the lines with their parts, which name them."""
        return super().get_queryset(request).select_related("part")

    def formfield_for_dbfield(self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        """Return the form field; a list is typed with commas."""
        if db_field.name == "revisions":
            return NamesField(required=False, help_text=db_field.help_text)
        return super().formfield_for_dbfield(db_field, request, **kwargs)


class SlotInline(DraftInline):
    """The slots of a revision."""

    model = Slot
    autocomplete_fields = ("accepts",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Slot]:
        """Return the slots with the parts they take."""
        return super().get_queryset(request).prefetch_related("accepts")


@admin.register(PartRevision)
class PartRevisionAdmin(DefinitionAdmin):
    """Revisions with bill of material and slots."""

    list_display = ("part", "revision", "description", "released_at")
    list_select_related = ("part",)
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    search_fields = ("part__number", "part__name", "revision")
    autocomplete_fields = ("part",)
    readonly_fields = ("released_at",)
    ordering = ("part__number", "revision")
    fields = ("part", "revision", "description", "weight_kg", "power_w", "assumption", "released_at")
    inlines = (BomLineInline, SlotInline)
    records = (("Units of this revision", "serials.unit", "part_revision__id__exact"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PartRevision]:
        """Return the revisions with their parts, which name them."""
        return super().get_queryset(request).select_related("part")


class OperationInline(DraftInline):
    """The operations of a route; gates and limits are on the page of each."""

    model = Operation
    fields = ("sequence", "code", "name", "work_center")


class RepeatsMixin:
    """Types the sequences of a retest rule with commas."""

    def formfield_for_dbfield(self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        """Return the form field; a list is typed with commas."""
        if db_field.name == "repeats":
            return NumbersField(help_text=db_field.help_text)
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]


class RetestRuleInline(RepeatsMixin, DraftInline):
    """The retest rules of a route."""

    model = RetestRule


@admin.register(Route)
class RouteAdmin(DefinitionAdmin):
    """Routes with their operations."""

    list_display = ("name", "version", "part", "released_at")
    list_select_related = ("part",)
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "version", "part__number")
    autocomplete_fields = ("part",)
    readonly_fields = ("released_at",)
    ordering = ("part__number", "version")
    fields = ("part", "version", "name", "assumption", "released_at")
    inlines = (OperationInline, RetestRuleInline)
    records = (("Operations with gates and limits", "products.operation", "route__id__exact"),)


class RoutePartAdmin(DraftAdmin):
    """What belongs to a route is frozen with it, and only ever put into a draft."""

    list_select_related = ("route",)
    list_filter = (("route__released_at", admin.EmptyFieldListFilter),)
    autocomplete_fields = ("route",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows with their routes, whose release freezes them."""
        return super().get_queryset(request).select_related("route")

    def definition_of(self, row: Any) -> Route:
        """Return the route."""
        route: Route = row.route
        return route

    def formfield_for_foreignkey(
        self, db_field: "ForeignKey[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Return the form field; of routes, only drafts are taken."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and db_field.name == "route":
            field.queryset = Route.objects.filter(released_at__isnull=True)
            field.error_messages["invalid_choice"] = "This route is released. Choose a draft."
        return field


class GateInline(DraftInline):
    """What must hold for the operation to start or complete."""

    model = Gate


class LimitInline(DraftInline):
    """What measurements of the operation's tests must keep to."""

    model = Limit


@admin.register(Operation)
class OperationAdmin(RoutePartAdmin):
    """Operations with gates and limits."""

    list_display = ("name", "sequence", "code", "work_center", "route")
    search_fields = ("name", "code", "work_center")
    ordering = ("route", "sequence")
    inlines = (GateInline, LimitInline)


@admin.register(RetestRule)
class RetestRuleAdmin(RepeatsMixin, RoutePartAdmin):
    """What is repeated after something was removed."""

    list_display = ("name", "slot_type", "repeats", "route")
    search_fields = ("name", "slot_type")
    ordering = ("route", "name")


class FirmwareVersionInline(DraftInline):
    """The versions of a baseline."""

    model = FirmwareVersion


@admin.register(FirmwareBaseline)
class FirmwareBaselineAdmin(DefinitionAdmin):
    """Published sets of firmware versions."""

    list_display = ("name", "mixed_vendors", "released_at")
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    search_fields = ("name",)
    readonly_fields = ("released_at",)
    ordering = ("name",)
    fields = ("name", "mixed_vendors", "assumption", "released_at")
    inlines = (FirmwareVersionInline,)
