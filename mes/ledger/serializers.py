"""How events look over REST."""

from rest_framework import serializers

from mes.ledger.models import Event


class EventSerializer(serializers.ModelSerializer[Event]):
    """One event of a history; ``digest`` chains it to the event before (docs/traceability.md)."""

    payload = serializers.DictField(read_only=True)

    class Meta:
        model = Event
        fields: tuple[str, ...] = (
            *("seq", "kind", "at", "actor", "station", "device", "device_at", "payload", "digest"),
        )
