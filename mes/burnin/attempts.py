"""Writing the attempts of a run back, at every tick and with all their statistics."""

from collections.abc import Sequence

from django.db import connection

from mes.burnin.models import BurnInAttempt


def save_attempts(attempts: Sequence[BurnInAttempt], names: Sequence[str]) -> None:
    """Save the named fields of attempts in one round trip.

    Django's bulk_update builds an expression for every field of every row, which costs more than all else a
    tick does.
    """
    fields = [field for field in BurnInAttempt._meta.concrete_fields if field.name in names]
    quote = connection.ops.quote_name
    changes = ", ".join(f"{quote(str(field.column))} = %s" for field in fields)
    rows = [
        [
            *(field.get_db_prep_save(getattr(attempt, field.attname), connection) for field in fields),
            attempt.pk,
        ]
        for attempt in attempts
    ]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {quote(BurnInAttempt._meta.db_table)} SET {changes} WHERE id = %s", rows)
