"""The elevation of an assembly as a drawing: which box stands where, in which state, with which words."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mes.products.models import Slot
from mes.products.services import Place, layout_of
from mes.racks.models import Installation
from mes.racks.services import live_children
from mes.serials.models import Unit

# Measures are whole units of the SVG view box, which is 520 wide; a half unit of the rack is 6 high.
HALF, GUTTER, FACE, TITLE, EDGE = 6, 24, 236, 16, 2
WIDTH = 2 * (GUTTER + FACE)
LOWEST = 2  # the half unit in which U1 begins
CELL, CELL_GAP = 30, 4
TURN_BELOW = 110  # a box narrower than this that is taller than wide is written from the bottom up
LETTER, LARGE_LETTER = 6, 8  # generous widths of one letter
ROOMY = 24  # a box this thick has the large ones


# The faces in the order they are drawn, two beside two; a rack is always shown from front and rear.
FACES = ("front", "rear", "left", "right")
ALWAYS = {"front", "rear"}


class State(enum.StrEnum):
    """What a slot is like; the word is shown as well as drawn.

    Who works at a terminal is told the first four; against the design there is more to say.
    """

    EMPTY = "empty"
    NEXT = "next"
    INSTALLED = "installed"
    WRONG = "wrong"
    EXPECTED = "expected"
    MISSING = "missing"
    EXTRA = "extra"
    INSIDE = "differs inside"
    HELD = "held"
    FAILED = "failed"
    DEVIATION = "deviation"
    TESTED = "tested"


MARKS = {
    **dict.fromkeys((State.INSTALLED, State.TESTED, State.DEVIATION), "✓"),
    **dict.fromkeys((State.WRONG, State.MISSING, State.EXTRA, State.INSIDE, State.FAILED), "✕"),
    **{State.EMPTY: "", State.NEXT: "▶", State.EXPECTED: "–", State.HELD: "‖"},
}


@dataclass(frozen=True, slots=True)
class Seat:
    """A slot of a unit as it is now: the place, what sits in it, its state, and whether it was looked for."""

    place: Place
    placed: Installation | None
    state: State
    found: bool = False

    @property
    def slot(self) -> Slot:
        """Return the slot itself."""
        return self.place.slot

    @property
    def start(self) -> int:
        """Return the half unit in which the slot begins; 0 for one that has no position."""
        return self.slot.position or 0

    @property
    def end(self) -> int:
        """Return the half unit above the slot."""
        return self.start + (self.slot.height or 0)

    @property
    def is_in_rack(self) -> bool:
        """Return whether the slot has its place on a side of a rack."""
        return self.slot.face in FACES and 0 < self.start < self.end

    @property
    def units(self) -> str:
        """Return the rack units the slot spans, such as U08 or U03 to U42; empty outside a rack."""
        if not self.is_in_rack:
            return ""
        first, last = self.start // 2, (self.end - 1) // 2
        return f"U{first:02}" if first == last else f"U{first:02} to U{last:02}"

    @property
    def content(self) -> str:
        """Return the serial that sits in the slot, else what it takes."""
        return self.placed.child.serial if self.placed else self.place.wanted

    @property
    def word(self) -> str:
        """Return mark and word of the state."""
        return f"{MARKS[self.state]} {self.state}".strip()

    @property
    def style(self) -> str:
        """Return the name by which the state is drawn."""
        return self.state.value.replace(" ", "-")

    @property
    def spoken(self) -> str:
        """Return the slot in words, for those who hear the page."""
        return f"{self._said} (looked for)" if self.found else self._said

    @property
    def _said(self) -> str:
        if self.placed is None:
            return f"{self.slot.name}: {self.state}, takes {self.place.wanted}"
        child = self.placed.child
        return f"{self.slot.name}: {self.state}, {child.part_revision.part.name} {child.serial}"


@dataclass(frozen=True, slots=True)
class Box:
    """One slot in the drawing. ``turned`` boxes are written from the bottom up."""

    seat: Seat
    x: int
    y: int
    width: int
    height: int

    @property
    def turned(self) -> bool:
        """Return whether the words run from the bottom up, for they would not fit across."""
        return self.width < TURN_BELOW and self.height > self.width

    @property
    def transform(self) -> str:
        """Return the SVG transform under which the box lies along the x axis from 0,0."""
        if self.turned:
            return f"translate({self.x} {self.y + self.height}) rotate(-90)"
        return f"translate({self.x} {self.y})"

    @property
    def length(self) -> int:
        """Return the measure along the words."""
        return self.height if self.turned else self.width

    @property
    def thickness(self) -> int:
        """Return the measure across the words."""
        return self.width if self.turned else self.height

    @property
    def roomy(self) -> bool:
        """Return whether the box is thick enough for larger letters."""
        return self.thickness >= ROOMY

    @property
    def content(self) -> str:
        """Return what the slot holds or takes, cut to the room between its name and its state."""
        letters = self.length // (LARGE_LETTER if self.roomy else LETTER)
        room = letters - len(self.seat.slot.name) - len(self.seat.word) - 4
        text = self.seat.content
        return text if len(text) <= room else f"{text[: room - 1]}…" if room > 3 else ""

    @property
    def middle(self) -> int:
        """Return the line on which the words stand."""
        return self.thickness // 2

    @property
    def end(self) -> int:
        """Return where the word of the state ends."""
        return self.length - 5


@dataclass(frozen=True, slots=True)
class Face:
    """The outline of one side of a rack, with its title above."""

    title: str
    x: int
    y: int
    height: int

    @property
    def title_y(self) -> int:
        """Return the line on which the title stands."""
        return self.y - TITLE + LETTER + 4


@dataclass(frozen=True, slots=True)
class Mark:
    """A rack unit's number, at the left of a face."""

    text: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """A whole elevation; ``marks`` number the rack units of each face."""

    height: int
    faces: list[Face]
    marks: list[Mark]
    boxes: list[Box]
    width: int = WIDTH


