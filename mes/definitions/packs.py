"""Read definition packs (YAML, and JSON, which is YAML) into rows that know their file and line."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from mes.definitions.columns import Unreadable, default_of, is_required, read_column, read_flag
from mes.definitions.rows import BadPack, Problem, Row
from mes.definitions.schema import Key, Name, Table
from mes.definitions.tables import TABLES, children_of

SUFFIXES = {".yaml", ".yml", ".json"}


@dataclass(slots=True)
class Pack:
    """What was read: the rows by name, the problems found, and the SHA-256 (hex) of each file.

    ``complete`` is false when a file could not be read at all, so that rows are missing.
    """

    rows: dict[Name, Row] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    complete: bool = True


def read_pack(path: Path) -> Pack:
    """Read a file, or every pack file in a folder and its folders. Raises BadPack when there is none."""
    files = [path] if path.is_file() else _find_files(path)
    if not files:
        raise BadPack([Problem(str(path), 1, "there is no pack here (*.yaml, *.yml, *.json)")])
    pack = Pack()
    for file in files:
        _FileReader(str(file), pack).read(file.read_bytes())
    return pack


def _find_files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.suffix in SUFFIXES and each.is_file())


class _FileReader:
    def __init__(self, file: str, pack: Pack) -> None:
        self.file = file
        self.pack = pack

    def read(self, data: bytes) -> None:
        self.pack.digests[self.file] = hashlib.sha256(data).hexdigest()
        try:
            root = yaml.compose(self._text(data), yaml.SafeLoader)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            self.pack.complete = False
            self._say(_line_of(error, data), f"cannot be read: {_reason(error)}")
            return
        if root is None:
            self._say(1, "the file is empty")
        elif self._is_mapping(root):
            self._read_sections(root)

    def _read_sections(self, root: MappingNode) -> None:
        sections = {table.section: table for table in TABLES if table.owner is None}
        for name, (line, value) in self._entries(root).items():
            if name not in sections:
                self._say(line, f"there is no section '{name}'; sections are {', '.join(sections)}")
            else:
                self._read_section(value, sections[name], (), registered=True)

    def _text(self, data: bytes) -> str:
        text = data.decode("utf-8-sig")
        # JSON may be indented by tabs, which YAML forbids; inside JSON strings there are none.
        return text.replace("\t", " ") if self.file.endswith(".json") else text

    def _say(self, line: int, reason: str) -> None:
        self.pack.problems.append(Problem(self.file, line, reason))

    def _is_mapping(self, node: Node) -> TypeGuard[MappingNode]:
        if not isinstance(node, MappingNode):
            self._say(_line(node), "must be keys with values (key: value)")
        return isinstance(node, MappingNode)

    def _entries(self, node: MappingNode) -> dict[str, tuple[int, Node]]:
        """Return the entries of a mapping with their lines; complain about a key that is given twice."""
        entries: dict[str, tuple[int, Node]] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in entries:
                self._say(_line(key), f"key '{name}' is given twice, first in line {entries[name][0]}")
            else:
                entries[name] = (_line(key), value)
        return entries

    def _read_section(self, node: Node, table: Table, owner: Key, *, registered: bool) -> None:
        if not isinstance(node, SequenceNode):
            self._say(_line(node), f"'{table.section}' must be a list of rows (- key: value)")
            return
        for item in filter(self._is_mapping, node.value):
            self._read_row(item, table, owner, registered=registered)

    def _read_row(self, node: MappingNode, table: Table, owner: Key, *, registered: bool) -> None:
        entries = self._entries(node)
        row = Row(table, owner, {}, file=self.file, line=_line(node))
        row.lines = {name: line for name, (line, _) in entries.items()}
        own_key = [self._read_key_text(row, column, entries) for column in table.key]
        registered = registered and None not in own_key
        row.key = (*owner, *(text or "" for text in own_key))
        for column in table.columns:
            self._read_value(row, column, entries)
        row.release = self._read_release(row, entries)
        if registered:
            self._register(row)
        for child in children_of(table):
            if child.section in entries:
                self._read_section(entries[child.section][1], child, row.key, registered=registered)
        self._refuse_unknown(row, entries)

    def _read_key_text(self, row: Row, column: str, entries: dict[str, tuple[int, Node]]) -> str | None:
        self._read_value(row, column, entries)
        text: str | None = row.values.pop(column, None)
        return text

    def _read_value(self, row: Row, column: str, entries: dict[str, tuple[int, Node]]) -> None:
        if column not in entries:
            if is_required(row.table, column):
                self._say(row.line, f"{row.table.kind} without '{column}'")
            else:
                row.values[column] = default_of(row.table, column)
            return
        line, node = entries[column]
        try:
            row.values[column] = read_column(row.table, column, node)
        except Unreadable as error:
            self._say(line, f"{column} {error}")

    def _read_release(self, row: Row, entries: dict[str, tuple[int, Node]]) -> bool:
        if not row.table.successor or "release" not in entries:
            return False
        line, node = entries["release"]
        try:
            return read_flag(node)
        except Unreadable as error:
            self._say(line, f"release {error}")
            return False

    def _register(self, row: Row) -> None:
        first = self.pack.rows.setdefault(row.name, row)
        if first is not row:
            self._say(row.line, f"{row} is given twice, first in {first.file}:{first.line}")

    def _refuse_unknown(self, row: Row, entries: dict[str, tuple[int, Node]]) -> None:
        release = ["release"] if row.table.successor else []
        sections = [child.section for child in children_of(row.table)]
        known = [*row.table.key, *row.table.columns, *release, *sections]
        for name, (line, _) in entries.items():
            if name not in known:
                self._say(line, f"a {row.table.kind} has no '{name}'; it has {', '.join(known)}")


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _line_of(error: Exception, data: bytes) -> int:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return int(error.problem_mark.line) + 1
    if isinstance(error, UnicodeDecodeError):
        return data.count(b"\n", 0, error.start) + 1
    if isinstance(error, yaml.reader.ReaderError):
        return data.decode().count("\n", 0, error.position) + 1
    return 1


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        return str(error.problem)
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return str(error).partition("\n")[0]
