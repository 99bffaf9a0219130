"""Read one value of a pack as the field of its model wants it."""

import math
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import BooleanField, DecimalField, Field, FloatField, IntegerField
from yaml.constructor import SafeConstructor
from yaml.error import MarkedYAMLError
from yaml.nodes import MappingNode, Node, SequenceNode

from mes.definitions.schema import Table

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text (in quotes)"}


class Unreadable(ValueError):  # noqa: N818 - what the value is
    """A value is not what its column wants; the message completes the sentence that the column begins."""


def is_required(table: Table, column: str) -> bool:
    """Return whether a pack must write a column."""
    found = table.field(column)
    return not (found.has_default() or found.blank or found.null)


def default_of(table: Table, column: str) -> Any:
    """Return what a column holds when a pack does not write it."""
    default = table.field(column).get_default()
    return str(default) if isinstance(default, str) else default


def read_column(table: Table, column: str, node: Node) -> Any:
    """Return a column's value, of the type that its field keeps. Raises Unreadable."""
    if column in table.items:
        return _read_list(table, column, node)
    if column in table.pairs:
        return _read_pairs(node)
    found = table.field(column)
    value = _read_scalar(node)
    if value is None and found.null:
        return None
    if column in table.refers:
        return read_text(node)
    return _clean(found, _typed(value, _type_of(found)))


def read_flag(node: Node) -> bool:
    """Return true or false. Raises Unreadable."""
    return bool(_typed(_read_scalar(node), bool))


def read_text(node: Node) -> str:
    """Return text that is not empty. Raises Unreadable."""
    text = str(_typed(_read_scalar(node), str))
    if not text:
        raise Unreadable("must not be empty")
    return text


def _read_list(table: Table, column: str, node: Node) -> list[Any]:
    kind = table.items[column]
    if not isinstance(node, SequenceNode):
        raise Unreadable("must be a list ([...])")
    values = [_typed(_read_scalar(item), kind) for item in node.value]
    if not values and not table.field(column).blank:
        raise Unreadable("must not be empty")
    if len(set(values)) != len(values):
        raise Unreadable("must not name anything twice")
    return sorted(values) if table.is_many(column) else values


def _read_pairs(node: Node) -> dict[str, str]:
    if not isinstance(node, MappingNode):
        raise Unreadable("must be texts by name ({name: text})")
    pairs = {read_text(name): read_text(value) for name, value in node.value}
    if len(pairs) != len(node.value):
        raise Unreadable("must not name anything twice")
    return pairs


def _read_scalar(node: Node) -> Any:
    try:
        return SafeConstructor().construct_object(node, deep=True)
    except (MarkedYAMLError, ValueError) as error:
        raise Unreadable(f"cannot be read: {getattr(error, 'problem', error)}") from error


def _type_of(found: "Field[Any, Any]") -> type:
    if isinstance(found, BooleanField):
        return bool
    if isinstance(found, DecimalField | FloatField):
        return float
    return int if isinstance(found, IntegerField) else str


def _typed(value: Any, kind: type) -> Any:
    """Return a value of a type; a whole number is a number too, but true and false are none."""
    fitting = (int, float) if kind is float else kind
    if not isinstance(value, fitting) or (isinstance(value, bool) and kind is not bool):
        raise Unreadable(f"must be {WORDS[kind]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise Unreadable("must be a finite number")
    if isinstance(value, str) and not _is_storable(value):
        raise Unreadable("holds a character that cannot be stored")
    return value


def _is_storable(text: str) -> bool:
    """Return false for NUL and lone surrogates, which PostgreSQL refuses."""
    return "\0" not in text and text.encode(errors="ignore").decode() == text


def _clean(found: "Field[Any, Any]", value: Any) -> Any:
    try:
        return found.clean(Decimal(str(value)) if isinstance(found, DecimalField) else value, None)
    except ValidationError as error:
        raise Unreadable(f"is refused: {' '.join(error.messages)}") from error
