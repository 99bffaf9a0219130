"""The elevation of a unit against its design: what it says, what it finds, in which states it is drawn."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.products.models import Slot
from mes.quality.services import place_hold
from mes.racks.models import Installation
from mes.racks.services import install_unit
from mes.serials.models import Unit
from mes.terminal.elevation import HALF, TITLE, draw
from mes.terminal.rack.elevation import seats_of_design
from mes.terminal.rack.finding import find_in
from mes.testing.models import TestRun
from mes.workorders.services import compare_with_design
from tests.builders import TESTER, make_assembly, make_part, make_unit, placed
from tests.terminal.floor import Floor, Standing, make_rack, stack
from tests.terminal.test_elevation import box_of, seat
from tests.terminal.test_unit_pages import elevation, office

pytestmark = pytest.mark.django_db


def fresh(unit: Unit) -> Unit:
    return Unit.objects.select_related("part_revision__part", "site").get(pk=unit.pk)


def put(parent: Unit, slot: str, child: Unit) -> Unit:
    place = Slot.objects.get(revision=parent.part_revision, name=slot)
    install_unit(parent=fresh(parent), slot=place, child=fresh(child), by=TESTER)
    return child


def drawn(unit: Unit) -> dict[str, str]:
    seats = seats_of_design(compare_with_design(unit=fresh(unit)))
    return {each.slot.name: each.word for each in seats}


def found(unit: Unit, code: str) -> tuple[list[str], set[str]]:
    answer = find_in(compare_with_design(unit=fresh(unit)), code)
    return [each.sentence for each in answer.answers], set(answer.paths)


def test_a_child_is_drawn_as_it_was_tested(floor: Floor) -> None:
    for slot, tray in zip(("U08", "U09", "U10"), floor.trays(3), strict=True):
        put(floor.unit, slot, tray)
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of nothing
    for slot, outcome in (("U08", "PASS"), ("U09", "FAIL")):
        child = placed(floor.unit, slot).child
        TestRun.objects.create(
            unit=child,
            procedure="l10",
            outcome=outcome,
            status="COMPLETE",
            format="native",
            configuration=digest,
        )
    place_hold(unit=placed(floor.unit, "U10").child, reason="suspect", by=TESTER)
    states = {"U08": "✓ tested", "U09": "✕ failed", "U10": "‖ held", "BUSBAR": "– expected"}
    assert drawn(floor.unit) == states


def test_what_differs_inside_is_drawn_outside() -> None:
    gpu = make_part("gpu")
    tray = make_assembly("tray", level=10, takes={"GPU0": gpu})
    rack = make_unit(make_rack([Standing("U08", tray, 16), Standing("U09", tray, 18)]))
    whole = make_unit(tray)
    put(whole, "GPU0", make_unit(gpu))
    put(rack, "U08", whole)
    put(rack, "U09", make_unit(tray))
    assert drawn(rack) == {"U08": "✓ installed", "U09": "✕ differs inside"}


def test_an_extra_child_stands_where_its_slot_stood() -> None:
    tray = make_part("tray", level=10)
    rack, other = make_rack(stack(1, tray)), make_rack([Standing("U20", tray, 40)])
    unit = make_unit(rack)
    put(unit, "U08", make_unit(tray))
    Installation.objects.filter(parent=unit).update(slot=other.slots.get())
    assert drawn(unit) == {"U08": "✕ missing", "U20": "✕ extra"}
    page = office("view_unit").get(elevation(unit)).content.decode()
    assert f"{rack} has no slot U20" in page


@pytest.mark.parametrize(
    ("sides", "titles"),
    [
        ((), ["Front", "Rear"]),
        (("left",), ["Front", "Rear", "Left"]),
        (("right", "left"), ["Front", "Rear", "Left", "Right"]),
    ],
)
def test_every_face_with_slots_is_drawn_two_beside_two(sides: tuple[str, ...], titles: list[str]) -> None:
    drawing = draw([seat("U01", 2), seat("U10", 20), *(seat(f"P-{side}", 2, 20, side) for side in sides)])
    assert [face.title for face in drawing.faces] == titles
    front, rear, *others = drawing.faces
    assert all(face.y == front.y + front.height + TITLE + 2 for face in others)
    assert [face.x for face in others] == [front.x, rear.x][: len(others)]
    for side, face in zip(sorted(sides), others, strict=True):
        box = box_of(drawing, f"P-{side}")
        assert (box.x, box.y + box.height) == (face.x, face.y + face.height)
        assert drawing.height >= face.y + face.height
    assert len(drawing.marks) == len(titles) * 10 and drawing.marks[0].y == front.y + 19 * HALF


def test_a_slot_is_found_by_its_name_in_any_case(floor: Floor) -> None:
    assert found(floor.unit, "u08") == (
        ["U08 takes compute tray. Nothing is recorded in it, it is expected: filled at 10 Step 10."],
        {"U08"},
    )


def test_a_unit_inside_is_found_with_its_slot(floor: Floor) -> None:
    (tray,) = floor.trays(1)
    put(floor.unit, "U09", tray)
    says, paths = found(floor.unit, tray.serial.lower())
    name = f"compute tray {tray.serial}"
    assert says == [f"{tray.serial} is in U09. U09 takes compute tray. {name} is in it, installed."]
    assert paths == {"U09"}


def test_a_unit_elsewhere_is_said_where_and_where_it_belongs(floor: Floor) -> None:
    one, two, three = floor.trays(3)
    other = make_unit(floor.rack)
    put(floor.unit, "U08", one)
    put(other, "U10", two)
    says, paths = found(floor.unit, two.serial)
    where = f"compute tray {two.serial} is not in {floor.unit.serial}: it is in U10 of {other.serial}."
    assert says == [f"{where} It belongs into U09, U10."]
    assert paths == {"U09", "U10"}
    assert "it is in nothing, and in stock" in found(floor.unit, three.serial)[0][0]


def test_what_fits_nowhere_and_what_nobody_knows(floor: Floor) -> None:
    gpu = make_unit(make_part("gpu"))
    assert (
        f"No empty slot of {floor.unit.serial} takes {gpu.part_revision}."
        in found(floor.unit, gpu.serial)[0][0]
    )
    for code in ("NOBODY", "]d2\x1d"):
        (says,), paths = found(floor.unit, code)
        assert says.endswith(f"is no slot of {floor.unit.serial} and no unit of this site.")
        assert paths == set()
    assert found(floor.unit, floor.unit.serial)[0] == [
        f"rack {floor.unit.serial} is the unit that you look at."
    ]


def test_the_page_highlights_what_was_scanned(floor: Floor) -> None:
    page = office("view_unit").get(elevation(floor.unit), {"find": "U09"}).content.decode()
    assert page.count('class="slot expected found"') == 1
    assert page.count('class="expected found"') == 1
    assert 'value="U09"' in page
    plain = office("view_unit").get(elevation(floor.unit)).content.decode()
    assert "found" not in plain.replace('role="search"', "")


def test_mismatches_come_before_slots_and_picture(floor: Floor) -> None:
    (tray,) = floor.trays(1)
    put(floor.unit, "U08", tray)
    floor.unit.operation_runs.create(
        operation=floor.route.operations.get(sequence=10), state="complete", completed_at=timezone.now()
    )
    page = office("view_unit").get(elevation(floor.unit)).content.decode()
    parts = ("differs from its design", "Mismatches", "U09", '<h2 id="slots-title">', "<svg")
    assert [page.index(part) for part in parts] == sorted(page.index(part) for part in parts)
    assert "operation 10 is done" in page


def test_all_depths_are_listed_when_asked(floor: Floor) -> None:
    gpu = make_part("gpu")
    tray = make_assembly("tray", level=10, takes={"GPU0": gpu})
    rack = make_unit(make_rack(stack(1, tray)))
    put(rack, "U08", make_unit(tray))
    client = office("view_unit")
    assert "All 2 slots" in client.get(elevation(rack)).content.decode()
    page = client.get(elevation(rack), {"every": "1"}).content.decode()
    assert "All 2 slots" not in page
    assert page.count("U08/GPU0") == 2  # among the mismatches, and in the list


def test_a_unit_without_slots_has_a_page(floor: Floor) -> None:
    page = office("view_unit").get(elevation(make_unit(make_part("gpu")))).content.decode()
    assert "has no slots" in page and "<svg" not in page


def test_queries_of_the_page_do_not_grow() -> None:
    client: Client = office("view_unit")
    counts: list[Any] = []
    for count in (3, 40):
        tray = make_part("tray", level=10)
        rack = make_unit(make_rack(stack(count, tray)))
        for slot in rack.part_revision.slots.all()[1:3]:
            put(rack, slot.name, make_unit(tray))
        for _ in range(2):
            with CaptureQueriesContext(connection) as queries:
                client.get(elevation(rack), {"find": "U08"})
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12, counts


def test_a_code_that_no_database_keeps_is_looked_for_all_the_same(floor: Floor) -> None:
    answer = office("view_unit").get(elevation(floor.unit), {"find": "U08\0"})
    assert answer.status_code == 200
    assert "U08 takes" in answer.content.decode()
