"""Definitions in the admin: edited while a draft, shown once released."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Field, ForeignKey, QuerySet
from django.http import HttpRequest

from mes.backoffice import DefinitionAdmin, DraftAdmin, DraftInline, FactAdmin, OfficeAdmin, TextInput
from mes.products.models import (
    BomLine,
    Budget,
    CompatibilityRule,
    Consumable,
    DataField,
    FirmwareBaseline,
    FirmwareVersion,
    Gate,
    Instruction,
    InstructionReading,
    InstructionStep,
    Limit,
    Operation,
    Part,
    PartRevision,
    RequiredQualification,
    RequiredTool,
    RetestRule,
    ReworkLimit,
    Route,
    Slot,
)
from mes.products.services import check_design, check_route


class NamesField(forms.CharField):
    """A list, typed with commas."""

    widget = TextInput

    def prepare_value(self, value: Any) -> Any:
        """Return a stored list as it is typed."""
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return what was typed as a list."""
        return [name.strip() for name in str(value or "").split(",") if name.strip()]


class PairsField(forms.CharField):
    """Texts by name, typed as ``name: text, name: text``."""

    widget = TextInput

    def prepare_value(self, value: Any) -> Any:
        """Return stored pairs as they are typed."""
        return (
            ", ".join(f"{name}: {text}" for name, text in sorted(value.items()))
            if isinstance(value, dict)
            else value
        )

    def to_python(self, value: Any) -> Any:
        """Return what was typed as texts by name."""
        typed = [pair.partition(":") for pair in str(value or "").split(",") if pair.strip()]
        pairs = {name.strip(): text.strip() for name, _, text in typed}
        if len(pairs) != len(typed) or not all(name and text for name, text in pairs.items()):
            raise ValidationError("Each name once with its text, e.g. generation: 1, link_speed: 400G.")
        return pairs


class ListsMixin:
    """Types the columns named in ``lists`` with commas."""

    lists: tuple[str, ...] = ()

    def formfield_for_dbfield(self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        """Return the form field; a list is typed with commas."""
        if db_field.name in self.lists:
            return NamesField(required=not db_field.blank, help_text=db_field.help_text)
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]


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


class SlotInline(ListsMixin, DraftInline):
    """The slots of a revision."""

    model = Slot
    lists = ("mates",)
    autocomplete_fields = ("accepts",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Slot]:
        """Return the slots with the parts they take."""
        return super().get_queryset(request).prefetch_related("accepts")


class BudgetInline(ListsMixin, DraftInline):
    """What the contents of a revision may come to."""

    model = Budget
    lists = ("demand_slots", "supply_slots")


class CompatibilityRuleInline(ListsMixin, DraftInline):
    """Which parts go together in a revision."""

    model = CompatibilityRule
    lists = ("kinds", "other_kinds", "other_values")


