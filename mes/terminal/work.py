"""What a terminal shows: where its device, person and unit stand, and what to do next."""

from dataclasses import dataclass

from mes.products.models import Operation, Slot
from mes.racks.services import empty_places
from mes.serials.models import Unit
from mes.stations.models import Device
from mes.terminal.elevation import Drawing, Seat, State, draw, read_seats
from mes.workorders.models import OperationRun, WorkSession
from mes.workorders.services import SIGN_ON, TAKE_UP, Position, next_step, position_of

RUNNING = OperationRun.State.RUNNING


@dataclass(frozen=True, slots=True)
class Work:
    """The unit a device works on: its position on the route, the operation at hand, and its slots."""

    unit: Unit
    position: Position
    operation: Operation | None
    seats: list[Seat]
    chosen: Slot | None
    expected: Slot | None

    @property
    def step(self) -> tuple[int, int]:
        """Return the number of the operation at hand, from 1, of how many."""
        done, total = self.position.steps
        return min(done + 1, total), total

    @property
    def to_fill(self) -> list[Seat]:
        """Return the slots that the operation at hand fills."""
        sequence = self.operation.sequence if self.operation else None
        return [seat for seat in self.seats if seat.slot.filled_at == sequence]

    @property
    def filled(self) -> int:
        """Return how many of those hold something."""
        return sum(1 for seat in self.to_fill if seat.placed)

    @property
    def drawing(self) -> Drawing:
        """Return the elevation."""
        return draw(self.seats)

    @property
    def shown_states(self) -> list[State]:
        """Return the states a legend explains: wrong ones only where there are any."""
        present = {seat.state for seat in self.seats}
        return [state for state in State if state != State.WRONG or state in present]


def read_session(device: Device) -> WorkSession | None:
    """Return what a device is working on, with its unit, or None before its first scan. One query."""
    sessions = WorkSession.objects.select_related("unit__part_revision__part", "slot")
    return sessions.filter(device=device).first()


def cursor_of(device: Device, session: WorkSession | None) -> str:
    """Return a short text that changes whenever the page would look different."""
    unit = session.unit if session else None
    slot = session.slot_id if session else None
    return f"{device.version}-{unit.pk if unit else 0}-{unit.version if unit else 0}-{slot or 0}"


def read_work(device: Device, session: WorkSession | None) -> Work | None:
    """Return the unit being worked on; None while nobody is signed on, or no unit was scanned."""
    if session is None or session.unit is None or device.operator_id is None:
        return None
    position = position_of(session.unit)
    operation = position.at_hand(device.station.work_center)
    expected = session.slot or _first_empty(position, operation)
    seats = read_seats(session.unit, expected)
    return Work(session.unit, position, operation, seats, session.slot, expected)


def _first_empty(position: Position, operation: Operation | None) -> Slot | None:
    """Return the slot that a running operation fills next."""
    if operation is None or position.state_of(operation) != RUNNING:
        return None
    empty = empty_places(unit=position.unit, filled_at=operation.sequence)
    return empty[0].slot if empty else None


def next_action(device: Device, work: Work | None) -> str:
    """Return what the person does now, in one line."""
    if device.operator_id is None:
        return SIGN_ON
    if work is None:
        return TAKE_UP
    return next_step(
        work.position,
        work.operation,
        empty=[seat.place for seat in work.to_fill if not seat.placed],
        chosen=work.chosen,
        work_center=device.station.work_center,
    )
