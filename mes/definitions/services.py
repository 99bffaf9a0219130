"""The door of definitions: say what a pack would change, and load it."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone

from mes.definitions.checks import check_rows
from mes.definitions.differences import Change, Sign, compare, find_frozen, read_stored
from mes.definitions.packs import Pack, read_pack
from mes.definitions.rows import BadPack, Problem, Row, World
from mes.definitions.schema import Name, Table
from mes.definitions.tables import REVISION, TABLES
from mes.errors import RuleViolation
from mes.ledger.services import advance, locked, record
from mes.people.models import User
from mes.products.models import PartRevision
from mes.products.services import check_design

__all__ = ["BadPack", "Change", "Problem", "Sign", "compare_pack", "load_pack"]


def compare_pack(path: Path) -> list[Change]:
    """Return what loading a pack (a file or a folder) would do to each row; write nothing. Raises BadPack."""
    return _plan(read_pack(path), read_stored())


@transaction.atomic
def load_pack(path: Path, by: User | None = None) -> list[Change]:
    """Load a pack (a file or a folder), release what it marks so, and return what was done to each row.

    All or nothing: raises BadPack with every problem. The load is recorded in the history of the person, if
    one is named.
    """
    pack, stored = read_pack(path), read_stored()
    changes = _plan(pack, stored)
    _remove(changes, pack)
    keys = {name: row.pk for name, row in stored.items() if row.pk is not None}
    for table in TABLES:
        _add(table, changes, keys)
        _update(table, changes, keys)
    for change in changes:
        if change.releases:
            row = change.row
            row.table.model._default_manager.filter(pk=keys[row.name]).update(released_at=timezone.now())
    _check_designs(changes, keys)
    if by is not None:
        record(advance(locked(by), "definitions.loaded", by=by.actor(), payload=_summary(pack, changes)))
    return changes


def _plan(pack: Pack, stored: dict[Name, Row]) -> list[Change]:
    problems = list(pack.problems)
    if pack.complete:
        problems += check_rows(World(pack.rows, stored))
    if problems:
        raise BadPack(problems)
    changes = compare(pack.rows, stored)
    if frozen := list(find_frozen(changes, pack.rows, stored)):
        raise BadPack(frozen)
    return changes


def _check_designs(changes: list[Change], keys: dict[Name, int]) -> None:
    """Refuse what a pack releases and cannot be built to its own budgets; its parts are released by now."""
    rows = {keys[each.row.name]: each.row for each in changes if each.releases and each.row.table is REVISION}
    problems = []
    for revision in PartRevision.objects.filter(pk__in=rows).select_related("part").order_by("pk"):
        try:
            check_design(revision)
        except RuleViolation as violation:
            problems.append(rows[revision.pk].problem(f"{violation.code}: {violation.detail}"))
    if problems:
        raise BadPack(problems)


def _of(table: Table, sign: Sign, changes: Iterable[Change]) -> list[Change]:
    return [each for each in changes if each.sign == sign and each.row.table is table]


def _remove(changes: list[Change], pack: Pack) -> None:
    """Remove what a draft no longer has, inner rows first."""
    for table in reversed(TABLES):
        for change in _of(table, Sign.REMOVED, changes):
            try:
                table.model._default_manager.filter(pk=change.row.pk).delete()
            except ProtectedError as error:
                head = pack.rows[change.row.head]
                raise BadPack([head.problem(f"{change.row} is left out, but is in use")]) from error


def _add(table: Table, changes: list[Change], keys: dict[Name, int]) -> None:
    rows = [change.row for change in _of(table, Sign.ADDED, changes)]
    made = table.model._default_manager.bulk_create(table.model(**_attributes(row, keys)) for row in rows)
    keys.update({row.name: instance.pk for row, instance in zip(rows, made, strict=True)})
    for column in filter(table.is_many, table.columns):
        for row in rows:
            _name_many(row, column, keys)


def _update(table: Table, changes: list[Change], keys: dict[Name, int]) -> None:
    for change in _of(table, Sign.CHANGED, changes):
        attributes = _attributes(change.row, keys)
        table.model._default_manager.filter(pk=keys[change.row.name]).update(**attributes)
        for column in filter(table.is_many, change.values.keys() - {"release"}):
            _name_many(change.row, column, keys)


def _attributes(row: Row, keys: dict[Name, int]) -> dict[str, Any]:
    """Return a row's fields as its model takes them, many-to-many ones left out."""
    table, attributes = row.table, {}
    for column, value in {**row.own_key, **row.values}.items():
        if column in table.refers and not table.is_many(column):
            attributes[f"{column}_id"] = keys[table.refers[column].kind, (value,)]
        elif not table.is_many(column):
            attributes[column] = value
    if row.owner is not None:
        attributes[f"{table.owner_field}_id"] = keys[row.owner]
    return attributes


def _name_many(row: Row, column: str, keys: dict[Name, int]) -> None:
    target = row.table.refers[column].kind
    instance: Any = row.table.model(pk=keys[row.name])
    getattr(instance, column).set([keys[target, (key,)] for key in row.values[column]])


def _summary(pack: Pack, changes: list[Change]) -> dict[str, Any]:
    counts = Counter(change.sign.name.lower() for change in changes)
    released = [str(change.row) for change in changes if change.releases]
    return {"files": pack.digests, "rows": dict(counts), "released": released}
