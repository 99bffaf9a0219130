"""What a pack would change: its rows compared with those in the database."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mes.definitions.rows import Problem, Row, label
from mes.definitions.schema import Name, Table
from mes.definitions.tables import TABLES


class Sign(StrEnum):
    """What happens to a row."""

    ADDED = "+"
    CHANGED = "~"
    REMOVED = "-"
    UNCHANGED = "="


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one row; ``values`` maps a changed column to its value before and after."""

    sign: Sign
    row: Row
    values: Mapping[str, tuple[Any, Any]]

    @property
    def releases(self) -> bool:
        """Return whether the row is released by this change."""
        return self.row.release and (self.sign == Sign.ADDED or "release" in self.values)

    def __str__(self) -> str:
        text = f"{self.sign} {self.row}"
        if self.sign == Sign.ADDED and self.row.release:
            return f"{text} (released)"
        changed = ", ".join(
            f"{column} {_shown(old)} -> {_shown(new)}" for column, (old, new) in self.values.items()
        )
        return f"{text}: {changed}" if changed else text


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return repr(value) if isinstance(value, str | bool | list | dict) else str(value)


def read_stored() -> dict[Name, Row]:
    """Return every definition in the database, by name. One query per table and many-to-many column."""
    return {row.name: row for table in TABLES for row in _stored_rows(table)}


def _stored_rows(table: Table) -> Iterator[Row]:
    key, columns = _key_lookups(table), [each for each in table.columns if not table.is_many(each)]
    lookups = [_lookup(table, column) for column in columns]
    released = ["released_at"] if table.successor else []
    many = {each: _named(table, each) for each in table.columns if table.is_many(each)}
    for values in table.model._default_manager.values_list("pk", *key, *lookups, *released):
        pk, rest = values[0], values[1:]
        row = Row(table, tuple(rest[: len(key)]), dict(zip(columns, rest[len(key) :], strict=False)), pk=pk)
        row.values.update({column: sorted(named[pk]) for column, named in many.items()})
        row.release = bool(released) and rest[-1] is not None
        yield row


def _key_lookups(table: Table) -> list[str]:
    above = [f"{table.owner_field}__{lookup}" for lookup in _key_lookups(table.owner)] if table.owner else []
    return above + [_lookup(table, column) for column in table.key]


def _lookup(table: Table, column: str) -> str:
    return f"{column}__{table.refers[column].key[0]}" if column in table.refers else column


def _named(table: Table, column: str) -> dict[int, list[str]]:
    """Return the keys that a many-to-many column names, by the primary key of the row that names them."""
    named: dict[int, list[str]] = defaultdict(list)
    lookup = f"{column}__{table.refers[column].key[0]}"
    rows: Any = table.model._default_manager.filter(**{f"{column}__isnull": False}).values_list("pk", lookup)
    for pk, key in rows:
        named[pk].append(key)
    return named


def compare(pack: Mapping[Name, Row], stored: Mapping[Name, Row]) -> list[Change]:
    """Return what happens to each row of the pack, and to stored rows that the pack's definitions leave out.

    Definitions come in the order of their tables, each with its own rows after it.
    """
    heads = {row.head for row in pack.values()}
    left_out = [row for name, row in stored.items() if row.head in heads and name not in pack]
    changes = [_change(row, stored.get(row.name)) for row in pack.values()]
    changes += [Change(Sign.REMOVED, row, {}) for row in left_out]
    order = {head: position for position, head in enumerate(row.head for row in pack.values())}
    kinds = [table.kind for table in TABLES]
    return sorted(changes, key=lambda each: (kinds.index(each.row.head[0]), order[each.row.head]))


def _change(row: Row, old: Row | None) -> Change:
    if old is None:
        return Change(Sign.ADDED, row, {})
    values = {
        column: (old.values[column], value)
        for column, value in row.values.items()
        if value != old.values[column]
    }
    if row.release and not old.release:
        values["release"] = (False, True)
    return Change(Sign.CHANGED if values else Sign.UNCHANGED, row, values)


def find_frozen(
    changes: list[Change], pack: Mapping[Name, Row], stored: Mapping[Name, Row]
) -> Iterator[Problem]:
    """Yield a problem for each change to a definition that is released: it is followed by a new one."""
    for change in changes:
        head = stored.get(change.row.head)
        if change.sign == Sign.UNCHANGED or head is None or not head.release:
            continue
        place = change.row if change.row.file else pack[change.row.head]
        column = next(iter(change.values), "")
        reason = f"{label(head.name)} is released; make a new {head.table.successor} ({change})"
        yield place.problem(reason, column)
