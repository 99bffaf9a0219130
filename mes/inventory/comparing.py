"""What was scanned into a unit against what the unit says of itself. Pure: no database, no clock.

What a unit does not tell is no difference, unless it tells nothing at all: what answers and is silent is not
proven. Every identity that differs gives one difference: what is left over on both sides is paired, kind by
kind in order, before anything is called missing or unexpected.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

NOWHERE: Mapping[int, str] = {}


class State(StrEnum):
    """How the two, or three, sides of one place compare."""

    WRONG_SLOT = "wrong_slot"
    WRONG_SERIAL = "wrong_serial"
    WRONG_IDENTITY = "wrong_identity"
    WRONG_PART = "wrong_part"
    MISSING = "missing"
    UNEXPECTED = "unexpected"
    SILENT = "silent"
    NOT_READ = "not_read"
    MATCH = "match"
    NOT_TOLD = "not_told"
    EMPTY = "empty"


DIFFERENCES = frozenset(
    {
        State.WRONG_SLOT,
        State.WRONG_SERIAL,
        State.WRONG_IDENTITY,
        State.WRONG_PART,
        State.MISSING,
        State.UNEXPECTED,
        State.SILENT,
    }
)


@dataclass(frozen=True, slots=True)
class Scanned:
    """A unit as it was built in. ``names`` are its identifiers by kind, spelled plainly; see ``plain``.

    ``numbers`` are those of its part, ``board`` is the serial of its carrier, ``wanted`` what its slot takes.
    """

    place: str
    kind: str
    serial: str
    uid: str = ""
    numbers: frozenset[str] = frozenset()
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    board: str = ""
    wanted: str = ""

    def goes_by(self, kind: str, value: str) -> bool:
        """Return whether the unit is known by a name, or by none of that kind at all."""
        known = self.names.get(kind)
        return not known or plain(value) in known


@dataclass(frozen=True, slots=True)
class Told:
    """A part as a unit reports it. ``by`` says which of its names is its own: serial or uuid.

    ``number`` is the number that its own name ends in: GPU_3 is module 3.
    """

    kind: str
    name: str
    by: str = "serial"
    serial: str = ""
    part_number: str = ""
    uuid: str = ""
    mac: str = ""
    number: str = ""

    @property
    def own(self) -> str:
        """Return the name that tells the part from others of its kind, "" when it is not told."""
        return self.uuid if self.by == "uuid" else self.serial

    @property
    def keys(self) -> set[str]:
        """Return every name by which it can be found."""
        return {plain(name) for name in (self.own, self.mac) if name}


@dataclass(frozen=True, slots=True)
class Words:
    """Everything a unit said of itself; ``kinds`` are the kinds of part that it can tell at all."""

    itself: Told
    slot_number: int | None
    tray_index: int | None
    parts: tuple[Told, ...]
    kinds: frozenset[str]
    asset_tag: str = ""


@dataclass(frozen=True, slots=True)
class Design:
    """What a slot must report, and which parts it takes; ``quantities`` are those inside, by kind."""

    wanted: str = ""
    slot_number: int | None = None
    tray_index: int | None = None
    quantities: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One place compared: design, scanned and reported in words, and the difference in a sentence."""

    place: str
    kind: str
    state: State
    design: str = ""
    scanned: str = ""
    reported: str = ""
    reported_as: str = ""
    detail: str = ""
    unit: str = ""

    @property
    def is_difference(self) -> bool:
        """Return whether somebody must look into it."""
        return self.state in DIFFERENCES


@dataclass(frozen=True, slots=True)
class Tray:
    """A unit that can describe itself, where it was scanned to, what was scanned into it, and its words.

    ``words`` is None when nothing was read; ``unread`` says why.
    """

    itself: Scanned
    design: Design
    inside: tuple[Scanned, ...]
    words: Words | None
    unread: str = ""


def plain(value: str) -> str:
    """Return a name as it is compared: upper case, a UUID or MAC address without its punctuation."""
    text = value.strip().upper()
    bare = text.removeprefix("GPU-").replace("-", "").replace(":", "").replace(".", "")
    is_hex = bool(bare) and all(letter in "0123456789ABCDEF" for letter in bare)
    return bare if is_hex and len(bare) in (12, 32) and bare != text else text


