"""A row of a definition, be it written in a pack or kept in the database."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mes.definitions.schema import Key, Name, Table


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong in a pack, and where: file as given, line from 1."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class BadPack(Exception):  # noqa: N818 - a pack is bad or good, as the docs and the command say
    """A pack was refused whole; ``problems`` lists everything that is wrong with it, by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(slots=True)
class Row:
    """One row. ``key`` starts with the owner's key; ``release`` is true when it is, or shall be, released.

    A row of a pack knows its file and the line of each column; a stored row its primary key. A column that
    could not be read is absent from ``values``.
    """

    table: Table
    key: Key
    values: dict[str, Any]
    release: bool = False
    file: str = ""
    line: int = 0
    lines: dict[str, int] = field(default_factory=dict)
    pk: int | None = None

    @property
    def name(self) -> Name:
        """Return what tells the row from all others."""
        return self.table.kind, self.key

    @property
    def owner(self) -> Name | None:
        """Return the name of the row this one is written inside of."""
        owner = self.table.owner
        return (owner.kind, self.key[: owner.key_length]) if owner else None

    @property
    def head(self) -> Name:
        """Return the name of the topmost owner, or of the row itself."""
        head = self.table.head
        return head.kind, self.key[: head.key_length]

    @property
    def own_key(self) -> dict[str, str]:
        """Return the key without the owner's, by column."""
        return dict(zip(self.table.key, self.key[-len(self.table.key) :], strict=True))

    def __str__(self) -> str:
        return label(self.name)

    def problem(self, reason: str, column: str = "") -> Problem:
        """Return a problem at this row, or at one of its columns."""
        return Problem(self.file, self.lines.get(column, self.line), reason)


def label(name: Name) -> str:
    """Return a row's name in words: `slot RK-1001 A U08`."""
    return " ".join([name[0], *(str(text) for text in name[1] if text)])


class World:
    """All rows as they will be once a pack is loaded: its own, and the stored ones that it leaves alone."""

    def __init__(self, pack: Mapping[Name, Row], stored: Mapping[Name, Row]) -> None:
        heads = {row.head for row in pack.values()}
        kept = {name: row for name, row in stored.items() if row.head not in heads}
        self.pack = pack
        self.rows: dict[Name, Row] = {**kept, **pack}
        self._inside: dict[tuple[Name, str], list[Row]] = defaultdict(list)
        self._by_kind: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows.values():
            self._by_kind[row.table.kind].append(row)
            if row.owner:
                self._inside[row.owner, row.table.kind].append(row)

    def of(self, table: Table) -> list[Row]:
        """Return all rows of a table."""
        return self._by_kind[table.kind]

    def in_pack(self, table: Table) -> list[Row]:
        """Return the rows of a table that the pack writes."""
        return [row for row in self.of(table) if row.name in self.pack]

    def beside(self, row: Row, table: Table) -> list[Row]:
        """Return the rows of a table that belong to the same owner as a row does."""
        return self.inside(row.owner, table) if row.owner else []

    def inside(self, owner: Name, table: Table) -> list[Row]:
        """Return the rows of a table that belong to an owner."""
        return self._inside[owner, table.kind]
