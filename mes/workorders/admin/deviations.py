"""Deviations in the admin: permitted with a signature, revoked with a reason."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from mes.backoffice import (
    AddedByService,
    FactInline,
    PasswordInput,
    TextInput,
    action,
    actor_of,
    display,
    may,
)
from mes.ledger.services import Actor
from mes.people.services import proof_on_page
from mes.products.models import Limit
from mes.workorders.models import Deviation, DeviationUse
from mes.workorders.services import (
    LimitException,
    PartException,
    deviation_in_words,
    find_limit,
    open_deviation,
    revoke_deviation,
)

PROOF = "mes.proof"  # of the person who signs the add page, kept with the request


class OpenForm(forms.ModelForm):  # type: ignore[type-arg]
    """A deviation, signed with the password of who uses the page."""

    procedure = forms.CharField(required=False, widget=TextInput(), help_text="The test, e.g. tray_l10.")
    measurement = forms.CharField(required=False, widget=TextInput())
    password = forms.CharField(
        max_length=1024,
        strip=False,
        widget=PasswordInput({"autocomplete": "current-password"}),
        help_text="Your own; with it you sign.",
    )

    class Meta:
        model = Deviation
        fields = (
            *("unit", "order", "part", "instead", "low", "high"),
            *("quantity", "expires_at", "reason"),
        )

    def clean(self) -> dict[str, Any]:
        """Ask for one target and one exception."""
        given = super().clean() or self.cleaned_data
        if bool(given.get("unit")) == bool(given.get("order")):
            self.add_error("unit", "Name either a unit or an order.")
        is_part = bool(given.get("part") and given.get("instead"))
        if is_part == bool(given.get("procedure")):
            self.add_error("part", "Name either a part and what is permitted instead, or a test.")
        elif not is_part and not self.errors:
            given["limit"] = self._limit(given)
        return given

    def _limit(self, given: dict[str, Any]) -> Limit | None:
        target = given["unit"] or given["order"]
        procedure, measurement = given["procedure"], given["measurement"]
        limit = find_limit(target=target, procedure=procedure, measurement=measurement)
        if limit is None:
            self.add_error("measurement", "Its route sets no such limit.")
        return limit

    def _get_validation_exclusions(self) -> set[str]:
        return {field.name for field in Deviation._meta.fields}


class DeviationUseInline(FactInline):
    """What a deviation let pass."""

    model = DeviationUse
    fields = ("unit", "installation", "test_run", "used_at")
    verbose_name_plural = "uses"


@admin.register(Deviation)
class DeviationAdmin(AddedByService):
    """Deviations: live, used up, expired and revoked."""

    list_display = ("number", "permits", "whom", "state", "uses_left", "expires_at", "signed_by", "site")
    list_select_related = ("unit", "order", "part", "instead__part", "limit", "signature", "site")
    list_filter = ("kind", "site", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("number", "order__number", "unit__serial", "reason")
    ordering = ("-id",)
    sortable_by = ("number",)
    autocomplete_fields = ("unit", "order", "part", "instead")
    add_fieldsets = (
        ("For", {"fields": ("unit", "order")}),
        ("A part", {"fields": ("part", "instead")}),
        ("Or a limit", {"fields": ("procedure", "measurement", "low", "high")}),
        ("Terms", {"fields": ("quantity", "expires_at", "reason", "password")}),
    )
    fields = (
        *("number", "kind", "site", "unit", "order", "part", "instead", "limit", "low", "high"),
        *("quantity", "used", "expires_at", "reason", "signed_by", "created_at"),
        *("revoked_at", "revoked_by"),
    )
    inlines = (DeviationUseInline,)
    actions_detail = ("revoke",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form of the add page, which asks for a signature too."""
        return super().get_form(request, obj, change, **({} if obj else {"form": OpenForm}), **kwargs)

    @display(description="Permits")
    def permits(self, deviation: Deviation) -> str:
        """Say the exception in words."""
        return deviation_in_words(deviation)

    @display(description="For")
    def whom(self, deviation: Deviation) -> str:
        """Name the unit or the order."""
        return str(deviation.unit or deviation.order)

    @display(description="State", label={"live": "warning"})
    def state(self, deviation: Deviation) -> str:
        """Say whether it permits anything still."""
        if deviation.revoked_at:
            return "revoked"
        if deviation.expires_at <= timezone.now():
            return "expired"
        return "used up" if deviation.used >= deviation.quantity else "live"

    @display(description="Used")
    def uses_left(self, deviation: Deviation) -> str:
        """Say how often it was used."""
        return f"{deviation.used} of {deviation.quantity}"

    @display(description="Signed by")
    def signed_by(self, deviation: Deviation) -> str:
        """Name who signed it."""
        return deviation.signature.signer

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Prove who signs before anything else: a wrong password counts although the act is undone."""
        if request.method == "POST":
            request.META[PROOF] = proof_on_page(request)
        return super().add_view(request, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Deviation, form: Any, change: bool) -> None:
        """Open the deviation."""
        given = form.cleaned_data
        exception: PartException | LimitException = (
            LimitException(given["limit"], given["low"], given["high"])
            if given["procedure"]
            else PartException(given["part"], given["instead"])
        )
        obj.pk = open_deviation(
            target=given["unit"] or given["order"],
            exception=exception,
            quantity=given["quantity"],
            expires_at=given["expires_at"],
            reason=given["reason"],
            proof=request.META[PROOF],
            by=actor_of(request),
        ).pk

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may change deviations and this one is not revoked."""
        deviation = self.row(request, object_id) if object_id else None
        return may(request, "workorders.change_deviation") and not (deviation and deviation.revoked_at)

    @action(description="Revoke", permissions=["revoke"], icon="block")
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a deviation, with a reason."""
        deviation = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            revoke_deviation(deviation=deviation, reason=reason, by=by)
            return f"{deviation} is revoked."

        return self.ask(
            request,
            deviation,
            title=f"Revoke {deviation}",
            consequence="It permits nothing from now on; what it let pass stays on record.",
            act=act,
        )
