"""The ledger in the admin: events, waiting effects and stored answers, to look at."""

import json
from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from mes.ledger.models import Event, IdempotencyKey, OutboxMessage
from mes.theme import ReadOnlyAdmin, display, pretty_json

# Hops from kind to kind over the index: DISTINCT would read every event.
KINDS = """
WITH RECURSIVE kinds(kind) AS (
    SELECT MIN(kind) FROM ledger_event
    UNION ALL
    SELECT (SELECT MIN(e.kind) FROM ledger_event e WHERE e.kind > kinds.kind) FROM kinds
    WHERE kinds.kind IS NOT NULL
) SELECT kind FROM kinds WHERE kind IS NOT NULL
"""


class KindFilter(admin.SimpleListFilter):
    """Events of one kind, of those that occur."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the kinds that occur."""
        with connection.cursor() as cursor:
            cursor.execute(KINDS)
            return [(kind, kind) for (kind,) in cursor.fetchall()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        """Narrow to the chosen kind."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """Everything that happened, newest first."""

    list_display = ("kind", "at", "stream", "seq", "actor", "station", "device")
    list_filter = (KindFilter,)
    search_fields = ("stream__exact",)
    search_help_text = "A stream, e.g. unit:6f1c..."
    ordering = ("-id",)
    sortable_by = ()
    fields = ("kind", "stream", "seq", "at", "device_at", "actor", "station", "device", "facts", "digest")

    @display(description="Facts")
    def facts(self, event: Event) -> SafeString:
        """Show the payload set out over lines."""
        return pretty_json(event.payload)


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    """Effects on the outside world: waiting, delivered or given up."""

    list_display = ("key", "topic", "state", "due_at", "tries", "last_error")
    list_filter = (("delivered_at", admin.EmptyFieldListFilter), ("abandoned_at", admin.EmptyFieldListFilter))
    search_fields = ("key__exact",)
    search_help_text = "A key"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        *("key", "topic", "facts", "created_at", "due_at"),
        *("tries", "last_error", "delivered_at", "abandoned_at"),
    )

    @display(description="State", label={"given up": "danger", "failing": "warning"})
    def state(self, message: OutboxMessage) -> str:
        """Say how far the message is."""
        if message.delivered_at:
            return "delivered"
        if message.abandoned_at:
            return "given up"
        return "failing" if message.tries else "waiting"

    @display(description="Payload")
    def facts(self, message: OutboxMessage) -> SafeString:
        """Show the payload set out over lines."""
        return pretty_json(message.payload)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    """Answers kept for writes that a device may repeat."""

    list_display = ("key", "scope", "status", "created_at")
    search_fields = ("scope__exact", "key__exact")
    search_help_text = "A scope and a key"
    ordering = ("-id",)
    sortable_by = ()
    fields = ("scope", "key", "fingerprint", "status", "answer", "created_at")

    @display(description="Answer")
    def answer(self, stored: IdempotencyKey) -> SafeString:
        """Show the stored answer set out over lines."""
        return pretty_json(json.loads(stored.body))
