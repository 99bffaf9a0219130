"""Holds in the admin: placed and released with a reason."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from mes.backoffice import AddedByService, action, actor_of, display, may
from mes.ledger.services import Actor
from mes.quality.models import Hold
from mes.quality.services import place_hold, place_lot_hold, release_hold


@admin.register(Hold)
class HoldAdmin(AddedByService):
    """Stops on units, open and released."""

    list_display = (
        *("unit", "lot", "state", "reason", "containment", "placed_at", "placed_by"),
        *("released_at", "released_by"),
    )
    list_select_related = ("unit", "lot", "containment")
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    search_through = ("unit", "lot")
    search_help_text = "Scan a code of the unit or the lot"
    ordering = ("-id",)
    sortable_by = ()
    autocomplete_fields = ("unit", "lot")
    add_fieldsets = ((None, {"fields": ("unit", "lot", "reason")}),)
    fields = (
        *("unit", "lot", "state", "reason", "containment", "placed_at", "placed_by"),
        *("released_at", "released_by", "release_reason"),
    )
    actions_detail = ("release",)

    @display(description="State", label={"open": "danger"})
    def state(self, hold: Hold) -> str:
        """Say whether the hold still stops its unit or lot."""
        return "released" if hold.released_at else "open"

    def has_release_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may release holds and this one is open."""
        hold = self.row(request, object_id) if object_id else None
        return may(request, "quality.change_hold") and not (hold and hold.released_at)

    def save_model(self, request: HttpRequest, obj: Hold, form: Any, change: bool) -> None:
        """Place the hold, on the unit or the lot."""
        by = actor_of(request)
        if obj.unit is not None:
            obj.pk = place_hold(unit=obj.unit, reason=obj.reason, by=by).pk
        elif obj.lot is not None:
            obj.pk = place_lot_hold(lot=obj.lot, reason=obj.reason, by=by).pk

    @action(description="Release hold", permissions=["release"], icon="lock_open")
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Release a hold, with a reason."""
        hold = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            release_hold(hold=hold, reason=reason, by=by)
            return f"The hold on {hold.unit or hold.lot} is released."

        return self.ask(
            request,
            hold,
            title=f"Release the hold on {hold.unit or hold.lot}",
            consequence=f"Held because: {hold.reason}. It moves on once no other hold is left.",
            act=act,
        )