def compare_trays(trays: Iterable[Tray], places: Mapping[int, str] = NOWHERE) -> list[Row]:
    """Return the rows of all trays, differences first, then by slot.

    ``places`` names the slots by the number they must report, empty ones included.
    """
    known = list(trays)
    strangers = {tray.itself.place: _stranger(tray, known) for tray in known}
    right = [tray for tray in known if strangers[tray.itself.place] is None]
    rows = list(_positions(right, places))
    for tray in known:
        stranger = strangers[tray.itself.place]
        rows += stranger if stranger is not None else _compare(tray)
    return in_order(rows)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Return rows with the differences first, what was not read next, each in the order they came."""
    return sorted(rows, key=lambda row: (not row.is_difference, row.state is not State.NOT_READ))


def digest_of(trays: Iterable[Tray]) -> str:
    """Return the SHA-256 (hex) of everything the trays reported, whatever the order of its telling."""
    lines = sorted(line for tray in trays for line in _lines(tray))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _lines(tray: Tray) -> Iterator[str]:
    if tray.words is None:
        return
    words = tray.words
    yield f"{tray.itself.place} at {words.slot_number} {words.tray_index}"
    for told in (words.itself, *words.parts):
        names = (told.kind, told.serial, told.part_number, told.uuid, told.mac)
        yield " ".join([tray.itself.place, *(plain(name) for name in names)])


def _positions(trays: list[Tray], places: Mapping[int, str]) -> Iterator[Row]:
    """Yield a row for every tray that reports another position than its slot's; exchanged ones once."""
    slots = {tray.design.slot_number: tray for tray in trays if tray.design.slot_number is not None}
    said: set[str] = set()
    for tray in trays:
        words = tray.words
        if words is None or tray.itself.place in said or not _misplaced(tray):
            continue
        elsewhere = words.slot_number != tray.design.slot_number
        there = slots.get(words.slot_number or 0) if elsewhere else None
        if there is not None and _reports(there, tray.design.slot_number):
            said.add(there.itself.place)
            detail = (
                f"{tray.itself.serial} and {there.itself.serial} are exchanged: {tray.itself.place} and "
                f"{there.itself.place} report each other's position."
            )
        else:
            where = places.get(words.slot_number or 0, "") if elsewhere else ""
            detail = _seems_to_be(tray, words, there.itself.place if there else where)
        yield _position_row(tray, words, detail)


def _position_row(tray: Tray, words: Words, detail: str) -> Row:
    return Row(
        place=tray.itself.place,
        kind=tray.itself.kind,
        state=State.WRONG_SLOT,
        design=_position(tray.design.slot_number, tray.design.tray_index),
        scanned=tray.itself.serial,
        reported=_position(words.slot_number, words.tray_index),
        reported_as="position",
        detail=detail,
        unit=tray.itself.uid,
    )


def _seems_to_be(tray: Tray, words: Words, there: str) -> str:
    reported = _position(words.slot_number, words.tray_index)
    says = f"{tray.itself.serial} of {tray.itself.place} reports {reported}"
    must = f"its slot has {_position(tray.design.slot_number, tray.design.tray_index)}"
    seems = f" It seems to be in {there}." if there else ""
    return f"{says}, but {must}.{seems}"


def _misplaced(tray: Tray) -> bool:
    words, design = tray.words, tray.design
    if words is None:
        return False
    pairs = ((words.slot_number, design.slot_number), (words.tray_index, design.tray_index))
    return any(told is not None and wanted is not None and told != wanted for told, wanted in pairs)


def _reports(tray: Tray, slot_number: int | None) -> bool:
    return tray.words is not None and slot_number is not None and tray.words.slot_number == slot_number


def _position(slot_number: int | None, tray_index: int | None) -> str:
    named = (("slot number", slot_number), ("tray index", tray_index))
    return ", ".join(f"{name} {number}" for name, number in named if number is not None) or "no position"


