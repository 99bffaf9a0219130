"""Where installed units sit, from the topmost unit down. One query for any number of them."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection

# On SQLite the join is written `IN (u.parent_id)`: with `=` its planner builds a Bloom filter over the table.
UP = """
WITH RECURSIVE up(child_id, parent_id, slot_id, height) AS (
    SELECT i.child_id, i.parent_id, i.slot_id, 1 FROM racks_installation i
    WHERE i.removed_at IS NULL AND i.child_id IN ({places})
    UNION ALL
    SELECT u.child_id, i.parent_id, i.slot_id, u.height + 1
    FROM up u JOIN racks_installation i ON i.child_id IN (u.parent_id)
    WHERE i.removed_at IS NULL
) SELECT up.child_id, up.parent_id, s.name FROM up JOIN products_slot s ON s.id = up.slot_id
ORDER BY up.child_id, up.height DESC
"""


@dataclass(frozen=True, slots=True)
class Path:
    """Where a unit sits: the primary key of the topmost unit, and the slots from there down."""

    root_id: int
    slots: str


def paths_of(pks: Collection[int]) -> dict[int, Path]:
    """Return where units sit now, e.g. ``U08/SC0/GPU1``, by primary key; loose ones are left out.

    Levels fall from parent to child by constraint, so the way up ends. One query.
    """
    if not pks:
        return {}
    ways: dict[int, list[tuple[int, str]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(UP.format(places=", ".join(["%s"] * len(pks))), list(pks))
        for child, parent, slot in cursor.fetchall():
            ways.setdefault(child, []).append((parent, slot))
    return {child: Path(way[0][0], "/".join(slot for _, slot in way)) for child, way in ways.items()}
