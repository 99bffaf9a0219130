"""The drawing of a rack or tray: where each slot stands, in which state, and what it says."""

import pytest

from mes.products.models import Slot
from mes.products.services import Place, layout_of
from mes.racks.models import Installation
from mes.racks.services import install_unit
from mes.serials.models import Unit
from mes.terminal.elevation import HALF, TITLE, Box, Drawing, Seat, State, draw, read_seats, seats_of
from tests.builders import TESTER, make_assembly, make_part, make_unit
from tests.terminal.floor import Floor

pytestmark = pytest.mark.django_db
FRONT, REAR = Slot.Face.FRONT, Slot.Face.REAR


def seat(
    name: str, position: int | None, height: int | None = 2, face: str = FRONT, state: State = State.EMPTY
) -> Seat:
    """Return an unsaved slot that stands where it is told."""
    slot = Slot(name=name, face=face, position=position, height=height, filled_at=10, order=0)
    return Seat(Place(slot, frozenset(), "compute tray"), None, state)


def box_of(drawing: Drawing, name: str) -> Box:
    return next(box for box in drawing.boxes if box.seat.slot.name == name)


def test_slots_stand_at_their_half_units() -> None:
    drawing = draw([seat("U01", 2), seat("U02", 4), seat("HALF", 6, 1), seat("U42", 84)])
    top, floor = TITLE, TITLE + 84 * HALF
    assert (box_of(drawing, "U42").y, box_of(drawing, "U42").height) == (top, 2 * HALF)
    assert box_of(drawing, "U01").y + box_of(drawing, "U01").height == floor
    assert box_of(drawing, "U02").y == floor - 4 * HALF
    assert (box_of(drawing, "HALF").y, box_of(drawing, "HALF").height) == (floor - 5 * HALF, HALF)


def test_each_rack_unit_is_numbered_at_its_middle_on_both_faces() -> None:
    drawing = draw([seat("U01", 2), seat("U42", 84)])
    assert [mark.text for mark in drawing.marks] == [f"{number:02}" for number in range(1, 43)] * 2
    first = box_of(drawing, "U01")
    assert drawing.marks[0].y == first.y + first.height // 2


def test_rear_is_drawn_beside_the_front() -> None:
    drawing = draw([seat("U08", 16), seat("BUSBAR", 6, 80, REAR)])
    assert [face.title for face in drawing.faces] == ["Front", "Rear"]
    front, rear = drawing.faces
    assert box_of(drawing, "U08").x == front.x < rear.x == box_of(drawing, "BUSBAR").x
    assert rear.x + box_of(drawing, "BUSBAR").width <= drawing.width


def test_slots_that_span_the_same_units_stand_side_by_side() -> None:
    names = ("SUPPLY", "RETURN", "BUSBAR")
    drawing = draw([seat(name, 6, 60, REAR) for name in names] + [seat("LEAK", 2, 2, REAR)])
    boxes = [box_of(drawing, name) for name in names]
    assert [box.x for box in boxes] == [boxes[0].x + lane * boxes[0].width for lane in range(3)]
    assert all(box.turned for box in boxes)
    assert not box_of(drawing, "LEAK").turned
    assert box_of(drawing, "LEAK").width == drawing.faces[1].x - drawing.faces[0].x - 24


def test_no_two_boxes_overlap_in_a_crowded_rear() -> None:
    crowd = [("A", 2, 10), ("B", 4, 2), ("C", 6, 2), ("D", 11, 4), ("E", 20, 3), ("F", 22, 8)]
    boxes = draw([seat(name, at, height, REAR) for name, at, height in crowd]).boxes
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            beside = one.x + one.width <= other.x or other.x + other.width <= one.x
            above = one.y + one.height <= other.y or other.y + other.height <= one.y
            assert beside or above, (one.seat.slot.name, other.seat.slot.name)


