"""Cabling in the admin: plans until released; connections, verdicts and reports are looked at."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from mes.backoffice import DefinitionAdmin, DraftInline, FactAdmin, FactInline, action
from mes.cabling.models import (
    CableCheck,
    CableConnection,
    CableEnd,
    CableKind,
    CablePlan,
    CablingVerdict,
    Neighbour,
    NeighbourReport,
    PlannedCable,
    PortName,
)
from mes.cabling.services import check_plan, disconnect_cable
from mes.ledger.services import Actor


class CableKindInline(DraftInline):
    """The kinds of cable of a plan."""

    model = CableKind
    autocomplete_fields = ("part",)


class PlannedCableInline(DraftInline):
    """The cables of a plan."""

    model = PlannedCable
    autocomplete_fields = ("part",)


class PortNameInline(DraftInline):
    """What machines call the ports of a plan."""

    model = PortName


@admin.register(CablePlan)
class CablePlanAdmin(DefinitionAdmin):
    """What is cabled how."""

    list_display = ("name", "version", "part", "released_at")
    list_filter = ("part",)
    list_select_related = ("part",)
    search_fields = ("name", "part__number")
    readonly_fields = ("released_at",)
    inlines = (CableKindInline, PlannedCableInline, PortNameInline)

    def check_release(self, row: CablePlan) -> None:
        """Refuse a plan that cannot be cabled by."""
        check_plan(row)


class CableEndInline(FactInline):
    """Both ends of a connection."""

    model = CableEnd
    fields = ("side", "device", "port")


class CableCheckInline(FactInline):
    """What was found on a cable."""

    model = CableCheck
    fields = ("kind", "outcome", "value", "unit", "low", "high", "photo", "note", "checked_at", "checked_by")


@admin.register(CableConnection)
class CableConnectionAdmin(FactAdmin):
    """Which cables are and were connected where."""

    list_display = ("planned", "unit", "cable", "lot", "connected_at", "connected_by", "disconnected_at")
    list_filter = ("disconnected_at",)
    list_select_related = ("planned", "unit", "cable", "lot")
    search_fields = ("planned__label", "unit__serial", "cable__serial", "lot__number")
    inlines = (CableEndInline, CableCheckInline)
    actions_detail = ("disconnect",)

    def has_disconnect_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Return whether the person may take cables off, and this one is on."""
        row = self.get_object(request, object_id) if object_id else None
        allowed = request.user.has_perm("cabling.change_cableconnection")
        return allowed and (row is None or row.disconnected_at is None)

    @action(description="Disconnect", permissions=["disconnect"], icon="power_off")
    def disconnect(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take a cable off, after a question."""
        row = self.row(request, object_id)

        def act(by: Actor, reason: str) -> str:
            done = disconnect_cable(unit=row.unit, label=row.planned.label, reason=reason, by=by)
            repeat = ", ".join(map(str, done.retest.operations)) if done.retest else ""
            return f"{row.planned} is disconnected; to be repeated: {repeat or 'nothing'}."

        return self.ask(
            request,
            row,
            title=f"Disconnect {row.planned} of {row.unit}",
            consequence="The connection is closed and stays on record. What the route's rules for a changed"
            " cable name must be repeated.",
            act=act,
        )


@admin.register(CablingVerdict)
class CablingVerdictAdmin(FactAdmin):
    """Judgements on the cabling of units."""

    list_display = ("unit", "procedure", "plan", "test_run", "judged_at", "judged_by")
    list_filter = ("procedure",)
    list_select_related = ("unit", "plan", "test_run")
    search_fields = ("unit__serial",)


class NeighbourInline(FactInline):
    """The ports of a report."""

    model = Neighbour
    fields = ("device", "port", "link", "speed_gbps", "remote_device", "remote_port")


@admin.register(NeighbourReport)
class NeighbourReportAdmin(FactAdmin):
    """What machines reported of their ports."""

    list_display = ("unit", "source", "device", "taken_at", "confirmed_at", "is_current", "reported_by")
    list_filter = ("source", "is_current")
    list_select_related = ("unit",)
    search_fields = ("unit__serial", "device")
    inlines = (NeighbourInline,)
