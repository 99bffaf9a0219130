"""What is inside a unit, at any depth. One query."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from mes.racks.models import Installation

MAX_DEPTH = 12

# On SQLite the join is written `IN (t.child_id)`: with `=` its planner builds a Bloom filter over the table.
TREE = """
WITH RECURSIVE tree(id, child_id, depth) AS (
    SELECT i.id, i.child_id, 1 FROM racks_installation i
    WHERE i.parent_id IN ({parents}) AND i.installed_at <= %s AND (i.removed_at IS NULL OR i.removed_at > %s)
    UNION ALL
    SELECT i.id, i.child_id, t.depth + 1 FROM tree t JOIN racks_installation i ON i.parent_id IN (t.child_id)
    WHERE t.depth < %s AND i.installed_at <= %s AND (i.removed_at IS NULL OR i.removed_at > %s)
) SELECT id FROM tree
"""


def inside(units: Collection[int], at: datetime, depth: int = MAX_DEPTH) -> QuerySet[Installation]:
    """Return what is, or at a time was, inside units, ``depth`` levels down, as a query not run yet.

    ``units`` are primary keys.
    """
    when: Any = connection.ops.adapt_datetimefield_value(at)
    tree = TREE.format(parents=", ".join(["%s"] * len(units)) or "NULL")
    return Installation.objects.filter(pk__in=RawSQL(tree, [*units, when, when, depth, when, when]))  # noqa: S611