def _stranger(tray: Tray, others: list[Tray]) -> list[Row] | None:
    """Return what to say where another tray answers, None where the right one does.

    It is another tray when its serial is that of another slot, or no part of it is one that was scanned: then
    nothing else about it is compared, for all of it would differ. Two that answer for each other: said once.
    """
    words = tray.words
    if words is None or not words.itself.serial or tray.itself.goes_by("serial", words.itself.serial):
        return None
    other = next((each for each in others if each.itself.goes_by("serial", words.itself.serial)), None)
    if other is None:
        if any(row.state is State.MATCH for row in _inside(tray, words)):
            return None
        detail = f"{words.itself.serial} answers for {tray.itself.serial} of {tray.itself.place}."
    elif other.words and tray.itself.goes_by("serial", other.words.itself.serial):
        if others.index(other) < others.index(tray):
            return []
        detail = (
            f"{tray.itself.place} and {other.itself.place} are exchanged: "
            "the BMC of each answers for the other."
        )
    else:
        detail = f"{other.itself.serial} of {other.itself.place} answers for {tray.itself.place}."
    return [_row(tray.itself, words.itself, State.WRONG_SERIAL, detail, design=tray.design.wanted)]


def _compare(tray: Tray) -> list[Row]:
    own, words = tray.itself, tray.words
    if words is None:
        unread = tray.unread or "No inventory of it was collected."
        return [_row(own, None, State.NOT_READ, unread, design=tray.design.wanted)]
    itself = _checked(own, words.itself, design=tray.design.wanted, asset_tag=words.asset_tag)
    inside = list(_inside(tray, words))
    if any(row.reported for row in inside):
        return [itself, *inside]
    if itself.state is State.NOT_TOLD:
        return [_silent(itself), *(_row(each, None, State.NOT_TOLD) for each in tray.inside)]
    expected = [each for each in tray.inside if each.kind in words.kinds]
    is_silent = len(expected) > 1 and not any(row.is_difference for row in (itself, *inside))
    return [_silent(itself) if is_silent else itself, *inside]


def _silent(itself: Row) -> Row:
    what = "nothing of what is in it" if itself.reported else "no serial, and nothing of what is in it"
    return replace(itself, state=State.SILENT, detail=f"{itself.scanned} of {itself.place} tells {what}.")


def _inside(tray: Tray, words: Words) -> Iterator[Row]:
    carriers = {each.board for each in tray.inside}
    boards = {
        name: each.serial
        for each in tray.inside
        if each.serial in carriers
        for name in each.names.get("serial", ())
    }
    told_by_kind: dict[str, list[Told]] = {}
    for told in _once(words.parts):
        told_by_kind.setdefault(told.kind, []).append(told)
    scanned_by_kind: dict[str, list[Scanned]] = {}
    for scanned in tray.inside:
        scanned_by_kind.setdefault(scanned.kind, []).append(scanned)
    for kind in dict.fromkeys([*scanned_by_kind, *told_by_kind]):
        scanned_here, told_here = scanned_by_kind.get(kind, []), told_by_kind.get(kind, [])
        if kind not in words.kinds:
            yield from (_row(each, None, State.NOT_TOLD) for each in scanned_here)
        elif scanned_here or tray.design.quantities.get(kind):
            yield from _of_kind(scanned_here, told_here, tray, boards)


def _of_kind(
    scanned: list[Scanned], told: list[Told], tray: Tray, boards: Mapping[str, str]
) -> Iterator[Row]:
    pairs, left, over = _by_name(scanned, told)
    for one, other in pairs:
        yield _checked(one, other, boards=boards)
    named = [each for each in over if each.own]
    nameless = len(over) - len(named)
    for one, other in zip(left, named, strict=False):
        yield _wrong_name(one, other)
    rest = left[len(named) :]
    for number, one in enumerate(rest):
        is_there = number < nameless
        state = State.NOT_TOLD if is_there else State.MISSING
        yield _row(one, None, state, "" if is_there else f"{one.serial} of {one.place} is not reported.")
    quantity = tray.design.quantities.get(scanned[0].kind if scanned else told[0].kind, 0)
    for other in named[len(left) :]:
        yield _unexpected(other, tray, quantity)