def read_seats(unit: Unit, expected: Slot | None) -> list[Seat]:
    """Return the slots of a unit in filling order, as they are now; ``expected`` is to be filled next."""
    installed = {row.slot_id: row for row in live_children(unit=unit)}
    return seats_of(layout_of(unit.part_revision), installed, expected.pk if expected else None)


def seats_of(
    layout: Iterable[Place], installed: Mapping[int, Installation], expected: int | None
) -> list[Seat]:
    """Judge each slot by what sits in it; ``installed`` is by id of the slot, ``expected`` such an id."""
    return [_seat(place, installed.get(place.slot.pk), expected) for place in layout]


def _seat(place: Place, placed: Installation | None, expected: int | None) -> Seat:
    if placed is None:
        return Seat(place, None, State.NEXT if place.slot.pk == expected else State.EMPTY)
    fits = placed.child.part_revision.part_id in place.part_ids
    return Seat(place, placed, State.INSTALLED if fits else State.WRONG)


def draw(seats: Iterable[Seat]) -> Drawing:
    """Lay slots out: those of a rack where they stand, all others in a grid of two columns below."""
    seats = list(seats)
    standing, loose = (
        [seat for seat in seats if seat.is_in_rack],
        [seat for seat in seats if not seat.is_in_rack],
    )
    if not standing:
        return Drawing(_grid_height(loose), [], [], _grid(loose, 0))
    ceiling = max(seat.end for seat in standing)
    ceiling += ceiling % 2
    outline = (ceiling - LOWEST) * HALF
    faces, marks, boxes = [], [], []
    shown = [face for face in FACES if face in ALWAYS | {seat.slot.face for seat in standing}]
    for number, face in enumerate(shown):
        x, y = number % 2 * (GUTTER + FACE) + GUTTER, number // 2 * (TITLE + outline + EDGE) + TITLE
        faces.append(Face(face.capitalize(), x, y, outline))
        marks += [_mark(number, x, y, ceiling) for number in range(LOWEST // 2, ceiling // 2)]
        boxes += _column([seat for seat in standing if seat.slot.face == face], x, y, ceiling)
    bottom = max(face.y for face in faces) + outline + EDGE
    boxes += _grid(loose, bottom + CELL_GAP)
    return Drawing(bottom + _grid_height(loose), faces, marks, boxes)


def _mark(number: int, x: int, top: int, ceiling: int) -> Mark:
    return Mark(f"{number:02}", x - 4, top + (ceiling - 2 * number - 1) * HALF)


def _column(seats: list[Seat], x: int, top: int, ceiling: int) -> list[Box]:
    """Return the boxes of one face; slots that span the same half units stand side by side."""
    boxes = []
    for group in _groups(seats):
        lanes = _lanes(group)
        width = FACE // (max(lanes) + 1)
        for seat, lane in zip(group, lanes, strict=True):
            y = top + (ceiling - seat.end) * HALF
            boxes.append(Box(seat, x + lane * width, y, width, (seat.end - seat.start) * HALF))
    return boxes


def _groups(seats: list[Seat]) -> list[list[Seat]]:
    """Return runs of slots that overlap in height, from the floor up."""
    groups: list[list[Seat]] = []
    reached = 0
    for seat in sorted(seats, key=lambda seat: (seat.start, seat.slot.order)):
        if groups and seat.start < reached:
            groups[-1].append(seat)
        else:
            groups.append([seat])
        reached = max(reached, seat.end)
    return groups


def _lanes(group: list[Seat]) -> list[int]:
    """Return for each slot the first lane that is free at its height."""
    ends: list[int] = []
    lanes = []
    for seat in group:
        lane = next((lane for lane, end in enumerate(ends) if end <= seat.start), len(ends))
        ends[lane : lane + 1] = [seat.end]
        lanes.append(lane)
    return lanes


def _grid(seats: list[Seat], top: int) -> list[Box]:
    width = (WIDTH - CELL_GAP) // 2
    return [
        Box(seat, index % 2 * (width + CELL_GAP), top + index // 2 * (CELL + CELL_GAP), width, CELL)
        for index, seat in enumerate(seats)
    ]


def _grid_height(seats: list[Seat]) -> int:
    return (len(seats) + 1) // 2 * (CELL + CELL_GAP)
