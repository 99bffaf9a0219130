"""What a terminal shows of a unit in rework: the slots that the rework emptied are to be filled."""

import pytest

from mes.terminal.work import read_session, read_work
from mes.workorders.services import remove_child
from tests.builders import make_scanner, make_station
from tests.workorders.reworking import REPAIRER, Review

pytestmark = pytest.mark.django_db


def test_the_emptied_slot_is_to_be_filled() -> None:
    review, scanner = Review(), make_scanner(make_station("REPAIR"))
    review.finish()
    review.dispose(review.open())
    assert scanner.scan(review.unit.serial).json()["title"] == "Started"
    device = type(scanner.device).objects.get(pk=scanner.device.pk)
    work = read_work(device, read_session(device))
    assert work is not None
    assert (work.to_fill, work.expected) == ([], None)
    remove_child(unit=review.unit, slot_name="GPU0", reason="broken", by=REPAIRER)
    work = read_work(device, read_session(device))
    assert work is not None
    assert [seat.slot.name for seat in work.to_fill] == ["GPU0"]
    assert work.expected == review.tray.slots.get()