@admin.register(PartRevision)
class PartRevisionAdmin(ListsMixin, DefinitionAdmin):
    """Revisions with bill of material and slots."""

    list_display = ("part", "revision", "description", "released_at")
    list_select_related = ("part",)
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    search_fields = ("part__number", "part__name", "revision")
    autocomplete_fields = ("part",)
    readonly_fields = ("released_at",)
    ordering = ("part__number", "revision")
    fields = (
        *("part", "revision", "description", ("weight_kg", "empty_weight_kg", "empty_centre_mm")),
        *(("base_mm", "footprint_m2"), ("power_w", "power_supplied_w"), ("heat_liquid_w", "heat_air_w")),
        *(("coolant_l_min", "cooling_supplied_w", "coolant_supplied_l_min"), "mates", "properties"),
        *("assumption", "released_at"),
    )
    lists = ("mates",)
    inlines = (BomLineInline, SlotInline, BudgetInline, CompatibilityRuleInline)
    records = (("Units of this revision", "serials.unit", "part_revision__id__exact"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PartRevision]:
        """Return the revisions with their parts, which name them."""
        return super().get_queryset(request).select_related("part")

    def formfield_for_dbfield(self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        """Return the form field; properties are typed as names with texts."""
        if db_field.name == "properties":
            return PairsField(required=False, help_text=db_field.help_text)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def check_release(self, row: Any) -> None:
        """Refuse an assembly that its own budgets forbid."""
        check_design(row)


class OperationInline(DraftInline):
    """The operations of a route; what each asks for is on its own page."""

    model = Operation
    fields = ("sequence", "code", "name", "work_center", "standard_minutes", "optional")


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


class ReworkLimitInline(DraftInline):
    """How often units on the route are reworked before quality must agree."""

    model = ReworkLimit


@admin.register(Route)
class RouteAdmin(DefinitionAdmin):
    """Routes with their operations."""

    list_display = ("name", "version", "kind", "part", "released_at")
    list_select_related = ("part",)
    list_filter = ("kind", ("released_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "version", "part__number")
    autocomplete_fields = ("part",)
    readonly_fields = ("released_at",)
    ordering = ("part__number", "version")
    fields = ("part", "version", "kind", "name", "assumption", "released_at")
    inlines = (OperationInline, RetestRuleInline, ReworkLimitInline)
    records = (("Operations with gates and limits", "products.operation", "route__id__exact"),)

    def check_release(self, row: Any) -> None:
        """Refuse a route with a gap or a cycle."""
        check_route(row)


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


class RequiredQualificationInline(DraftInline):
    """What people must be qualified in."""

    model = RequiredQualification
    autocomplete_fields = ("qualification",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RequiredQualification]:
        """Return the rows with what names them."""
        return super().get_queryset(request).select_related("qualification")


class RequiredToolInline(DraftInline):
    """The types of tool the operation is done with."""

    model = RequiredTool


class ConsumableInline(DraftInline):
    """What the operation uses up."""

    model = Consumable
    autocomplete_fields = ("part",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Consumable]:
        """Return the rows with their parts, which name them."""
        return super().get_queryset(request).select_related("part")


class DataFieldInline(DraftInline):
    """The values recorded during the operation."""

    model = DataField

    def formfield_for_dbfield(self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        """Return the form field; choices are typed with commas."""
        if db_field.name == "choices":
            return NamesField(required=False, help_text=db_field.help_text)
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(Operation)
class OperationAdmin(RoutePartAdmin):
    """Operations with what they ask for: gates, limits, qualifications, tools, consumables, values."""

    list_display = ("name", "sequence", "code", "work_center", "route")
    search_fields = ("name", "code", "work_center")
    ordering = ("route", "sequence")
    inlines = (
        *(GateInline, LimitInline, RequiredQualificationInline, RequiredToolInline),
        *(ConsumableInline, DataFieldInline),
    )

    def formfield_for_dbfield(self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any) -> Any:
        """Return the form field; the operations it follows are typed with commas."""
        if db_field.name == "after":
            return NamesField(required=False, help_text=db_field.help_text)
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(RetestRule)
class RetestRuleAdmin(RepeatsMixin, RoutePartAdmin):
    """What is repeated after something was removed."""

    list_display = ("name", "trigger", "slot_type", "repeats", "route")
    search_fields = ("name", "slot_type")
    ordering = ("route", "name")


class InstructionStepInline(DraftInline):
    """The steps of an instruction, with their pictures."""

    model = InstructionStep
    autocomplete_fields = ("picture",)


@admin.register(Instruction)
class InstructionAdmin(DefinitionAdmin):
    """Work instructions, version by version."""

    list_display = ("code", "version", "title", "must_be_read", "released_at")
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    search_fields = ("code", "title")
    readonly_fields = ("released_at",)
    ordering = ("code", "version")
    fields = ("code", "version", "title", "must_be_read", "assumption", "released_at")
    inlines = (InstructionStepInline,)
    records = (("Who has read it", "products.instructionreading", "instruction__id__exact"),)


@admin.register(InstructionReading)
class InstructionReadingAdmin(FactAdmin):
    """Who has read and understood which version of an instruction."""

    list_display = ("instruction", "person", "read_at", "station")
    list_select_related = ("instruction", "person")
    search_fields = ("person__username__exact", "instruction__code__exact")
    ordering = ("-id",)
    sortable_by = ()
    fields = ("instruction", "person", "read_at", "station")


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
