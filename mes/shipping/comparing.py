"""What was received against what was shipped. Plain data in, plain data out."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

Named = dict[str, Any]


class Verdict(StrEnum):
    """How a thing on the pack list, or one that was found, stands."""

    MATCHED = "matched"
    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"


@dataclass(slots=True)
class Line:
    """One thing: the unit it is, or is in, where it should be and where it was found, and by which serial."""

    verdict: str
    unit: str
    path: str = ""
    part: str = ""
    expected: str = ""
    found: str = ""
    found_path: str = ""


@dataclass(slots=True)
class Comparison:
    """All lines, in the order of the pack list; extras last."""

    lines: list[Line] = field(default_factory=list)

    def count(self, verdict: Verdict) -> int:
        """Return how many lines have a verdict."""
        return sum(line.verdict == verdict for line in self.lines)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the lines as they are kept."""
        return [asdict(line) for line in self.lines]


def compare(shipped: list[Named], found: list[Named]) -> Comparison:
    """Compare what departed with what was found.

    ``shipped`` are units with ``serial``, ``part`` and ``contents`` (``path``, ``part``, ``kind`` and
    ``serial``); ``found`` are units with ``serial`` and, if the receiver read more, ``part``, ``contents``
    (``serial``, and ``path`` and ``part`` where they are known) and ``covers``, the kinds of parts that were
    read; without ``covers`` all were. What the receiver did not read says nothing and is left out.
    """
    result = Comparison()
    left = list(found)
    for unit in shipped:
        seen = next((each for each in left if _is(unit, each)), None)
        verdict = Verdict.MATCHED if seen else Verdict.MISSING
        name, serial = unit["serial"], seen["serial"] if seen else ""
        result.lines.append(Line(verdict, name, part=unit["part"], expected=name, found=serial))
        if seen is not None:
            left.remove(seen)
            if seen.get("contents") is not None:
                result.lines += _inside(unit, seen)
    result.lines += [Line(Verdict.EXTRA, each["serial"], found=each["serial"]) for each in left]
    return result


def _inside(unit: Named, seen: Named) -> list[Line]:
    covers = seen.get("covers") or []
    expected = [each for each in unit["contents"] if not covers or each["kind"] in covers]
    left, lines = list(seen["contents"]), dict[int, Line]()
    for is_same in (_same_place, _is):
        for number, each in enumerate(expected):
            other = None if number in lines else next((one for one in left if is_same(each, one)), None)
            if other is not None:
                left.remove(other)
                lines[number] = _line(unit, each, other)
    for number, each in enumerate(expected):
        if number not in lines:
            other = next((one for one in left if one.get("path") and _path(one) == _path(each)), None)
            if other is not None:
                left.remove(other)
            lines[number] = _line(unit, each, other)
    extras = [_extra(unit, one) for one in left]
    return [lines[number] for number in sorted(lines)] + extras


def _line(unit: Named, each: Named, other: Named | None) -> Line:
    line = Line(Verdict.MATCHED, unit["serial"], each["path"], each["part"], each["serial"])
    if other is None:
        line.verdict = Verdict.MISSING
        return line
    line.found, line.found_path = other["serial"], other.get("path") or ""
    moved = line.found_path and _path(other) != _path(each)
    if moved or not _is(each, other):
        line.verdict = Verdict.DIFFERENT
    return line


def _extra(unit: Named, one: Named) -> Line:
    return Line(
        Verdict.EXTRA,
        unit["serial"],
        part=one.get("part") or "",
        found=one["serial"],
        found_path=one.get("path") or "",
    )


def _is(expected: Named, found: Named) -> bool:
    """Return whether a serial, of the part if that was read too, is the one expected."""
    part = found.get("part") or expected["part"]
    return _plain(expected["serial"]) == _plain(found["serial"]) and _plain(part) == _plain(expected["part"])


def _same_place(expected: Named, found: Named) -> bool:
    return _path(expected) == _path(found) and _is(expected, found)


def _path(row: Named) -> str:
    return _plain(row.get("path") or "")


def _plain(text: str) -> str:
    return str(text).strip().upper()


def differing(lines: Iterable[Named]) -> list[Named]:
    """Return the lines that do not match."""
    return [line for line in lines if line["verdict"] != Verdict.MATCHED]