def _unexpected(told: Told, tray: Tray, quantity: int) -> Row:
    return Row(
        place=tray.itself.place,
        kind=told.kind,
        state=State.UNEXPECTED,
        design=f"{quantity} of {told.kind}" if quantity else "",
        reported=told.own,
        reported_as=told.name,
        detail=f"{tray.itself.place} reports {told.kind} {told.own} ({told.name}), which was not scanned.",
        unit=tray.itself.uid,
    )


def _by_name(
    scanned: list[Scanned], told: list[Told]
) -> tuple[list[tuple[Scanned, Told]], list[Scanned], list[Told]]:
    """Pair by name; return the pairs and what is left over on either side."""
    over, pairs, left = list(told), [], []
    for one in scanned:
        names = frozenset[str]().union(*one.names.values())
        found = next((each for each in over if each.keys & names), None)
        if found is None:
            left.append(one)
        else:
            over.remove(found)
            pairs.append((one, found))
    return pairs, left, over


def _once(parts: Iterable[Told]) -> list[Told]:
    """Return each part once: a board shows at every adapter on it, a drive below storage and chassis."""
    seen: dict[tuple[str, str], Told] = {}
    for told in parts:
        seen.setdefault((told.kind, plain(told.own) or told.name), told)
    named = {(told.kind, told.name) for told in seen.values() if told.own}
    return [told for told in seen.values() if told.own or (told.kind, told.name) not in named]


def _checked(
    scanned: Scanned,
    told: Told,
    *,
    design: str = "",
    boards: Mapping[str, str] | None = None,
    asset_tag: str = "",
) -> Row:
    """Return the row of a part that was found by a name: its other names and its part number may differ."""
    if told.by == "serial" and told.serial and not scanned.goes_by("serial", told.serial):
        return _wrong_name(scanned, told, design=design)
    for kind, value in (("uuid", told.uuid), ("mac", told.mac), ("asset_tag", asset_tag)):
        if value and not scanned.goes_by(kind, value):
            return _row(scanned, told, State.WRONG_IDENTITY, _says(scanned, kind, value), design=design)
    board = (boards or {}).get(plain(told.serial), "") if told.by == "uuid" else ""
    if board and scanned.board and board != scanned.board:
        detail = f"{scanned.serial} reports the board {board}, but was scanned onto {scanned.board}."
        return _row(scanned, told, State.WRONG_SLOT, detail, design=design)
    if told.number and not scanned.goes_by("module", told.number):
        return _row(scanned, told, State.WRONG_SLOT, _says(scanned, "module", told.number), design=design)
    if told.part_number and scanned.numbers and plain(told.part_number) not in scanned.numbers:
        detail = _says(scanned, "part number", told.part_number)
        return _row(scanned, told, State.WRONG_PART, detail, design=design)
    return _row(scanned, told, State.MATCH if told.keys else State.NOT_TOLD, design=design)


def _wrong_name(scanned: Scanned, told: Told, *, design: str = "") -> Row:
    state = State.WRONG_IDENTITY if told.by == "uuid" else State.WRONG_SERIAL
    detail = f"{scanned.place} was scanned as {scanned.serial}, but {told.own} is reported ({told.name})."
    return _row(scanned, told, state, detail, design=design)


def _says(scanned: Scanned, kind: str, value: str) -> str:
    known = scanned.numbers if kind == "part number" else scanned.names.get(kind, frozenset())
    words = kind.replace("_", " ")
    return (
        f"{scanned.serial} of {scanned.place} reports {words} {value}, but has {' or '.join(sorted(known))}."
    )


def _row(scanned: Scanned, told: Told | None, state: State, detail: str = "", *, design: str = "") -> Row:
    return Row(
        place=scanned.place,
        kind=scanned.kind,
        state=state,
        design=design or scanned.wanted,
        scanned=scanned.serial,
        reported=(told.own or told.mac) if told else "",
        reported_as=told.name if told else "",
        detail=detail,
        unit=scanned.uid,
    )