def test_tray_without_places_is_a_grid_in_filling_order() -> None:
    drawing = draw([seat(f"GPU{number}", None, None, Slot.Face.INSIDE) for number in range(5)])
    assert (drawing.faces, drawing.marks) == ([], [])
    corners = [(box.y, box.x) for box in drawing.boxes]
    assert corners == sorted(corners)
    assert len({box.x for box in drawing.boxes}) == 2
    assert max(box.y + box.height for box in drawing.boxes) <= drawing.height


def test_rack_with_loose_slots_has_them_below() -> None:
    drawing = draw([seat("U01", 2), seat("KEY", None, None, Slot.Face.INSIDE)])
    rack_bottom = box_of(drawing, "U01").y + box_of(drawing, "U01").height
    assert rack_bottom < box_of(drawing, "KEY").y < drawing.height


def test_nothing_to_draw() -> None:
    assert draw([]).boxes == []


def test_words_are_cut_to_their_room() -> None:
    wanted = "a compute tray with a name far too long to stand in a box"
    long = Seat(Place(seat("U08", 16).slot, frozenset(), wanted), None, State.EMPTY)
    box = box_of(draw([long]), "U08")
    assert box.content.endswith("…")
    assert len(f"U08 {box.content} {box.seat.word}") * 6 <= box.length
    assert box.seat.spoken == f"U08: empty, takes {wanted}"


@pytest.mark.parametrize(
    ("position", "height", "units"),
    [(16, 2, "U08"), (6, 80, "U03 to U42"), (16, 1, "U08"), (17, 2, "U08 to U09"), (None, None, "")],
)
def test_rack_units_a_slot_spans(position: int | None, height: int | None, units: str) -> None:
    assert seat("S", position, height).units == units


def test_states_of_a_unit_being_built(floor: Floor) -> None:
    (tray,) = floor.trays(1)
    first, second, *_ = Slot.objects.filter(revision=floor.rack)
    install_unit(parent=floor.unit, slot=first, child=tray, by=TESTER)
    seats = read_seats(floor.unit, second)
    assert [seat.state for seat in seats] == ["installed", "next", "empty", "empty"]
    assert seats[0].spoken == f"U08: installed, compute tray {tray.serial}"
    assert seats[1].spoken == "U09: next, takes compute tray"


def test_chosen_slot_that_is_full_stays_installed(floor: Floor) -> None:
    slot = Slot.objects.filter(revision=floor.rack)[0]
    install_unit(parent=floor.unit, slot=slot, child=floor.trays(1)[0], by=TESTER)
    assert read_seats(floor.unit, slot)[0].state == State.INSTALLED


def test_what_a_slot_does_not_take_is_wrong() -> None:
    gpu, nic = make_part("gpu"), make_part("nic")
    tray = make_assembly("tray", level=10, takes={"GPU0": gpu})
    slot = Slot.objects.get(revision=tray)
    placed = Installation(slot=slot, child=make_unit(nic, "NIC-1"))
    (found,) = seats_of(layout_of(slot.revision), {slot.pk: placed}, None)
    assert (found.state, found.spoken) == (State.WRONG, "GPU0: wrong, nic NIC-1")


def test_slot_that_takes_several_parts_names_them_all() -> None:
    slot = Slot.objects.create(
        revision=make_part("tray", released=False), name="NIC0", type="nic", filled_at=10, order=0
    )
    slot.accepts.add(make_part("nic").part, make_part("dpu").part)
    assert seats_of(layout_of(slot.revision), {}, None)[0].place.wanted == "nic or dpu"


def test_removed_child_leaves_its_slot_empty(floor: Floor) -> None:
    slot = Slot.objects.filter(revision=floor.rack)[0]
    placed = install_unit(parent=floor.unit, slot=slot, child=floor.trays(1)[0], by=TESTER)
    Installation.objects.filter(pk=placed.pk).update(removed_at=placed.installed_at)
    assert read_seats(Unit.objects.get(pk=floor.unit.pk), None)[0].state == State.EMPTY
