"""Crates and indicators in the admin: packed, weighed, closed, looked at."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mes.attachments.services import store_attachment
from mes.backoffice import FactAdmin, FactInline, ReasonForm, Select, TextInput, action, display, may
from mes.errors import RuleViolation
from mes.ledger.services import Actor
from mes.serials.models import Unit
from mes.serials.services import find_units
from mes.shipping.admin.shipment_forms import typed
from mes.shipping.models import Crate, CratePhoto, Indicator, LooseItem, PackedUnit, Shipment
from mes.shipping.services import (
    add_item,
    add_photos,
    apply_indicator,
    close_crate,
    open_crate,
    pack_unit,
    remove_indicator,
    unpack_unit,
    withdraw_crate,
)


class ScanForm(forms.Form):
    """The code of a unit, as scanned."""

    code = forms.CharField(max_length=120, widget=TextInput({"autofocus": True}))


class UnpackForm(ScanForm, ReasonForm):
    """The code of a unit, and why it is taken out."""

    field_order = ("code", "reason")


class ItemForm(forms.Form):
    """A loose item."""

    kind = forms.ChoiceField(choices=LooseItem.Kind.choices, widget=Select())
    description = forms.CharField(max_length=200, widget=TextInput())
    quantity = forms.IntegerField(min_value=1, initial=1)
    weight_kg = forms.DecimalField(min_value=0, max_digits=9, decimal_places=3, initial=0)


class WeightsForm(forms.Form):
    """The weights of a crate."""

    tare_kg = forms.DecimalField(min_value=0, max_digits=9, decimal_places=3, label="Empty, kg")
    net_kg = forms.DecimalField(
        min_value=Decimal("0.001"), max_digits=9, decimal_places=3, label="What is in it, kg"
    )
    gross_kg = forms.DecimalField(
        min_value=Decimal("0.001"), max_digits=9, decimal_places=3, label="All together, kg"
    )


class IndicatorForm(forms.Form):
    """An indicator to put on."""

    kind = forms.ChoiceField(choices=Indicator.Kind.choices, widget=Select())
    serial = forms.CharField(max_length=60, widget=TextInput())
    rating = forms.DecimalField(
        min_value=Decimal("0.1"), max_digits=6, decimal_places=1, help_text="g or degrees."
    )


class PictureForm(forms.Form):
    """Asks for a picture."""

    picture = forms.FileField(help_text="PNG, JPEG or WebP, to 20 MB.")


class PackedUnitInline(FactInline):
    """The units of a crate."""

    model = PackedUnit
    fields = ("unit", "packed_at", "packed_by", "departed_at", "unpacked_at", "unpacked_because")
    readonly_fields = ("departed_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PackedUnit]:
        """Return the units without their contents, which fill pages."""
        return super().get_queryset(request).select_related("unit", "crate").defer("contents")


class LooseItemInline(FactInline):
    """The loose items of a crate."""

    model = LooseItem
    fields = ("kind", "part", "description", "quantity", "weight_kg", "packed_by", "removed_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LooseItem]:
        """Return the items with their parts."""
        return super().get_queryset(request).select_related("part")


class IndicatorInline(FactInline):
    """The indicators of a crate."""

    model = Indicator
    show_change_link = True
    fields = ("kind", "serial", "rating", "departure", "arrival", "arrival_read_by", "removed_because")


class PhotoInline(FactInline):
    """The pictures of a crate."""

    model = CratePhoto
    fields = ("moment", "picture", "added_at", "added_by")
    readonly_fields = ("picture",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CratePhoto]:
        """Return the pictures with their files."""
        return super().get_queryset(request).select_related("attachment", "crate")

    @display(description="Picture")
    def picture(self, photo: CratePhoto) -> SafeString:
        """Link to the file."""
        uid, name = photo.attachment.uid, photo.attachment.name
        return format_html('<a class="text-link" href="/api/v1/attachments/{}/">{}</a>', uid, name)


@admin.register(Crate)
class CrateAdmin(FactAdmin):
    """Crates of shipments."""

    list_display = (
        *("number", "shipment", "shown_state", "tare_kg", "net_kg", "gross_kg"),
        *("packed_at", "packed_by", "condition"),
    )
    list_select_related = ("shipment",)
    list_filter = ("state", "condition", "packed_at")
    search_fields = ("number", "shipment__number", "units__unit__serial")
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("number", "shipment", "part", "shown_state", "length_mm", "width_mm", "height_mm"),
        *("tare_kg", "net_kg", "gross_kg", "packed_at", "packed_by", "condition", "condition_note"),
    )
    inlines = (PackedUnitInline, LooseItemInline, IndicatorInline, PhotoInline)
    actions_detail = ("pack", "unpack", "item", "indicator", "picture", "close", "open", "withdraw")

    @display(description="State", label={"open": "warning", "closed": "success", "withdrawn": "danger"})
    def shown_state(self, crate: Crate) -> str:
        """Say the state."""
        return crate.state

    @action(description="Pack a unit", permissions=["pack"], icon="add_box")
    def pack(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Put a unit in."""
        crate = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            return f"{pack_unit(crate=crate, unit=_found(crate, given['code']), by=by)}."

        consequence = "It goes in with everything that is in it."
        return self._ask(
            request, crate, "Pack a unit into", act, consequence=consequence, form=ScanForm(typed(request))
        )

    @action(description="Take a unit out", permissions=["pack"], icon="outbox")
    def unpack(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a unit out."""
        crate = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            unit = _found(crate, given["code"])
            unpack_unit(crate=crate, unit=unit, reason=given["reason"], by=by)
            return f"{unit} is taken out of {crate}."

        consequence = "That it was in the crate stays on record."
        return self._ask(
            request,
            crate,
            "Take a unit out of",
            act,
            consequence=consequence,
            form=UnpackForm(typed(request)),
        )

    @action(description="Add an item", permissions=["pack"], icon="add_shopping_cart")
    def item(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Put a loose item in."""
        crate = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            return f"{add_item(crate=crate, by=by, **given)} is in {crate}."

        consequence = "It is named on the pack list."
        return self._ask(
            request, crate, "Add an item to", act, consequence=consequence, form=ItemForm(typed(request))
        )

    @action(description="Add an indicator", permissions=["mark"], icon="sensors")
    def indicator(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Put an indicator on."""
        crate = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            return f"{apply_indicator(crate=crate, by=by, **given)} is on {crate}."

        consequence = "It has not tripped. Its serial is used once."
        return self._ask(
            request,
            crate,
            "Put an indicator on",
            act,
            consequence=consequence,
            form=IndicatorForm(typed(request)),
        )

    @action(description="Add a picture", permissions=["picture"], icon="add_a_photo")
    def picture(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Add a picture: of its departure, once it departed of its arrival."""
        crate = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            file = given["picture"]
            file.seek(0)  # an act that met a rival is done again
            with transaction.atomic():
                photo = store_attachment(
                    site=crate.shipment.site,
                    name=file.name,
                    content_type=file.content_type,
                    content=file.read(),
                    by=by,
                )
                count = add_photos(crate=crate, photos=[photo], by=by)
            return f"{photo.name} is added; {crate} has {count} now."

        form = PictureForm(typed(request), request.FILES or None)
        consequence = "It is kept with the crate, and cannot be taken away."
        return self._ask(request, crate, "Add a picture to", act, consequence=consequence, form=form)

    @action(description="Weigh and close", permissions=["pack"], icon="scale")
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Weigh and close it."""
        crate = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            return f"{close_crate(crate=crate, by=by, **given)} is closed."

        consequence = "Each unit in it is proved packed, if weights, indicators and pictures are right."
        return self._ask(
            request, crate, "Weigh and close", act, consequence=consequence, form=WeightsForm(typed(request))
        )

    @action(description="Open", permissions=["open"], icon="unarchive")
    def open(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open it again."""
        crate = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            return f"{open_crate(crate=crate, by=by, **given)} is open."

        consequence = "What was proved of the units in it holds no more; it is weighed and closed anew."
        return self._ask(
            request, crate, "Open", act, consequence=consequence, form=ReasonForm(typed(request))
        )

    @action(description="Withdraw", permissions=["pack"], icon="delete")
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take it out of its shipment."""
        crate = self.row(request, object_id)

        def act(by: Actor, given: dict[str, Any]) -> str:
            return f"{withdraw_crate(crate=crate, by=by, **given)} is withdrawn."

        consequence = "It must be empty. It leaves the shipment for good, and its number is not used again."
        return self._ask(
            request, crate, "Withdraw", act, consequence=consequence, form=ReasonForm(typed(request))
        )

    def _ask(
        self, request: HttpRequest, crate: Crate, title: str, act: Any, *, consequence: str, form: forms.Form
    ) -> HttpResponse:
        return self.ask_for(
            request, crate, title=f"{title} {crate}", consequence=consequence, act=act, form=form
        )

    def _may(self, request: HttpRequest, object_id: str | None, crates: set[str], shipments: Any) -> bool:
        crate = self.row(request, object_id) if object_id else None
        is_so = crate is None or (crate.state in crates and crate.shipment.state in shipments)
        return may(request, "shipping.change_shipment") and is_so

    def has_pack_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may pack and this one is open."""
        return self._may(request, object_id, {Crate.State.OPEN}, Shipment.IN_FACTORY)

    def has_open_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may pack and this one is closed."""
        return self._may(request, object_id, {Crate.State.CLOSED}, Shipment.IN_FACTORY)

    def has_mark_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may pack and this one is still here."""
        return self._may(request, object_id, {Crate.State.OPEN, Crate.State.CLOSED}, Shipment.IN_FACTORY)

    def has_picture_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may pack and this one is here, or has just come."""
        states = {*Shipment.IN_FACTORY, Shipment.State.DEPARTED, Shipment.State.ARRIVED}
        return self._may(request, object_id, set(Crate.State), states)


def _found(crate: Crate, code: str) -> Unit:
    units = find_units(value=code, site=crate.shipment.site)
    if len(units) == 1:
        return units[0]
    raise RuleViolation(
        "ambiguous_identifier" if units else "unknown_code",
        f"{code} names {len(units) or 'no'} units at {crate.shipment.site}.",
        rule="a scan names one unit",
        next_step="Scan another label of the unit.",
    )


@admin.register(Indicator)
class IndicatorAdmin(FactAdmin):
    """Shock and tilt indicators."""

    list_display = (
        *("serial", "kind", "rating", "crate", "departure", "arrival"),
        *("arrival_read_at", "arrival_read_by", "removed_at"),
    )
    list_select_related = ("crate",)
    list_filter = ("kind", "departure", "arrival")
    search_fields = ("serial", "crate__number", "crate__shipment__number")
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("serial", "kind", "rating", "crate", "departure", "departure_read_at", "departure_read_by"),
        *("departure_photo", "arrival", "arrival_read_at", "arrival_read_by", "arrival_photo"),
        *("removed_at", "removed_by", "removed_because"),
    )
    actions_detail = ("take_off",)

    @action(description="Take off", permissions=["take_off"], icon="sensors_off")
    def take_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take it off its crate."""
        indicator = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            remove_indicator(indicator=indicator, reason=reason, by=by)
            return f"{indicator} is taken off."

        consequence = "What it showed stays on record. The crate needs another in its place."
        return self.ask(request, indicator, title=f"Take {indicator} off", consequence=consequence, act=act)

    def has_take_off_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may pack and this one is on a crate that is here."""
        row = self.row(request, object_id) if object_id else None
        is_here = row is None or row.crate.shipment.state in Shipment.IN_FACTORY
        return may(request, "shipping.change_shipment") and is_here and not (row and row.removed_at)
