"""Append-only events, chained per stream; idempotency keys; the outbox."""

import json
import uuid
from typing import Any

from django.db import models
from django.utils import timezone


class Stream(models.Model):
    """A row with a history: its version counts its events, its head is the digest of the last one."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    version = models.PositiveIntegerField(default=0, editable=False)
    head = models.CharField(max_length=64, default="", editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save as usual, but never write version and head back from memory: only an event moves them."""
        if not self._state.adding and kwargs.get("update_fields") is None:
            kept = {"version", "head"}
            fields = self._meta.concrete_fields
            kwargs["update_fields"] = [
                field.name for field in fields if not field.primary_key and field.name not in kept
            ]
        super().save(*args, **kwargs)

    @property
    def stream(self) -> str:
        """Return the name under which this row's events are chained."""
        return f"{self._meta.model_name}:{self.uid}"


class Event(models.Model):
    """One thing that happened; the database refuses to change or delete it."""

    stream = models.CharField(max_length=80)
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=60)
    actor = models.CharField(max_length=150, blank=True)
    station = models.CharField(max_length=60, blank=True)
    device = models.CharField(max_length=60, blank=True)
    at = models.DateTimeField(default=timezone.now)
    device_at = models.DateTimeField(null=True)
    payload_text = models.TextField()
    digest = models.CharField(max_length=64)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["stream", "seq"], name="event_stream_seq_once")]
        indexes = [
            models.Index(fields=["kind", "id"], name="event_by_kind"),
            models.Index(fields=["at"], name="event_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.stream} #{self.seq} {self.kind}"

    @property
    def payload(self) -> dict[str, Any]:
        """Return the payload as data; the text itself is what was digested."""
        return dict(json.loads(self.payload_text))


class IdempotencyKey(models.Model):
    """The stored answer to a write that a device may repeat."""

    scope = models.CharField(max_length=80)
    key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class OutboxMessage(models.Model):
    """An effect on the outside world, delivered at least once under a stable key."""

    key = models.CharField(max_length=200, unique=True)
    topic = models.CharField(max_length=60)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    tries = models.PositiveIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True, blank=True)
    abandoned_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["topic", "due_at"],
                name="outbox_waiting",
                condition=models.Q(delivered_at__isnull=True, abandoned_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return self.key
