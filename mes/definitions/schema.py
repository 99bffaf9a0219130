"""What a kind of row in a definition pack is described by.

What a column may hold (type, length, choices, default) is read from the model's field, so it is said once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from django.db.models import Field, ManyToManyField, Model

Key: TypeAlias = tuple[str, ...]
Name: TypeAlias = tuple[str, Key]


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """A kind of row: the section it is written in, what it is known by, and its other columns.

    ``owner`` is the table whose rows it is written inside of, by the model's foreign key ``owner_field``.
    ``refers`` names the table that a column's text is a key of; ``items`` the type of a list column's items;
    ``pairs`` the columns that hold texts by name.
    ``successor`` is what to make instead of changing a released row; empty where rows are never frozen.
    """

    kind: str
    section: str
    model: type[Model]
    key: Key
    columns: tuple[str, ...] = ()
    owner: "Table | None" = None
    owner_field: str = ""
    refers: Mapping[str, "Table"] = field(default_factory=dict)
    items: Mapping[str, type] = field(default_factory=dict)
    pairs: tuple[str, ...] = ()
    successor: str = ""

    @property
    def head(self) -> "Table":
        """Return the table at the top of the owners: the one whose rows are released as a whole."""
        return self.owner.head if self.owner else self

    @property
    def key_length(self) -> int:
        """Return how many texts a full key has, those of the owner included."""
        return len(self.key) + (self.owner.key_length if self.owner else 0)

    def field(self, column: str) -> "Field[Any, Any]":
        """Return the model's field of a column."""
        return cast("Field[Any, Any]", self.model._meta.get_field(column))

    def is_many(self, column: str) -> bool:
        """Return whether a column names any number of other rows."""
        return isinstance(self.field(column), ManyToManyField)
